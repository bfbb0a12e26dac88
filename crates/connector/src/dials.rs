//! One handshake at a time to each server (RFC 6455, section 4.1).

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};
use tokio::sync::OwnedMutexGuard;

/// Who is in the middle of a handshake with which server; shared by all clients of a process.
#[derive(Clone, Debug, Default)]
pub struct Dials(Arc<Mutex<HashMap<Server, Weak<Queue>>>>);

type Server = (String, u16);
/// Tokio's mutex is fair: who asked first is first.
type Queue = tokio::sync::Mutex<()>;

/// A client's turn, until it is dropped.
#[derive(Debug)]
pub struct Turn {
    _guard: OwnedMutexGuard<()>,
}

impl Dials {
    /// Waits until nobody else is connecting to `host` and `port`; in the order of the calls. Cancel safe.
    ///
    /// Two names of the same host count as two hosts. With TLS or without is the same: the steps that only one may be in
    /// (RFC 6455, section 4.1) begin with the connection, and are told apart by host and port alone.
    pub async fn turn(&self, host: &str, port: u16) -> Turn {
        Turn { _guard: self.server(host, port).lock_owned().await }
    }

    fn server(&self, host: &str, port: u16) -> Arc<Queue> {
        let mut servers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        servers.retain(|_, server| server.strong_count() > 0);
        let server = servers.entry((host.to_ascii_lowercase(), port)).or_default();
        server.upgrade().unwrap_or_else(|| {
            let fresh = Arc::default();
            *server = Arc::downgrade(&fresh);
            fresh
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[tokio::test]
    async fn a_server_has_one_handshake_at_a_time_and_others_are_free() {
        let dials = Dials::default();
        let first = dials.turn("Feed.example", 80).await;
        let mut second = Box::pin(dials.turn("feed.EXAMPLE", 80));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(dials.turn("feed.example", 81).now_or_never().is_some());
        assert!(dials.turn("other.example", 80).now_or_never().is_some());
        drop(first);
        drop(second.await);
        drop(dials.turn("feed.example", 80).await);
        let servers = dials.0.lock().unwrap();
        assert!(servers.len() <= 1, "servers that nobody connects to are forgotten");
    }
}
