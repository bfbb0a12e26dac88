//! The echo server that everybody would write with `async-tungstenite`: message in, message out.

use std::net::SocketAddr;

use async_tungstenite::{tokio::accept_async, tungstenite::Error as WsError};
use futures_util::StreamExt as _;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};

use crate::error::{Doing as _, Result};

/// Serves until the process is killed.
pub(super) fn run(address: SocketAddr) -> Result<()> {
    let runtime = Runtime::new().doing(|| "start tokio".to_owned())?;
    runtime.block_on(async {
        let listener = TcpListener::bind(address).await.doing(|| format!("listen on {address}"))?;
        serve(listener).await
    })
}

/// Echoes on every connection of `listener`, each in a task of its own.
pub(crate) async fn serve(listener: TcpListener) -> Result<()> {
    loop {
        let (stream, _) = listener.accept().await.doing(|| "accept a connection".to_owned())?;
        tokio::spawn(async move {
            // A peer that leaves is how every measurement ends.
            let _gone = echo(stream).await;
        });
    }
}

async fn echo(stream: TcpStream) -> std::result::Result<(), WsError> {
    stream.set_nodelay(true)?;
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        let message = message?;
        if message.is_text() || message.is_binary() {
            socket.send(message).await?;
        }
    }
    Ok(())
}
