//! What connectors are made of: the traits a kind implements, and the tasks that run it.
//!
//! A kind ([`Spec`]) builds a [`Connector`], which knows how to make one connection attempt. Everything
//! else is common: reading streams into pipelines, writing batches, reconnecting, pausing, draining,
//! stopping. See [`task`] for the life of one instance.

pub mod config;
pub mod reconnect;
pub mod socket;
pub mod tls;
pub mod url;

mod gate;

pub use gate::{Gate, Readiness};
