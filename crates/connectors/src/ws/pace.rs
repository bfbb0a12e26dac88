//! What of a connection lives by the clock: pings, time limits, rates, heartbeats (`spec/websocket.md` 12 and 13).

mod heartbeat;
mod rates;
mod settings;

pub(super) use heartbeat::HeartbeatOptions;
pub(super) use settings::{PaceOptions, RateOptions};

use super::guards::Stay;
use bytes::BytesMut;
use heartbeat::{Beat, Heartbeat};
use rates::Rates;
use std::{
    mem,
    sync::Arc,
    time::{Duration, Instant},
};
use tremor_connector::{
    Intake,
    duplex::{ConnectionHandle, Ending},
};
use tremor_ws::{Bucket, Decoder, Due, Encoder, Heard, Incoming, Keepalive, ProtocolError};

/// The time, by the clock that the timers of connections go by.
pub(super) fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// Watches over the time of one connection. Only connections that have something to watch have one.
#[derive(Default)]
pub(super) struct Pace {
    keepalive: Option<Keepalive>,
    rates: Option<Rates>,
    heartbeat: Option<Heartbeat>,
    /// Until when guards let it stay.
    stay: Option<Stay>,
    /// Of pings and pongs; made when the first one comes.
    control: Option<Bucket>,
    /// It has ended the connection because a ping was not answered, and nobody has asked for that yet.
    lacks_pong: bool,
    /// It has ended the connection: what is left to watch is whether guards let it stay.
    has_ended: bool,
    /// It has ended the connection because guards do not let it stay.
    is_shown_out: bool,
}

impl Pace {
    /// For a connection that opens now.
    pub(super) fn new(options: &PaceOptions, heartbeat: Option<Arc<HeartbeatOptions>>) -> Self {
        let now = now();
        // Without a random source the connections of one moment are simply not spread.
        let drawn = || getrandom::u32().unwrap_or(u32::MAX / 2);
        Self {
            keepalive: (!options.keepalive.is_off())
                .then(|| Keepalive::new(options.keepalive, now, (drawn(), drawn()))),
            rates: (!options.rates.is_off()).then(|| Rates::new(options.rates, now)),
            heartbeat: heartbeat.map(|options| Heartbeat::new(options, now)),
            stay: None,
            control: None,
            lacks_pong: false,
            has_ended: false,
            is_shown_out: false,
        }
    }

    /// The same for a connection that may not stay for ever.
    pub(super) fn until(mut self, stay: Stay) -> Self {
        self.stay = Some(stay);
        self
    }

    /// The connection is open: by `handle` those act on it who know more of its sessions.
    pub(super) fn handled_by(&mut self, handle: ConnectionHandle) {
        if let Some(stay) = &mut self.stay {
            stay.handled_by(handle);
        }
    }

    /// Decodes as much of `input` as may come now. `is_open`: before our goodbye; what comes behind it is not counted.
    pub(super) fn decode(
        &mut self,
        decoder: &mut Decoder,
        input: &mut BytesMut,
        incoming: &mut Vec<Incoming>,
        is_open: bool,
    ) -> Result<(), ProtocolError> {
        let now = now();
        let decoded = match &mut self.rates {
            Some(rates) if is_open => rates.decode(decoder, input, incoming, now),
            _ => decoder.decode_some(input, incoming, usize::MAX),
        };
        let is_reply = |item: &Incoming| match (item, &self.heartbeat) {
            (Incoming::Message { payload, binary: false, .. }, Some(heartbeat)) => {
                heartbeat.is_reply(payload)
            }
            _ => false,
        };
        let all = incoming.len();
        incoming.retain(|item| !is_reply(item));
        let has_reply = incoming.len() < all;
        if let Some(heartbeat) = self.heartbeat.as_mut().filter(|_| has_reply) {
            heartbeat.answered();
        }
        if let Some(keepalive) = &mut self.keepalive {
            let has_message = incoming.iter().any(|item| matches!(item, Incoming::Message { .. }));
            keepalive.heard(Heard { has_message, is_mid_message: decoder.is_mid_message(input) }, now);
            for item in incoming.iter() {
                if let Incoming::Pong(payload) = item {
                    keepalive.pong(payload, now);
                }
            }
        }
        decoded
    }

    /// `count` pings and pongs came, of which `max` may come in a second.
    pub(super) fn controls(&mut self, count: u64, max: std::num::NonZeroU64) -> Result<(), ProtocolError> {
        let now = now();
        let bucket = self.control.get_or_insert_with(|| Bucket::new(max, now));
        if bucket.take(count, now) { Ok(()) } else { Err(ProtocolError::ControlRate { max: max.get() }) }
    }

