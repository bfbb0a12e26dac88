//! Puts the WebSocket protocol around a connection.

mod making;
mod revocation;
#[cfg(test)]
mod tests;

use super::{
    Metadata,
    metrics::Link,
    pace::Pace,
    schema::{self, Look},
};
use bytes::{Bytes, BytesMut};
use std::{
    collections::VecDeque,
    iter,
    num::NonZeroU64,
    sync::Arc,
    time::{Duration, Instant},
    vec::Drain,
};
use tremor_connector::{
    Intake, Joining, acknowledged,
    duplex::{Closed, ConnectionHandle, Cut, Ending, Flow, Interceptor, Protocol, ProtocolError, Unsendable},
};
use tremor_value::{AboutMessage, Record, Under, Value};
use tremor_ws::{
    CloseAnswer, CloseCode, CloseTimeouts, Closing, Decoder, EncodeError, Encoder, End, Incoming, Options,
    Role,
};

pub(super) use revocation::Revocation;

/// Pings of a flow that may wait for their answers; those before are not told of.
const MOST_PINGS: usize = 64;

/// Items that room is kept for between the reads of a connection at work.
const KEPT_ITEMS: usize = 4;

/// What came of the frames of one read, but for events.
struct Round {
    flow: Flow,
    /// Pings and pongs among them.
    controls: u32,
    /// A ping that could not be answered.
    unanswered: Option<EncodeError>,
    /// The connection ends, for this reason.
    broken: Option<String>,
}

/// How long ago the deadline of a connection was that ought not to be there.
const LONG_AGO: Duration = Duration::from_secs(1);
/// So long pings and pongs may pile up that are not too many for a peer of which none had come.
const CONTROL_BURST: Duration = Duration::from_secs(1);

/// What is to come to an end.
#[derive(Default)]
struct Outstanding {
    /// Payloads of pings that the flow has asked for and that are not answered, in the order in which they were sent.
    pings: VecDeque<Vec<u8>>,
    /// Since when the peer is not read.
    unread_since: Option<Instant>,
}

impl Outstanding {
    fn is_over(&self) -> bool {
        self.pings.is_empty() && self.unread_since.is_none()
    }
}

/// One connection's frames and close handshake.
pub(super) struct WebSocket<Slot> {
    role: Role,
    decoder: Decoder,
    encoder: Encoder,
    /// What connections of the same kind have in common as far as frames go; `None` if each has its own.
    frames: Option<u8>,
    /// The connection lives by the clock, so it has a `pace`.
    keeps_time: bool,
    /// Pings and pongs that may come in a second; 0 is any number.
    max_control_rate: u32,
    /// Made when it is needed: most connections need none.
    pace: Option<Box<Pace>>,
    closing: Closing,
    incoming: Vec<Incoming>,
    metadata: Metadata,
    /// Boxed, since few connections have any of it.
    outstanding: Option<Box<Outstanding>>,
    /// Where in the metadata a message is told of.
    under: Under,
    /// How many came so far.
    messages: u64,
    /// Code and reason of the goodbye that was ours.
    said: Option<Box<(u16, Box<str>)>>,
    /// What the peer is told last; boxed, since only a connection that ends has it.
    leave: Option<Box<CloseAnswer>>,
    /// Takes messages before the flow sees them, until it is asked for.
    interceptor: Option<Box<dyn Interceptor>>,
    /// There if messages have schemas; boxed, since few have.
    schema: Option<Box<schema::Incoming>>,
    /// Hears what the peer acknowledges, if something is kept for it.
    joining: Option<Box<Joining>>,
    /// Nobody may say anything here any more: the session has ended.
    is_over: bool,
    /// There if what it was let in by may be taken back, which ends it at once.
    revocation: Option<Arc<Revocation>>,
    /// There if somebody wants to know what passes.
    link: Option<Arc<Link>>,
    /// Held as long as the connection lives.
    _slot: Slot,
}

impl<Slot> WebSocket<Slot> {
    /// Whether what it was let in by was taken back, and it has not ended yet.
    fn is_revoked(&self) -> bool {
        self.is_taken_back() && self.closing.is_open()
    }

