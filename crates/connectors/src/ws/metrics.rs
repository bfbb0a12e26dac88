//! What WebSocket connectors measure of themselves (`spec/websocket.md` 21), where the user wants to know.
//!
//! Connections with the same port, route and TLS share their counters ([`series::Series`]). Counters are atomics; histograms are
//! behind a lock that is taken once for all messages of a read or a write.

mod queue;
mod series;
mod spread;
mod wire;

pub(super) use series::Link;
use wire::CountedStream;

use queue::Left;
use series::{DIRECTIONS, Key, Series};
use spread::Spread;
use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tremor_connector::{
    Environment, SendQueue, WhenFull,
    duplex::{Stream, Traffic},
    metrics::{Measures, Metric, SinkNow},
    tls::TlsError,
};
use tremor_value::{Record, Str, Value};

/// One measurement, for the reference pages.
#[derive(Clone, Copy, Debug)]
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    /// Its own tags, besides those that all have.
    pub tags: &'static [&'static str],
    /// What it means, with its unit.
    pub text: &'static str,
}

/// The tags that all of them have.
pub const COMMON_TAGS: &[(&str, &str)] = &[
    ("connector", "`<flow>::<connector>`"),
    ("port", "the port by which the events of the connections leave; `-` before that is known"),
    ("route", "the index of the route that let the connections in; `-` if there is none"),
    ("tls", "`true` or `false`"),
    ("direction", "`in` or `out`: where messages go, else who opened the connection, the peer or we"),
];

/// A row and its constant.
macro_rules! rows {
    ($($id:ident = $name:literal, $kind:literal, [$($tag:literal),*], $text:literal;)*) => {
        $(const $id: Row = Row { name: $name, kind: $kind, tags: &[$($tag),*], text: $text };)*
        /// All that WebSocket connectors publish.
        pub const ROWS: &[Row] = &[$($id),*];
    };
}

rows! {
    ACTIVE = "ws.connections.active", "gauge", [], "Connections that are open.";
    OPENED = "ws.connections.opened", "counter", [], "Connections that were opened.";
    CLOSED = "ws.connections.closed", "counter", ["code", "by"],
        "Connections that have ended: the close code, and `peer`, `local`, `timeout` or `error`. Beyond 64 different codes the tag is `other`.";
    REJECTED = "ws.handshake.rejected", "counter", ["status", "reason"], "Handshakes that were answered with a refusal; those with the status 0 ended without an answer: there was no room (`unavailable`), or the client that had begun to ask went away before that (`gone`). Those of TLS that failed are in `ws.tls.failed` instead; who asks for nothing at all is not counted, but under way in `ws.handshake.pending`.";
    PENDING = "ws.handshake.pending", "gauge", [], "Handshakes under way.";
    DURATION = "ws.handshake.duration", "histogram", [], "Microseconds from an accepted or begun connection to the end of its handshake, of handshakes that were granted.";
    TLS_FAILED = "ws.tls.failed", "counter", ["reason"], "Handshakes of TLS that failed: `timeout`; `certificate` if the peer shows none or one that does not prove who it is, as the name, the issuer or the time is another; else `handshake`.";
    GUARD_FAILED = "ws.guard.failed", "counter", ["guard", "reason"], "Credentials that a guard found to be no good, in handshakes, and in requests and messages that are to extend a session.";
    MESSAGES = "ws.messages", "counter", ["type"], "Messages that came, and messages that were taken to be sent, but for heartbeats and their replies; `text` or `binary`.";
    BYTES = "ws.bytes", "counter", ["layer"],
        "Bytes behind the handshake: `payload` of messages, and `wire`, with frames and control frames, without TLS.";
    SIZE = "ws.message.size", "histogram", [], "Payload bytes of a message, uncompressed.";
    ERRORS = "ws.errors", "counter", ["kind"],
        "`protocol`, `utf8`, `size` and `deflate` end a connection: `size` is what is over a limit, of sizes as of rates (`message_rate`, `byte_rate`, `max_control_rate`), and of the memory that all large messages may take; `protocol` also a type that `accept` does not take. `codec` is what could not be decoded, `contract` what is not as its schema says.";
    QUEUE_DEPTH = "ws.queue.depth", "gauge", [], "Messages that wait to be sent, what is being written included. Those for connections that never were there have no port.";
    QUEUE_DROPPED = "ws.queue.dropped", "counter", ["policy"], "Elements that full queues left out. What was for a peer that was given up as too slow counts under `close`, whose way `block` goes in the end.";
    PING_RTT = "ws.ping.rtt", "histogram", [], "Microseconds from a keepalive ping to its pong.";
    PING_TIMEOUTS = "ws.ping.timeouts", "counter", [], "Pings that were not answered in time, which ended the connection.";
    RECONNECTS = "ws.reconnects", "counter", ["outcome"], "Attempts to connect behind the first: `ok` or `failed`.";
    RATIO = "ws.compression.ratio", "gauge", [],
        "Payload bytes per byte on the wire, of connections that have agreed on compression.";
}

