//! One connection that is read from and written to: bytes in and out around a sans-IO protocol.

use crate::{
    Intake, Joining, SendQueue, WhenFull,
    outbox::Outbox,
    socket::{self, Target},
    streams::Streams,
};
use futures_util::future::BoxFuture;
use std::{
    fmt,
    sync::{Arc, Weak},
    time::{Duration, Instant},
};
use thiserror::Error;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::{
    io::{AsyncRead, AsyncWrite, DuplexStream},
    net::TcpStream,
};
use tokio_rustls::{client, server};
use tremor_event::OriginUri;
use tremor_value::Value;

/// A byte stream to a peer, plain or encrypted.
pub trait Stream: AsyncRead + AsyncWrite + Send + Unpin {
    /// Bytes that were written and that the peer's system is not known to have; `None` where nobody can tell.
    fn untaken(&self) -> Option<usize> {
        None
    }
}

impl Stream for TcpStream {
    fn untaken(&self) -> Option<usize> {
        socket::untaken(self)
    }
}

impl<S: Stream> Stream for client::TlsStream<S> {
    fn untaken(&self) -> Option<usize> {
        self.get_ref().0.untaken()
    }
}

impl<S: Stream> Stream for server::TlsStream<S> {
    fn untaken(&self) -> Option<usize> {
        self.get_ref().0.untaken()
    }
}

impl<S: Stream + ?Sized> Stream for Box<S> {
    fn untaken(&self) -> Option<usize> {
        (**self).untaken()
    }
}

/// What is written to a unix socket is with the peer at once.
#[cfg(unix)]
impl Stream for UnixStream {}

impl Stream for DuplexStream {}

/// An established connection.
pub struct Duplex {
    /// Carries the bytes.
    pub stream: Box<dyn Stream>,
    /// Bytes that arrived behind the handshake.
    pub input: bytes::BytesMut,
    /// Makes chunks of bytes and bytes of chunks.
    pub protocol: Box<dyn Protocol>,
    /// Origin of the connection's events.
    pub origin: Arc<OriginUri>,
    /// Metadata of the connection's events, unless they bring their own.
    pub meta: Value,
    /// The port by which the connection's events leave; `None`: `out`.
    pub exit: Option<Arc<str>>,
    /// What sinks find this connection by.
    pub address: Address,
    /// Time limits.
    pub limits: Limits,
    /// What may wait for this connection, if that is not what its connector says: one of [`Built::queues`](crate::Built).
    pub send_queue: Option<Box<SendQueue>>,
    /// Hears what passes, if somebody wants to know.
    pub traffic: Option<Arc<dyn Traffic>>,
    /// Looks at what is to be sent, if anybody does and it is not who does so for all connections
    /// ([`Built::outgoing`](crate::Built)).
    pub outgoing: Option<Arc<dyn Outgoing>>,
    /// There if something is kept for its client.
    pub joining: Option<Box<Joining>>,
}

/// Hears what passes a connection.
pub trait Traffic: Send + Sync {
    /// These were taken to be written: the payload bytes of each message, and whether it is binary.
    fn taken(&self, messages: &mut dyn Iterator<Item = (usize, bool)>);

    /// One was not what it has to be.
    fn violated(&self) {}

    /// Of what came, so much could not be decoded.
    fn undecoded(&self, count: u64);

    /// Who hears what becomes of what waits for the connection. It may outlive that.
    fn queue(&self) -> Option<Arc<dyn QueueTraffic>> {
        None
    }
}

/// Hears of what waits for connections that are looked at together.
pub trait QueueTraffic: fmt::Debug + Send + Sync {
    /// A full queue has left out so many elements, as its policy says.
    fn left_out(&self, elements: u64, policy: WhenFull);

    /// So many elements are lost because their peer was given up.
    fn discarded(&self, elements: u64);

    /// So many messages wait for one of the connections right now, what is being written included.
    fn waits(&self, messages: u64);
}

