//! A WebSocket as the one stream of an HTTP/2 connection (`spec/websocket.md` 18.3).

use crate::ws::{
    http2::{Http2Stream, Line, SEND_BYTES, WINDOW_BYTES, Watched, explain},
    options::Settings,
};
use bytes::Bytes;
use h2::{
    client::{Builder, Connection},
    ext::Protocol,
};
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
    time::Duration,
};
use tokio::{sync::Semaphore, time::sleep};
use tremor_connector::{config::ConfigError, duplex::Stream};
use tremor_value::Value;
use tremor_ws::{ClientConnect, ClientError, ClientRequest, Refusal, Response};

/// `http2`: where it is spoken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Http2 {
    Off,
    /// With TLS, if the server takes the offer.
    Offered,
    /// Without TLS, too, and without being asked.
    Known,
}

/// Why there is no stream.
pub(super) enum Failure {
    /// The server takes no WebSockets over HTTP/2.
    NotOffered,
    Answer(Box<Refusal>),
    Other(String),
}

impl Http2 {
    pub(super) fn read(settings: &mut Settings<'_>, is_plain: bool) -> Result<Self, ConfigError> {
        let Some(entry) = settings.config.entry("http2") else { return Ok(Self::Off) };
        match entry.value() {
            Value::Bool(false) => Ok(Self::Off),
            Value::Bool(true) if is_plain => Err(entry.conflict(
                "is agreed on by TLS, and there is none; `prior_knowledge` speaks it to a server that is known to do so",
            )),
            Value::Bool(true) => Ok(Self::Offered),
            value if value.as_str() == Some("prior_knowledge") => Ok(Self::Known),
            _ => Err(entry.mismatch("bool or `prior_knowledge`")),
        }
    }
}

fn other(error: &h2::Error) -> Failure {
    Failure::Other(explain(error))
}

/// A connection ended before the server has said anything in HTTP/2.
fn unknown(error: Option<&h2::Error>) -> Failure {
    let cause = error.map_or_else(|| "it ended the connection".to_owned(), explain);
    Failure::Other(format!("the server does not seem to speak HTTP/2: {cause}"))
}

/// Opens a WebSocket on `stream`, which nobody else uses. `refused` becomes what is known of a refusal before all of it came.
pub(super) async fn open(
    stream: Box<dyn Stream>,
    request: ClientRequest,
    secure: bool,
    refused: &mut Option<Box<Refusal>>,
) -> Result<(Http2Stream, Response), Failure> {
    let connect = ClientConnect::new(request).map_err(|error| Failure::Other(error.to_string()))?;
    let head = head(&connect, secure)?;
    let (watched, line) = Watched::new(stream, Bytes::new(), 0);
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_header_list_size(MAX_FIELDS_BYTES)
        .max_send_buffer_size(SEND_BYTES);
    let (send, mut connection) =
        builder.handshake::<_, Bytes>(watched).await.map_err(|error| other(&error))?;
    let settled = poll_fn(|cx| match line.round(cx, |cx| Pin::new(&mut connection).poll(cx)) {
        Poll::Ready(Err(error)) if line.has_settings() => Poll::Ready(Err(other(&error))),
        Poll::Ready(Ok(())) if line.has_settings() => Poll::Ready(Err(Failure::Other(ENDED.to_owned()))),
        Poll::Ready(ended) => Poll::Ready(Err(unknown(ended.err().as_ref()))),
        Poll::Pending if send.is_extended_connect_protocol_enabled() => Poll::Ready(Ok(())),
        Poll::Pending if line.is_flooded() => Poll::Ready(Err(Failure::Other(FLOOD.to_owned()))),
        Poll::Pending if line.has_settings() => Poll::Ready(Err(Failure::NotOffered)),
        Poll::Pending => Poll::Pending,
    });
    settled.await?;
    let asked = async {
        let mut send = send.ready().await?;
        let (response, send) = send.send_request(head, false)?;
        Ok((response.await?, send))
    };
    let (response, send) = driven(&mut connection, &line, asked).await?;
    let (parts, mut receive) = response.into_parts();
    let only = Arc::new(Semaphore::new(1));
    let place = only.clone().try_acquire_owned().map_err(|error| Failure::Other(error.to_string()))?;
    tokio::spawn(carry(connection, line.clone(), only));
    let answered = |body: &[u8]| {
        let fields = parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        connect.answered(parts.status.as_u16(), fields, body)
    };
    let mut body = Vec::new();
    while parts.status != StatusCode::OK && body.len() < MAX_BODY_BYTES {
        if let Err(ClientError::Status(refusal)) = answered(&body) {
            *refused = Some(refusal);
        }
        let Some(Ok(bytes)) = receive.data().await else { break };
        body.extend_from_slice(&bytes);
    }
    let response = answered(&body).map_err(|error| match error {
        ClientError::Status(refusal) => Failure::Answer(refusal),
        error => Failure::Other(error.to_string()),
    })?;
    Ok((Http2Stream::new((send, receive), line, Some(place)), response))
}

