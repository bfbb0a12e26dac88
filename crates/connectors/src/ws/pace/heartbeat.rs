//! Heartbeats that a service wants from its clients (`spec/websocket.md` 12.2).

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

/// What is sent, and what comes back.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::ws) struct HeartbeatOptions {
    /// From one heartbeat to the next, and from the beginning to the first.
    pub(in crate::ws) interval: Duration,
    /// The text that is sent.
    pub(in crate::ws) message: Arc<str>,
    /// A text message that holds this is a reply, and nobody else sees it. Not empty.
    pub(in crate::ws) reply_contains: Option<String>,
    /// From a heartbeat to its reply.
    pub(in crate::ws) timeout: Option<Duration>,
}

/// Beats for one connection.
pub(super) struct Heartbeat {
    options: Arc<HeartbeatOptions>,
    next_at: Instant,
    /// When the first heartbeat that has no reply was sent; later by the time that nobody read.
    waits_from: Option<Instant>,
    /// When reading stopped, while it has.
    stopped_at: Option<Instant>,
}

/// What it is time for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Beat {
    Send(Arc<str>),
    /// Drop the connection: no reply came within this time.
    NoReply(Duration),
}

impl Heartbeat {
    pub(super) fn new(options: Arc<HeartbeatOptions>, now: Instant) -> Self {
        Self { next_at: now + options.interval, options, waits_from: None, stopped_at: None }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.no_reply_at().into_iter().chain([self.next_at]).min()
    }

    /// What it is time for, one thing at a time.
    pub(super) fn due(&mut self, now: Instant) -> Option<Beat> {
        if let Some(limit) = self.options.timeout.filter(|_| self.no_reply_at().is_some_and(|at| at <= now)) {
            return Some(Beat::NoReply(limit));
        }
        if now < self.next_at {
            return None;
        }
        // Those that were missed are not made up for.
        let next_at = self.next_at + self.options.interval;
        self.next_at = if next_at > now { next_at } else { now + self.options.interval };
        self.waits_from.get_or_insert(now);
        Some(Beat::Send(self.options.message.clone()))
    }

    /// Whether a text message is a reply.
    pub(super) fn is_reply(&self, payload: &[u8]) -> bool {
        let reply = self.options.reply_contains.as_ref();
        reply.is_some_and(|reply| memchr::memmem::find(payload, reply.as_bytes()).is_some())
    }

    /// A reply came.
    pub(super) fn answered(&mut self) {
        self.waits_from = None;
    }

    /// Reading stops, or goes on: replies that nobody reads are not missed.
    pub(super) fn reading(&mut self, reads: bool, now: Instant) {
        if !reads {
            self.stopped_at.get_or_insert(now);
        } else if let Some(stopped) = self.stopped_at.take() {
            self.waits_from =
                self.waits_from.map(|from| from + now.saturating_duration_since(stopped.max(from)));
        }
    }

    fn no_reply_at(&self) -> Option<Instant> {
        let at = self.waits_from? + self.options.timeout?;
        self.stopped_at.is_none().then_some(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn heartbeat(timeout: Option<Duration>) -> (Heartbeat, Instant) {
        let options = HeartbeatOptions {
            interval: 100 * MS,
            message: "ping".into(),
            reply_contains: Some("pong".to_owned()),
            timeout,
        };
        let now = Instant::now();
        (Heartbeat::new(Arc::new(options), now), now)
    }

    /// What happens until `until`, in milliseconds; replies come at `replies`, nothing is read in `unread`.
    fn course(
        timeout: Option<Duration>,
        replies: &[u32],
        unread: std::ops::Range<u32>,
        until: u32,
    ) -> Vec<(u32, bool)> {
        let (mut heartbeat, start) = heartbeat(timeout);
        let mut course = Vec::new();
        for ms in 0..=until {
            let now = start + ms * MS;
            if replies.contains(&ms) {
                heartbeat.answered();
            }
            if !unread.is_empty() && (ms == unread.start || ms == unread.end) {
                heartbeat.reading(ms == unread.end, now);
            }
            let is_due = heartbeat.deadline().is_some_and(|deadline| deadline <= now);
            let beat = heartbeat.due(now);
            assert_eq!(is_due, beat.is_some(), "at {ms}");
            let Some(beat) = beat else { continue };
            let is_sent = beat == Beat::Send("ping".into());
            course.push((ms, is_sent));
            if !is_sent {
                break;
            }
        }
        course
    }

    #[test]
    fn it_beats_and_waits_for_replies() {
        let sent = |at: &[u32]| at.iter().map(|at| (*at, true)).collect::<Vec<_>>();
        assert_eq!(course(None, &[], 0..0, 350), sent(&[100, 200, 300]));
        assert_eq!(course(Some(30 * MS), &[120, 230], 0..0, 299), sent(&[100, 200]));
        assert_eq!(
            course(Some(30 * MS), &[120], 0..0, 999),
            [sent(&[100, 200]), vec![(230, false)]].concat()
        );
        let late = course(Some(150 * MS), &[], 0..0, 999);
        assert_eq!(
            late,
            [sent(&[100, 200]), vec![(250, false)]].concat(),
            "the first one without a reply counts"
        );
        let unread = course(Some(30 * MS), &[], 110..280, 999);
        assert_eq!(unread, [sent(&[100, 200]), vec![(300, false)]].concat(), "20 of 30 were left");
    }

    #[test]
    fn beats_that_were_missed_are_not_made_up_for() {
        let (mut heartbeat, start) = heartbeat(None);
        assert!(heartbeat.due(start + 350 * MS).is_some());
        assert_eq!(heartbeat.due(start + 350 * MS), None, "one for all of them");
        assert_eq!(heartbeat.deadline(), Some(start + 450 * MS));
    }

    #[test]
    fn a_reply_holds_what_it_says() {
        let (heartbeat, _) = heartbeat(None);
        for (payload, is_reply) in
            [("pong", true), (r#"{"op": "pong", "n": 1}"#, true), ("ponk", false), ("", false)]
        {
            assert_eq!(heartbeat.is_reply(payload.as_bytes()), is_reply, "{payload}");
        }
    }
}
