//! What connectors are made of: the traits a kind implements, and the tasks that run it.
//!
//! A kind ([`Spec`]) builds a [`Connector`], which knows how to make one connection attempt. Everything
//! else is common: reading streams into pipelines, writing batches, reconnecting, pausing, draining,
//! stopping. [`Instance`] is a connector before it works, [`Handle`] one that does.
//!
//! Who runs what:
//!
//! * one task per connector makes attempts and hears of everything (`task`); it never waits for events;
//! * a source that works on its own has a task (`half`), and so has a sink that is served from a queue (`queued`);
//! * a connection that is read and written has one task for both (`connection`). Whoever sends to it encodes right
//!   into its outbox (`streams`, `outbox`): there is no task between.
//!
//! What always holds: a source reads only while its gate is open (`gate`); what a sink received is written, has
//! failed, or waits (`counters`); the receipt of an event is settled by whoever ends its way, and one that is lost
//! counts as failed (`issuing`, `queued`, `outbox`); every wait ends when the connector stops; a panic ends its own
//! part, and whoever waits for that part hears of it.

mod announcer;
pub mod config;
pub mod duplex;
pub mod files;
pub mod metrics;
pub mod reconnect;
pub mod socket;
pub mod tls;
pub mod url;

mod beacon;
mod bell;
mod clock;
mod connect;
mod connection;
mod counters;
mod deliver;
mod dials;
mod drain;
mod gate;
mod half;
mod handed;
mod inlet;
mod instance;
mod issuing;
mod listening;
mod outbox;
mod queue;
mod queued;
mod quota;
mod replay;
mod route;
mod sink;
mod source;
mod spec;
mod status;
mod streams;
mod summons;
mod task;
mod weight;

pub use announcer::Announcer;
pub use connect::{ConnectError, Connected, Connector, Handshake, Listener, Refused, Told};
pub use counters::{Given, LeftOut, SinkTotals};
pub use deliver::{Deliver, SinkShared};
pub use dials::{Dials, Turn};
pub use drain::DrainBoard;
pub use gate::{Gate, Readiness};
pub use handed::Handed;
pub use instance::{DEBUG_HINT, Definition, DefinitionError, Handle, Instance};
pub use outbox::{FrameType, SendQueue, WhenFull};
pub use queue::{Receiver, Sender, bounded};
pub use quota::{Quota, more_before};
pub use replay::{Joining, Keep, Likeness, NoId, Person, Replay, acknowledged, last_received};
pub use route::{Links, OpenRoute, Outlet, Route};
pub use sink::{ByteSink, EventSink, Sink, SinkControl, SinkError};
pub use source::{At, Intake, Made, OnDrain, Pulled, Refusal, Source, SourceError};
pub use spec::{
    BackoffUse, Below, Built, CodecUse, Environment, Exit, ExitRequest, ExitSwitch, Field, Keys, QueueAt,
    Registry, SinkUse, Spec,
};
pub use status::{State, Status};
pub use streams::{Addressing, Command, Connections, DrainTimes, Opening, Openings, PerOrigin};
pub use summons::{JudgeOpen, Summons};
pub use weight::weight;
