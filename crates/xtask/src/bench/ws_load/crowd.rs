//! Many connections that do nothing.

use tokio::{
    runtime::{Builder, Runtime},
    task::JoinSet,
};

use super::{all, connection::Connection, wire::Target};
use crate::error::{Doing as _, Result};

/// Handshakes under way at once.
const AT_ONCE: usize = 64;

/// Open connections; they close when this is dropped.
pub(crate) struct Crowd {
    runtime: Runtime,
    target: Target,
    connections: Vec<Connection>,
}

impl Crowd {
    /// Nobody yet.
    pub(crate) fn new(target: Target) -> Result<Self> {
        let runtime =
            Builder::new_current_thread().enable_all().build().doing(|| "start tokio".to_owned())?;
        Ok(Self { runtime, target, connections: Vec::new() })
    }

    /// Opens so many more.
    ///
    /// # Errors
    /// Whatever goes wrong on a connection; those that are open stay so.
    pub(crate) fn join(&mut self, count: usize) -> Result<()> {
        self.runtime.block_on(async {
            let mut left = count;
            while left > 0 {
                let mut tasks = JoinSet::new();
                for _ in 0..left.min(AT_ONCE) {
                    let target = self.target.clone();
                    tasks.spawn(async move { Connection::open_silent(&target, 1).await });
                }
                left -= tasks.len();
                self.connections.extend(all(tasks).await?);
            }
            Ok(())
        })
    }

    /// Every connection sends one message and checks the answer.
    ///
    /// # Errors
    /// An answer that is no echo, and whatever goes wrong on a connection.
    pub(crate) fn exchange(&mut self) -> Result<()> {
        self.runtime.block_on(async {
            for connection in &mut self.connections {
                connection.probe().await?;
            }
            Ok(())
        })
    }

    /// Closes all.
    pub(crate) fn leave(&mut self) {
        self.connections.clear();
    }
}
