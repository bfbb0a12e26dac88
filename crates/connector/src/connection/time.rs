//! Deadlines of a connection's protocol.

use super::{Connection, Ended};
use std::task::{Context, Poll, ready};
use tokio::time::{Instant, sleep_until};

impl Connection {
    /// Ready when the protocol's deadline has passed.
    ///
    /// Deadlines move back with whatever is read or written, so the timer is set again only when it fires too early: a
    /// busy connection does not touch it.
    pub(super) fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(deadline) = self.pump.deadline() else {
            self.alarm = None;
            return Poll::Pending;
        };
        let alarm = self.alarm.get_or_insert_with(|| {
            self.alarm_wakes = false;
            Box::pin(sleep_until(deadline))
        });
        if deadline < alarm.deadline() {
            alarm.as_mut().reset(deadline);
        } else if self.alarm_wakes && !alarm.is_elapsed() {
            return Poll::Pending;
        }
        self.alarm_wakes = true;
        loop {
            ready!(alarm.as_mut().poll(cx));
            if deadline <= alarm.deadline() {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(deadline);
        }
    }

    /// Lets the protocol do what it is time for, and sends on what it has told; gives what broke the connection meanwhile.
    ///
    /// # Errors
    /// The protocol has ended the connection.
    pub(super) async fn live_by_the_clock(&mut self) -> Result<Option<Ended>, Ended> {
        let ending = self.pump.on_time(&mut self.intake);
        // Those who have moved the deadline may have changed what is known of the peer, too.
        self.look_at_meta();
        let mut broken = None;
        if !self.intake.is_empty() {
            self.has_read = true;
            broken = self.push().await;
            if broken.is_none() {
                broken = self.push_rest().await;
            }
        }
        match ending {
            Some(ending) => Err(self.depart(ending).await),
            None => Ok(broken),
        }
    }

    /// A connection that always has something to read never sleeps, and lives by the clock all the same.
    pub(super) fn is_time(&mut self) -> bool {
        self.pump.keeps_time() && self.pump.deadline().is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Tells the protocol that reading stops or goes on.
    pub(super) fn tell_whether_it_reads(&mut self) {
        self.pump.reading(self.reads);
    }
}