/// Different sets of tags that one counter keeps. What decides about them is known beforehand, so more is a mistake.
const MAX_LABELS: usize = 1024;

/// A stream whose bytes are counted, if anything is. So many came before the connection was open.
pub(super) fn counted(stream: Box<dyn Stream>, early: usize, link: Option<&Arc<Link>>) -> Box<dyn Stream> {
    match link {
        Some(link) => {
            link.read_bytes(early);
            Box::new(CountedStream::new(stream, link.clone()))
        }
        None => stream,
    }
}

/// What hears what a connection sends.
pub(super) fn traffic(link: Option<&Arc<Link>>) -> Option<Arc<dyn Traffic>> {
    let link: Arc<dyn Traffic> = link?.clone();
    Some(link)
}

/// What one connector measures.
pub(super) struct Watch {
    alias: Str,
    /// Who opens connections.
    opens: &'static str,
    /// Of queues that are not of a route.
    when_full: WhenFull,
    /// Some messages waited for connections that never were there.
    had_unheard: AtomicBool,
    series: Mutex<BTreeMap<Key, Arc<Series>>>,
    /// By TLS, `false` first.
    pending: [AtomicU64; 2],
    durations: [Mutex<Spread>; 2],
    /// Some were encrypted.
    meets_tls: AtomicBool,
    /// Rare things, by measurement, TLS and own tags.
    tallies: Mutex<BTreeMap<Tally, u64>>,
}

type Tally = (&'static str, bool, Vec<Str>);

/// A connection that opens.
pub(super) struct Opens<'a> {
    /// By which its messages leave, if it is not `out`.
    pub(super) port: Option<&'a str>,
    /// What metadata tell of its route.
    pub(super) shown: Option<&'a Value>,
    /// What may wait for it, if the route says so.
    pub(super) queue: Option<&'a SendQueue>,
    pub(super) tls: bool,
    pub(super) deflates: bool,
    /// By its handshake.
    pub(super) took: Duration,
}

/// A handshake under way.
pub(super) struct Pending<'w>(&'w AtomicU64);

impl Drop for Pending<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Watch {
    /// For a server, or a client; `None` if nobody wants to know. `when_full`: of its queues, but for those of routes.
    pub(super) fn new(environment: &Environment, is_server: bool, when_full: WhenFull) -> Option<Arc<Self>> {
        environment.is_measured.then(|| {
            Arc::new(Self {
                alias: environment.alias.as_str().into(),
                opens: if is_server { "in" } else { "out" },
                when_full,
                had_unheard: AtomicBool::new(false),
                series: Mutex::default(),
                pending: Default::default(),
                durations: Default::default(),
                meets_tls: AtomicBool::new(false),
                tallies: Mutex::default(),
            })
        })
    }