    fn is_taken_back(&self) -> bool {
        self.revocation.as_ref().is_some_and(|revocation| revocation.is_revoked())
    }

    /// Whether nothing counts any more that the peer says. Behind our goodbye it has no session any more that could end, and what
    /// it says still counts only as long as that would have.
    fn is_heard_no_more(&self) -> bool {
        let has_outstayed = || self.pace.as_ref().is_some_and(|pace| pace.has_outstayed());
        self.is_over || self.is_taken_back() || !self.closing.is_open() && has_outstayed()
    }

    /// Whether a message only acknowledges others: then the flow does not see it. It is a text where texts may come.
    fn takes_acknowledgement(&self, payload: &[u8], binary: bool) -> bool {
        let may_be = !binary || !self.decoder.takes_text();
        let Some(joining) = self.joining.as_ref().filter(|_| may_be) else { return false };
        let Some(id) = acknowledged(payload) else { return false };
        joining.acknowledge(id);
        true
    }

    /// Decodes what is in `input`. What had to wait for its schema comes first.
    fn decode(
        &mut self,
        input: &mut BytesMut,
        incoming: &mut Vec<Incoming>,
    ) -> Result<(), tremor_ws::ProtocolError> {
        let broke = self.schema.as_ref().and_then(|schema| schema.broke);
        let decoded = match &mut self.pace {
            _ if broke.is_some() => broke.map_or(Ok(()), Err),
            Some(pace) if self.keeps_time => {
                pace.decode(&mut self.decoder, input, incoming, self.closing.is_open())
            }
            _ => self.decoder.decode_some(input, incoming, usize::MAX),
        };
        if self.link.is_some() && broke.is_none() {
            self.count(incoming, &decoded);
        }
        if let Some(schema) = self.schema.as_mut().filter(|schema| schema.holds()) {
            let mut held: Vec<_> = schema.take_held().into();
            held.append(incoming);
            *incoming = held;
        }
        if self.is_heard_no_more() {
            incoming.retain(|item| !matches!(item, Incoming::Message { .. }));
        }
        decoded
    }

    /// One more message, for the flow.
    fn about(&mut self, payload: &[u8], frames: u32, compressed: bool) -> AboutMessage {
        self.messages += 1;
        AboutMessage { under: self.under, seq: self.messages, size: payload.len() as u64, frames, compressed }
    }

