//! The table of connector kinds.

use crate::{
    Connector, Dials, FrameType, Replay, SendQueue,
    config::{ConfigError, Key, Reader},
    duplex,
    metrics::{Measures, Metrics},
    streams::{Addressing, Command, Directory, DrainTimes, PerOrigin},
    summons::{JudgeOpen, Summons},
};
use std::sync::Arc;
use tremor_event::IdGenerator;

/// Whether a kind takes a codec.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodecUse {
    /// The user has to name one.
    Required,
    /// The connector makes and takes values itself.
    Structured,
    /// This one, unless the user names another.
    Default(&'static str),
}

/// Who works the sink half of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SinkUse {
    /// There is no sink half.
    None,
    /// One task serves it from a queue.
    Queued,
    /// Every connection writes for itself.
    Connections(Addressing),
}

/// One setting of a kind, for the reference pages.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Key in `config`.
    pub name: &'static str,
    /// Type in the words of the specification.
    pub kind: &'static str,
    /// Default as written in a configuration; empty if the field is required.
    pub default: &'static str,
    /// What it means.
    pub text: &'static str,
}

/// What an instance may be told about where it lives.
#[derive(Clone, Debug)]
pub struct Environment {
    /// `<flow>::<connector>`.
    pub alias: String,
    /// Name of this machine.
    pub hostname: Arc<str>,
    /// Numbers for connections.
    pub ids: Arc<IdGenerator>,
    /// Asks for the end of the process.
    pub exit: ExitSwitch,
    /// Who is connecting to which server.
    pub dials: Dials,
    /// Where measurements are published.
    pub metrics: Metrics,
    /// Whether the user wants to know what the instance counts: if not, it need not count.
    pub is_measured: bool,
}

/// How the process was asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitRequest {
    /// Drain first.
    pub graceful: bool,
    /// Exit code.
    pub code: u8,
}

/// Asks for the end of the process.
#[derive(Clone, Debug)]
pub struct ExitSwitch(tokio::sync::mpsc::UnboundedSender<ExitRequest>);

impl ExitSwitch {
    /// A switch and the end where requests arrive.
    #[must_use]
    pub fn new() -> (Self, tokio::sync::mpsc::UnboundedReceiver<ExitRequest>) {
        let (sender, receiver) = tokio::sync::mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Asks.
    pub fn request(&self, request: ExitRequest) {
        // With nobody listening the process is ending already.
        let _ending_already = self.0.send(request);
    }
}

/// A kind's instance, as its configuration wants it.
pub struct Built {
    /// The instance.
    pub connector: Box<dyn Connector>,
    /// It gives events.
    pub is_source: bool,
    /// It takes events.
    pub is_sink: bool,
    /// What the reconnect policy starts from.
    pub backoff: BackoffUse,
    /// What may wait for one connection; of kinds that have connections.
    pub send_queue: SendQueue,
    /// What may wait for connections of which [`Duplex::send_queue`](duplex::Duplex) says something else.
    pub queues: Vec<QueueAt>,
    /// The member of an element's metadata that says what its message stands for, for queues that keep the latest of each.
    pub queue_key: String,
    /// How messages go out whose metadata say nothing of it.
    pub frame_type: FrameType,
    /// How connections are let go; of kinds that accept them.
    pub drain_times: DrainTimes,
    /// What input port `control` takes besides what it always does; of kinds that have connections.
    pub commands: Vec<Command>,
    /// Output ports that this instance has besides those of its kind.
    pub exits: Vec<Exit>,
    /// Whether anything leaves by `out`: not where all goes by `exits`.
    pub gives_out: bool,
    /// What it publishes besides what all kinds do; only asked where [`Environment::is_measured`].
    pub measures: Option<Arc<dyn Measures>>,
    /// Connections are opened when events come for them; of kinds that have one connection.
    pub summons: Option<Summons>,
    /// Judges what events say of how the connection is opened that they are for; of kinds that have one connection, or
    /// one for each origin.
    pub judge_open: Option<JudgeOpen>,
    /// Looks at what is to be sent, if anybody does; of kinds that have connections.
    pub outgoing: Option<Arc<dyn duplex::Outgoing>>,
    /// There is a connection for each origin of events instead of one; of kinds that have one connection.
    pub per_origin: Option<PerOrigin>,
    /// What is kept for clients that come back, of each route of which something is; of kinds that accept connections.
    pub replays: Vec<Arc<Replay>>,
}

/// An output port that the configuration of an instance names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its name, of which case does not matter.
    pub name: String,
    /// The keys that lead to where it is named first.
    pub at: Vec<Key>,
    /// What comes of it where it leads nowhere, if that is more than that its events are lost.
    pub unlinked: Option<String>,
}

/// A queue that the configuration of an instance describes besides that of the connector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueAt {
    /// The queue.
    pub queue: SendQueue,
    /// The keys that lead to it.
    pub at: Vec<Key>,
}

/// Which of the two readings of a `reconnect` policy a kind wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BackoffUse {
    /// `spec/runtime.md` 5.3.
    Plain,
    /// `spec/websocket.md` section 8.
    WebSocketClient {
        /// A connection that lasted this long resets the growth.
        stable_after: std::time::Duration,
    },
}

