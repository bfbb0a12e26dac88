//! Connections of HTTP/2, of which each stream may become a WebSocket (`spec/websocket.md` 18.3).
//!
//! A connection is carried by a task of its own. What it is asked for goes the way of what is accepted from a socket: a
//! handshake in a task of its own, with all checks, limits and counts of one. The connection itself counts as none: there
//! are at most as many of them as there may be WebSockets, and one that has no stream is closed after a while.

use super::{Door, Entered, Shared, admission::Carried, begun, peer::Peer, refusing::NotOpened};
use crate::ws::http2::{Http2Stream, Line, SEND_BYTES, WINDOW_BYTES, Watched, explain};
use bytes::Bytes;
use h2::{
    Reason, RecvStream,
    ext::Protocol,
    server::{Builder, Connection, SendResponse},
};
use http::{HeaderName, HeaderValue, Request, Response, StatusCode};
use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    time::{Instant, Sleep, sleep_until, timeout},
};
use tremor_connector::{Handshake, tls::PeerCertificate};
use tremor_ws::{Answer, HandshakeOptions, Head, Http2Start, ProxyDetails, Reject};

/// Streams of one connection at the same time.
const MAX_STREAMS: u32 = 100;
/// What small frames that nobody reads take in memory beyond their bytes, on one connection.
const SMALL_FRAMES_BYTES: usize = 16 << 20;
/// A connection without streams is closed after that long, or twice as long; one that never had any, when the time for a
/// handshake is over.
const IDLE: Duration = Duration::from_secs(60);
/// How long the end of a connection may take when its streams are gone.
const LINGER: Duration = Duration::from_millis(500);
/// Bytes of the preface, which are no frames.
const PREFACE_BYTES: usize = 24;
/// What a field counts beyond its bytes (RFC 9113, section 6.5.2).
const FIELD_BYTES: usize = 32;
/// Requests that wait to be taken, of all connections.
pub(super) const MOST_REQUESTS: usize = 1024;

/// A request on a stream of an HTTP/2 connection.
pub(super) struct Exchange {
    head: Request<()>,
    respond: SendResponse<Bytes>,
    body: RecvStream,
    line: Arc<Line>,
    place: OwnedSemaphorePermit,
}

impl Exchange {
    /// What is asked for.
    pub(super) fn head(&self, options: &HandshakeOptions) -> Result<Head, Reject> {
        let uri = self.head.uri();
        let start = Http2Start {
            method: self.head.method().as_str(),
            protocol: self.head.extensions().get::<Protocol>().map(Protocol::as_str),
            scheme: uri.scheme_str(),
            authority: uri.authority().map(http::uri::Authority::as_str),
            path: uri.path_and_query().map(http::uri::PathAndQuery::as_str),
            is_complete: self.body.is_end_stream(),
        };
        let fields = self.head.headers().iter().map(|(name, value)| (name.as_str(), value.as_bytes()));
        Head::from_http2(&start, fields, options)
    }

    /// Completes when the stream is reset, or the connection is gone.
    pub(super) async fn gone(&mut self) {
        let _reset_or_gone = poll_fn(|cx| self.respond.poll_reset(cx)).await;
    }

    /// Answers, and ends the stream.
    pub(super) fn say(mut self, answer: &Answer) {
        let fields = answer.http2_fields();
        let response = response(answer.status, fields);
        let Ok(mut send) = self.respond.send_response(response, answer.body.is_empty()) else { return };
        if !answer.body.is_empty() {
            // A line of text that the stream holds until it may leave.
            let _sent_or_gone = send.send_data(Bytes::from(answer.body.clone()), true);
        }
    }

    /// Opens the WebSocket.
    pub(super) fn grant(mut self, fields: &[(String, String)]) -> Result<Http2Stream, String> {
        let fields = fields.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let send = self.respond.send_response(response(200, fields), false);
        let send = send.map_err(|error| explain(&error))?;
        Ok(Http2Stream::new((send, self.body), self.line, Some(self.place)))
    }
}

fn response<'a>(status: u16, fields: impl Iterator<Item = (&'a str, &'a str)>) -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in fields {
        let field = (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_bytes(value.as_bytes()));
        if let (Ok(name), Ok(value)) = field {
            response.headers_mut().append(name, value);
        }
    }
    response
}

