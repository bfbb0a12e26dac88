//! Accepts connections and runs each in a task of its own.

mod telling;

use crate::{
    Announcer, Handshake, Listener, Refused, Told,
    beacon::Beacon,
    connection::{Alive, Connection, Untold, Unwritten},
    duplex::{Address, Duplex},
    inlet::{Inlet, SourceShared},
    quota::{Quota, Tally, more_before},
    streams::Streams,
    task::TARGET,
};
use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
pub(crate) use telling::Telling;
use tokio::{
    sync::Semaphore,
    task::{JoinSet, yield_now},
    time,
};
use tracing::{debug, error, info, warn};
use tremor_value::sentence;

/// Wait after the system could not accept, for example because too many files are open.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Connections that are accepted one right after the other: what is read of those that are open has its turn in between.
const AT_ONCE: usize = 16;

/// Ends of connections that wait at once for those behind to be ready.
pub(crate) const MOST_LATE: usize = 4096;

/// How long a flow that ends waits for handshakes to tell their peers.
const FAREWELL: Duration = Duration::from_millis(250);

/// What comes of a handshake.
type Opened = Result<Duplex, Refused>;

/// How often it is said again that nothing can be accepted.
const REMINDER: Duration = Duration::from_secs(60);

/// What the connections of one listener share.
pub(crate) struct Listening {
    pub(crate) alias: Arc<str>,
    pub(crate) source: Arc<SourceShared>,
    pub(crate) streams: Arc<Streams>,
    pub(crate) beacon: Beacon,
    pub(crate) next_stream: Arc<AtomicU64>,
    /// Lines about refused handshakes.
    pub(crate) refusals: Tally,
    /// Lines about connections that ended before their peers had taken or read all.
    pub(crate) cut_short: Tally,
    pub(crate) telling: Telling,
    /// Ends of connections that wait to be told of.
    pub(crate) telling_late: Semaphore,
    /// Handshakes under way when no more connections are taken go on, to tell their peers.
    pub(crate) answers_to_the_end: bool,
}

impl Listening {
    /// Accepts until reading ends, then lets the open connections finish. Whoever holds the other end of `alive`
    /// hears when no connection will give events any more.
    pub(crate) async fn run(mut self, mut listener: Box<dyn Listener>, alive: Alive) {
        listener.begin(Announcer { source: self.source.clone(), next_stream: self.next_stream.clone() });
        self.answers_to_the_end = listener.answers_to_the_end();
        // Every connection has it: a pointer is small.
        let shared = Arc::new(self);
        tokio::select! {
            () = shared.work(listener, alive) => {}
            () = shared.refusals.tell_rests(|left_out| shared.more_failed(left_out)) => {}
            () = shared.cut_short.tell_rests(|left_out| shared.more_cut_short(left_out)) => {}
        }
    }

    async fn work(self: &Arc<Self>, mut listener: Box<dyn Listener>, alive: Alive) {
        let shared = self;
        let mut connections = JoinSet::new();
        shared.accept(&mut *listener, &mut connections, &alive).await;
        drop(alive);
        if listener.drain() {
            shared.turn_away(&mut *listener, &mut connections).await;
        }
        // The port is free again while open connections finish.
        drop(listener);
        while let Some(ended) = connections.join_next().await {
            shared.look_at(ended);
        }
    }

    async fn accept(
        self: &Arc<Self>,
        listener: &mut dyn Listener,
        connections: &mut JoinSet<()>,
        alive: &Alive,
    ) {
        let gate = self.source.gate.clone();
        let mut failures = Failures::default();
        for turn in 1_usize.. {
            if turn.is_multiple_of(AT_ONCE) {
                yield_now().await;
            }
            tokio::select! {
                biased;
                () = self.beacon.stopped() => return,
                () = gate.ended() => return,
                () = self.streams.draining().begun() => return,
                // Before the next one is accepted: a flood must not keep the ends of connections waiting.
                Some(ended) = connections.join_next() => self.look_at(ended),
                accepted = listener.accept() => match accepted {
                    Ok(handshake) => {
                        if let Some(line) = failures.are_over() {
                            info!(target: TARGET, "[Connector::{}] {line}", self.alias);
                        }
                        connections.spawn(self.clone().serve(handshake, alive.clone()));
                    }
                    Err(error) => {
                        if let Some(line) = failures.one_more(&error, time::Instant::now()) {
                            error!(target: TARGET, "[Connector::{}] {line}", self.alias);
                        }
                        time::sleep(ACCEPT_RETRY).await;
                    }
                },
            }
        }
    }

