//! One connection for each origin of events (`spec/websocket.md` 15, `per_origin`).
//!
//! An event that comes from where none came before asks for a connection. What it says waits in the outbox of that
//! connection while it is opened. Where the event comes from a connection itself, the two are a pair from then on: when one
//! of them has ended, the other is ended with the same words.

use super::{Directory, Streams, Targets, instructions::may_be_sent};
use crate::{
    duplex::Ending,
    outbox::{Farewell, Item, Lost, Outbox},
};
use foldhash::fast::RandomState;
use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};
use tokio::sync::mpsc;
use tremor_event::IdGenerator;
use tremor_value::Value;

/// Makes a connector open one connection for each origin of its events: the half that the engine keeps.
#[derive(Debug)]
pub struct PerOrigin {
    asked: mpsc::UnboundedSender<Opening>,
    most: usize,
    ids: Arc<IdGenerator>,
}

/// The connections that a connector is asked to open.
#[derive(Debug)]
pub struct Openings(mpsc::UnboundedReceiver<Opening>);

impl PerOrigin {
    /// At most `most` connections at once, those that are being opened among them; `ids` numbers them.
    #[must_use]
    pub fn new(most: usize, ids: Arc<IdGenerator>) -> (Self, Openings) {
        let (asked, openings) = mpsc::unbounded_channel();
        (Self { asked, most, ids }, Openings(openings))
    }
}

impl Openings {
    /// Waits for the next one; `None` when none will come any more. Cancel safe.
    pub async fn next(&mut self) -> Option<Opening> {
        self.0.recv().await
    }
}

/// A connection that is to be opened. Dropped before it is [made](Self::made) it has failed: so do the events that wait for
/// it, and the connection that they came from is ended.
pub struct Opening {
    /// The id that the connection has to have.
    pub conn: u64,
    /// What the first event has under `open` of the kind; null if it has nothing.
    pub said: Value,
    /// Kind and id of the connection that the events come from, if it is one.
    pub partner: Option<(&'static str, u64)>,
    pairs: Weak<Streams>,
    is_made: bool,
    cause: Option<Box<str>>,
}

impl Opening {
    /// There is a connection with the id, which the engine is given next.
    pub fn made(mut self) {
        self.is_made = true;
    }

    /// There is none and will be none, for a reason that those hear whose events waited for it.
    pub fn failed(mut self, cause: &str) {
        self.cause = Some(cause.into());
    }
}

impl Drop for Opening {
    fn drop(&mut self) {
        if let Some(streams) = self.pairs.upgrade().filter(|_| !self.is_made) {
            let cause = self.cause.as_deref().unwrap_or("the flow ended before their connection was open");
            let for_whom = self.partner.map(|(kind, conn)| format!(", for connection {conn} of `{kind}`"));
            streams.not_opened(self.conn, &format!("{cause}{}", for_whom.unwrap_or_default()));
        }
    }
}

impl fmt::Debug for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Opening").field("conn", &self.conn).field("partner", &self.partner).finish()
    }
}

impl Farewell {
    /// How the partner is ended. Nobody has to know that there are two connections, but a peer that is gone without a word is
    /// told of as `lost`.
    fn passed_on(&self, lost: (u16, &str)) -> Ending {
        match self.code {
            // No code is the usual one.
            1005 => Ending::Said { code: 1000, reason: "".into() },
            code if may_be_sent(code) => Ending::Said { code, reason: self.reason.clone() },
            _ => Ending::Said { code: lost.0, reason: lost.1.into() },
        }
    }
}

/// The peer of a connection is gone: what the server behind it is told.
const GONE: (u16, &str) = (1001, "");
/// The server behind is gone, or cannot be reached: what the peer in front is told.
const NO_SERVER: (u16, &str) = (1014, "bad gateway");
/// There are as many connections as there may be: what the peer in front is told.
const TOO_MANY: (u16, &str) = (1013, "try again later");

/// A stream of a source half.
type Origin = (u64, u64);

/// The connections of a connector that has one for each origin.
pub(super) struct Pairs {
    per_origin: PerOrigin,
    directory: Directory,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    by_origin: HashMap<Origin, Pair, RandomState>,
    /// The origins of all connections, also of those that are about to end.
    by_conn: HashMap<u64, Origin, RandomState>,
    /// Those of which nobody knows yet that they are open.
    opening: HashMap<u64, Arc<Outbox>, RandomState>,
}

struct Pair {
    conn: u64,
    outbox: Arc<Outbox>,
}

/// The connection that events come from.
struct Partner {
    streams: Arc<Streams>,
    stream: u64,
    conn: u64,
}

/// Why there is no connection for an event.
const IT_HAS_ENDED: &str = "the connection that it comes from has ended";

