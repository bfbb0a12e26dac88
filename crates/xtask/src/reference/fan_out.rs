//! The cheapest way to tell one thing to many: it is put into a frame once, and one task writes that frame
//! to one socket after the other.
//!
//! The first message of a connection subscribes and is echoed. Every further one goes to all subscribers.

use std::net::SocketAddr;

use async_tungstenite::{
    WebSocketStream,
    tokio::{TokioAdapter, accept_async},
    tungstenite::{Error as WsError, protocol::Role},
};
use futures_util::StreamExt as _;
use tokio::{
    io::{AsyncWriteExt as _, join, sink},
    net::{TcpListener, TcpStream, tcp::OwnedWriteHalf},
    runtime::Runtime,
    sync::mpsc,
};

use crate::error::{Doing as _, Result};

/// First byte of a text message in one frame (RFC 6455, section 5.2).
const WHOLE_TEXT: u8 = 0x81;
/// Longest payload whose length fits into the second byte.
const MAX_SHORT_BYTES: usize = 125;
/// Messages that may wait for the task that writes.
const QUEUE: usize = 64;

/// What the task that writes is told.
enum News {
    /// Somebody subscribed with this text.
    Joined(OwnedWriteHalf, Vec<u8>),
    /// Somebody said this to all.
    Said(Vec<u8>),
}

/// Serves until the process is killed.
pub(super) fn run(address: SocketAddr) -> Result<()> {
    let runtime = Runtime::new().doing(|| "start tokio".to_owned())?;
    runtime.block_on(async {
        serve(TcpListener::bind(address).await.doing(|| format!("listen on {address}"))?).await
    })
}

/// Every connection of `listener` is read in a task of its own; one task writes to all.
pub(crate) async fn serve(listener: TcpListener) -> Result<()> {
    let (tell, news) = mpsc::channel(QUEUE);
    tokio::spawn(write(news));
    loop {
        let (stream, _) = listener.accept().await.doing(|| "accept a connection".to_owned())?;
        let tell = tell.clone();
        tokio::spawn(async move {
            // A peer that leaves is how every measurement ends.
            let _gone = read(stream, tell).await;
        });
    }
}

async fn read(stream: TcpStream, tell: mpsc::Sender<News>) -> std::result::Result<(), WsError> {
    stream.set_nodelay(true)?;
    let stream = accept_async(stream).await?.into_inner().into_inner();
    let (input, output) = stream.into_split();
    let input = TokioAdapter::new(join(input, sink()));
    let mut socket = WebSocketStream::from_raw_socket(input, Role::Server, None).await;
    let mut output = Some(output);
    while let Some(message) = socket.next().await {
        let message = message?;
        if !message.is_text() && !message.is_binary() {
            continue;
        }
        let text = message.into_data().to_vec();
        let news = match output.take() {
            Some(output) => News::Joined(output, text),
            None => News::Said(text),
        };
        if tell.send(news).await.is_err() {
            break;
        }
    }
    Ok(())
}

async fn write(mut news: mpsc::Receiver<News>) {
    let mut listeners = Vec::new();
    while let Some(news) = news.recv().await {
        match news {
            News::Joined(mut listener, text) => {
                if listener.write_all(&frame(&text)).await.is_ok() {
                    listeners.push(listener);
                }
            }
            News::Said(text) => {
                let frame = frame(&text);
                for listener in &mut listeners {
                    // Who left hears nothing.
                    let _gone = listener.write_all(&frame).await;
                }
            }
        }
    }
}

/// A text frame of a server; longer texts than a short frame holds are cut.
fn frame(text: &[u8]) -> Vec<u8> {
    let text = text.get(..MAX_SHORT_BYTES).unwrap_or(text);
    let mut frame = vec![WHOLE_TEXT, u8::try_from(text.len()).unwrap_or_default()];
    frame.extend_from_slice(text);
    frame
}
