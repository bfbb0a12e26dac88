//! The REST API of `server run` (`spec/cli.md` 6): version and status of the runtime, its flows and connectors.
//!
//! HTTP/1.1 without TLS and without authentication, so it listens on loopback unless told otherwise. What it shows
//! and changes is behind [`ApiState`]; this module knows HTTP only.

mod model;
mod reply;
mod serve;
mod visits;

pub use model::{ApiState, Connectivity, Connector, Events, Flow, PatchError, PipelinePort, Status};
pub use serve::serve;