/// Drives a connection while we wait for `what`. If it ends, why it did says more than what that did to `what`.
async fn driven<T>(
    connection: &mut Connection<Watched, Bytes>,
    line: &Line,
    what: impl Future<Output = Result<T, h2::Error>>,
) -> Result<T, Failure> {
    let mut what = pin!(what);
    poll_fn(|cx| {
        let over = line.round(cx, |cx| Pin::new(&mut *connection).poll(cx));
        match (what.as_mut().poll(cx), over) {
            (Poll::Ready(Ok(done)), _) => Poll::Ready(Ok(done)),
            (_, Poll::Ready(Err(error))) | (Poll::Ready(Err(error)), Poll::Pending) => {
                Poll::Ready(Err(other(&error)))
            }
            (_, Poll::Ready(Ok(()))) => Poll::Ready(Err(Failure::Other(ENDED.to_owned()))),
            (Poll::Pending, Poll::Pending) if line.is_flooded() => {
                Poll::Ready(Err(Failure::Other(FLOOD.to_owned())))
            }
            (Poll::Pending, Poll::Pending) => Poll::Pending,
        }
    })
    .await
}

const ENDED: &str = "the server ended the connection";
const FLOOD: &str = "the server sends too many HTTP/2 frames that carry nothing";

/// Carries a connection until its stream, which has the place in `only`, is over and what was written has left. A server
/// that takes nothing any more holds nobody up.
async fn carry(mut connection: Connection<Watched, Bytes>, line: Arc<Line>, only: Arc<Semaphore>) {
    let mut is_gone = pin!(async move {
        let _place_or_closed = only.acquire_owned().await;
        sleep(LINGER).await;
    });
    poll_fn(|cx| {
        let round = line.round(cx, |cx| Pin::new(&mut connection).poll(cx));
        if round.is_ready() || line.is_flooded() { Poll::Ready(()) } else { is_gone.as_mut().poll(cx) }
    })
    .await;
}

/// How long the end of a connection may take when its stream is gone.
const LINGER: Duration = Duration::from_secs(1);
/// Header fields of an answer, each with 32 bytes more.
const MAX_FIELDS_BYTES: u32 = (16 << 10) + 100 * 32;
/// What is looked at of the body of a refusal.
const MAX_BODY_BYTES: usize = 256;

fn head(connect: &ClientConnect, secure: bool) -> Result<Request<()>, Failure> {
    let invalid = |error: http::Error| Failure::Other(error.to_string());
    let uri = Uri::builder()
        .scheme(if secure { "https" } else { "http" })
        .authority(connect.authority.as_str())
        .path_and_query(connect.path.as_str());
    let uri = uri.build().map_err(invalid)?;
    let mut head = Request::builder().method(Method::CONNECT).uri(uri).body(()).map_err(invalid)?;
    for (name, value) in &connect.fields {
        let name = HeaderName::from_bytes(name.as_bytes()).map_err(|error| invalid(error.into()))?;
        let value = HeaderValue::from_bytes(value.as_bytes()).map_err(|error| invalid(error.into()))?;
        head.headers_mut().append(name, value);
    }
    head.extensions_mut().insert(Protocol::from_static("websocket"));
    Ok(head)
}