    /// Takes a message that has a schema, as that says. What is `behind` it waits with it.
    ///
    /// # Errors
    /// The connection ends, for this reason.
    fn take_checked(
        &mut self,
        (payload, binary): (Bytes, bool),
        about: AboutMessage,
        (behind, intake): (&mut Drain<'_, Incoming>, &mut Intake),
    ) -> Result<(), String> {
        let Self { schema, metadata, .. } = self;
        let Some(schema) = schema else { return Ok(()) };
        if let Some(aside) = schema.aside(&payload) {
            intake.value(aside, None);
            return Ok(());
        }
        match schema.look(&payload, &metadata.text, binary) {
            Look::Taken(instead, meta) => {
                let meta = meta.or_else(|| binary.then(|| metadata.binary()));
                intake.message(instead.unwrap_or(payload), meta, about);
            }
            Look::Refused(refusal) => intake.refused(refusal, binary.then(|| metadata.binary()), about),
            Look::Dropped => schema.leave_out(&payload),
            Look::Waits => {
                self.messages -= 1;
                let AboutMessage { frames, compressed, .. } = about;
                let item = Incoming::Message { payload, binary, frames, compressed };
                schema.hold(iter::once(item).chain(behind));
            }
            Look::Close { code, reason } => {
                schema.leave_out(&payload);
                self.leave = Some(Box::new(self.closing.failed_with(code, reason.clone())));
                return Err(reason);
            }
        }
        Ok(())
    }

    /// What becomes of the connection behind a read.
    fn conclude(
        &mut self,
        round: Round,
        mut decoded: Result<(), tremor_ws::ProtocolError>,
    ) -> Result<Flow, ProtocolError> {
        let Round { flow, controls, unanswered, broken } = round;
        if let Some(reason) = broken {
            return Err(ProtocolError(reason));
        }
        if let Err(error) = decoded
            && let Some(schema) = self.schema.as_mut().filter(|schema| schema.holds())
        {
            // What came before that was good.
            schema.broke = Some(error);
            return Ok(flow);
        }
        if controls > 0 && flow == Flow::Open && self.closing.is_open() {
            let counted = self.count_controls(controls);
            if let (Some(link), Err(error)) = (&self.link, &counted) {
                link.broke(error);
            }
            decoded = counted.and(decoded);
        }
        if let Some(error) = unanswered {
            return Err(ProtocolError(error.to_string()));
        }
        match decoded {
            Ok(()) if flow == Flow::Open && self.decoder.has_more() => Ok(Flow::More),
            Ok(()) => Ok(flow),
            Err(error) => {
                self.leave = Some(Box::new(self.closing.failed(&error)));
                Err(ProtocolError(error.to_string()))
            }
        }
    }

    /// Counts what was read.
    fn count(&mut self, incoming: &[Incoming], decoded: &Result<(), tremor_ws::ProtocolError>) {
        let Some(link) = &self.link else { return };
        link.came(incoming);
        if let Err(error) = decoded {
            link.broke(error);
        }
        if let Some(took) = self.pace.as_mut().and_then(|pace| pace.take_round_trip()) {
            link.round_trip(took);
        }
    }

    /// So many pings and pongs came at once.
    #[cold]
    fn count_controls(&mut self, count: u32) -> Result<(), tremor_ws::ProtocolError> {
        match NonZeroU64::new(self.max_control_rate.into()) {
            Some(max) => self.pace.get_or_insert_default().controls(count.into(), max),
            None => Ok(()),
        }
    }

    /// Nobody has read since then: pings and pongs that piled up meanwhile came when they were sent.
    fn forgive_controls(&mut self, since: Instant, now: Instant) {
        let has_been_long = now.saturating_duration_since(since) > CONTROL_BURST;
        if let Some(max) = NonZeroU64::new(self.max_control_rate.into())
            && (has_been_long || self.pace.is_some())
        {
            self.pace.get_or_insert_default().forgive_controls(max, (since, now));
        }
    }

    /// Tells of a pong with this payload on port `control` if the flow has asked for it. The pings in front of that are
    /// answered with it, too, as RFC 6455 has it (5.5.3).
    fn answered(&mut self, payload: &[u8], intake: &mut Intake) {
        let Some(outstanding) = &mut self.outstanding else { return };
        let Some(number) = outstanding.pings.iter().position(|ping| ping == payload) else { return };
        let conn = self.metadata.conn();
        for ping in outstanding.pings.drain(..=number) {
            let data = match String::from_utf8(ping) {
                Ok(text) => Value::from(text),
                Err(error) => Value::from(Bytes::from(error.into_bytes())),
            };
            let pong = [("kind", "pong".into()), ("conn", conn.clone()), ("data", data)];
            intake.control(Record::from_iter(pong).into());
        }
        self.outstanding.take_if(|it| it.is_over());
    }

    fn say(&mut self, answer: CloseAnswer, out: &mut Vec<u8>) -> bool {
        let Some(frame) = answer.send else { return false };
        let said = self.encoder.close(frame.code, &frame.reason, out);
        if let Err(error) = &said {
            tracing::debug!(target: "tremor_runtime", "a close frame was not sent: {error}");
        }
        said.is_ok()
    }
}

impl<Slot: Send> Protocol for WebSocket<Slot> {
    fn read(
        &mut self,
        input: &mut BytesMut,
        intake: &mut Intake,
        reply: &mut Vec<u8>,
    ) -> Result<Flow, ProtocolError> {
        let mut incoming = std::mem::take(&mut self.incoming);
        // Looked at once: most connections have no schemas.
        let (checks, hears) = (self.schema.is_some(), self.joining.is_some());
        let decoded = self.decode(input, &mut incoming);
        let mut round = Round { flow: Flow::Open, controls: 0, unanswered: None, broken: None };
        let mut items = incoming.drain(..);
        while let Some(item) = items.next() {
            match item {
                Incoming::Message { payload, binary, frames, compressed } => {
                    if hears && self.takes_acknowledgement(&payload, binary) {
                        continue;
                    }
                    let about = self.about(&payload, frames, compressed);
                    if !checks {
                        intake.message(payload, binary.then(|| self.metadata.binary()), about);
                    } else if let Err(reason) =
                        self.take_checked((payload, binary), about, (&mut items, intake))
                    {
                        round.broken = Some(reason);
                        break;
                    }
                }
                // One answer would do for several that wait, but there are peers that count.
                Incoming::Ping(payload) => {
                    round.controls = round.controls.saturating_add(1);
                    if self.closing.is_open() {
                        round.unanswered = self.encoder.pong(&payload, reply).err().or(round.unanswered);
                    }
                }
                Incoming::Pong(payload) => {
                    round.controls = round.controls.saturating_add(1);
                    if self.outstanding.is_some() {
                        self.answered(&payload, intake);
                    }
                }
                Incoming::Close { code, reason } => {
                    self.leave = Some(Box::new(self.closing.received(code, &reason)));
                    round.flow = Flow::Closed { we_drop: self.role == Role::Server };
                }
            }
        }
        drop(items);
        self.incoming = incoming;
        self.conclude(round, decoded)
    }

