//! Accepts connections and runs each in a task of its own.

use crate::{
    Handshake, Listener,
    beacon::Beacon,
    connection::{Connection, Unwritten},
    inlet::{Inlet, SourceShared},
    streams::Streams,
    task::TARGET,
};
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{sync::oneshot, task::JoinSet, time};
use tracing::{debug, error, info};

/// Wait after the system could not accept, for example because too many files are open.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// What the connections of one listener share.
#[derive(Clone)]
pub(crate) struct Listening {
    pub(crate) alias: String,
    pub(crate) source: Arc<SourceShared>,
    pub(crate) streams: Arc<Streams>,
    pub(crate) beacon: Beacon,
    pub(crate) next_stream: Arc<AtomicU64>,
}

impl Listening {
    /// Accepts until reading ends, then lets the open connections finish. `done` hears when no connection
    /// will give events any more.
    pub(crate) async fn run(self, mut listener: Box<dyn Listener>, done: oneshot::Sender<()>) {
        let mut connections = JoinSet::new();
        let mut reading: JoinSet<()> = JoinSet::new();
        self.accept(&mut *listener, &mut connections, &mut reading).await;
        // The port is free again while open connections finish.
        drop(listener);
        while reading.join_next().await.is_some() {}
        let _nobody_waits = done.send(());
        while connections.join_next().await.is_some() {}
    }

    async fn accept(
        &self,
        listener: &mut dyn Listener,
        connections: &mut JoinSet<()>,
        reading: &mut JoinSet<()>,
    ) {
        let gate = self.source.gate.clone();
        loop {
            tokio::select! {
                biased;
                () = self.beacon.stopped() => return,
                () = gate.ended() => return,
                accepted = listener.accept() => match accepted {
                    Ok(handshake) => {
                        let (source_done, was_read) = oneshot::channel::<()>();
                        connections.spawn(self.clone().serve(handshake, source_done));
                        reading.spawn(async move {
                            let _done_or_gone = was_read.await.is_err();
                        });
                    }
                    Err(error) => {
                        error!(target: TARGET, "[Connector::{}] cannot accept: {error}", self.alias);
                        time::sleep(ACCEPT_RETRY).await;
                    }
                },
                Some(ended) = connections.join_next() => {
                    if ended.is_err_and(|error| error.is_panic()) {
                        error!(target: TARGET, "[Connector::{}] an internal error ended a connection", self.alias);
                    }
                }
                Some(_) = reading.join_next() => {}
            }
        }
    }

    async fn serve(self, handshake: Handshake, source_done: oneshot::Sender<()>) {
        let gate = self.source.gate.clone();
        let duplex = tokio::select! {
            duplex = handshake => duplex,
            () = gate.ended() => return,
        };
        let duplex = match duplex {
            Ok(duplex) => duplex,
            Err(cause) => {
                info!(target: TARGET, "[Connector::{}] a handshake failed: {cause}", self.alias);
                return;
            }
        };
        let stream = self.next_stream.fetch_add(1, Relaxed);
        let address = duplex.address.clone();
        let outbox = self.streams.open(stream, &address);
        let inlet = Inlet::open(&self.source, stream, duplex.origin.clone(), duplex.meta.clone());
        let _close_at_the_end = Registered { streams: &self.streams, stream, address: &address };
        let connection = Connection::new(duplex, inlet, outbox, self.beacon.clone(), source_done);
        let ended = connection.run(Unwritten::Fail).await;
        debug!(
            target: TARGET,
            "[Connector::{}] connection {stream} with {}:{} ended: {}", self.alias, address.host, address.port, ended.cause
        );
    }
}

/// Takes a connection off the table however it ends.
struct Registered<'a> {
    streams: &'a Streams,
    stream: u64,
    address: &'a crate::duplex::Address,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.streams.close(self.stream, self.address);
    }
}
