//! What ends a step early: a time limit or a signal.

use crate::Interrupts;
use std::{fmt, future::Future, time::Duration};
use tokio::time::Instant;

/// Why a step did not come to its natural end.
#[derive(Debug)]
pub(super) enum Stop {
    /// It could not be done; the text says why.
    Failed(String),
    /// The time limit of the test was reached.
    Timeout,
    /// The runner was told to end by this signal.
    Signal(i32),
}

impl Stop {
    pub(super) fn failed(message: impl Into<String>) -> Self {
        Self::Failed(message.into())
    }
}

impl fmt::Display for Stop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Failed(message) => f.write_str(message),
            Self::Timeout => f.write_str("The time limit was reached"),
            Self::Signal(signal) => write!(f, "Ended by signal {signal}"),
        }
    }
}

/// A point in time and the signals that count from now on.
pub(super) struct Limits<'a> {
    deadline: Option<Instant>,
    interrupts: &'a Interrupts,
    signals_seen: u32,
}

impl<'a> Limits<'a> {
    /// Limits of a test: every signal counts, those that came before it, too.
    pub(super) fn of_test(limit: Option<Duration>, interrupts: &'a Interrupts) -> Self {
        Self { deadline: limit.map(|limit| Instant::now() + limit), interrupts, signals_seen: 0 }
    }

    /// Limits of a clean-up: it has a time limit of its own, and only a further signal cuts it short.
    pub(super) fn of_cleanup(limit: Option<Duration>, interrupts: &'a Interrupts) -> Self {
        let signals_seen = interrupts.count();
        Self { deadline: limit.map(|limit| Instant::now() + limit), interrupts, signals_seen }
    }

    /// Runs `work` until it ends or a limit is reached; in the second case it is dropped where it stands.
    pub(super) async fn run<T>(&self, work: impl Future<Output = T>) -> Result<T, Stop> {
        tokio::select! {
            biased;
            signal = self.interrupts.more_than(self.signals_seen) => Err(Stop::Signal(signal)),
            done = work => Ok(done),
            () = reached(self.deadline) => Err(Stop::Timeout),
        }
    }
}

async fn reached(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}
