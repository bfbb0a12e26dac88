//! Load generators for WebSocket servers that take little of the processor they share with them.
//!
//! Frames are masked before the clock starts, a burst of them is one write, and of the answers only the
//! headers are looked at. One thread drives all connections, unless a load says otherwise.

mod connection;
mod crowd;
mod endless;
mod fairness;
mod fan_out;
mod frames;
mod handshakes;
mod latency;
mod wire;

use std::time::{Duration, Instant};

use tokio::{runtime::Builder, task::JoinSet, time::timeout};

use crate::{
    cpu_time,
    error::{Doing as _, Error, Result},
};
use connection::Connection;

pub(crate) use crowd::Crowd;
pub(crate) use endless::{bystand, endless};
pub(crate) use fairness::{Flood, flood};
pub(crate) use fan_out::fan_out;
pub(crate) use handshakes::handshakes;
pub(crate) use latency::ping_pong;
pub(crate) use wire::{Target, trusting};

/// How long a whole measurement may take, connecting included.
const LIMIT: Duration = Duration::from_secs(120);
/// One part in so many of the messages goes ahead unmeasured.
pub(crate) const WARM_UP_PART: u64 = 20;

/// How much is sent.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    pub(crate) connections: u64,
    /// Unanswered messages per connection.
    pub(crate) in_flight: u64,
    /// Messages of all connections together; a rest that does not divide evenly goes to the first one.
    pub(crate) messages: u64,
}

/// What a load took.
#[derive(Debug)]
pub(crate) struct Measured {
    /// From the first message to the last answer of the slowest connection.
    pub(crate) took: Duration,
    /// Processor time of the server meanwhile, if it can be known.
    pub(crate) server_cpu: Option<Duration>,
    /// Processor time of this process meanwhile.
    pub(crate) own_cpu: Duration,
}

/// Connects, checks one echo per connection by its content, warms up, and sends the load.
///
/// # Errors
/// Whatever goes wrong on a connection, answers that are no echo, and a server that takes too long.
pub(crate) fn run(
    target: &Target,
    load: Load,
    server_cpu: impl Fn() -> Option<Duration>,
) -> Result<Measured> {
    in_time(async {
        let mut connections = Vec::new();
        for _ in 0..load.connections {
            connections.push(Connection::open(target, load.in_flight).await?);
        }
        let warm_up = Load { messages: load.messages / WARM_UP_PART, ..load };
        connections = drive_all(connections, warm_up).await?;
        Ok(metered(server_cpu, drive_all(connections, load)).await?.0)
    })
}

/// Runs a load on this thread, for at most [`LIMIT`].
fn in_time<T>(load: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = Builder::new_current_thread().enable_all().build().doing(|| "start tokio".to_owned())?;
    runtime.block_on(async {
        let late = |_| Error::Answer(format!("the server was not done after {LIMIT:?}"));
        timeout(LIMIT, load).await.map_err(late)?
    })
}

/// Looks at all clocks before and after.
async fn metered<T>(
    server_cpu: impl Fn() -> Option<Duration>,
    load: impl Future<Output = Result<T>>,
) -> Result<(Measured, T)> {
    let (server_before, own_before, start) = (server_cpu(), cpu_time::of_this_process(), Instant::now());
    let result = load.await?;
    let (took, own_after, server_after) = (start.elapsed(), cpu_time::of_this_process(), server_cpu());
    let measured = Measured {
        took,
        server_cpu: server_after.zip(server_before).map(|(after, before)| after.saturating_sub(before)),
        own_cpu: own_after.saturating_sub(own_before),
    };
    Ok((measured, result))
}

/// Sends the load over all connections at once and gives them back when every answer has come.
async fn drive_all(connections: Vec<Connection>, load: Load) -> Result<Vec<Connection>> {
    let share = load.messages / load.connections;
    let mut messages = share + load.messages % load.connections;
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        tasks.spawn(async move { connection.drive(messages, load.in_flight).await.map(|()| connection) });
        messages = share;
    }
    all(tasks).await
}

/// What the tasks return, when all have ended; the first failure ends the others.
async fn all<T: 'static>(mut tasks: JoinSet<Result<T>>) -> Result<Vec<T>> {
    let mut done = Vec::new();
    while let Some(ended) = tasks.join_next().await {
        done.push(ended.map_err(|error| Error::Answer(error.to_string()))??);
    }
    Ok(done)
}

#[cfg(test)]
mod tests;