/// What identifies a connection among those of its connector.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    /// Id that is unique in the process.
    pub conn: u64,
    /// Host of the peer, as metadata shows it.
    pub host: String,
    /// Port of the peer, where there is one and it is known.
    pub port: Option<u16>,
}

impl Address {
    /// The peer, as lines of the log name it.
    pub(crate) fn peer(&self) -> String {
        match self.port {
            Some(port) => Target { host: self.host.clone(), port }.to_string(),
            None => self.host.clone(),
        }
    }
}

impl fmt::Display for Address {
    /// As lines of the log name the connection.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "connection {} with {}", self.conn, self.peer())
    }
}

/// Time limits of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long a write may make no progress.
    pub write: Duration,
    /// How long to wait for the peer's part of a closing handshake.
    pub close: Duration,
    /// How long a client waits for the server to end the connection after the closing handshake.
    pub drop: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { write: Duration::from_secs(30), close: Duration::from_secs(1), drop: Duration::from_secs(1) }
    }
}

/// Looks at what is to be sent, before it waits for its connection.
pub trait Outgoing: fmt::Debug + Send + Sync {
    /// What becomes of one message of an element with this metadata.
    fn look(&self, message: &[u8], meta: &Value) -> Verdict;

    /// Gets ready what [`Outgoing::look`] needs for elements with these metadata. `None`: it is.
    fn prepare(&self, metas: &mut dyn Iterator<Item = &Value>) -> Option<BoxFuture<'static, ()>> {
        let _most_need_nothing = metas;
        None
    }

    /// Who looks at what is sent on a connection that an event opens for its origin, where there is one for each; `said` is
    /// what the event says of that. This one does not, then.
    fn of_opening(&self, said: &Value) -> Option<Arc<dyn Outgoing>> {
        let _most_have_one_for_all = said;
        None
    }

    /// There is a connection, and `traffic` hears what it sends.
    fn heard_by(&self, traffic: &Arc<dyn Traffic>) {
        let _most_tell_nothing = traffic;
    }
}

/// What becomes of a message that is to be sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is sent.
    Send,
    /// This is sent instead, as a binary message.
    Instead(Vec<u8>),
    /// It is left out, and nobody need care.
    Drop,
    /// Nothing of its element is sent, for this reason.
    Fail(String),
}

/// Why we end a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// The flow stops.
    GoingAway,
    /// The peer takes too long to read what it is sent.
    SlowConsumer,
    /// This is to be said.
    Said {
        /// The code, one that may be sent.
        code: u16,
        /// The reason; what does not fit is cut off.
        reason: Box<str>,
    },
    /// Without a word: the peer has not answered in time.
    Silent {
        /// What it has not answered, for logs.
        cause: Box<str>,
    },
}

impl Ending {
    /// One side of a pair of connections goes away, and it says so to whoever is behind, be it client or server.
    pub(crate) fn of_pair() -> Self {
        Self::Said { code: 1001, reason: "".into() }
    }
}

/// How the byte stream under a connection came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cut {
    /// The peer ended it, or reading or writing failed.
    Peer,
    /// What came is not what TLS allows there.
    Tls,
    /// We ended it.
    Local,
    /// We ended it because something took too long.
    Timeout,
}

/// What is told of the end of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closed {
    /// Code of whoever closed first.
    pub code: u16,
    /// The reason that came with it.
    pub reason: String,
    /// Both sides said goodbye.
    pub clean: bool,
    /// `peer`, `local`, `timeout` or `error`.
    pub by: &'static str,
    /// Messages that came and were not handed on, and their bytes.
    pub left_out: (u64, u64),
}

/// Whether a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// It does.
    Open,
    /// It does, and there is more to be read without any more input: what came so far is handed on first, and others have
    /// their turn.
    More,
    /// The peer has ended it in good order. `we_drop`: ours is the side that ends the byte stream.
    Closed {
        /// Ours is the side that ends the byte stream.
        we_drop: bool,
    },
}

/// The peer broke the rules of the protocol, or its limits.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct ProtocolError(pub String);

