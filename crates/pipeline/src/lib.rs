//! Executable pipelines: the graph of a compiled query, and instances of it that events run through.
//!
//! A [`Graph`] is built once from a [`PipelineDefinition`](tremor_lang::PipelineDefinition) and shared. A
//! [`Pipeline`] is one instance with its own state; batches go in at an input port and come out in [`Outputs`].
//! There is no IO, no clock and no queue here.

mod build;
mod counts;
mod graph;
mod instance;
mod oneshot;
pub mod operators;
mod order;
mod reach;
mod receipts;
mod script;
mod select;

pub use build::BuildError;
pub use counts::Reading;
pub use graph::{Graph, PortId};
pub use instance::{Outputs, Pipeline, ProcessContext, Report};
pub use oneshot::ScriptRunner;
pub use operators::{Environment, Mediator};
pub use reach::{MediatorId, Reach};
