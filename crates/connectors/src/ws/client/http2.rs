//! A WebSocket as the one stream of an HTTP/2 connection (`spec/websocket.md` 18.3).

use crate::ws::{
    http2::{Http2Stream, WINDOW_BYTES, Watched, explain},
    options::Settings,
};
use bytes::Bytes;
use h2::{client::Builder, ext::Protocol};
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};
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
            Value::Bool(true) if is_plain => Err(entry.invalid(
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

/// Opens a WebSocket on `stream`, which nobody else uses.
pub(super) async fn open(
    stream: Box<dyn Stream>,
    request: ClientRequest,
    secure: bool,
) -> Result<(Http2Stream, Response), Failure> {
    let connect = ClientConnect::new(request).map_err(|error| Failure::Other(error.to_string()))?;
    let head = head(&connect, secure)?;
    let (watched, line) = Watched::new(stream, Bytes::new(), 0);
    let mut builder = Builder::new();
    builder
        .enable_push(false)
        .initial_window_size(WINDOW_BYTES)
        .initial_connection_window_size(WINDOW_BYTES)
        .max_send_buffer_size(crate::ws::http2::SEND_BYTES);
    let (send, mut connection) =
        builder.handshake::<_, Bytes>(watched).await.map_err(|error| other(&error))?;
    let settled = poll_fn(|cx| match line.round(cx, |cx| Pin::new(&mut connection).poll(cx)) {
        Poll::Ready(Err(error)) => Poll::Ready(Err(other(&error))),
        Poll::Ready(Ok(())) => Poll::Ready(Err(Failure::Other("the server ended the connection".to_owned()))),
        Poll::Pending if send.is_extended_connect_protocol_enabled() => Poll::Ready(Ok(())),
        Poll::Pending if line.has_settings() => Poll::Ready(Err(Failure::NotOffered)),
        Poll::Pending => Poll::Pending,
    });
    settled.await?;
    let carried = line.clone();
    // Until the stream is over, and what was written has left.
    tokio::spawn(poll_fn(move |cx| {
        let round = carried.round(cx, |cx| Pin::new(&mut connection).poll(cx));
        if carried.is_flooded() { Poll::Ready(()) } else { round.map(drop) }
    }));
    let mut send = send.ready().await.map_err(|error| other(&error))?;
    let (response, send) = send.send_request(head, false).map_err(|error| other(&error))?;
    let (parts, mut receive) = response.await.map_err(|error| other(&error))?.into_parts();
    let mut body = Vec::new();
    while parts.status != 200 && body.len() < MAX_BODY_BYTES {
        let Some(Ok(bytes)) = receive.data().await else { break };
        body.extend_from_slice(&bytes);
    }
    let fields = parts.headers.iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
    let response = connect.answered(parts.status.as_u16(), fields, &body).map_err(|error| match error {
        ClientError::Status(refusal) => Failure::Answer(refusal),
        error => Failure::Other(error.to_string()),
    })?;
    Ok((Http2Stream::new((send, receive), line, None), response))
}

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
