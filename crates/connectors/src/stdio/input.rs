//! One input that several sources read, none of which may miss anything.

use std::{
    io::{self, Read},
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};
use tokio::sync::mpsc;
use tremor_value::Bytes;

/// What is read at once; no more than a pipe holds.
const BLOCK_BYTES: usize = 64 * 1024;

/// What was read, or why there will be no more.
pub(super) type Block = Result<Bytes, Arc<str>>;

/// What one source reads: blocks in order, then `None` for good.
pub(super) type Subscription = mpsc::Receiver<Block>;

/// Reads a stream in a thread of its own and gives every subscriber all of it from when it came.
///
/// Nothing is read before there is a subscriber, and what nobody took waits for the next one. The slowest
/// subscriber sets the pace. The thread is never waited for: a read of a terminal may take for ever.
pub(super) struct Input {
    state: Mutex<State>,
    came: Condvar,
}

struct State {
    /// The stream, until the thread that reads it starts.
    stream: Option<Box<dyn Read + Send>>,
    subscribers: Vec<mpsc::Sender<Block>>,
    has_ended: bool,
}

impl Input {
    pub(super) fn new(stream: Box<dyn Read + Send>) -> Self {
        let state = State { stream: Some(stream), subscribers: Vec::new(), has_ended: false };
        Self { state: Mutex::new(state), came: Condvar::new() }
    }

    /// Everything from now on; nothing if the stream has ended.
    pub(super) fn subscribe(self: &Arc<Self>) -> io::Result<Subscription> {
        let (sender, subscription) = mpsc::channel(1);
        let mut state = self.state();
        if state.has_ended {
            return Ok(subscription);
        }
        if let Some(stream) = state.stream.take() {
            let input = self.clone();
            let thread = thread::Builder::new().name("tremor-stdin".to_owned());
            if let Err(error) = thread.spawn(move || input.read(stream)) {
                state.has_ended = true;
                return Err(error);
            }
        }
        state.subscribers.push(sender);
        self.came.notify_one();
        Ok(subscription)
    }

    fn read(&self, mut stream: Box<dyn Read + Send>) {
        let mut buffer = vec![0; BLOCK_BYTES];
        loop {
            // Left in the stream, data is still there for whoever comes next, even another process.
            drop(self.subscribers());
            match stream.read(&mut buffer) {
                Ok(0) => break,
                Ok(count) => self.give(&Ok(Bytes::copy_from_slice(buffer.get(..count).unwrap_or_default()))),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.give(&Err(error.to_string().into()));
                    break;
                }
            }
        }
        let mut state = self.state();
        state.has_ended = true;
        state.subscribers.clear();
    }

    /// Hands `block` to all subscribers, waiting for the slow ones, and for one if there is none.
    fn give(&self, block: &Block) {
        let mut is_taken = false;
        while !is_taken {
            for subscriber in self.subscribers() {
                is_taken |= subscriber.blocking_send(block.clone()).is_ok();
            }
        }
    }

    /// The subscribers that still read; waits until there is one.
    fn subscribers(&self) -> Vec<mpsc::Sender<Block>> {
        let mut state = self.state();
        loop {
            state.subscribers.retain(|subscriber| !subscriber.is_closed());
            if !state.subscribers.is_empty() {
                return state.subscribers.clone();
            }
            state = self.came.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
