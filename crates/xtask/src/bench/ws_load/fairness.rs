//! One connection that floods a server, and quiet ones that would like to be answered meanwhile.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Duration,
};

use tokio::{
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval_at},
};

use super::{
    Measured, all,
    connection::Connection,
    in_time,
    latency::{Latencies, timed},
    metered,
    wire::Target,
};
use crate::error::{Error, Result};

/// How much is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Flood {
    /// Unanswered messages of the flooding connection, as many as it can get.
    pub(crate) in_flight: u64,
    /// Connections that send one message every [`Self::pause`].
    pub(crate) quiet: u32,
    pub(crate) pause: Duration,
    /// Messages of each quiet connection.
    pub(crate) messages: u32,
}

/// What the quiet connections met, and how much the flooding one got through.
pub(crate) struct Flooded {
    pub(crate) measured: Measured,
    pub(crate) quiet: Latencies,
    pub(crate) flood_messages: u64,
}

/// Floods from one thread while another one drives the quiet connections, evenly spread over the pause.
///
/// # Errors
/// Whatever goes wrong on a connection, and a server that takes too long.
pub(crate) fn flood(
    target: &Target,
    load: Flood,
    server_cpu: impl Fn() -> Option<Duration>,
) -> Result<Flooded> {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let flooding = scope.spawn(|| {
            in_time(async {
                let mut connection = Connection::open(target, load.in_flight).await?;
                let goes_on = || !over.load(Ordering::Relaxed);
                connection.drive_while(u64::MAX, load.in_flight, goes_on).await
            })
        });
        let quiet = in_time(be_quiet(target, load, server_cpu));
        over.store(true, Ordering::Relaxed);
        let flood_messages =
            flooding.join().map_err(|_| Error::Answer("the flooding thread panicked".to_owned()))??;
        let (measured, quiet) = quiet?;
        Ok(Flooded { measured, quiet, flood_messages })
    })
}

async fn be_quiet(
    target: &Target,
    load: Flood,
    server_cpu: impl Fn() -> Option<Duration>,
) -> Result<(Measured, Latencies)> {
    let mut connections = Vec::new();
    for _ in 0..load.quiet {
        connections.push(Connection::open(target, 1).await?);
    }
    let (measured, latencies) = metered(server_cpu, async {
        let start = Instant::now();
        let mut tasks = JoinSet::new();
        for (number, connection) in (0..).zip(connections) {
            let first = start + load.pause * number / load.quiet;
            tasks.spawn(now_and_then(connection, first, load));
        }
        all(tasks).await
    })
    .await?;
    Ok((measured, Latencies::new(latencies.concat())))
}

async fn now_and_then(mut connection: Connection, first: Instant, load: Flood) -> Result<Vec<u64>> {
    let mut ticks = interval_at(first, load.pause);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut latencies = Vec::new();
    for _ in 0..load.messages {
        ticks.tick().await;
        latencies.push(timed(&mut connection).await?);
    }
    Ok(latencies)
}
