//! Queues that are bounded in messages and in bytes.

use crate::Handed;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, TryAcquireError, mpsc};

/// Messages that a queue holds before its sender waits (`spec/runtime.md` 14).
pub(crate) const MAX_MESSAGES: usize = 128;
/// Bytes that a queue holds before its sender waits; one larger message passes alone.
pub(crate) const MAX_BYTES: u32 = 16 * 1024 * 1024;

/// Makes a queue of 128 messages and 16 MiB.
#[must_use]
pub fn bounded<T>() -> (Sender<T>, Receiver<T>) {
    let (sender, receiver) = mpsc::channel(MAX_MESSAGES);
    let room = Arc::new(Semaphore::new(MAX_BYTES as usize));
    (Sender { messages: sender, room }, Receiver { messages: receiver })
}

/// The sending end.
#[derive(Debug)]
pub struct Sender<T> {
    messages: mpsc::Sender<Sized<T>>,
    room: Arc<Semaphore>,
}

impl<T> Clone for Sender<T> {
    fn clone(&self) -> Self {
        Self { messages: self.messages.clone(), room: self.room.clone() }
    }
}

#[derive(Debug)]
struct Sized<T> {
    message: T,
    _room: Option<OwnedSemaphorePermit>,
}

impl<T> Sender<T> {
    /// Queues `message`, which stands for `bytes` bytes; waits while the queue is full.
    ///
    /// # Errors
    /// Gives the message back if the receiver is gone.
    pub async fn send(&self, message: T, bytes: usize) -> Result<(), T> {
        // The semaphore is never closed, so only a gone receiver can refuse a message.
        let room = match permits(bytes) {
            0 => None,
            wanted => self.room.clone().acquire_many_owned(wanted).await.ok(),
        };
        let sent = self.messages.send(Sized { message, _room: room }).await;
        sent.map_err(|refused| refused.0.message)
    }

    /// The same without waiting where there is room; `refused` gets the message if the receiver is gone.
    pub fn hand<'a>(&'a self, message: T, bytes: usize, refused: impl FnOnce(T) + Send + 'a) -> Handed<'a>
    where
        T: Send + 'a,
    {
        match self.try_send(message, bytes) {
            Ok(()) => Handed::done(),
            Err(message) => Handed::later(async move {
                if let Err(message) = self.send(message, bytes).await {
                    refused(message);
                }
            }),
        }
    }

    /// Queues `message` if there is room, else gives it back.
    fn try_send(&self, message: T, bytes: usize) -> Result<(), T> {
        let room = match permits(bytes) {
            0 => None,
            wanted => match self.room.clone().try_acquire_many_owned(wanted) {
                Err(TryAcquireError::NoPermits) => return Err(message),
                room => room.ok(),
            },
        };
        let sent = self.messages.try_send(Sized { message, _room: room });
        sent.map_err(|refused| refused.into_inner().message)
    }
}

fn permits(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(MAX_BYTES).min(MAX_BYTES)
}

/// The receiving end.
#[derive(Debug)]
pub struct Receiver<T> {
    messages: mpsc::Receiver<Sized<T>>,
}

impl<T> Receiver<T> {
    /// The next message, `None` once all senders are gone. Cancel safe.
    pub async fn recv(&mut self) -> Option<T> {
        self.messages.recv().await.map(|sized| sized.message)
    }

    /// `true` if nothing waits right now.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Refuses further messages; what is queued can still be received.
    pub fn close(&mut self) {
        self.messages.close();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn bytes_are_bounded_and_one_huge_message_passes_alone() {
        let (sender, mut receiver) = bounded();
        sender.send(1, usize::MAX).await.unwrap();
        assert!(sender.send(2, 1).now_or_never().is_none(), "the bytes are used up");
        assert_eq!(receiver.recv().await, Some(1));
        sender.send(3, 1).await.unwrap();
        assert_eq!(receiver.recv().await, Some(3));
    }

    #[tokio::test]
    async fn what_finds_room_is_queued_in_the_call_and_what_does_not_waits() {
        let (sender, mut receiver) = bounded();
        assert!(sender.hand(1, usize::MAX, |_| {}).is_done());
        let mut waits = sender.hand(2, 1, |_| {});
        assert!((&mut waits).now_or_never().is_none(), "the bytes are used up");
        assert_eq!(receiver.recv().await, Some(1));
        waits.await;
        assert_eq!(receiver.recv().await, Some(2));
        drop(receiver);
        let mut refused = None;
        sender.hand(3, 1, |message| refused = Some(message)).await;
        assert_eq!(refused, Some(3));
    }

    #[tokio::test]
    async fn messages_are_bounded() {
        let (sender, mut receiver) = bounded();
        for message in 0..MAX_MESSAGES {
            sender.send(message, 0).await.unwrap();
        }
        assert!(sender.send(0, 0).now_or_never().is_none());
        receiver.close();
        assert_eq!(sender.send(7, 0).await, Err(7));
    }
}
