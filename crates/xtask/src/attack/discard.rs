//! A listener that accepts everything and throws it away.

use std::{net::SocketAddr, thread};

use tokio::{io::AsyncReadExt as _, net::TcpListener, runtime::Builder, sync::oneshot};

use crate::error::{Doing as _, Result};

/// What is read at once.
const PIECE_BYTES: usize = 64 * 1_024;

/// Listens until dropped.
pub(super) struct Discard {
    pub(super) address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Discard {
    /// On loopback, in a thread of its own.
    pub(super) fn start() -> Result<Self> {
        let runtime =
            Builder::new_current_thread().enable_all().build().doing(|| "start tokio".to_owned())?;
        let listener =
            runtime.block_on(TcpListener::bind("127.0.0.1:0")).doing(|| "listen on loopback".to_owned())?;
        let address = listener.local_addr().doing(|| "ask for an address".to_owned())?;
        let (stop, stopped) = oneshot::channel();
        let thread = thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    () = discard(listener) => {}
                    _ = stopped => {}
                }
            });
        });
        Ok(Self { address, stop: Some(stop), thread: Some(thread) })
    }
}

async fn discard(listener: TcpListener) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else { continue };
        tokio::spawn(async move {
            let mut piece = Vec::with_capacity(1_024);
            while stream.read_buf(&mut piece).await.is_ok_and(|read| read > 0) {
                if piece.len() == piece.capacity() && piece.capacity() < PIECE_BYTES {
                    piece.reserve_exact(PIECE_BYTES);
                }
                piece.clear();
            }
        });
    }
}

impl Drop for Discard {
    fn drop(&mut self) {
        let _gone = self.stop.take().map(|stop| stop.send(()));
        if let Some(thread) = self.thread.take() {
            let _panicked = thread.join();
        }
    }
}
