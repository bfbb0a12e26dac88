//! Clients that come, shake hands and go.

use std::{cell::Cell, rc::Rc, time::Duration};

use tokio::task::LocalSet;

use super::{Measured, WARM_UP_PART, connection::Connection, in_time, metered, wire::Target};
use crate::error::{Error, Result};

/// Connects `count` times, `at_once` at a time, and closes each connection once its handshake is done.
///
/// # Errors
/// A handshake that fails, and a server that takes too long.
pub(crate) fn handshakes(
    target: &Target,
    count: u64,
    at_once: usize,
    server_cpu: impl Fn() -> Option<Duration>,
) -> Result<Measured> {
    in_time(async {
        come_and_go(target, count / WARM_UP_PART, at_once).await?;
        Ok(metered(server_cpu, come_and_go(target, count, at_once)).await?.0)
    })
}

async fn come_and_go(target: &Target, count: u64, at_once: usize) -> Result<()> {
    let left = Rc::new(Cell::new(count));
    let clients = LocalSet::new();
    let mut tasks = Vec::new();
    for _ in 0..at_once {
        let (target, left) = (target.clone(), Rc::clone(&left));
        tasks.push(clients.spawn_local(async move {
            while let Some(rest) = left.get().checked_sub(1) {
                left.set(rest);
                drop(Connection::open_silent(&target, 1).await?);
            }
            Ok(())
        }));
    }
    clients
        .run_until(async {
            for task in tasks {
                task.await.map_err(|error| Error::Answer(error.to_string()))??;
            }
            Ok(())
        })
        .await
}
