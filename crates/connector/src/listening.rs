//! Accepts connections and runs each in a task of its own.

use crate::{
    Handshake, Listener,
    beacon::Beacon,
    connection::{Alive, Connection, Unwritten},
    duplex::Address,
    inlet::{Inlet, SourceShared},
    quota::{Quota, more_before},
    streams::Streams,
    task::TARGET,
};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{task::JoinSet, time};
use tracing::{debug, error, info};

/// Wait after the system could not accept, for example because too many files are open.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What the connections of one listener share.
#[derive(Clone)]
pub(crate) struct Listening {
    pub(crate) alias: Arc<str>,
    pub(crate) source: Arc<SourceShared>,
    pub(crate) streams: Arc<Streams>,
    pub(crate) beacon: Beacon,
    pub(crate) next_stream: Arc<AtomicU64>,
    pub(crate) refusals: Arc<Mutex<Quota>>,
}

impl Listening {
    /// Accepts until reading ends, then lets the open connections finish. Whoever holds the other end of `alive`
    /// hears when no connection will give events any more.
    pub(crate) async fn run(self, mut listener: Box<dyn Listener>, alive: Alive) {
        let mut connections = JoinSet::new();
        self.accept(&mut *listener, &mut connections, &alive).await;
        // The port is free again while open connections finish.
        drop((listener, alive));
        while let Some(ended) = connections.join_next().await {
            self.look_at(ended);
        }
    }

    async fn accept(&self, listener: &mut dyn Listener, connections: &mut JoinSet<()>, alive: &Alive) {
        let gate = self.source.gate.clone();
        loop {
            tokio::select! {
                biased;
                () = self.beacon.stopped() => return,
                () = gate.ended() => return,
                // Before the next one is accepted: a flood must not keep the ends of connections waiting.
                Some(ended) = connections.join_next() => self.look_at(ended),
                accepted = listener.accept() => match accepted {
                    Ok(handshake) => {
                        connections.spawn(self.clone().serve(handshake, alive.clone()));
                    }
                    Err(error) => {
                        error!(target: TARGET, "[Connector::{}] cannot accept: {error}", self.alias);
                        time::sleep(ACCEPT_RETRY).await;
                    }
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

    async fn serve(self, handshake: Handshake, alive: Alive) {
        // Boxed, so that nobody pays for the handshake as long as the connection lives.
        let Some((connection, registered)) = Box::pin(self.open(handshake, alive)).await else { return };
        let ended = connection.run().await;
        let Registered { stream, address, .. } = &registered;
        debug!(
            target: TARGET,
            "[Connector::{}] connection {stream} with {}:{} ended: {}", self.alias, address.host, address.port, ended.cause
        );
    }

    /// Does the handshake and puts the connection on the table.
    async fn open(&self, handshake: Handshake, alive: Alive) -> Option<(Box<Connection>, Registered)> {
        let gate = self.source.gate.clone();
        let duplex = tokio::select! {
            duplex = handshake => duplex,
            () = gate.ended() => return None,
            () = self.beacon.stopped() => return None,
        };
        let duplex = match duplex {
            Ok(duplex) => duplex,
            Err(cause) => {
                self.refused(&cause);
                return None;
            }
        };
        let stream = self.next_stream.fetch_add(1, Relaxed);
        let address = duplex.address.clone();
        let outbox = self.streams.open(stream, &address, &duplex.meta);
        let registered = Registered { streams: self.streams.clone(), stream, address };
        let inlet = Inlet::open(&self.source, stream, duplex.origin.clone(), duplex.meta.clone());
        let connection = Connection::new(duplex, inlet, outbox, Unwritten::Fail, &self.beacon, alive);
        Some((connection, registered))
    }

    fn refused(&self, cause: &str) {
        let mut refusals = self.refusals.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left_out) = refusals.may_log(1, time::Instant::now()) {
            let more = more_before(left_out);
            info!(target: TARGET, "[Connector::{}] a handshake failed: {cause}{more}", self.alias);
        }
    }
}

/// Takes a connection off the table however it ends.
struct Registered {
    streams: Arc<Streams>,
    stream: u64,
    address: Address,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.streams.close(self.stream, &self.address);
    }
}
