//! Time limits of an open connection: pings and their answers, silence, age, messages that do not end.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

/// Pings that other traffic has answered and whose pongs are waited for, to know how long they take.
const MOST_PASSED: usize = 8;
/// Bytes of a ping that are drawn at random.
const RANDOM_BYTES: usize = 8;
/// Shortest ping: the random bytes and the number of the ping.
const MIN_PING_BYTES: usize = 12;
/// Longest ping: what a control frame holds.
const MAX_PING_BYTES: usize = 125;
/// How far the life of a connection is spread in both directions: by a tenth.
const LIFETIME_SPREAD: u32 = 10;

/// Time limits of an open connection; `None` is no limit. Source: `spec/websocket.md` 12.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeepaliveOptions {
    /// `auto_ping_interval`: from one ping to the next.
    pub ping_interval: Option<Duration>,
    /// `auto_ping_timeout`: from a ping to its answer. Without it the next ping waits for the answer for ever.
    pub ping_timeout: Option<Duration>,
    /// `auto_ping_size`: payload bytes of a ping, 12 to 125; taken to the nearer of the two beyond them. Default 12.
    pub ping_bytes: usize,
    /// `auto_ping_restart_on_any_traffic`: whatever the peer sends counts as an answer. Default true.
    pub any_traffic_answers: bool,
    /// `idle_timeout`: no data in either direction.
    pub idle: Option<Duration>,
    /// `max_lifetime`: the age of the connection, a tenth more or less.
    pub lifetime: Option<Duration>,
    /// `message_timeout`: from the first byte of a message to its last.
    pub message: Option<Duration>,
}

impl Default for KeepaliveOptions {
    fn default() -> Self {
        Self {
            ping_interval: None,
            ping_timeout: None,
            ping_bytes: MIN_PING_BYTES,
            any_traffic_answers: true,
            idle: None,
            lifetime: None,
            message: None,
        }
    }
}

impl KeepaliveOptions {
    /// `true` if there is no limit at all, so that a connection needs no [`Keepalive`].
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.ping_interval.is_none()
            && self.idle.is_none()
            && self.lifetime.is_none()
            && self.message.is_none()
    }
}

/// What it is time for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// Send a ping with this payload.
    Ping(Vec<u8>),
    /// Drop the connection without a word: the last ping was not answered within this time.
    NoPong(Duration),
    /// Close: there was no data in either direction for this time.
    Idle(Duration),
    /// Close: the connection is old enough.
    Lifetime,
    /// Close: a message has begun that long ago and has not ended.
    Message(Duration),
}

/// What a read brought.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Heard {
    /// A message has ended in it.
    pub has_message: bool,
    /// Behind it a message has begun and not ended.
    pub is_mid_message: bool,
}

/// Watches over the time of one open connection. It is told the time and never asks for it.
///
/// Ask [`Keepalive::deadline`] when nothing is left to do; once that has passed, take from [`Keepalive::due`] until it
/// gives nothing. Waits for the peer do not go on while [`Keepalive::reading`] says that nobody reads what it sends:
/// they have as much time left when reading goes on as they had when it stopped.
#[derive(Debug)]
pub struct Keepalive {
    options: KeepaliveOptions,
    /// The next ping, unless one is open.
    ping_at: Option<Instant>,
    open: Option<Open>,
    /// The last pings that other traffic has answered: their pongs may still come, and tell how long they took.
    passed: VecDeque<Open>,
    pings: u32,
    round_trip: Option<Duration>,
    /// The last time that data moved.
    data_at: Instant,
    /// The end of the life of the connection.
    ends_at: Option<Instant>,
    /// When the message that is being read has begun.
    message_at: Option<Instant>,
    /// When reading stopped, while it has.
    stopped_at: Option<Instant>,
}

/// A ping that was not answered.
#[derive(Debug)]
struct Open {
    payload: Vec<u8>,
    sent_at: Instant,
    /// [`Open::sent_at`], later by the time that nobody read.
    waits_from: Instant,
}

impl Keepalive {
    /// For a connection that opens at `now`. `spreads` are two numbers drawn at random, over all of their range: the
    /// first says how much earlier than an interval the first ping goes out, the second how long the connection lives.
    /// Without them all connections that open in one moment would be busy in the same moments from then on.
    #[must_use]
    pub fn new(options: KeepaliveOptions, now: Instant, spreads: (u32, u32)) -> Self {
        let first_ping = |interval: Duration| now + part(interval, spreads.0).max(Duration::from_millis(1));
        let end = |lifetime: Duration| {
            let tenth = lifetime / LIFETIME_SPREAD;
            now + (lifetime - tenth) + part(2 * tenth, spreads.1)
        };
        Self {
            options,
            ping_at: options.ping_interval.map(first_ping),
            open: None,
            passed: VecDeque::new(),
            pings: 0,
            round_trip: None,
            data_at: now,
            ends_at: options.lifetime.map(end),
            message_at: None,
            stopped_at: None,
        }
    }

