//! Attempts to connect, and what comes of those that fail.

use super::{A_YEAR, SinkHalf, TARGET, Task, random};
use crate::{
    ConnectError, Deliver,
    quota::more_before,
    reconnect::{Decision, Policy},
    status::State,
};
use futures_util::FutureExt;
use std::{panic::AssertUnwindSafe, time::Duration};
use tokio::time::Instant;
use tracing::{error, warn};
use tremor_value::sentence;

impl Task {
    pub(super) fn begin_attempt(&mut self) {
        self.parts.retry = None;
        let Some(mut connector) = self.connector.take() else { return };
        if self.is_summoned && self.parts.connection == 0 && self.holds_nothing() {
            // Whoever is in front has to be let in, since it is an event that this attempt waits for.
            self.sink.iter().for_each(|sink| sink.shared().open(0));
        }
        self.parts.attempt = Some(Box::pin(async move {
            let attempt = AssertUnwindSafe(connector.connect()).catch_unwind().await;
            let result = attempt
                .unwrap_or_else(|_| Err(ConnectError::Failed("internal error while connecting".into())));
            (connector, result)
        }));
    }

    fn holds_nothing(&self) -> bool {
        matches!(&self.sink, Some(SinkHalf::Connections { streams, .. }) if streams.held() == Some(0))
    }

    /// It has started, and takes the events that open a connection.
    pub(super) fn await_summons(&mut self) {
        if let Some(starting) = self.parts.starting.take() {
            let _nobody_waits = starting.send(Ok(()));
        }
        if let Some(sink) = &self.sink {
            sink.shared().open(0);
        }
    }

    pub(super) fn attempt_failed(&mut self, error: &ConnectError) {
        self.note_absence(&error.to_string());
        if self.is_summoned {
            self.disconnected();
        }
        let state = self.state();
        if !matches!(state, State::Running | State::Paused) {
            warn!(target: TARGET, "[Connector::{}] {}", self.alias, sentence(error));
            return self.no_more_attempts();
        }
        let mut decision = self.backoff.next(&mut random);
        if matches!(error, ConnectError::Final(_)) {
            let cause = format!("{} Connection failed for good: {}", self.alias, sentence(error));
            return self.fail(cause);
        }
        if let ConnectError::Later { wait_ms, .. } = error {
            decision = decision.at_least(Duration::from_millis(*wait_ms));
        }
        match decision {
            Decision::Retry(wait) => self.try_again(&error.to_string(), "trying", wait),
            Decision::GiveUp { attempts } => self.give_up(attempts, error),
        }
    }

    /// Schedules the next attempt; a pause suspends it until the resume.
    pub(super) fn try_again(&mut self, cause: &str, verb: &str, wait: Duration) {
        if self.state() == State::Paused {
            warn!(target: TARGET, "[Connector::{}] {}; {verb} again when resumed", self.alias, sentence(cause));
            return;
        }
        if let Some(left_out) = self.parts.quota.may_log(1, Instant::now()) {
            let (ms, before, cause) = (wait.as_millis(), more_before(left_out), sentence(cause));
            warn!(target: TARGET, "[Connector::{}] {cause}; {verb} again in {ms} ms{before}", self.alias);
        }
        // A wait that is longer than the clock reaches is as good as a year.
        self.parts.retry = Some(Instant::now() + wait.min(A_YEAR));
    }

    /// Attempts that failed and that no line has told of.
    pub(super) fn tell_left_out(&mut self) {
        let count = self.parts.quota.take_left_out();
        if count > 0 {
            let attempts = if count == 1 { "attempt has" } else { "attempts have" };
            warn!(target: TARGET, "[Connector::{}] {count} more {attempts} failed before", self.alias);
        }
    }

    pub(super) fn give_up(&mut self, attempts: u64, error: &ConnectError) {
        let tries = if attempts == 1 { "1 try".to_owned() } else { format!("{attempts} tries") };
        let cause = format!("{} Connection failed after {tries}: {}", self.alias, sentence(error));
        if self.backoff.policy() != &Policy::None {
            warn!(target: TARGET, "[Connector::{}] Not reconnecting: Max retries exceeded: {attempts}", self.alias);
        }
        self.fail(cause);
    }

    /// The connector does nothing from here on but drain and stop.
    pub(super) fn fail(&mut self, cause: String) {
        // Whether a flow whose start fails goes on is for others to say.
        self.tell_left_out();
        let and_now = match (self.parts.starting.is_some(), self.sink.is_some()) {
            (true, _) => "",
            (false, true) => {
                "; the flow goes on without it: nothing that leads to it is read until the program is started again"
            }
            (false, false) => "; the flow goes on without it until the program is started again",
        };
        error!(target: TARGET, "[Connector::{}] {cause}{and_now}", self.alias);
        self.parts.retry = None;
        self.parts.attempt = None;
        self.parts.beacon.stop();
        self.disconnected();
        self.sink.iter().for_each(|sink| sink.shared().lose());
        self.no_more_attempts();
        if let Some(starting) = self.parts.starting.take() {
            let _nobody_waits = starting.send(Err(cause.clone()));
        }
        self.status.send_modify(|status| {
            status.failure = Some(cause);
            if !matches!(status.state, State::Draining | State::Drained) {
                status.state = State::Failed;
            }
        });
    }

    /// Events that the sink half cannot write are told why from now on.
    pub(super) fn note_absence(&self, cause: &str) {
        self.sink.iter().for_each(|sink| sink.shared().note_absence(cause));
    }

    /// There is no connection and will be none: what waits for one fails.
    pub(super) fn no_more_attempts(&self) {
        if let Some(SinkHalf::Connections { streams, shared }) = &self.sink {
            let cause = shared.explained("no socket, and there will be none");
            streams.give_up(&cause);
        }
    }
}
