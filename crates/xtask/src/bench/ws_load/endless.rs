//! Echoes without an end.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::Duration,
};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::runtime::Builder;

use super::{
    connection::Connection,
    latency::{Latencies, timed},
    wire::Target,
};
use crate::error::{Doing as _, Result};

const CONNECTIONS: u64 = 16;
const IN_FLIGHT: u64 = 64;
/// Messages after which a connection is replaced by a new one.
const LIFE: u64 = 200_000;
/// Messages between two looks at whether it is over.
const STEP: u64 = 2_000;
/// How long a bystander waits before its next message.
const PAUSE: Duration = Duration::from_millis(5);

/// Echoes on 16 connections with 64 messages in flight each, counting `answered`, until it is `over`.
///
/// # Errors
/// Whatever goes wrong on a connection, and answers that are no echo.
pub(crate) fn endless(target: &Target, answered: &AtomicU64, over: &AtomicBool) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build().doing(|| "start tokio".to_owned())?;
    runtime.block_on(async {
        let lives = (0..CONNECTIONS).map(|number| lives(target, number, answered, over));
        let mut lives: FuturesUnordered<_> = lives.collect();
        while let Some(ended) = lives.next().await {
            ended?;
        }
        Ok(())
    })
}

/// One connection after the other.
async fn lives(target: &Target, number: u64, answered: &AtomicU64, over: &AtomicBool) -> Result<()> {
    // So that they do not all end at the same time.
    let mut left = LIFE * (number + 1) / CONNECTIONS;
    while !over.load(Ordering::Relaxed) {
        let mut connection = Connection::open(target, IN_FLIGHT).await?;
        while left > 0 && !over.load(Ordering::Relaxed) {
            connection.drive(STEP, IN_FLIGHT).await?;
            answered.fetch_add(STEP, Ordering::Relaxed);
            left = left.saturating_sub(STEP);
        }
        left = LIFE;
    }
    Ok(())
}

/// One message after the other over one connection until it is `over`, each timed.
///
/// # Errors
/// As [`endless`].
pub(crate) fn bystand(target: &Target, over: &AtomicBool) -> Result<Latencies> {
    let runtime = Builder::new_current_thread().enable_all().build().doing(|| "start tokio".to_owned())?;
    runtime.block_on(async {
        let mut connection = Connection::open(target, 1).await?;
        let mut latencies = Vec::new();
        while !over.load(Ordering::Relaxed) {
            latencies.push(timed(&mut connection).await?);
            tokio::time::sleep(PAUSE).await;
        }
        Ok(Latencies::new(latencies))
    })
}
