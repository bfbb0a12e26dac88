//! The other side of the wire: `async-tungstenite`, and bare sockets for what it would never do.

use crate::harness::{Linked, Seen, Subject, definition, json, within};
use async_tungstenite::{
    WebSocketStream,
    tokio::{TokioAdapter, accept_async, client_async},
    tungstenite::Message,
};
use futures_util::StreamExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpSocket, TcpStream},
};
use tremor_connector::Definition;
use tremor_event::{Event, EventBatch};
use tremor_value::Value;

pub(super) type Ws<S = TcpStream> = WebSocketStream<TokioAdapter<S>>;

/// A port that nobody else is given while this lives: it is bound, but nobody listens.
pub(super) struct Port {
    _bound: TcpSocket,
    pub(super) number: u16,
}

impl Port {
    pub(super) fn reserve() -> Self {
        let bound = TcpSocket::new_v4().unwrap();
        bound.set_reuseaddr(true).unwrap();
        bound.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let number = bound.local_addr().unwrap().port();
        Self { _bound: bound, number }
    }

    pub(super) fn listen(&self) -> TcpListener {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        // Little stays with the system, so that messages have to wait where they are counted.
        socket.set_recv_buffer_size(4096).unwrap();
        socket.bind(self.address().parse().unwrap()).unwrap();
        socket.listen(128).unwrap()
    }

    pub(super) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.number)
    }

    pub(super) async fn tcp(&self) -> TcpStream {
        within(TcpStream::connect(self.address())).await.unwrap()
    }

    /// The same, where little stays with the system of what nobody reads.
    pub(super) async fn slow_tcp(&self) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        within(socket.connect(self.address().parse().unwrap())).await.unwrap()
    }

    /// A good client.
    pub(super) async fn client(&self) -> Ws {
        self.client_at("/").await
    }

    /// The same with another path.
    pub(super) async fn client_at(&self, path: &str) -> Ws {
        let uri = format!("ws://{}{path}", self.address());
        within(client_async(uri, self.tcp().await)).await.unwrap().0
    }

    /// Sends `request` and reads the head of the answer.
    pub(super) async fn ask_head(&self, request: &str) -> String {
        let mut tcp = self.tcp().await;
        tcp.write_all(request.as_bytes()).await.unwrap();
        head(&mut tcp).await
    }

    /// Sends `request` and reads the answer to its end.
    pub(super) async fn ask(&self, request: &str) -> String {
        let mut tcp = self.tcp().await;
        tcp.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        within(tcp.read_to_string(&mut answer)).await.unwrap();
        answer
    }
}

/// An upgrade request as it should be, with `more` header lines.
pub(super) fn upgrade(host: &str, more: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
    )
}

/// Reads the head of an answer and leaves the connection open.
pub(super) async fn head(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(stream.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

pub(super) fn server_definition(port: &Port, more: &str) -> Definition {
    let config = format!(r#"{{"url": "{}"{more}}}"#, port.address());
    definition("ws_server", &config, r#""json""#, "")
}

/// A server at work, with `more` members of its configuration.
pub(super) async fn server(more: &str) -> (Subject, Port) {
    let port = Port::reserve();
    let subject = Subject::started(&server_definition(&port, more)).await;
    (subject, port)
}

pub(super) fn client_definition(port: &Port, more: &str, reconnect: &str) -> Definition {
    let config = format!(r#"{{"url": "ws://{}/"{more}}}"#, port.address());
    let mut definition = definition("ws_client", &config, r#""json""#, "");
    definition.reconnect = Some(json(reconnect));
    definition
}

/// A client that is not started yet.
pub(super) fn client(port: &Port, more: &str, reconnect: &str) -> Subject {
    Subject::new(&client_definition(port, more, reconnect), Linked::Fully).unwrap()
}

pub(super) async fn accept(listener: &TcpListener) -> Ws {
    let tcp = within(listener.accept()).await.unwrap().0;
    within(accept_async(tcp)).await.unwrap()
}

/// Sends back what the connector gives, with other metadata if `change` says so, until it has ended.
pub(super) fn echo(mut subject: Subject, change: impl Fn(&mut Event) + Send + 'static) {
    let into = subject.way_in();
    tokio::spawn(async move {
        while let Some(seen) = subject.take().await {
            if let Seen::Event("out", mut event) = seen {
                change(&mut event);
                into.deliver(0, EventBatch::from(event)).await;
            }
        }
    });
}

pub(super) fn text(text: impl ToString) -> Message {
    Message::text(text.to_string())
}

/// The next text message.
pub(super) async fn next_text<S>(ws: &mut Ws<S>) -> String
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        match within(ws.next()).await.unwrap().unwrap() {
            Message::Text(text) => return text.to_string(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("no text but {other:?}"),
        }
    }
}

/// The code of the Close that comes next; what comes before is skipped. 1006 without one.
pub(super) async fn close_code<S>(ws: &mut Ws<S>) -> u16
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    loop {
        match within(ws.next()).await {
            Some(Ok(Message::Close(frame))) => return frame.map_or(1005, |frame| frame.code.into()),
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return 1006,
        }
    }
}

/// Sends `message` and expects it back.
pub(super) async fn round_trip<S>(ws: &mut Ws<S>, message: impl ToString)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let message = message.to_string();
    within(ws.send(text(&message))).await.unwrap();
    assert_eq!(next_text(ws).await, message);
}

/// A member of the configuration of a server that waits for peers which read slowly, however busy the machine is.
pub(super) const PATIENT: &str = r#", "send_queue": {"block_timeout": 0}"#;

/// Sends messages of very different sizes while it reads, and expects all of them back, in order. The server should be
/// `PATIENT`.
pub(super) async fn mixed_sizes_come_back<S>(ws: Ws<S>)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
{
    let sizes = [1, 5, 40_000, 3, 100, 16_384, 2 << 20, 65_536, 65_537, 10, 300_000, 1].repeat(3);
    let messages: Vec<String> = sizes
        .iter()
        .enumerate()
        .map(|(number, size)| format!("\"{number} {}\"", "y".repeat(*size)))
        .collect();
    let (mut sending, mut receiving) = ws.split();
    let send = async {
        for message in &messages {
            sending.send(text(message)).await.unwrap();
        }
    };
    let receive = async {
        for message in &messages {
            let answer = receiving.next().await.unwrap().unwrap().into_text().unwrap();
            assert!(answer.as_str() == message, "{} bytes for {}", answer.len(), message.len());
        }
    };
    within(async { tokio::join!(send, receive) }).await;
}

/// The metadata of the connection that sent `event`.
pub(super) fn of_server(event: &Event) -> Value {
    event.meta.get("ws_server").unwrap().clone()
}