impl Pairs {
    pub(super) fn new(per_origin: PerOrigin, directory: Directory) -> Self {
        Self { per_origin, directory, known: Mutex::default() }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Messages that wait for connections that are being opened.
    pub(super) fn waiting(&self) -> usize {
        self.known().opening.values().map(|outbox| outbox.held().0).sum()
    }

    /// The connection that metadata names as that which the event comes from, among those of all connectors but `own`.
    ///
    /// # Errors
    /// It is not open.
    fn named(&self, item: &Item<'_>, own: u64) -> Result<Option<Partner>, &'static str> {
        let meta = item.element.meta.base();
        let mut is_named = false;
        for streams in self.directory.all() {
            let conn = meta.get(streams.kind).and_then(|of_kind| of_kind.get("conn")).and_then(Value::as_u64);
            let Some(conn) = conn.filter(|_| streams.source != own) else { continue };
            is_named = true;
            let stream = streams.read().stream_of(conn);
            if let Some(stream) = stream {
                return Ok(Some(Partner { streams, stream, conn }));
            }
        }
        if is_named { Err(IT_HAS_ENDED) } else { Ok(None) }
    }
}

impl Streams {
    /// The connections for `item`, of which those that are missing are opened.
    ///
    /// # Errors
    /// There is none and will be none.
    pub(super) fn paired(&self, pairs: &Pairs, item: &Item<'_>) -> Result<Targets, &'static str> {
        let foreign = || item.id.tracked().filter(|tracked| tracked.source != self.source);
        let mut found = Targets::new();
        for tracked in foreign() {
            let origin = (tracked.source, tracked.stream);
            if let Some(pair) = pairs.known().by_origin.get(&origin) {
                found.push(pair.outbox.clone());
                continue;
            }
            if let Some(streams) = pairs.directory.of_source(tracked.source) {
                let conn = streams.read().conn_of(tracked.stream).ok_or(IT_HAS_ENDED)?;
                let partner = Partner { streams, stream: tracked.stream, conn };
                found.push(self.open_pair(pairs, item, origin, Some(partner))?);
            }
        }
        if !found.is_empty() {
            return Ok(found);
        }
        if let Some(partner) = pairs.named(item, self.source)? {
            let origin = (partner.streams.source, partner.stream);
            let known = pairs.known().by_origin.get(&origin).map(|pair| pair.outbox.clone());
            found.push(match known {
                Some(known) => known,
                None => self.open_pair(pairs, item, origin, Some(partner))?,
            });
            return Ok(found);
        }
        for tracked in foreign() {
            found.push(self.open_pair(pairs, item, (tracked.source, tracked.stream), None)?);
        }
        Ok(found)
    }

    /// Whether `item` comes from a connection that has none of its own here yet. Whoever is there has to hear of it if what the
    /// event asks for cannot be opened.
    pub(super) fn asks_for_its_pair(&self, item: &Item<'_>) -> bool {
        let Some(pairs) = &self.pairs else { return false };
        let is_new = |origin: &Origin| !pairs.known().by_origin.contains_key(origin);
        let foreign = item.id.tracked().filter(|tracked| tracked.source != self.source);
        let mut of_connections = foreign
            .filter(|tracked| pairs.directory.of_source(tracked.source).is_some())
            .map(|tracked| (tracked.source, tracked.stream))
            .peekable();
        if of_connections.peek().is_some() {
            return of_connections.all(|origin| is_new(&origin));
        }
        let named = pairs.named(item, self.source).ok().flatten();
        named.is_some_and(|partner| is_new(&(partner.streams.source, partner.stream)))
    }

    /// Asks for a connection for `origin`; gives what waits for it. Others may ask for the same at the same time.
    fn open_pair(
        &self,
        pairs: &Pairs,
        item: &Item<'_>,
        origin: Origin,
        partner: Option<Partner>,
    ) -> Result<Arc<Outbox>, &'static str> {
        let conn = pairs.per_origin.ids.next_id();
        let of_kind = item.element.meta.get(self.kind);
        let said = of_kind.and_then(|of_kind| of_kind.get("open")).cloned().unwrap_or_default();
        let outgoing = self.outgoing.as_ref().and_then(|outgoing| outgoing.of_opening(&said));
        let outbox = {
            let mut known = pairs.known();
            if let Some(pair) = known.by_origin.get(&origin) {
                return Ok(pair.outbox.clone());
            }
            if known.by_conn.len() >= pairs.per_origin.most {
                drop(known);
                if let Some(Partner { streams, stream, .. }) = partner {
                    streams.end_stream(stream, Ending::Said { code: TOO_MANY.0, reason: TOO_MANY.1.into() });
                }
                return Err("there are as many connections as there may be (`max_connections`)");
            }
            let outbox = self.new_outbox(self.limits).looked_at_by(outgoing);
            let outbox = Arc::new(outbox.of_connection(conn, None).for_later());
            known.by_origin.insert(origin, Pair { conn, outbox: outbox.clone() });
            known.by_conn.insert(conn, origin);
            known.opening.insert(conn, outbox.clone());
            outbox
        };
        let opening = Opening {
            conn,
            said,
            partner: partner.as_ref().map(|partner| (partner.streams.kind, partner.conn)),
            pairs: self.own.clone(),
            is_made: false,
            cause: None,
        };
        // From here on it fails wherever it is dropped.
        if partner.is_some_and(|Partner { streams, stream, .. }| !streams.join(stream, self.own.clone())) {
            return Err(IT_HAS_ENDED);
        }
        pairs.per_origin.asked.send(opening).map_err(|_| "the connector has stopped")?;
        Ok(outbox)
    }

    /// What waits for connection `conn`, which is open now; with the origin that it is for.
    pub(super) fn opened(&self, conn: u64) -> Option<Arc<Outbox>> {
        let outbox = self.pairs.as_ref()?.known().opening.remove(&conn)?;
        outbox.has_come();
        Some(outbox)
    }

    /// Connection `conn` was not opened: what waits for it fails, and its partner ends.
    fn not_opened(&self, conn: u64, cause: &str) {
        let Some(pairs) = &self.pairs else { return };
        let outbox = pairs.known().opening.remove(&conn);
        let lost = outbox.map_or_else(Lost::default, |outbox| {
            // Those that come until the partner is gone fail for the same reason.
            outbox.note_cause(cause.to_owned());
            outbox.close()
        });
        self.part(conn, Some(&Farewell { code: NO_SERVER.0, reason: NO_SERVER.1.into() }));
        self.shared.log_lost(lost, cause);
    }

    /// Connection `conn` has ended: so does its partner, unless all of them do (`farewell` is `None`).
    pub(super) fn part(&self, conn: u64, farewell: Option<&Farewell>) {
        let Some(pairs) = &self.pairs else { return };
        let origin = pairs.known().by_conn.remove(&conn);
        let Some(origin) = origin else { return };
        let partners = pairs.directory.of_source(origin.0);
        if let (Some(farewell), Some(streams)) = (farewell, &partners)
            && streams.end_stream(origin.1, farewell.passed_on(NO_SERVER))
        {
            // Its last events get no connection of their own: the closed outbox stays until it is gone.
            return;
        }
        let mut known = pairs.known();
        if known.by_origin.get(&origin).is_some_and(|pair| pair.conn == conn) {
            known.by_origin.remove(&origin);
        }
    }

    /// The connection that `origin` stands for has ended: so does the one that was opened for it, behind what waits.
    fn partner_has_ended(&self, origin: Origin, farewell: &Farewell) {
        let Some(pairs) = &self.pairs else { return };
        let pair = pairs.known().by_origin.remove(&origin);
        if let Some(pair) = pair {
            pair.outbox.end(farewell.passed_on(GONE));
        }
    }

    /// `partner` is told when connection `stream` has ended. `false` if it has already.
    fn join(&self, stream: u64, partner: Weak<Self>) -> bool {
        let mut partners = self.partners.lock().unwrap_or_else(PoisonError::into_inner);
        // Who ends is off the table before it looks for partners.
        if self.read().conn_of(stream).is_none() {
            return false;
        }
        let of_stream: &mut Vec<Weak<Self>> = partners.entry(stream).or_default();
        if !of_stream.iter().any(|known| known.ptr_eq(&partner)) {
            of_stream.push(partner);
        }
        true
    }

    /// Connection `stream` has ended and is off the table: tells those who joined it, unless all of them end.
    pub(super) fn tell_partners(&self, stream: u64, farewell: Option<&Farewell>) {
        let partners = self.partners.lock().unwrap_or_else(PoisonError::into_inner).remove(&stream);
        if let Some(farewell) = farewell {
            for partner in partners.iter().flatten().filter_map(Weak::upgrade) {
                partner.partner_has_ended((self.source, stream), farewell);
            }
        }
    }

    /// Ends connection `stream`, behind what waits; `false` if it is gone.
    fn end_stream(&self, stream: u64, ending: Ending) -> bool {
        let outbox = self.read().by_stream.get(&stream).cloned();
        outbox.is_some_and(|outbox| {
            outbox.end(ending);
            true
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_farewell_is_passed_on_as_it_may_be_said() {
        let passed = |code, lost| {
            let farewell = Farewell { code, reason: "so".into() };
            let Ending::Said { code, reason } = farewell.passed_on(lost) else { panic!("says nothing") };
            (code, reason.into_string())
        };
        for code in [1000, 1001, 1008, 1011, 1014, 3000, 4999] {
            assert_eq!(passed(code, NO_SERVER), (code, "so".to_owned()));
            assert_eq!(passed(code, GONE), (code, "so".to_owned()));
        }
        assert_eq!(passed(1005, NO_SERVER), (1000, String::new()));
        for code in [1006, 1015, 0] {
            assert_eq!(passed(code, NO_SERVER), (1014, "bad gateway".to_owned()));
            assert_eq!(passed(code, GONE), (1001, String::new()));
        }
    }
}
