//! Runs a source that works on its own.

use crate::{
    Intake, Pulled, Readiness, Source, SourceError, beacon::Beacon, inlet::Inlet, source::OnDrain,
    task::TARGET,
};
use std::{future::pending, time::Duration};
use tokio::task::yield_now;

/// Wait after the first of several failing pulls; it doubles from one to the next.
const FIRST_ERROR_WAIT: Duration = Duration::from_millis(100);
const LONGEST_ERROR_WAIT: Duration = Duration::from_secs(5);

/// Why a source is not pulled any more.
#[derive(Debug)]
pub(crate) enum SourceEnd {
    /// There will never be more data.
    Finished,
    /// The flow drains or stops.
    Told,
    /// The connection is gone.
    Lost { cause: String, clean: bool },
}

/// Pulls `source` until it ends and sends what it gives into `inlet`.
pub(crate) async fn run(
    mut source: Box<dyn Source>,
    mut inlet: Inlet,
    beacon: Beacon,
    alias: &str,
) -> SourceEnd {
    let reading = read(&mut source, &mut inlet, alias);
    tokio::select! {
        end = reading => end,
        () = beacon.stopped() => SourceEnd::Told,
    }
}

async fn read(source: &mut Box<dyn Source>, inlet: &mut Inlet, alias: &str) -> SourceEnd {
    let mut intake = Intake::default();
    let mut error_wait = FIRST_ERROR_WAIT;
    let on_drain = source.on_drain();
    let (mut gate, mut end) = (inlet.gate().watch(), inlet.gate().watch());
    let mut ending = false;
    loop {
        if gate.ready().await == Readiness::Ended {
            let goes_on = match on_drain {
                OnDrain::Stop => false,
                OnDrain::ReadToEnd => ending || gate.is_open(),
                OnDrain::GiveAll => inlet.gate().has_sinks(),
            };
            if !goes_on {
                // The rest of what a stage holds the beginning of is there to be read: it is no event.
                if on_drain == OnDrain::Stop {
                    inlet.end().await;
                }
                return SourceEnd::Told;
            }
            ending = true;
            if on_drain == OnDrain::ReadToEnd {
                gate.open().await;
            }
        }
        let told = async {
            if on_drain != OnDrain::Stop {
                pending::<()>().await;
            }
            end.ended().await;
        };
        let pulled = tokio::select! {
            biased;
            () = told => {
                inlet.end().await;
                return SourceEnd::Told;
            }
            pulled = source.pull(&mut intake) => pulled,
        };
        inlet.listen_anew(|| source.listener());
        while !intake.is_empty() {
            // A pause, or a sink that closed, may have come while the pull was pending, or the batch before was sent.
            gate.ready().await;
            inlet.push(&mut intake).await;
            if !intake.is_empty() {
                yield_now().await;
            }
        }
        match pulled {
            Ok(Pulled::More) => error_wait = FIRST_ERROR_WAIT,
            Ok(Pulled::Finished) => {
                inlet.end().await;
                return SourceEnd::Finished;
            }
            Err(SourceError::Again(cause)) => {
                tracing::error!(target: TARGET, "[Source::{alias}] Error pulling data: {cause}");
                tokio::select! {
                    () = tokio::time::sleep(error_wait) => {}
                    () = end.ended() => {}
                }
                error_wait = (error_wait * 2).min(LONGEST_ERROR_WAIT);
            }
            Err(SourceError::Broken(cause)) => {
                tracing::error!(target: TARGET, "[Source::{alias}] {cause}");
                return SourceEnd::Finished;
            }
            Err(SourceError::Lost { cause, clean }) => {
                if clean {
                    inlet.end().await;
                }
                return SourceEnd::Lost { cause, clean };
            }
        }
    }
}