    /// Lets those who still come hear that no more connections are taken, until everything stops.
    async fn turn_away(self: &Arc<Self>, listener: &mut dyn Listener, connections: &mut JoinSet<()>) {
        loop {
            tokio::select! {
                biased;
                () = self.beacon.stopped() => return,
                Some(ended) = connections.join_next() => self.look_at(ended),
                accepted = listener.accept() => match accepted {
                    Ok(handshake) => {
                        let own = self.clone();
                        connections.spawn(async move {
                            tokio::select! {
                                opened = handshake => if let Err(refused) = opened { own.not_opened(refused).await },
                                () = own.beacon.stopped() => {}
                            }
                        });
                    }
                    Err(_) => time::sleep(ACCEPT_RETRY).await,
                },
            }
        }
    }

    /// A connection's task has ended; a panic in it is its own end and nobody else's.
    fn look_at(&self, ended: Result<(), tokio::task::JoinError>) {
        if ended.is_err_and(|error| error.is_panic()) {
            error!(target: TARGET, "[Connector::{}] an internal error ended a connection", self.alias);
        }
    }

    async fn serve(self: Arc<Self>, handshake: Handshake, alive: Alive) {
        // Boxed, so that nobody pays for the handshake as long as the connection lives.
        // A task that is ended drops the connection first: what that loses is told when it is taken off the table.
        let Some((mut registered, mut connection)) = Box::pin(self.open(handshake, alive)).await else {
            return;
        };
        let ended = connection.run().await;
        registered.is_broken = false;
        connection.abandon();
        let Registered { address, .. } = &registered;
        debug!(target: TARGET, "[Connector::{}] {address} ended: {}", self.alias, ended.cause);
        if let Some(line) = connection.cut_short() {
            self.cut_short(address, &line);
        }
        self.streams.draining().came_late(connection.came_too_late());
        // It has ended for all who knew of it; only its socket is still there, and its place among the connections taken.
        drop(registered);
        if connection.lingers() {
            Box::pin(connection.linger()).await;
        }
        if let Some(late) = connection.late() {
            Box::pin(self.tell_late(late)).await;
        }
    }

    /// Tells of the end of a connection when those behind it are ready. Of very many at once some are told of before that,
    /// who may not hear it: peers that come and go while a sink is away must not fill the memory.
    async fn tell_late(&self, late: Untold) {
        let told = async {
            match self.telling_late.try_acquire() {
                Ok(_turn) => late.tell().await,
                Err(_) => late.tell_now().await,
            }
        };
        tokio::select! {
            () = told => {}
            () = self.beacon.stopped() => {}
        }
    }

    /// Does the handshake and puts the connection on the table.
    async fn open(&self, mut handshake: Handshake, alive: Alive) -> Option<(Registered, Box<Connection>)> {
        let gate = self.source.gate.clone();
        let (duplex, alive) = tokio::select! {
            biased;
            duplex = &mut handshake => (duplex, Some(alive)),
            () = self.beacon.stopped() => return None,
            // Where an event wants a connection, it waits for it, and so does the drain for the event, but not for ever.
            () = self.streams.draining().begun(), if self.streams.is_per_origin() => {
                self.see_off(handshake, alive).await?
            }
            () = gate.ended(), if !self.streams.is_per_origin() => self.see_off(handshake, alive).await?,
        };
        let (mut duplex, alive) = match duplex {
            Ok(duplex) => (duplex, alive?),
            Err(refused) => {
                self.not_opened(refused).await;
                return None;
            }
        };
        let stream = self.next_stream.fetch_add(1, Relaxed);
        let address = duplex.address.clone();
        let outbox = self.streams.open(
            stream,
            &address,
            &duplex.meta,
            (duplex.send_queue.as_deref(), duplex.outgoing.as_ref()),
            duplex.joining.as_deref(),
        );
        let registered = Registered { streams: self.streams.clone(), stream, address, is_broken: true };
        let exit = duplex.exit.as_deref().unwrap_or("out");
        let inlet = Inlet::with_exit(&self.source, stream, duplex.origin.clone(), duplex.meta.clone(), exit);
        let inlet = inlet.past(duplex.protocol.interceptor());
        let connection =
            Connection::new(duplex, inlet, (outbox, &self.streams), Unwritten::Fail, &self.beacon, alive);
        Some((registered, connection))
    }

    /// Lets a handshake end by which nobody comes in any more, unless it is cut. For a moment the flow waits for it.
    async fn see_off(&self, mut handshake: Handshake, alive: Alive) -> Option<(Opened, Option<Alive>)> {
        if !self.answers_to_the_end {
            return None;
        }
        tokio::select! {
            biased;
            () = self.beacon.stopped() => return None,
            opened = time::timeout(FAREWELL, &mut handshake) => if let Ok(opened) = opened {
                return Some((opened, Some(alive)));
            },
        }
        drop(alive);
        tokio::select! {
            biased;
            () = self.beacon.stopped() => None,
            opened = handshake => Some((opened, None)),
        }
    }

