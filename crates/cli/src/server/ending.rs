//! What ends the server, and how.

use super::{Say, TARGET};
use crate::{CliError, Interrupts};
use rustix::process::Signal;
use std::{process::ExitCode, sync::Arc};
use tokio::sync::mpsc;
use tracing::info;
use tremor_connector::ExitRequest;
use tremor_runtime::{Failure, Runtime};

/// Everything that can end the server.
pub(super) struct Wishes {
    /// Signals, where they are not left to their default action.
    pub(super) interrupts: Option<Interrupts>,
    pub(super) exits: mpsc::UnboundedReceiver<ExitRequest>,
    pub(super) failures: mpsc::UnboundedReceiver<Failure>,
    pub(super) runtime: Arc<Runtime>,
    /// A flow that fails to start ends the process if it is the only one.
    pub(super) only_flow: bool,
    pub(super) say: Say,
    /// Signals that have been answered.
    pub(super) seen: u32,
}

impl Wishes {
    /// The first wish.
    pub(super) async fn next(&mut self) -> ExitRequest {
        loop {
            tokio::select! {
                request = signal(self.interrupts.as_ref(), 0) => {
                    self.seen = 1;
                    return request;
                }
                Some(request) = self.exits.recv() => return request,
                Some(failure) = self.failures.recv() => {
                    if self.only_flow && self.runtime.flows().len() == 1 {
                        let Failure { flow, cause } = failure;
                        // Why is in the log already.
                        let what = cause.split_once(": ").map_or(cause.as_str(), |(what, _why)| what);
                        self.say.error(&format!("the only flow `{flow}` failed to start: {what}"));
                        return ExitRequest { graceful: true, code: 1 };
                    }
                }
            }
        }
    }

    /// Waits for a signal alone.
    pub(super) async fn interrupted(&mut self) -> ExitRequest {
        let request = signal(self.interrupts.as_ref(), 0).await;
        self.seen = 1;
        request
    }

    /// Ends all flows and gives the exit status. A forceful signal ends the draining early.
    pub(super) async fn stop(
        &self,
        ExitRequest { graceful, code }: ExitRequest,
    ) -> Result<ExitCode, CliError> {
        let draining = self.runtime.shut_down(graceful);
        let stopped = if graceful {
            tokio::select! {
                stopped = draining => stopped,
                () = self.forced() => self.runtime.shut_down(false).await,
            }
        } else {
            draining.await
        };
        stopped.map(|()| ExitCode::from(code)).map_err(|timeout| CliError::new(timeout.to_string()))
    }

    /// Ends when a further signal asks for a forceful stop.
    async fn forced(&self) {
        let Some(interrupts) = &self.interrupts else { return std::future::pending().await };
        let mut seen = self.seen;
        loop {
            let request = signal(Some(interrupts), seen).await;
            if !request.graceful {
                return;
            }
            seen = interrupts.count();
            info!(target: TARGET, "The stop is under way; SIGQUIT would skip the draining.");
        }
    }
}

/// The wish of the signal behind the first `seen` ones.
async fn signal(interrupts: Option<&Interrupts>, seen: u32) -> ExitRequest {
    let signal = match interrupts {
        Some(interrupts) => interrupts.more_than(seen).await,
        None => std::future::pending().await,
    };
    info!(target: TARGET, "Received SIGNAL: {}", name_of(signal));
    ExitRequest { graceful: signal != Signal::QUIT.as_raw(), code: 0 }
}

fn name_of(signal: i32) -> &'static str {
    match signal {
        signal if signal == Signal::INT.as_raw() => "SIGINT",
        signal if signal == Signal::QUIT.as_raw() => "SIGQUIT",
        _ => "SIGTERM",
    }
}
