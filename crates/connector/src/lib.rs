//! What connectors are made of: the traits a kind implements, and the tasks that run it.
//!
//! A kind ([`Spec`]) builds a [`Connector`], which knows how to make one connection attempt. Everything
//! else is common: reading streams into pipelines, writing batches, reconnecting, pausing, draining,
//! stopping. [`Instance`] is a connector before it works, [`Handle`] one that does.

pub mod config;
pub mod duplex;
pub mod reconnect;
pub mod socket;
pub mod tls;
pub mod url;

mod beacon;
mod connect;
mod connection;
mod counters;
mod deliver;
mod dials;
mod drain;
mod gate;
mod half;
mod inlet;
mod instance;
mod listening;
mod outbox;
mod queue;
mod queued;
mod route;
mod sink;
mod source;
mod spec;
mod status;
mod streams;
mod task;
mod weight;

pub use connect::{ConnectError, Connected, Connector, Handshake, Listener};
pub use counters::SinkTotals;
pub use deliver::{Deliver, SinkShared};
pub use dials::{Dials, Turn};
pub use drain::DrainBoard;
pub use gate::{Gate, Readiness};
pub use instance::{Definition, DefinitionError, Handle, Instance};
pub use outbox::{SendQueue, WhenFull};
pub use queue::{Receiver, Sender, bounded};
pub use route::{Links, OpenRoute, Outlet, Route};
pub use sink::{ByteSink, EventSink, Sink, SinkError};
pub use source::{Intake, Made, OnDrain, Pulled, Source, SourceError};
pub use spec::{
    BackoffUse, Built, CodecUse, Environment, ExitRequest, ExitSwitch, Field, Registry, SinkUse, Spec,
};
pub use status::{State, Status};
pub use streams::Addressing;
pub use weight::weight;
