//! Whose turn it is, among connections that have more to do than one turn is for.
//!
//! A task that yields goes on when the thread has had a look at what else is ready: but behind all the others that have
//! yielded, and in front of whatever becomes ready while these are at work. With many such connections a quiet one would
//! wait for a turn of each of them. So there are as many places as the runtime has threads, and a connection that has used
//! up its turn waits for one, in order, and then yields: between two long turns of a thread everything that is ready has
//! its own.
//!
//! A place is held until the task is done with this poll, whatever it waits for then.

use pin_project_lite::pin_project;
use std::{
    cell::Cell,
    pin::Pin,
    sync::LazyLock,
    task::{Context, Poll},
};
use tokio::{
    runtime::{Handle, RuntimeFlavor},
    sync::Semaphore,
    task::yield_now,
};

/// The places of the process: it has one runtime with more than one thread.
static PLACES: LazyLock<Semaphore> = LazyLock::new(|| {
    let workers = Handle::try_current().map_or(1, |runtime| runtime.metrics().num_workers());
    Semaphore::new(workers)
});

thread_local! {
    /// The task that this thread polls holds a place.
    static HOLDS_PLACE: Cell<bool> = const { Cell::new(false) };
}

/// The turn is over; ready when it is time for the next one. Only in [`Turns`].
pub(super) async fn next_turn() {
    if !has_threads() {
        return yield_now().await;
    }
    give_back();
    if let Ok(place) = PLACES.acquire().await {
        yield_now().await;
        place.forget();
        HOLDS_PLACE.set(true);
    }
}

/// Whether there is more than one thread to wait for: on a single one all tasks take turns anyhow.
fn has_threads() -> bool {
    Handle::try_current().is_ok_and(|runtime| runtime.runtime_flavor() == RuntimeFlavor::MultiThread)
}

#[inline]
fn give_back() {
    if HOLDS_PLACE.get() {
        HOLDS_PLACE.set(false);
        PLACES.add_permits(1);
    }
}

pin_project! {
    /// A task that takes turns.
    pub(super) struct Turns<F> {
        #[pin]
        task: F,
    }
}

impl<F> Turns<F> {
    pub(super) fn of(task: F) -> Self {
        Self { task }
    }
}

impl<F: Future> Future for Turns<F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let polled = self.project().task.poll(cx);
        give_back();
        polled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        io::Write as _,
        os::unix::net::UnixStream,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering::Relaxed},
        },
    };
    use tokio::io::AsyncReadExt as _;

    const BUSY: usize = 64;
    const TURNS: usize = 50;

    /// Always has more to do. Number 0 sends a byte in some of its turns, and notes how many turns there were before.
    async fn work(number: usize, turns: Arc<AtomicUsize>, mut line: UnixStream, sent_at: Arc<AtomicUsize>) {
        Turns::of(async {
            for turn in 0..TURNS {
                let before = turns.fetch_add(1, Relaxed);
                if number == 0 && turn % 10 == 5 {
                    sent_at.store(before, Relaxed);
                    line.write_all(b"x").unwrap();
                }
                next_turn().await;
            }
        })
        .await;
    }

    #[test]
    fn what_becomes_ready_waits_for_a_turn_and_not_for_one_of_each() {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let waited = runtime.block_on(async {
            tokio::spawn(async {
                let (near, far) = UnixStream::pair().unwrap();
                far.set_nonblocking(true).unwrap();
                let mut far = tokio::net::UnixStream::from_std(far).unwrap();
                let (turns, sent_at) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
                for number in 0..BUSY {
                    tokio::spawn(work(number, turns.clone(), near.try_clone().unwrap(), sent_at.clone()));
                }
                drop(near);
                let mut waited = Vec::new();
                while far.read_u8().await.is_ok() {
                    waited.push(turns.load(Relaxed) - sent_at.load(Relaxed));
                }
                assert_eq!(turns.load(Relaxed), BUSY * TURNS);
                waited
            })
            .await
            .unwrap()
        });
        assert_eq!(waited.len(), 5);
        // Other tests of this process may have made more places.
        assert!(waited.iter().all(|turns| *turns < BUSY / 2), "{waited:?}");
    }
}
