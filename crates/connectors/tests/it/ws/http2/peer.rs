//! A client of the crate `h2`, with the WebSockets of `async-tungstenite` on its streams.

use super::super::peers::{Port, Ws};
use crate::harness::within;
use async_tungstenite::{
    WebSocketStream,
    tokio::TokioAdapter,
    tungstenite::{Message, protocol::Role},
};
use bytes::Bytes;
use futures_util::StreamExt;
use h2::{RecvStream, SendStream, client::SendRequest, ext::Protocol};
use http::{Method, Request, Response};
use std::future::poll_fn;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, DuplexStream},
    task::JoinHandle,
};

pub(super) struct Peer {
    pub(super) send: SendRequest<Bytes>,
    authority: String,
    connection: JoinHandle<Result<(), h2::Error>>,
}

/// An answer that opens nothing.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: u16,
    pub(super) headers: http::HeaderMap,
    pub(super) body: String,
}

impl Answered {
    pub(super) fn header(&self, name: &str) -> Option<String> {
        self.headers.get(name).map(|value| value.to_str().unwrap().to_owned())
    }
}

impl Peer {
    pub(super) async fn connect(port: &Port) -> Self {
        Self::over(port.tcp().await, &port.address()).await
    }

    /// On a byte stream that is there.
    pub(super) async fn over(
        stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
        authority: &str,
    ) -> Self {
        let mut builder = h2::client::Builder::new();
        // A stream that is not read leaves room for others.
        builder.initial_connection_window_size(1 << 20);
        let (send, mut connection) = within(builder.handshake(stream)).await.unwrap();
        // Whether the server takes WebSockets is known behind its settings.
        let settled = poll_fn(|cx| {
            let over = std::pin::Pin::new(&mut connection).poll(cx);
            assert!(over.is_pending(), "{over:?}");
            if send.is_extended_connect_protocol_enabled() {
                std::task::Poll::Ready(())
            } else {
                std::task::Poll::Pending
            }
        });
        within(settled).await;
        Self { send, authority: authority.to_owned(), connection: tokio::spawn(connection) }
    }

    /// A request for a WebSocket.
    pub(super) fn request(&self, path: &str, fields: &[(&str, &str)]) -> Request<()> {
        let uri = format!("https://{}{path}", self.authority);
        let mut request = Request::builder().method(Method::CONNECT).uri(uri);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut request = request.body(()).unwrap();
        request.extensions_mut().insert(Protocol::from_static("websocket"));
        request
    }

    /// Sends `request`; gives the answer and the stream behind it.
    pub(super) async fn send(
        &mut self,
        request: Request<()>,
        ends: bool,
    ) -> Result<(Response<RecvStream>, SendStream<Bytes>), h2::Error> {
        let mut ready = within(self.send.clone().ready()).await?;
        let (response, send) = ready.send_request(request, ends)?;
        Ok((within(response).await?, send))
    }

    /// The answer to a request that opens nothing; a stream that it opens all the same is given up.
    pub(super) async fn answer(&mut self, request: Request<()>, ends: bool) -> Answered {
        let (response, _send) = self.send(request, ends).await.unwrap();
        let (parts, mut body) = response.into_parts();
        let mut bytes = Vec::new();
        while parts.status != 200 || parts.headers.contains_key("content-length") {
            match within(body.data()).await {
                Some(piece) => bytes.extend_from_slice(&piece.unwrap()),
                None => break,
            }
        }
        let body = String::from_utf8(bytes).unwrap();
        Answered { status: parts.status.as_u16(), headers: parts.headers, body }
    }

    /// The same for a good request.
    pub(super) async fn ask(&mut self, path: &str) -> Answered {
        let request = self.request(path, &[("sec-websocket-version", "13")]);
        self.answer(request, false).await
    }

    /// The raw stream of a WebSocket.
    pub(super) async fn open_raw(&mut self, path: &str) -> (SendStream<Bytes>, RecvStream) {
        let request = self.request(path, &[("sec-websocket-version", "13")]);
        let (response, send) = self.send(request, false).await.unwrap();
        assert_eq!(response.status(), 200);
        (send, response.into_body())
    }

    /// The same as a byte stream.
    pub(super) async fn open_bytes(&mut self, path: &str) -> DuplexStream {
        let (send, receive) = self.open_raw(path).await;
        piped(send, receive)
    }

    pub(super) async fn open_with(
        &mut self,
        path: &str,
        fields: &[(&str, &str)],
    ) -> (Response<()>, Ws<DuplexStream>) {
        let request = self.request(path, fields);
        let (response, send) = self.send(request, false).await.unwrap();
        let (parts, receive) = response.into_parts();
        let stream = TokioAdapter::new(piped(send, receive));
        let ws = WebSocketStream::from_raw_socket(stream, Role::Client, None).await;
        (Response::from_parts(parts, ()), ws)
    }

    pub(super) async fn open(&mut self, path: &str) -> Ws<DuplexStream> {
        let (response, ws) = self.open_with(path, &[("sec-websocket-version", "13")]).await;
        assert_eq!(response.status(), 200);
        ws
    }

    /// Waits for the end of the connection; why it ended.
    pub(super) async fn ended(self) -> Result<(), h2::Error> {
        let Self { send, connection, .. } = self;
        let ended = within(connection).await.unwrap();
        drop(send);
        ended
    }
}

/// A byte stream in place of a stream of HTTP/2.
fn piped(mut send: SendStream<Bytes>, mut receive: RecvStream) -> DuplexStream {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (mut reading, mut writing) = tokio::io::split(far);
    tokio::spawn(async move {
        let mut buffer = vec![0; 16 * 1024];
        loop {
            let len = reading.read(&mut buffer).await.unwrap_or(0);
            if len == 0 {
                let _gone_or_not = send.send_data(Bytes::new(), true);
                return;
            }
            let mut rest = &buffer[..len];
            while !rest.is_empty() {
                send.reserve_capacity(rest.len());
                let Some(Ok(room)) = poll_fn(|cx| send.poll_capacity(cx)).await else { return };
                let (now, later) = rest.split_at(room.min(rest.len()));
                if send.send_data(Bytes::copy_from_slice(now), false).is_err() {
                    return;
                }
                rest = later;
            }
        }
    });
    tokio::spawn(async move {
        while let Some(Ok(bytes)) = receive.data().await {
            let _gone_or_not = receive.flow_control().release_capacity(bytes.len());
            if writing.write_all(&bytes).await.is_err() {
                return;
            }
        }
        let _gone_or_not = writing.shutdown().await;
    });
    near
}

/// What comes until the end of a WebSocket: the message that is no Close, if there is one.
pub(super) async fn next_close<S>(ws: &mut Ws<S>) -> Option<Message>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        match within(ws.next()).await {
            Some(Ok(Message::Close(_))) => {}
            Some(Ok(other)) => return Some(other),
            Some(Err(_)) | None => return None,
        }
    }
}