    fn write(&mut self, chunk: &[u8], binary: bool, out: &mut Vec<u8>) -> Result<(), Unsendable> {
        self.encoder.message(chunk, binary, out).map_err(|error| Unsendable(error.to_string()))
    }

    fn write_head(&mut self, chunk: &[u8], binary: bool, out: &mut Vec<u8>) -> Result<bool, Unsendable> {
        self.encoder.message_head(chunk, binary, out).map_err(|error| Unsendable(error.to_string()))
    }

    fn ping(&mut self, payload: &[u8], out: &mut Vec<u8>) -> Result<(), Unsendable> {
        self.encoder.ping(payload, out).map_err(|error| Unsendable(error.to_string()))?;
        let pings = &mut self.outstanding.get_or_insert_default().pings;
        if pings.len() == MOST_PINGS {
            pings.pop_front();
        }
        pings.push_back(payload.to_vec());
        Ok(())
    }

    fn set_meta(&mut self, meta: &Value) {
        self.metadata.replace(meta);
        self.schema.iter_mut().for_each(|schema| schema.forget_meta());
    }

    fn write_plain(&mut self, chunk: &[u8], binary: bool, out: &mut Vec<u8>) -> Result<bool, Unsendable> {
        self.encoder.plain_message_head(chunk, binary, out).map_err(|error| Unsendable(error.to_string()))
    }

    fn is_slow(&self) -> bool {
        self.encoder.may_compress()
    }

    fn shares_frames(&self) -> Option<u8> {
        self.frames.filter(|_| !self.encoder.is_closed())
    }

    fn take_leave(&mut self, out: &mut Vec<u8>) {
        if let Some(answer) = self.leave.take() {
            self.say(*answer, out);
        }
    }

    fn interceptor(&mut self) -> Option<Box<dyn Interceptor>> {
        if let Some(revocation) = &self.revocation {
            revocation.open();
        }
        self.interceptor.take()
    }

    fn handled_by(&mut self, handle: ConnectionHandle) {
        if let Some(pace) = &mut self.pace {
            pace.handled_by(handle);
        }
    }

    fn keeps_time(&self) -> bool {
        self.keeps_time
    }

    fn deadline(&self) -> Option<Instant> {
        if self.is_revoked() {
            // It has passed, whenever that is looked at.
            return Instant::now().checked_sub(LONG_AGO);
        }
        let of_pace = self.pace.as_ref().filter(|_| self.closing.is_open()).and_then(|pace| pace.deadline());
        match self.schema.as_ref().and_then(|schema| schema.deadline()) {
            None => of_pace,
            Some(of_schema) => Some(of_pace.map_or(of_schema, |of_pace| of_pace.min(of_schema))),
        }
    }