    /// A handshake begins.
    pub(super) fn begins(&self, tls: bool) -> Pending<'_> {
        let [plain, encrypted] = &self.pending;
        if tls {
            self.meets_tls.store(true, Relaxed);
        }
        let pending = if tls { encrypted } else { plain };
        pending.fetch_add(1, Relaxed);
        Pending(pending)
    }

    /// A connection opens.
    pub(super) fn opens(&self, opens: Opens<'_>) -> Arc<Link> {
        let Opens { port, shown, queue, tls, deflates, took } = opens;
        let index = shown.and_then(|shown| shown.get("index")).and_then(Value::as_u64);
        let key = Key { port: port.unwrap_or("out").into(), route: index, tls };
        let policy = policy(queue.map_or(self.when_full, |queue| queue.when_full));
        let series = lock(&self.series).entry(key).or_insert_with(|| Arc::new(Series::new(policy))).clone();
        let [plain, encrypted] = &self.durations;
        lock(if tls { encrypted } else { plain }).add(micros(took));
        Link::new(series, deflates)
    }

    /// The request was refused.
    pub(super) fn rejected(&self, tls: bool, status: u64, reason: &str) {
        self.tally(&REJECTED, tls, [status.to_string().into(), reason.into()]);
    }

    /// A handshake of TLS failed; `None`: it took too long.
    pub(super) fn tls_failed(&self, error: Option<&TlsError>) {
        let reason = match error {
            None => "timeout",
            Some(error) if error.is_unverified() => "certificate",
            Some(_) => "handshake",
        };
        self.tally(&TLS_FAILED, true, [reason.into()]);
    }

    /// A guard has found credentials to be no good.
    pub(super) fn guard_failed(&self, tls: bool, guard: &str, reason: &str) {
        self.tally(&GUARD_FAILED, tls, [guard.into(), reason.into()]);
    }

    /// An attempt to connect again has come to its end.
    pub(super) fn reconnected(&self, tls: bool, is_ok: bool) {
        self.tally(&RECONNECTS, tls, [if is_ok { "ok" } else { "failed" }.into()]);
    }

    fn tally<const N: usize>(&self, row: &Row, tls: bool, tags: [Str; N]) {
        let mut tallies = lock(&self.tallies);
        let key = (row.name, tls, tags.to_vec());
        if tallies.len() < MAX_LABELS || tallies.contains_key(&key) {
            *tallies.entry(key).or_default() += 1;
        }
    }
}

impl Measures for Watch {
    fn measure(&self, sink: &SinkNow, now_ns: u64, out: &mut Vec<Metric>) {
        let nowhere = |tls| Key { port: "-".into(), route: None, tls };
        let mut writer = Writer { watch: self, now_ns, out };
        let all = lock(&self.series);
        all.values().for_each(|series| series.queue.forget_depth());
        let unheard = sink.tell_depths();
        let mut left_out = Left::of(&sink.totals);
        for (key, series) in &*all {
            writer.series(key, series);
            left_out.take_away(&series.queue.left());
        }
        drop(all);
        for (tls, (pending, spread)) in
            [false, true].into_iter().zip(self.pending.iter().zip(&self.durations))
        {
            if tls && !self.meets_tls.load(Relaxed) {
                continue;
            }
            writer.value(&PENDING, (&nowhere(tls), self.opens), &[], pending.load(Relaxed).into());
            writer.spread(&DURATION, (&nowhere(tls), self.opens), &lock(spread));
        }
        for ((name, tls, tags), count) in &*lock(&self.tallies) {
            if let Some(row) = ROWS.iter().find(|row| row.name == *name) {
                let tags: Vec<&str> = tags.iter().map(Str::as_str).collect();
                writer.value(row, (&nowhere(*tls), self.opens), &tags, (*count).into());
            }
        }
        // What waits for connections that are not there yet, and what that has cost.
        if unheard > 0 || self.had_unheard.load(Relaxed) {
            self.had_unheard.store(true, Relaxed);
            writer.value(&QUEUE_DEPTH, (&nowhere(false), "out"), &[], (unheard as u64).into());
        }
        writer.left_out(&nowhere(false), &left_out, None);
    }
}