/// What the streams of one connection have in common.
pub(super) struct Facts {
    pub(super) peer: Peer,
    pub(super) certificate: Option<PeerCertificate>,
    pub(super) proxy: ProxyDetails,
}

/// Where requests go, while a server listens.
pub(super) type Requests = mpsc::Sender<Handshake>;

impl Shared {
    /// Everything from the first bytes of an HTTP/2 connection to where its streams may ask for something. From there on a
    /// task of its own carries it.
    pub(super) async fn carry(
        self: &Arc<Self>,
        door: &Arc<Door>,
        entered: Entered,
        (peer, requests): (&Peer, Requests),
    ) -> NotOpened {
        let Entered { stream, input, certificate, proxy, has_room, .. } = entered;
        let (watched, line) = Watched::new(stream, input.freeze(), PREFACE_BYTES);
        let mut connection: Connection<Watched, Bytes> =
            match builder(&door.handshake).handshake(watched).await {
                Ok(connection) => connection,
                Err(error) => return explain(&error).into(),
            };
        let carried = match self.caps.carried(peer.ip().filter(|address| !self.trust.is_proxy(*address))) {
            Ok(carried) => carried,
            Err(_full) => {
                connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                let _closed = timeout(LINGER, poll_fn(|cx| connection.poll_closed(cx))).await;
                return NotOpened::cut_off("there are as many HTTP/2 connections as there may be");
            }
        };
        let facts = Facts { peer: peer.clone(), certificate, proxy };
        let carrier = Carrier {
            connection,
            line,
            shared: self.clone(),
            door: door.clone(),
            facts: Arc::new(facts),
            places: Arc::new(Semaphore::new(MAX_STREAMS as usize)),
            requests,
            first_has_room: Some(has_room),
            _carried: carried,
        };
        tokio::spawn(carrier.run(self.draining()));
        NotOpened::nothing()
    }
}

fn builder(options: &HandshakeOptions) -> Builder {
    let HandshakeOptions { max_target_bytes, max_header_bytes, max_headers, .. } = options;
    // What is within our limits is within this one, too, so that it is we who answer.
    let fields = max_headers.saturating_add(8).saturating_mul(FIELD_BYTES);
    let list = max_header_bytes.saturating_add(*max_target_bytes).saturating_add(fields);
    let mut builder = Builder::new();
    builder
        .enable_connect_protocol()
        .max_concurrent_streams(MAX_STREAMS)
        .initial_window_size(WINDOW_BYTES)
        // One that is not read must not stop the others.
        .initial_connection_window_size(WINDOW_BYTES.saturating_mul(MAX_STREAMS))
        .max_header_list_size(u32::try_from(list).unwrap_or(u32::MAX))
        .max_send_buffer_size(SEND_BYTES)
        .data_frame_budget(SMALL_FRAMES_BYTES);
    builder
}

/// Carries one connection.
struct Carrier {
    connection: Connection<Watched, Bytes>,
    line: Arc<Line>,
    shared: Arc<Shared>,
    door: Arc<Door>,
    facts: Arc<Facts>,
    /// Of its streams.
    places: Arc<Semaphore>,
    requests: Requests,
    /// Whether there was room when the connection came, which then is that of its first stream.
    first_has_room: Option<bool>,
    /// Its place among connections like it.
    _carried: Carried,
}

/// What happens to a connection.
enum Event {
    /// It is over.
    Over,
    /// It has been idle.
    Idle,
    /// The peer has sent too much that carries nothing.
    Flood,
    /// No more connections are taken.
    Drain,
    /// The server does not listen any more.
    Stop,
}