    fn on_time(&mut self, now: Instant, intake: &mut Intake, out: &mut Vec<u8>) -> Option<Ending> {
        if self.is_revoked() {
            return Some(Ending::Said { code: CloseCode::Policy.into(), reason: "logged out".into() });
        }
        let Self { pace, closing, encoder, schema, .. } = self;
        let pace = pace.as_mut().filter(|_| closing.is_open());
        if let Some(schema) = schema {
            schema.on_time(now);
            if pace.as_ref().and_then(|pace| pace.deadline()).is_none_or(|deadline| deadline > now) {
                return None;
            }
        }
        let pace = pace?;
        let ending = pace.on_time(now, encoder, (intake, out));
        self.is_over |= pace.is_shown_out();
        if pace.takes_lack_of_pong()
            && let Some(link) = &self.link
        {
            link.ping_timed_out();
        }
        ending
    }

    fn holds_back(&self) -> bool {
        self.schema.as_ref().is_some_and(|schema| schema.holds())
    }

    fn may_read(&self) -> bool {
        if self.schema.as_ref().is_some_and(|schema| schema.holds() && schema.is_waiting()) {
            return false;
        }
        !self.closing.is_open() || self.pace.as_ref().is_none_or(|pace| pace.may_read())
    }

    fn is_over(&self) -> bool {
        self.is_over || self.is_revoked()
    }

    fn over_at(&self) -> Option<Instant> {
        self.pace.as_ref().filter(|_| self.closing.is_open()).and_then(|pace| pace.stays_until())
    }

    fn reading(&mut self, reads: bool, now: Instant) {
        self.pace.iter_mut().for_each(|pace| pace.reading(reads, now));
        if !reads {
            self.outstanding.get_or_insert_default().unread_since.get_or_insert(now);
        } else if let Some(since) = self.outstanding.as_mut().and_then(|it| it.unread_since.take()) {
            self.outstanding.take_if(|it| it.is_over());
            self.forgive_controls(since, now);
        }
    }

    fn wrote(&mut self, now: Instant) {
        self.pace.iter_mut().for_each(|pace| pace.wrote(now));
    }

    fn end(&mut self, ending: Ending, out: &mut Vec<u8>) -> bool {
        let (code, reason) = match (ending, self.role) {
            (Ending::SlowConsumer, _) => (1008, "slow consumer".into()),
            (Ending::GoingAway, Role::Server) => (1001, "".into()),
            (Ending::GoingAway, Role::Client) => (1000, "".into()),
            (Ending::Said { code, reason }, _) => {
                self.is_over |= code == u16::from(CloseCode::Policy);
                (code, reason)
            }
            (Ending::Silent { .. }, _) => return false,
        };
        let Some(answer) = self.closing.start(code, &reason) else { return false };
        let said = self.say(answer, out);
        self.said = said.then(|| Box::new((code, reason)));
        said
    }

    fn closed(&mut self, cut: Cut) -> Closed {
        let fresh = Closing::new(self.role, &Options::default(), CloseTimeouts::default());
        let outcome = std::mem::replace(&mut self.closing, fresh).ended(match cut {
            Cut::Peer | Cut::Tls => End::Peer,
            Cut::Local => End::Local,
            Cut::Timeout => End::Timeout,
        });
        let (clean, by) = (outcome.clean, outcome.by.as_str());
        let left_out = self.schema.as_ref().map_or((0, 0), |schema| schema.left_out());
        let closed = match self.said.take() {
            // The peer did not answer, which says nothing of why we have ended it.
            Some(said) if !clean && cut == Cut::Local => {
                let (code, reason) = *said;
                Closed { code, reason: reason.into(), clean, by, left_out }
            }
            // Behind a goodbye it says nothing more.
            _ if cut == Cut::Tls && outcome.code == u16::from(CloseCode::Abnormal) => {
                Closed { code: CloseCode::Tls.into(), reason: outcome.reason, clean, by: "error", left_out }
            }
            _ => Closed { code: outcome.code, reason: outcome.reason, clean, by, left_out },
        };
        if let Some(link) = &self.link {
            link.ended(closed.code, closed.by);
        }
        closed
    }

    fn rest(&mut self) {
        if self.incoming.capacity() > KEPT_ITEMS {
            self.incoming = Vec::new();
        }
        self.encoder.rest();
    }

    fn idle(&mut self) {
        self.incoming = Vec::new();
        self.decoder.idle();
        self.encoder.idle();
    }
}