/// Makes measurements.
struct Writer<'w> {
    watch: &'w Watch,
    now_ns: u64,
    out: &'w mut Vec<Metric>,
}

impl Writer<'_> {
    fn series(&mut self, key: &Key, series: &Series) {
        let opens = (key, self.watch.opens);
        self.value(&ACTIVE, opens, &[], series.active.load(Relaxed).into());
        self.value(&OPENED, opens, &[], series.opened.load(Relaxed).into());
        for ((code, by), count) in &*lock(&series.closed) {
            let code = code.map_or_else(|| "other".to_owned(), |code| code.to_string());
            self.value(&CLOSED, opens, &[&code, by], (*count).into());
        }
        for (direction, traffic) in DIRECTIONS.into_iter().zip(&series.traffic) {
            let place = (key, direction);
            for (sort, count) in ["text", "binary"].into_iter().zip(&traffic.messages) {
                self.value(&MESSAGES, place, &[sort], count.load(Relaxed).into());
            }
            for (layer, count) in [("payload", &traffic.payload), ("wire", &traffic.wire)] {
                self.value(&BYTES, place, &[layer], count.load(Relaxed).into());
            }
            self.spread(&SIZE, place, &lock(&traffic.sizes));
            if let Some(ratio) = traffic.ratio() {
                self.value(&RATIO, place, &[], ratio.into());
            }
        }
        for (kind, count) in &*lock(&series.errors) {
            self.value(&ERRORS, (key, "in"), &[kind], (*count).into());
        }
        let violations = series.violations.load(Relaxed);
        if violations > 0 {
            self.value(&ERRORS, (key, "out"), &["contract"], violations.into());
        }
        self.value(&QUEUE_DEPTH, (key, "out"), &[], series.queue.depth().into());
        self.left_out(key, &series.queue.left(), Some(series.policy));
        self.spread(&PING_RTT, (key, "out"), &lock(&series.round_trips));
        self.value(&PING_TIMEOUTS, (key, "out"), &[], series.ping_timeouts.load(Relaxed).into());
    }

    /// What queues have left out; always of `policy`, which is theirs, though that may be nothing.
    fn left_out(&mut self, key: &Key, left: &Left, policy: Option<&str>) {
        for (name, count) in left.by_policy() {
            if count > 0 || policy == Some(name) {
                self.value(&QUEUE_DROPPED, (key, "out"), &[name], count.into());
            }
        }
    }

    /// `own`: the values of the row's own tags.
    fn value(&mut self, row: &Row, place: (&Key, &str), own: &[&str], value: Value) {
        self.push(row, place, own, Record::from_iter([("value", value)]));
    }

    /// Nothing while there is nothing in it.
    fn spread(&mut self, row: &Row, place: (&Key, &str), spread: &Spread) {
        if let Some(fields) = spread.fields() {
            self.push(row, place, &[], fields);
        }
    }

    fn push(&mut self, row: &Row, (key, direction): (&Key, &str), own: &[&str], fields: Record) {
        let route = key.route.map_or_else(|| "-".to_owned(), |route| route.to_string());
        let common = [
            ("connector", self.watch.alias.as_str()),
            ("port", &*key.port),
            ("route", &route),
            ("tls", if key.tls { "true" } else { "false" }),
            ("direction", direction),
        ];
        let tags = common.into_iter().chain(row.tags.iter().copied().zip(own.iter().copied()));
        self.out.push(Metric::new(row.name, Record::from_iter(tags), fields, self.now_ns));
    }
}

/// The policy of a queue, as it is written.
fn policy(when_full: WhenFull) -> &'static str {
    match when_full {
        WhenFull::Wait | WhenFull::WaitAtMost(_) => "block",
        WhenFull::Close => "close",
        WhenFull::DropNewest => "drop_newest",
        WhenFull::DropOldest => "drop_oldest",
        WhenFull::Conflate => "conflate",
    }
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