impl Carrier {
    async fn run(mut self, draining: watch::Receiver<bool>) {
        let requests = self.requests.clone();
        let mut drain = Some(Box::pin(begun(draining)));
        let mut stop = Some(Box::pin(async move { requests.closed().await }));
        let first = self.shared.open_handshake.map_or(IDLE, |limit| limit.min(IDLE));
        let mut idle = Box::pin(sleep_until(Instant::now() + first));
        let mut was_used = false;
        loop {
            let event = poll_fn(|cx| {
                if self.line.clone().round(cx, |cx| self.poll(cx, &mut was_used)).is_ready() {
                    return Poll::Ready(Event::Over);
                }
                if self.line.is_flooded() {
                    return Poll::Ready(Event::Flood);
                }
                if is_over(&mut drain, cx) {
                    return Poll::Ready(Event::Drain);
                }
                if is_over(&mut stop, cx) {
                    return Poll::Ready(Event::Stop);
                }
                idle.as_mut().poll(cx).map(|()| Event::Idle)
            });
            match event.await {
                Event::Over => return,
                Event::Flood => {
                    self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                    return self.end().await;
                }
                // Requests that come before the peer knows are answered all the same.
                Event::Drain => self.connection.graceful_shutdown(),
                Event::Stop => {
                    self.connection.graceful_shutdown();
                    return self.finish().await;
                }
                Event::Idle if !was_used && self.has_no_streams() => {
                    self.connection.graceful_shutdown();
                    return self.finish().await;
                }
                Event::Idle => {
                    was_used = false;
                    idle.as_mut().reset(Instant::now() + IDLE);
                }
            }
        }
    }

    /// Drives the connection and hands on what is asked for; ready when it is over.
    fn poll(&mut self, cx: &mut Context<'_>, was_used: &mut bool) -> Poll<()> {
        loop {
            match self.connection.poll_accept(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Ok((request, respond)))) => {
                    *was_used = true;
                    self.hand_on(request, respond);
                }
                Poll::Ready(None | Some(Err(_))) => return Poll::Ready(()),
            }
        }
    }

    fn has_no_streams(&self) -> bool {
        self.places.available_permits() == MAX_STREAMS as usize
    }

    /// A stream that finds no place may be asked for again, elsewhere or later.
    fn hand_on(&mut self, request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
        let has_room = self.first_has_room.take();
        let place = self.places.clone().try_acquire_owned();
        let (Ok(place), Ok(slot)) = (place, self.requests.try_reserve()) else {
            respond.send_reset(Reason::REFUSED_STREAM);
            return;
        };
        let (parts, body) = request.into_parts();
        let head = Request::from_parts(parts, ());
        let exchange = Box::new(Exchange { head, respond, body, line: self.line.clone(), place });
        let (shared, door, facts) = (self.shared.clone(), self.door.clone(), self.facts.clone());
        slot.send(Box::pin(async move {
            let mut peer = facts.peer.clone();
            let opened = shared.open_stream(&door, exchange, &facts, &mut peer, has_room).await;
            opened.map_err(|not_opened| shared.refused(&door, not_opened, &peer))
        }));
    }

    /// No stream is taken any more: lets those that are there end, and gives the connection a moment to do so, too.
    async fn finish(mut self) {
        let places = self.places.clone();
        let mut last = pin!(async move {
            let _all_or_closed = places.acquire_many_owned(MAX_STREAMS).await;
        });
        let mut deadline: Option<Pin<Box<Sleep>>> = None;
        poll_fn(|cx| {
            // Whoever asks now is refused, and may ask elsewhere.
            if self.line.clone().round(cx, |cx| self.poll(cx, &mut false)).is_ready()
                || self.line.is_flooded()
            {
                return Poll::Ready(());
            }
            if deadline.is_none() && last.as_mut().poll(cx).is_ready() {
                deadline = Some(Box::pin(sleep_until(Instant::now() + LINGER)));
            }
            match &mut deadline {
                Some(deadline) => deadline.as_mut().poll(cx),
                None => Poll::Pending,
            }
        })
        .await;
    }

    /// Says the last word.
    async fn end(mut self) {
        let _said_or_not = timeout(LINGER, poll_fn(|cx| self.connection.poll_closed(cx))).await;
    }
}

/// Whether `wait` is over, for the first time.
fn is_over(wait: &mut Option<Pin<Box<impl Future<Output = ()>>>>, cx: &mut Context<'_>) -> bool {
    let over = wait.as_mut().is_some_and(|wait| wait.as_mut().poll(cx).is_ready());
    if over {
        *wait = None;
    }
    over
}