/// A chunk that cannot be sent on this connection.
#[derive(Debug, Error)]
#[error("{0}")]
pub struct Unsendable(pub String);

/// Takes messages of a peer that are not for the flow.
pub trait Interceptor: Send {
    /// Whether `message`, as it was decoded, is taken: then the flow does not see it, and [`Interceptor::conclude`] is
    /// called before anything else is read, until there is nothing left.
    fn takes(&mut self, message: &Value) -> bool;

    /// Does what the next of the messages that were taken asks for; gives what the flow is told of it on port `control`.
    fn conclude(&mut self) -> BoxFuture<'_, Option<Value>>;
}

/// An open connection, as others see it; nothing happens once it has ended.
#[derive(Clone, Debug)]
pub struct ConnectionHandle {
    pub(crate) conn: u64,
    pub(crate) outbox: Weak<Outbox>,
    pub(crate) streams: Weak<Streams>,
}

impl ConnectionHandle {
    /// Has it look at the deadline of its protocol.
    pub fn wake(&self) {
        if let Some(outbox) = self.outbox.upgrade() {
            outbox.wake();
        }
    }

    /// Changes the metadata of what is read from now on, and of what is told.
    pub fn change_meta(&self, change: impl FnOnce(&mut Value)) {
        if let Some(streams) = self.streams.upgrade() {
            streams.change_meta(self.conn, change);
        }
    }
}

/// The largest number that [`Protocol::shares_frames`] may give.
pub const MAX_FRAMES_KIND: u8 = 15;

/// The sans-IO side of a connection: knows frames, not sockets and timers.
///
/// # Time
///
/// A protocol that [keeps time](Protocol::keeps_time) has at most one deadline at a time, and may move it whenever it is
/// called. When it has passed, [`Protocol::on_time`] is called, not before and perhaps a little later. What is read
/// meanwhile is read first: a deadline that an answer would have moved is never found passed while that answer waits to
/// be read, unless there always is something to read, or nothing can be, which [`Protocol::reading`] tells. Where an
/// [`Interceptor`] may move the deadline, what was read is handed on first, however long that takes.
pub trait Protocol: Send {
    /// Takes all complete frames out of `input` into `intake`; what has to be answered at once is
    /// appended to `reply`, and may go out in front of messages that [`Protocol::write`] has seen before. The answer to a goodbye is not: [`Protocol::take_leave`] gives it when what came before it has
    /// been answered.
    ///
    /// # Errors
    /// The connection has to end; what `intake` and `reply` got is used before.
    fn read(
        &mut self,
        input: &mut bytes::BytesMut,
        intake: &mut Intake,
        reply: &mut Vec<u8>,
    ) -> Result<Flow, ProtocolError>;

    /// Appends `chunk` to `out` as the protocol sends it.
    ///
    /// # Errors
    /// Nothing was appended; the connection goes on.
    fn write(&mut self, chunk: &[u8], binary: bool, out: &mut Vec<u8>) -> Result<(), Unsendable>;

    /// As [`Protocol::write`] for a large chunk, which need not be copied if it is sent as it is: `true` if only what
    /// belongs in front of it was appended.
    ///
    /// # Errors
    /// As for [`Protocol::write`].
    fn write_head(&mut self, chunk: &[u8], binary: bool, out: &mut Vec<u8>) -> Result<bool, Unsendable> {
        self.write(chunk, binary, out).map(|()| false)
    }

    /// Appends a ping with `payload`, of which the protocol tells by [`Intake::control`] when it is answered.
    ///
    /// # Errors
    /// The protocol has no pings, or none with such a payload; nothing was appended.
    fn ping(&mut self, _payload: &[u8], _out: &mut Vec<u8>) -> Result<(), Unsendable> {
        Err(Unsendable("this protocol has no pings".to_owned()))
    }

    /// What comes from now on has this metadata, unless it has its own.
    fn set_meta(&mut self, _meta: &Value) {
        // Most protocols leave metadata to the caller.
    }

