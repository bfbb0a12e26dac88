//! The half that replays.

use async_trait::async_trait;
use std::{num::NonZeroU64, sync::Arc, time::Duration};
use tokio::{
    task::coop::consume_budget,
    time::{Instant, sleep},
};
use tremor_connector::{Intake, Pulled, Source, SourceError};
use tremor_event::{Listener, Settlement};
use tremor_value::Bytes;

/// What one pull gives at most, in bytes (but one piece always) and in pieces: as much as a read of a socket or file.
const MAX_PULL_BYTES: usize = 64 * 1024;
const MAX_PULL_PIECES: usize = 1024;

/// Gives the same pieces over and over.
pub(super) struct Blaster {
    pieces: Arc<[Bytes]>,
    next: usize,
    /// `None`: without end.
    passes_left: Option<u64>,
    interval: Option<Duration>,
    end: Option<Instant>,
    listener: Option<Arc<dyn Listener>>,
}

impl Blaster {
    /// `pieces` are not empty. Ends after `passes` or at `end`.
    pub(super) fn new(
        pieces: Arc<[Bytes]>,
        passes: Option<NonZeroU64>,
        interval: Option<Duration>,
        end: Option<Instant>,
        is_transactional: bool,
    ) -> Self {
        let passes_left = passes.map(NonZeroU64::get);
        let listener = is_transactional.then(|| Arc::new(Deaf) as Arc<dyn Listener>);
        Self { pieces, next: 0, passes_left, interval, end, listener }
    }

    /// The next piece; the last one of the last pass says that it is.
    fn piece(&mut self) -> Option<(Bytes, Pulled)> {
        let piece = self.pieces.get(self.next)?.clone();
        self.next += 1;
        if self.next == self.pieces.len() {
            self.next = 0;
            if let Some(left) = &mut self.passes_left {
                *left = left.saturating_sub(1);
                if *left == 0 {
                    return Some((piece, Pulled::Finished));
                }
            }
        }
        Some((piece, Pulled::More))
    }
}

#[async_trait]
impl Source for Blaster {
    async fn pull(&mut self, intake: &mut Intake) -> Result<Pulled, SourceError> {
        let most_pieces = match self.interval {
            Some(interval) => {
                sleep(interval).await;
                1
            }
            None => {
                // Nothing else here ever waits, and others want to run as well.
                consume_budget().await;
                MAX_PULL_PIECES
            }
        };
        if self.end.is_some_and(|end| end <= Instant::now()) {
            return Ok(Pulled::Finished);
        }
        let mut bytes = 0;
        for _ in 0..most_pieces {
            let Some((piece, pulled)) = self.piece() else { return Ok(Pulled::Finished) };
            bytes += piece.len();
            intake.bytes(piece, None);
            if pulled == Pulled::Finished {
                return Ok(pulled);
            }
            if bytes >= MAX_PULL_BYTES {
                break;
            }
        }
        Ok(Pulled::More)
    }

    fn listener(&self) -> Option<Arc<dyn Listener>> {
        self.listener.clone()
    }
}

/// Hears what became of events and does nothing about it.
struct Deaf;

impl Listener for Deaf {
    fn settled(&self, _settlement: Settlement<'_>) {}
}
