//! Deadlines of a connection's protocol.

use super::{Connection, Ended};
use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};
use tokio::time::{Instant, Sleep, sleep_until};

/// Wakes a task at or before the deadline of its protocol.
#[derive(Default)]
pub(super) struct Alarm {
    /// `None` where there is no deadline.
    timer: Option<Pin<Box<Sleep>>>,
    /// It wakes this task: it was asked before.
    wakes: bool,
}

impl Alarm {
    /// Ready when `deadline` has passed.
    ///
    /// Deadlines move back with whatever is read or written, so the timer is set again only when it fires too early: a
    /// busy connection does not touch it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, deadline: Option<Instant>) -> Poll<()> {
        let Some(deadline) = deadline else {
            self.timer = None;
            return Poll::Pending;
        };
        let timer = self.timer.get_or_insert_with(|| {
            self.wakes = false;
            Box::pin(sleep_until(deadline))
        });
        if deadline < timer.deadline() {
            timer.as_mut().reset(deadline);
        } else if self.wakes && !timer.is_elapsed() {
            return Poll::Pending;
        }
        self.wakes = true;
        loop {
            ready!(timer.as_mut().poll(cx));
            if deadline <= timer.deadline() {
                return Poll::Ready(());
            }
            timer.as_mut().reset(deadline);
        }
    }

    /// Another task listens from now on.
    pub(super) fn forget_listener(&mut self) {
        self.wakes = false;
    }
}

impl Connection {
    /// Lets the protocol do what it is time for, and sends on what it has told; gives what broke the connection meanwhile.
    /// A connection that always has something to read never sleeps, and lives by the clock all the same.
    ///
    /// # Errors
    /// The protocol has ended the connection.
    pub(super) async fn live_by_the_clock(&mut self) -> Result<Option<Ended>, Ended> {
        let mut ending = None;
        if self.is_time() {
            ending = self.pump.on_time(&mut self.intake);
            // Those who have moved the deadline may have changed what is known of the peer, too.
            self.look_at_meta();
        }
        let mut broken = None;
        // It may have told something while others waited for what they were told, and whoever hears of that may not be ready.
        if !self.intake.is_empty() && self.may_tell() {
            self.has_read = true;
            broken = self.push().await;
            broken = self.push_rest(broken).await;
        }
        match ending {
            Some(ending) => Err(self.depart(ending).await),
            None => Ok(broken),
        }
    }

    fn is_time(&mut self) -> bool {
        self.pump.keeps_time() && self.pump.deadline().is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Tells the protocol that reading stops or goes on.
    pub(super) fn tell_whether_it_reads(&mut self) {
        self.pump.reading(self.reads);
    }
}
