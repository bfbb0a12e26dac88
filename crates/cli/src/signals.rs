//! Signals that ask a command to end, as something that can be waited for.

use std::{
    io,
    sync::{Arc, atomic::AtomicBool},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

/// Lets a write that a limit of file sizes (`ulimit -f`) refuses fail like any other: left alone, the system ends the
/// process for it without a word.
///
/// # Errors
/// If the system refuses a handler.
pub(crate) fn outlive_file_size_limits() -> io::Result<()> {
    let nobody_looks = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, nobody_looks).map(|_handler_stays| ())
}

/// What has arrived so far.
#[derive(Clone, Copy, Default)]
struct Received {
    count: u32,
    last: i32,
}

/// Counts SIGINT, SIGTERM and SIGQUIT from the moment it is made; they no longer end the process by themselves.
#[derive(Clone, Debug)]
pub struct Interrupts {
    received: watch::Receiver<Received>,
}

impl std::fmt::Debug for Received {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} signals, last {}", self.count, self.last)
    }
}

impl Interrupts {
    /// Takes over the three signals. Has to be called inside a `tokio` runtime.
    ///
    /// # Errors
    /// If the system refuses a handler.
    pub fn listen() -> io::Result<Self> {
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let mut quit = signal(SignalKind::quit())?;
        let (sender, received) = watch::channel(Received::default());
        tokio::spawn(async move {
            loop {
                let kind = tokio::select! {
                    _ = interrupt.recv() => SignalKind::interrupt(),
                    _ = terminate.recv() => SignalKind::terminate(),
                    _ = quit.recv() => SignalKind::quit(),
                    () = sender.closed() => return,
                };
                sender.send_modify(|state| {
                    state.count = state.count.saturating_add(1);
                    state.last = kind.as_raw_value();
                });
            }
        });
        Ok(Self { received })
    }

    /// How many signals have arrived.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.received.borrow().count
    }

    /// Number of the last signal, if there was one.
    #[must_use]
    pub fn last(&self) -> Option<i32> {
        let state = *self.received.borrow();
        (state.count > 0).then_some(state.last)
    }

    /// Waits until more than `seen` signals have arrived; returns the number of the last one.
    pub async fn more_than(&self, seen: u32) -> i32 {
        let mut received = self.received.clone();
        let arrived = received.wait_for(|state| state.count > seen).await.map(|state| state.last);
        match arrived {
            Ok(signal) => signal,
            // The listening task ends with the runtime only: no signal can come any more.
            Err(_) => std::future::pending().await,
        }
    }
}

/// Gives a signal its default effect, which for those of [`Interrupts`] is the end of the process.
pub(crate) fn die_by(signal: i32) {
    // Fails only for a number that is no signal; the caller then goes on to a normal exit.
    let _unknown_signal = signal_hook::low_level::emulate_default_handler(signal);
}
