//! What works while there is a connection: a source, a sink, one connection of both, or a listener for many.

use super::{SinkHalf, TARGET, Task};
use crate::{
    Connected, Sink,
    beacon::Beacon,
    connection::{Alive, Connection, Ended, Unwritten},
    duplex::Duplex,
    half::{self, SourceEnd},
    inlet::Inlet,
    listening,
    queued::Command,
    quota::Tally,
    status::Report,
};
use tokio::{sync::mpsc, time::Instant};
use tracing::{info, warn};

impl Task {
    pub(super) fn connected(&mut self, connected: Connected, report_to: &mpsc::UnboundedSender<Report>) {
        self.backoff.connected();
        self.tell_left_out();
        self.parts.since = Some(Instant::now());
        self.parts.beacon = Beacon::default();
        self.parts.connection += 1;
        let (alive, source_done) = mpsc::channel(1);
        self.parts.source_done = Some(source_done);
        match connected {
            Connected::Halves { source, sink } => {
                // Behind the drain marks nothing may follow.
                let source = source.filter(|_| !self.parts.marked);
                if let (Some((source, origin)), Some(shared)) = (source, &self.source) {
                    let inlet = Inlet::open(shared, 0, origin, tremor_value::Value::record())
                        .listening(source.listener());
                    self.spawn_source(source, inlet, alive, report_to.clone());
                }
                if let Some(sink) = sink {
                    self.use_sink(sink);
                }
            }
            Connected::Duplex(duplex) => self.spawn_connection(duplex, alive, report_to.clone()),
            Connected::Listener(listener) => self.spawn_listener(listener, alive),
        }
        info!(target: TARGET, "[Connector::{}] Connected", self.alias);
        self.status.send_modify(|status| status.connected = true);
        if let Some(sink) = &self.sink {
            sink.shared().open(self.parts.connection);
        }
        if let Some(starting) = self.parts.starting.take() {
            let _nobody_waits = starting.send(Ok(()));
        }
    }

    pub(super) fn spawn_source(
        &mut self,
        source: Box<dyn crate::Source>,
        inlet: Inlet,
        alive: Alive,
        report_to: mpsc::UnboundedSender<Report>,
    ) {
        let (beacon, alias) = (self.parts.beacon.clone(), self.alias.clone());
        let connection = self.parts.connection;
        self.parts.tasks.spawn(async move {
            let report = match half::run(source, inlet, beacon, &alias).await {
                SourceEnd::Finished => Some(Report::SourceFinished),
                SourceEnd::Told => None,
                SourceEnd::Lost { cause, clean } => {
                    Some(Report::Lost { connection, cause, clean, is_busy: false })
                }
            };
            drop(alive);
            if let Some(report) = report {
                let _connector_has_ended = report_to.send(report);
            }
        });
    }

    pub(super) fn use_sink(&mut self, sink: Sink) {
        if let Some(SinkHalf::Queued { commands, .. }) = &self.sink {
            let _task_has_ended = commands.send(Command::Use(sink, self.parts.connection));
        }
    }

    pub(super) fn spawn_connection(
        &mut self,
        duplex: Duplex,
        alive: Alive,
        report_to: mpsc::UnboundedSender<Report>,
    ) {
        let (Some(source), Some(SinkHalf::Connections { streams, .. })) = (&self.source, &self.sink) else {
            return;
        };
        let Some(outbox) = streams.single(duplex.address.conn, &duplex.meta) else { return };
        let peer = duplex.address.peer();
        let exit = duplex.exit.as_deref().unwrap_or("out");
        let inlet = Inlet::with_exit(source, 0, duplex.origin.clone(), duplex.meta.clone(), exit);
        let mut at_work =
            Connection::new(duplex, inlet, (outbox, streams), Unwritten::Keep, &self.parts.beacon, alive);
        let connection = self.parts.connection;
        self.parts.peer = Some(peer.clone());
        let alias = self.alias.clone();
        self.parts.tasks.spawn(async move {
            let Ended { cause, clean, .. } = at_work.run().await;
            // A new connection is not made before the socket of the old one is gone.
            if at_work.lingers() {
                Box::pin(at_work.linger()).await;
            }
            let is_busy = at_work.is_peer_busy();
            if let Some(line) = at_work.cut_short() {
                warn!(target: TARGET, "[Connector::{alias}] the connection with {peer} {line}");
            }
            let late = at_work.came_too_late();
            if late > 0 {
                let (s, were) = if late == 1 { ("", "was") } else { ("s", "were") };
                warn!(
                    target: TARGET,
                    "[Connector::{alias}] {late} message{s} of {peer} came after the end of the drain and {were} thrown away"
                );
            }
            drop(at_work);
            let _connector_has_ended = report_to.send(Report::Lost { connection, cause, clean, is_busy });
        });
    }

    pub(super) fn spawn_listener(&mut self, listener: Box<dyn crate::Listener>, alive: Alive) {
        let (Some(source), Some(SinkHalf::Connections { streams, .. })) = (&self.source, &self.sink) else {
            return;
        };
        let listening = listening::Listening {
            alias: self.alias.as_str().into(),
            source: source.clone(),
            streams: streams.clone(),
            beacon: self.parts.beacon.clone(),
            next_stream: self.parts.next_stream.clone(),
            refusals: Tally::default(),
            cut_short: Tally::default(),
            telling: listening::Telling::default(),
            telling_late: tokio::sync::Semaphore::new(listening::MOST_LATE),
            answers_to_the_end: false,
        };
        self.parts.tasks.spawn(listening.run(listener, alive));
    }
}