    /// As [`Protocol::write_head`], but without compression.
    ///
    /// # Errors
    /// As for [`Protocol::write`].
    fn write_plain(&mut self, chunk: &[u8], binary: bool, out: &mut Vec<u8>) -> Result<bool, Unsendable> {
        self.write_head(chunk, binary, out)
    }

    /// Whether [`Protocol::write`] takes long for much: then large messages are written where others of the thread need not
    /// wait for it. Asked only where there is much to be written.
    fn is_slow(&self) -> bool {
        false
    }

    /// A number up to [`MAX_FRAMES_KIND`] while what [`Protocol::write`] appends depends on its arguments and on nothing
    /// else, and any connection of the connector that gives the same number could be sent it: then one of them writes a
    /// chunk that all are sent.
    fn shares_frames(&self) -> Option<u8> {
        None
    }

    /// Appends what the peer has to be told last, behind a read that gave [`Flow::Closed`] or failed. Called at most once;
    /// nothing is written afterwards.
    fn take_leave(&mut self, _out: &mut Vec<u8>) {
        // Many protocols end without a word.
    }

    /// Who takes messages before the flow sees them, if anybody does. Asked once, when the connection opens.
    fn interceptor(&mut self) -> Option<Box<dyn Interceptor>> {
        None
    }

    /// Something outside of the connection may move the deadline to an earlier time, or know more of the peer than its
    /// metadata say: `handle` is for that. Called once, when the connection is open.
    fn handled_by(&mut self, _handle: ConnectionHandle) {
        // Most connections are nobody else's business.
    }

    /// Reading stops (`reads` is `false`) or goes on, for whatever reason: a peer cannot be blamed for an answer that
    /// nobody reads, nor for what piles up meanwhile.
    fn reading(&mut self, _reads: bool, _now: Instant) {
        // Only those who look at the time of what comes care.
    }

    /// Whether the protocol lives by the clock: only then the calls below are made. Does not change.
    fn keeps_time(&self) -> bool {
        false
    }

    /// When [`Protocol::on_time`] wants to be called; asked before the connection sleeps.
    fn deadline(&self) -> Option<Instant> {
        None
    }

    /// The deadline has passed: appends to `out` what has to be sent now, and puts what the flow is to be told on port
    /// `control` into `intake`. `Some` if the connection has to end.
    fn on_time(&mut self, _now: Instant, _intake: &mut Intake, _out: &mut Vec<u8>) -> Option<Ending> {
        None
    }

    /// Nothing counts any more that the peer has said: the end of the connection does not wait until that is answered.
    fn is_over(&self) -> bool {
        false
    }

    /// When [`Protocol::on_time`] is to be asked again whether nothing counts any more that the peer says, by a connection that has
    /// to end for another reason and waits with that.
    fn over_at(&self) -> Option<Instant> {
        None
    }

    /// `false` while the peer has sent so much that reading has to wait for a deadline. What is left in the input is
    /// offered again when reading goes on.
    fn may_read(&self) -> bool {
        true
    }

    /// Whether something of what was read is left, which [`Protocol::read`] gives when reading goes on even if nothing
    /// new has come. Only asked while [`Protocol::may_read`] is `false`.
    fn holds_back(&self) -> bool {
        false
    }

    /// Messages were taken to be written.
    fn wrote(&mut self, _now: Instant) {
        // Only those who look for silence care.
    }

    /// Appends our goodbye to `out`. `true` if the peer is expected to answer it.
    fn end(&mut self, ending: Ending, out: &mut Vec<u8>) -> bool;

    /// What to tell of the end, once the byte stream has ended. Called at most once and last.
    fn closed(&mut self, cut: Cut) -> Closed;

    /// Gives back what large reads took: nothing more is there to be read right now. Called often.
    fn rest(&mut self) {
        // Most protocols hold nothing between messages.
    }

    /// Gives back what the next message can make anew, at a cost: nothing was read or written for a while.
    fn idle(&mut self) {
        // Most protocols hold nothing that is worth it.
    }
}