impl Built {
    /// An instance with both halves and the plain policy.
    #[must_use]
    pub fn new(connector: impl Connector + 'static) -> Self {
        let connector = Box::new(connector);
        Self {
            connector,
            is_source: true,
            is_sink: true,
            backoff: BackoffUse::Plain,
            send_queue: SendQueue::default(),
            queues: Vec::new(),
            queue_key: "key".to_owned(),
            frame_type: FrameType::default(),
            drain_times: DrainTimes::default(),
            commands: Vec::new(),
            exits: Vec::new(),
            gives_out: true,
            measures: None,
            summons: None,
            judge_open: None,
            outgoing: None,
            per_origin: None,
            replays: Vec::new(),
        }
    }

    /// All that may wait for a connection.
    pub(crate) fn all_queues(&self) -> impl Iterator<Item = &SendQueue> {
        std::iter::once(&self.send_queue).chain(self.queues.iter().map(|queue| &queue.queue))
    }
}

/// Keys of a record below those of a configuration. Who writes one of them elsewhere is told where it stands.
#[derive(Clone, Copy)]
pub struct Below {
    /// Where the record is: `compression.deflate`, `routes[].options`, and `guards.NAME.options` for any name.
    pub place: &'static str,
    /// What can stand there.
    pub keys: Keys,
}

impl Below {
    /// In a place: any name.
    pub const ANY: &'static str = "NAME";

    /// Keys of which nothing more is said here.
    #[must_use]
    pub const fn named(place: &'static str, names: &'static [&'static str]) -> Self {
        Self { place, keys: Keys::Named(names) }
    }
}

/// Some keys of a record.
#[derive(Clone, Copy)]
pub enum Keys {
    /// Their names.
    Named(&'static [&'static str]),
    /// All that can stand there, each with what it means.
    Described(&'static [Field]),
    /// Settings of the configuration itself that can stand there, too.
    Own(&'static [&'static str]),
    /// The settings of each `type` of the record around.
    OfTypes(&'static [(&'static str, &'static [Field])]),
}

/// A connector kind.
#[derive(Clone, Copy)]
pub struct Spec {
    /// Name that `define connector ... from` uses.
    pub name: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// Settings.
    pub fields: &'static [Field],
    /// What is known of the records below.
    pub below: &'static [Below],
    /// Whether `config` has to be there.
    pub needs_config: bool,
    /// Codec.
    pub codec: CodecUse,
    /// The kind has a source half.
    pub is_source: bool,
    /// Sink half.
    pub sink: SinkUse,
    /// Input ports of the sink half; the first one is the default.
    pub inputs: &'static [&'static str],
    /// Further names of input ports, each with the port that it means.
    pub input_aliases: &'static [(&'static str, &'static str)],
    /// Registered only when debug kinds are wanted.
    pub is_debug: bool,
    /// Reads the configuration and makes an instance; opens nothing but the files that it names.
    pub build: fn(Reader<'_>, &Environment) -> Result<Built, ConfigError>,
}

impl Spec {
    /// Whether the source half tells of its connections on a port `control`, as the sink half takes commands by one.
    #[must_use]
    pub fn has_control(&self) -> bool {
        self.inputs.contains(&"control")
    }
}

/// The kinds that a process knows.
#[derive(Clone, Default)]
pub struct Registry {
    specs: Vec<Spec>,
    /// Names of the debug kinds that are not wanted.
    left_out: Vec<&'static str>,
    dials: Dials,
    directory: Directory,
    metrics: Metrics,
}

impl Registry {
    /// The kinds of `specs`; debug ones only if wanted.
    #[must_use]
    pub fn new(specs: &[Spec], with_debug: bool) -> Self {
        let (specs, left_out): (Vec<_>, Vec<_>) =
            specs.iter().copied().partition(|spec| with_debug || !spec.is_debug);
        let left_out = left_out.iter().map(|spec| spec.name).collect();
        let (dials, directory, metrics) = Default::default();
        Self { specs, left_out, dials, directory, metrics }
    }

    /// The kind called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Spec> {
        self.specs.iter().find(|spec| spec.name == name)
    }

    /// Whether `name` is a debug kind that is not wanted.
    #[must_use]
    pub fn is_left_out(&self, name: &str) -> bool {
        self.left_out.contains(&name)
    }

    /// What clients of all flows that use this registry share.
    #[must_use]
    pub fn dials(&self) -> &Dials {
        &self.dials
    }

    /// Where the connections of all connectors are found that use this registry.
    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    /// Where all that uses this registry publishes measurements.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// All names, in the order of the table.
    pub fn names(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.specs.iter().map(|spec| spec.name)
    }

    /// All kinds, in the order of the table.
    #[must_use]
    pub fn specs(&self) -> &[Spec] {
        &self.specs
    }
}

impl Environment {
    /// The address of a new connection.
    #[must_use]
    pub fn address(&self, peer: std::net::SocketAddr) -> duplex::Address {
        duplex::Address {
            conn: self.ids.next_id(),
            host: peer.ip().to_canonical().to_string(),
            port: Some(peer.port()),
        }
    }
}