    /// Nobody read from `since` to `now`: what came of them meanwhile, up to `max` in a second, is not too much.
    pub(super) fn forgive_controls(&mut self, max: std::num::NonZeroU64, (since, now): (Instant, Instant)) {
        self.control.get_or_insert_with(|| Bucket::new(max, since)).make_up(since, now);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        if self.has_ended {
            return self.stays_until();
        }
        let keepalive = self.keepalive.as_ref().and_then(Keepalive::deadline);
        let resume = self.rates.as_ref().and_then(Rates::resumes_at);
        let heartbeat = self.heartbeat.as_ref().and_then(Heartbeat::deadline);
        keepalive.into_iter().chain(resume).chain(heartbeat).chain(self.stays_until()).min()
    }

    /// When it is to be looked next whether guards let it stay.
    pub(super) fn stays_until(&self) -> Option<Instant> {
        self.stay.as_ref().and_then(Stay::deadline)
    }

    /// Whether guards do not let it stay any more, by the date.
    pub(super) fn has_outstayed(&self) -> bool {
        self.stay.as_ref().is_some_and(Stay::is_over)
    }

    /// Does what it is time for; gives why the connection has to end.
    pub(super) fn on_time(
        &mut self,
        now: Instant,
        encoder: &mut Encoder,
        (intake, out): (&mut Intake, &mut Vec<u8>),
    ) -> Option<Ending> {
        if let Some(rates) = &mut self.rates {
            rates.on_time(now);
        }
        if let Some(ending) =
            self.stay.as_mut().and_then(|stay| stay.on_time(now, encoder, (&mut *intake, &mut *out)))
        {
            self.is_shown_out = true;
            return Some(ending);
        }
        if self.has_ended {
            return None;
        }
        let ending = self.beat(now, encoder, out);
        self.has_ended = ending.is_some();
        ending
    }

    /// Pings and heartbeats that are due go out; gives why the connection has to end if there are none any more.
    fn beat(&mut self, now: Instant, encoder: &mut Encoder, out: &mut Vec<u8>) -> Option<Ending> {
        while let Some(due) = self.keepalive.as_mut().and_then(|keepalive| keepalive.due(now, random)) {
            match due {
                Due::Ping(payload) => note(encoder.ping(&payload, out)),
                due => {
                    self.lacks_pong = matches!(due, Due::NoPong(_));
                    return Some(ending(&due));
                }
            }
        }
        match self.heartbeat.as_mut().and_then(|heartbeat| heartbeat.due(now)) {
            None => None,
            Some(Beat::Send(message)) => {
                note(encoder.text(&message, out));
                None
            }
            Some(Beat::NoReply(limit)) => {
                let cause = format!("no reply to a heartbeat within {} ms", limit.as_millis());
                Some(Ending::Silent { cause: cause.into() })
            }
        }
    }

    /// How long the last ping took that was answered since this was asked.
    pub(super) fn take_round_trip(&mut self) -> Option<Duration> {
        self.keepalive.as_mut().and_then(Keepalive::take_round_trip)
    }

    /// Whether it has ended the connection because a ping was not answered, once.
    pub(super) fn takes_lack_of_pong(&mut self) -> bool {
        mem::take(&mut self.lacks_pong)
    }

    /// Whether it has ended the connection because guards do not let it stay: what still comes counts no more.
    pub(super) fn is_shown_out(&self) -> bool {
        self.is_shown_out
    }

    pub(super) fn may_read(&self) -> bool {
        self.rates.as_ref().is_none_or(|rates| rates.resumes_at().is_none())
    }

    pub(super) fn reading(&mut self, reads: bool, now: Instant) {
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.reading(reads, now);
        }
        if let Some(heartbeat) = &mut self.heartbeat {
            heartbeat.reading(reads, now);
        }
        if let Some(rates) = &mut self.rates {
            rates.reading(reads, now);
        }
    }

    pub(super) fn wrote(&mut self, now: Instant) {
        if let Some(keepalive) = &mut self.keepalive {
            keepalive.wrote(now);
        }
    }
}

/// How a connection ends whose time is over.
fn ending(due: &Due) -> Ending {
    let said = |code, reason: &str| Ending::Said { code, reason: reason.into() };
    match due {
        Due::NoPong(limit) => {
            Ending::Silent { cause: format!("no answer to a ping within {} ms", limit.as_millis()).into() }
        }
        Due::Idle(_) => said(1001, "idle"),
        Due::Message(_) => said(1008, "a message takes too long"),
        Due::Ping(_) | Due::Lifetime => said(1001, "the connection has had its time"),
    }
}

/// Where the system gives no random numbers, the number of the ping has to do.
fn random() -> [u8; 8] {
    let mut random = [0; 8];
    let _all_zeros_then = getrandom::fill(&mut random).is_err();
    random
}

/// A frame that could not be made is not sent; the connection goes on.
fn note(made: Result<(), tremor_ws::EncodeError>) {
    if let Err(error) = made {
        tracing::debug!(target: "tremor_runtime", "a frame was not sent: {error}");
    }
}