    /// When to call [`Keepalive::due`]; `None` if there is nothing to wait for.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let waits = [self.no_pong_at(), self.idle_at(), self.message_ends_at()];
        let waits = waits.into_iter().flatten().filter(|_| self.stopped_at.is_none());
        waits.chain(self.next_ping_at()).chain(self.ends_at).min()
    }

    /// What it is time for; `None` if nothing is left. `random` is for the payload of a ping. What ends the connection
    /// comes first, and comes again if it is asked again.
    pub fn due(&mut self, now: Instant, random: impl FnOnce() -> [u8; RANDOM_BYTES]) -> Option<Due> {
        let has_passed = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        if has_passed(self.ends_at) {
            return Some(Due::Lifetime);
        }
        if self.stopped_at.is_none() {
            let waits = [
                (self.no_pong_at(), self.options.ping_timeout.map(Due::NoPong)),
                (self.message_ends_at(), self.options.message.map(Due::Message)),
                (self.idle_at(), self.options.idle.map(Due::Idle)),
            ];
            let over = waits.into_iter().find(|(at, _)| has_passed(*at));
            if let Some((_, over)) = over {
                return over;
            }
        }
        has_passed(self.next_ping_at()).then(|| Due::Ping(self.ping(now, random())))
    }

    /// Bytes came from the peer. [`Keepalive::pong`] is told of the pongs among them after this.
    pub fn heard(&mut self, heard: Heard, now: Instant) {
        if self.options.any_traffic_answers
            && let Some(open) = self.open.take()
        {
            self.ping_again(&open, now);
            if self.passed.len() == MOST_PASSED {
                self.passed.pop_front();
            }
            self.passed.push_back(open);
        }
        if heard.has_message || heard.is_mid_message {
            self.data_at = now;
        }
        self.message_at = match self.message_at {
            _ if !heard.is_mid_message => None,
            Some(begun) if !heard.has_message => Some(begun),
            _ => Some(now),
        };
    }

    /// A pong came, asked for or not.
    pub fn pong(&mut self, payload: &[u8], now: Instant) {
        // It stands for those in front of it, too.
        let answered = if let Some(open) = self.open.take_if(|open| open.payload == payload) {
            self.passed.clear();
            self.ping_again(&open, now);
            Some(open)
        } else {
            let number = self.passed.iter().position(|open| open.payload == payload);
            number.and_then(|number| self.passed.drain(..=number).next_back())
        };
        if let Some(open) = answered {
            self.round_trip = Some(now.saturating_duration_since(open.sent_at));
        }
    }

    /// A message was sent.
    pub fn wrote(&mut self, now: Instant) {
        self.data_at = now;
    }

    /// Reading stops, or goes on.
    pub fn reading(&mut self, reads: bool, now: Instant) {
        if !reads {
            self.stopped_at.get_or_insert(now);
            return;
        }
        let Some(stopped) = self.stopped_at.take() else { return };
        let later = |from: Instant| from + now.saturating_duration_since(stopped.max(from));
        self.data_at = later(self.data_at);
        self.message_at = self.message_at.map(later);
        if let Some(open) = &mut self.open {
            open.waits_from = later(open.waits_from);
        }
    }

    /// From a ping to its pong, if one came since this was last asked. Other traffic that answers a ping says nothing of that.
    #[must_use]
    pub fn take_round_trip(&mut self) -> Option<Duration> {
        self.round_trip.take()
    }

    fn ping(&mut self, now: Instant, random: [u8; RANDOM_BYTES]) -> Vec<u8> {
        self.pings = self.pings.wrapping_add(1);
        let mut payload = Vec::with_capacity(MAX_PING_BYTES);
        payload.extend_from_slice(&random);
        payload.extend_from_slice(&self.pings.to_be_bytes());
        payload.resize(self.options.ping_bytes.clamp(MIN_PING_BYTES, MAX_PING_BYTES), 0);
        let waits_from = now;
        self.open = Some(Open { payload: payload.clone(), sent_at: now, waits_from });
        payload
    }

    /// `open` is answered: says when the next ping goes out.
    fn ping_again(&mut self, open: &Open, now: Instant) {
        // An answer that took long is followed by the next ping at once.
        self.ping_at = self.options.ping_interval.map(|interval| (open.sent_at + interval).max(now));
    }

    fn next_ping_at(&self) -> Option<Instant> {
        self.ping_at.filter(|_| self.open.is_none())
    }

    fn no_pong_at(&self) -> Option<Instant> {
        Some(self.open.as_ref()?.waits_from + self.options.ping_timeout?)
    }

    fn idle_at(&self) -> Option<Instant> {
        self.options.idle.map(|idle| self.data_at + idle)
    }

    fn message_ends_at(&self) -> Option<Instant> {
        Some(self.message_at? + self.options.message?)
    }
}

/// The part of `whole` that `drawn` is of all numbers of its kind.
fn part(whole: Duration, drawn: u32) -> Duration {
    let nanoseconds = whole.as_nanos() * u128::from(drawn) / u128::from(u32::MAX);
    Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX)).min(whole)
}

#[cfg(test)]
mod tests;
