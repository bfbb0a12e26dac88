//! The contract of connectors: one connection attempt, and what comes of it.

use crate::{Announcer, Sink, Source, counters::Given, duplex::Duplex};
use async_trait::async_trait;
use futures_util::future::BoxFuture;
use std::{io, sync::Arc};
use thiserror::Error;
use tremor_event::OriginUri;
use tremor_value::Value;

/// An attempt that failed.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The reconnect policy decides whether to try again.
    #[error("{0}")]
    Failed(String),
    /// The other side wants no attempt before that many milliseconds have passed.
    #[error("{cause}")]
    Later {
        /// Why it refused.
        cause: String,
        /// The least time to wait.
        wait_ms: u64,
    },
    /// No further attempt is to be made, whatever the reconnect policy says.
    #[error("{0}")]
    Final(String),
}

/// What a successful attempt gave.
pub enum Connected {
    /// A source, a sink, or both, which work side by side.
    Halves {
        /// The source half with its origin.
        source: Option<(Box<dyn Source>, Arc<OriginUri>)>,
        /// The sink half.
        sink: Option<Sink>,
    },
    /// One connection that is read from and written to.
    Duplex(Duplex),
    /// Connections that others open.
    Listener(Box<dyn Listener>),
}

/// One instance of a connector kind: knows how to connect, nothing of flows.
#[async_trait]
pub trait Connector: Send {
    /// Tells, once and before anything else, whether something reads what the source half gives, and whether
    /// something is linked to the sink half.
    fn linked(&mut self, is_read: bool, is_fed: bool) {
        let _most_kinds_do_not_care = (is_read, is_fed);
    }

    /// Hands over a view of what the source half gives, once and before anything else; not to kinds without one.
    fn watch(&mut self, given: Given) {
        let _most_kinds_do_not_care = given;
    }

    /// Makes one attempt, within the kind's own time limits.
    ///
    /// Dropped while pending when the flow stops, so it must leave nothing behind.
    ///
    /// # Errors
    /// See [`ConnectError`]; the message names the address and the cause.
    async fn connect(&mut self) -> Result<Connected, ConnectError>;
}

/// A handshake under way: ends as a connection, or as the reason why there is none.
pub type Handshake = BoxFuture<'static, Result<Duplex, Refused>>;

/// Why a handshake did not become a connection.
#[derive(Debug)]
pub struct Refused {
    /// For the log; nothing is logged if it is empty.
    pub cause: String,
    /// What port `control` is told, if that is anything.
    pub told: Vec<Told>,
}

/// An event for port `control` that is of no connection.
#[derive(Debug)]
pub struct Told {
    /// The value.
    pub record: Value,
    /// Its metadata.
    pub meta: Value,
    /// Where it comes from.
    pub origin: Arc<OriginUri>,
}

impl From<String> for Refused {
    fn from(cause: String) -> Self {
        Self { cause, told: Vec::new() }
    }
}

/// Accepts connections.
#[async_trait]
pub trait Listener: Send {
    /// Waits for the next peer and gives its handshake, which runs in a task of its own. Cancel safe.
    ///
    /// # Errors
    /// The system cannot accept right now; the caller logs it and tries again soon.
    async fn accept(&mut self) -> io::Result<Handshake>;

    /// Called once, before the first peer is waited for: `announcer` puts events on ports of the connector.
    fn begin(&mut self, _announcer: Announcer) {
        // Most tell nothing before there is a connection.
    }

    /// Whether handshakes that are under way when no more connections are taken [hear so](Self::drain) and tell their peers.
    /// Others are cut then.
    fn answers_to_the_end(&self) -> bool {
        false
    }

    /// No more connections are taken. `true` if peers that come all the same are to be told so: then
    /// [`Listener::accept`] is called further on, and none of its handshakes may end as a connection.
    fn drain(&mut self) -> bool {
        false
    }
}