    /// A handshake came to nothing.
    async fn not_opened(&self, refused: Refused) {
        if !refused.cause.is_empty() {
            self.refused(&refused.cause);
        }
        for told in refused.told {
            self.tell(told).await;
        }
    }

    /// Puts what is to be said of a handshake on port `control`. Where that is slow, and many are refused, most are only
    /// counted: a flood of requests must not fill the memory.
    async fn tell(&self, told: Told) {
        if !self.source.tells() {
            return;
        }
        let Some(place) = self.telling.place() else { return };
        let stream = self.next_stream.fetch_add(1, Relaxed);
        let mut inlet = Inlet::open(&self.source, stream, told.origin, told.meta);
        tokio::select! {
            // As for events, whoever reads that port has to be ready.
            () = async {
                self.source.gate.ready().await;
                let (record, _turn) = place.turn(told.record).await;
                inlet.tell(record).await;
            } => {}
            () = self.beacon.stopped() => {}
        }
    }

    fn cut_short(&self, address: &Address, line: &str) {
        if let Some(left_out) = self.cut_short.may_log(1) {
            let more = more_before(left_out);
            warn!(target: TARGET, "[Connector::{}] {address} {line}{more}", self.alias);
        }
    }

    fn refused(&self, cause: &str) {
        if let Some(left_out) = self.refusals.may_log(1) {
            let (cause, more) = (sentence(cause), more_before(left_out));
            info!(target: TARGET, "[Connector::{}] a handshake failed: {cause}{more}", self.alias);
        }
    }

    fn more_failed(&self, left_out: u64) {
        let s = if left_out == 1 { "" } else { "s" };
        info!(target: TARGET, "[Connector::{}] {left_out} more handshake{s} failed", self.alias);
    }

    fn more_cut_short(&self, left_out: u64) {
        let (s, were) = if left_out == 1 { ("", "was") } else { ("s", "were") };
        warn!(target: TARGET, "[Connector::{}] {left_out} more connection{s} {were} ended like that", self.alias);
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.refusals.tell_rest(|left_out| self.more_failed(left_out));
        self.cut_short.tell_rest(|left_out| self.more_cut_short(left_out));
    }
}

/// Attempts to accept that failed in a row. They are told of when that begins, now and then while it lasts, and when it
/// is over; all of it not too often, since it may begin and be over with every connection.
#[derive(Default)]
struct Failures {
    count: u64,
    said: Option<time::Instant>,
    quota: Quota,
}

impl Failures {
    /// What to say about one more.
    fn one_more(&mut self, error: &io::Error, now: time::Instant) -> Option<String> {
        self.count += 1;
        if self.said.is_some_and(|said| now.duration_since(said) < REMINDER) {
            return None;
        }
        let more = more_before(self.quota.may_log(1, now)?);
        let still = if self.said.replace(now).is_some() { "still " } else { "" };
        Some(format!("{still}cannot accept: {error}{more}"))
    }

    /// One was accepted: what to say about that.
    fn are_over(&mut self) -> Option<String> {
        let count = std::mem::take(&mut self.count);
        let s = if count == 1 { "" } else { "s" };
        self.said.take().map(|_| format!("accepts again, after {count} attempt{s} that failed"))
    }
}

/// Takes a connection off the table however it ends.
struct Registered {
    streams: Arc<Streams>,
    stream: u64,
    address: Address,
    /// Its task has not come to its end.
    is_broken: bool,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.streams.close(self.stream, &self.address, self.is_broken);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn attempts_that_fail_are_told_when_that_begins_now_and_then_and_when_it_is_over() {
        let error = io::Error::other("too many open files");
        let mut failures = Failures::default();
        assert_eq!(failures.are_over(), None);
        let mut said = Vec::new();
        for _ in 0..1500 {
            said.extend(failures.one_more(&error, time::Instant::now()));
            time::advance(ACCEPT_RETRY).await;
        }
        let again = "still cannot accept: too many open files";
        assert_eq!(said, ["cannot accept: too many open files", again, again]);
        assert_eq!(failures.are_over().unwrap(), "accepts again, after 1500 attempts that failed");
        assert_eq!(failures.are_over(), None);
        let flapping = (0..1000).map(|_| {
            let lines = (failures.one_more(&error, time::Instant::now()), failures.are_over());
            usize::from(lines.0.is_some()) + usize::from(lines.1.is_some())
        });
        assert_eq!(flapping.sum::<usize>(), 20, "as it begins and ends all the time");
        time::advance(Duration::from_secs(1)).await;
        let line = failures.one_more(&error, time::Instant::now());
        assert_eq!(line.unwrap(), "cannot accept: too many open files (and 990 more before)");
        assert_eq!(failures.are_over().unwrap(), "accepts again, after 1 attempt that failed");
    }
}
