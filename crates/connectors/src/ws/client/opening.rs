//! The opening handshake, with all that may be between the first request and the 101 (`spec/websocket.md` 8).

use super::{
    Client,
    credentials::{Sheet, is_for_one_server, with_query},
    endpoint::{Dialed, Line},
    http2::{self, Http2},
    metadata::{Sent, describe},
    per_origin::partner,
    place::Place,
    refused::{asks_for_login, retry_after},
    wanted::{Wanted, Way},
};
use crate::ws::{
    Metadata,
    exposed::listed,
    http2::ALPN,
    metrics::{Opens, counted, traffic},
    protocol::WebSocket,
    read_more,
    schema::Incoming,
};
use bytes::BytesMut;
use std::{
    io, mem,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant},
};
use tokio::{io::AsyncWriteExt, time::timeout};
use tremor_connector::{
    ConnectError, Opening,
    duplex::{Duplex, Stream},
    tls::{ClientTls, PeerCertificate, TlsError, explain},
};
use tremor_event::OriginUri;
use tremor_value::{Record, Value};
use tremor_ws::{
    ClientError, ClientHandshake, ClientRequest, DeflateOptions, ExtraHeaders, Refusal, Response, Role,
};

/// A connection behind its 101.
struct Opened {
    dialed: Dialed,
    stream: Box<dyn Stream>,
    input: BytesMut,
    response: Response,
    place: Place,
    sent: Sent,
    /// The certificate of the server, verified.
    certificate: Option<PeerCertificate>,
    /// How long its handshake took.
    took: Duration,
}

/// A byte stream to a server, with TLS if that is wanted.
struct Secured {
    stream: Box<dyn Stream>,
    /// What the server has shown.
    certificate: Option<PeerCertificate>,
    /// The version that is spoken.
    is_http2: bool,
}

/// A stream behind the answer of the server.
struct Answered {
    stream: Box<dyn Stream>,
    /// What came behind the answer.
    input: BytesMut,
    response: Response,
}

/// Why there is no 101.
enum Failure {
    /// The server answered something else.
    Answer(Box<Refusal>),
    /// In words that name the server.
    Other(String),
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        match error {
            ClientError::Status(refusal) => Self::Answer(refusal),
            other => Self::Other(other.to_string()),
        }
    }
}

/// A handshake that may be given up, and what of the answer has come.
#[derive(Default)]
struct UnderWay {
    handshake: Option<ClientHandshake>,
    input: BytesMut,
    /// By HTTP/2.
    refused: Option<Box<Refusal>>,
    /// TLS is under way, and nothing has been asked yet.
    is_in_tls: bool,
}

impl UnderWay {
    /// The time is over: a refusal counts, even if not all of it has come.
    fn cut_short(self, limit: Duration) -> Failure {
        if let Some(refusal) = self.refused {
            return Failure::Answer(refusal);
        }
        match self.handshake.map(|mut handshake| handshake.cut_short(&self.input)) {
            Some(refused @ ClientError::Status(_)) => refused.into(),
            _ if self.is_in_tls => {
                let ms = limit.as_millis();
                Failure::Other(format!("no TLS handshake within {ms} ms (does the server speak TLS?)"))
            }
            _ => Failure::Other(format!("no handshake within {} ms", limit.as_millis())),
        }
    }
}

/// How servers that expect TLS begin what they say to others.
const TLS_ALERT: &[u8] = b"\x15\x03";

/// What to do about an answer.
enum Next {
    Follow(Place),
    /// Once more, with name and password.
    Authenticate,
}

impl Client {
    /// Makes the connection that is wanted.
    pub(super) async fn open(&self, wanted: &Wanted, way: Way) -> Result<Duplex, ConnectError> {
        let Some(watch) = &self.watch else { return self.open_now(wanted, way, None).await };
        let opened = self.open_now(wanted, way, None).await;
        if self.has_tried.swap(true, Relaxed) {
            watch.reconnected(wanted.place.secure, opened.is_ok());
        }
        opened
    }

    /// The same for the origin that `opening` is about, if it is for one of several.
    pub(super) async fn open_now(
        &self,
        wanted: &Wanted,
        way: Way,
        opening: Option<&Opening>,
    ) -> Result<Duplex, ConnectError> {
        let looks = way.looks().await?;
        let (mut place, mut hops, mut was_asked) = (wanted.place.clone(), 0, false);
        loop {
            // Only what the configuration is about is opened in its turn and by its way.
            let is_home = place.is_same_origin(&self.home);
            let (server, number) = self.dialer.queue(&place, is_home);
            let turn = self.environment.dials.turn(&server, number).await;
            match self.attempt(&place, wanted, (hops, was_asked)).await {
                Ok(opened) => {
                    drop(turn);
                    return self.finish(opened, (way, looks), opening).await;
                }
                Err(Failure::Other(cause)) => return Err(ConnectError::Failed(cause)),
                Err(Failure::Answer(refusal)) => match self.next(&refusal, &place, (hops, was_asked))? {
                    Next::Follow(next) => {
                        hops += 1;
                        place = next;
                    }
                    Next::Authenticate => was_asked = true,
                },
            }
        }
    }

    /// What to do about an answer that is not a 101.
    fn next(
        &self,
        refusal: &Refusal,
        place: &Place,
        (hops, was_asked): (u32, bool),
    ) -> Result<Next, ConnectError> {
        let told =
            |cause: &dyn std::fmt::Display| format!("cannot connect to {}: {cause}", self.shown(place));
        let holds_back = self.credentials.as_ref().is_some_and(|own| own.is_held_back());
        match refusal.status {
            301 | 302 | 303 | 307 | 308 if hops < self.max_redirects => {
                return place.redirected(refusal.headers.get("location")).map(Next::Follow).map_err(
                    |astray| {
                        ConnectError::Failed(told(&format!(
                            "the server redirects ({}) {astray}",
                            refusal.status
                        )))
                    },
                );
            }
            401 if holds_back
                && !was_asked
                && place.is_same_origin(&self.home)
                && asks_for_login(&refusal.headers) =>
            {
                return Ok(Next::Authenticate);
            }
            _ => {}
        }
        let cause = match refusal.status {
            301 | 302 | 303 | 307 | 308 => {
                told(&format!("{refusal} (`max_redirects` is {})", self.max_redirects))
            }
            _ => told(refusal),
        };
        if self.give_up_on.contains(&refusal.status) {
            return Err(ConnectError::Final(cause));
        }
        let wait = matches!(refusal.status, 429 | 503).then(|| retry_after(refusal)).flatten();
        let wait = wait.map(|wait| wait.min(self.max_retry_after.unwrap_or(wait)));
        Err(match wait {
            Some(wait) => {
                ConnectError::Later { cause, wait_ms: u64::try_from(wait.as_millis()).unwrap_or(u64::MAX) }
            }
            None => ConnectError::Failed(cause),
        })
    }

    /// A server in messages.
    fn shown(&self, place: &Place) -> String {
        let is_home = place.is_same_origin(&self.home);
        self.dialer.shown(place, is_home)
    }

    /// Connects to `place` and does the handshake.
    async fn attempt(
        &self,
        place: &Place,
        wanted: &Wanted,
        (hops, was_asked): (u32, bool),
    ) -> Result<Opened, Failure> {
        let told =
            |cause: String| Failure::Other(format!("cannot connect to {}: {cause}", self.shown(place)));
        let is_home = place.is_same_origin(&self.home);
        let request = self.request(place, wanted, (hops == 0, was_asked)).await.map_err(told)?;
        let tls = self.tls_for(place, is_home).await.map_err(told)?;
        let insecurity = tls.as_ref().and_then(|tls| tls.insecurity(&format_args!("`{}`", place.host)));
        if let Some(insecurity) = insecurity {
            let alias = &self.environment.alias;
            tracing::error!(target: "tremor_runtime", "[Connector::{alias}] {insecurity}");
        }
        let http2 = if place.secure || self.http2 == Http2::Known { self.http2 } else { Http2::Off };
        if is_home && self.lacks_http2.load(Relaxed) {
            let opened = self.attempt_by_http1(place, tls, request).await;
            // It may be another server by now.
            self.lacks_http2.store(opened.is_ok(), Relaxed);
            return opened;
        }
        if let Some(opened) = self.attempt_by(http2, place, tls.clone(), request.clone()).await? {
            return Ok(opened);
        }
        let alias = &self.environment.alias;
        tracing::info!(
            target: "tremor_runtime",
            "[Connector::{alias}] {} takes no WebSockets over HTTP/2, so HTTP/1.1 is spoken with it", self.shown(place)
        );
        let opened = self.attempt_by_http1(place, tls, request).await?;
        if is_home {
            self.lacks_http2.store(true, Relaxed);
        }
        Ok(opened)
    }

    /// The same where HTTP/2 leads nowhere.
    async fn attempt_by_http1(
        &self,
        place: &Place,
        tls: Option<ClientTls>,
        request: ClientRequest,
    ) -> Result<Opened, Failure> {
        let tls = tls.map(|tls| tls.without_http2());
        let opened = self.attempt_by(Http2::Off, place, tls, request).await?;
        opened.ok_or_else(|| Failure::Other("the server takes no WebSockets".to_owned()))
    }

    /// The same by one version of HTTP; `None`: the server has agreed on HTTP/2 but takes no WebSockets there.
    async fn attempt_by(
        &self,
        http2: Http2,
        place: &Place,
        tls: Option<ClientTls>,
        request: ClientRequest,
    ) -> Result<Option<Opened>, Failure> {
        let told =
            |cause: String| Failure::Other(format!("cannot connect to {}: {cause}", self.shown(place)));
        let is_home = place.is_same_origin(&self.home);
        let tls = tls.map(|tls| if http2 == Http2::Off { tls } else { tls.offering_http2() });
        let dialed = self.dialer.dial(place, is_home, &self.environment).await.map_err(Failure::Other)?;
        let mut under_way = UnderWay::default();
        let opening = self.shake_hands(dialed, place, (tls, http2), (request, &mut under_way));
        let opened = match self.open_handshake {
            None => opening.await,
            Some(limit) => match timeout(limit, opening).await {
                Ok(opened) => opened,
                Err(_) => {
                    if under_way.is_in_tls {
                        self.watch.iter().for_each(|watch| watch.tls_failed(None));
                    }
                    Err(under_way.cut_short(limit))
                }
            },
        };
        opened.map_err(|failure| match failure {
            Failure::Other(cause) => told(cause),
            failure => failure,
        })
    }

    /// The TLS that is spoken with `place`.
    async fn tls_for(&self, place: &Place, is_home: bool) -> Result<Option<ClientTls>, String> {
        if !place.secure {
            return Ok(None);
        }
        let Some(tls) = &self.tls else { return ClientTls::system().map(Some) };
        let tls = tls.renewed(&self.environment.alias).await;
        Ok(Some(if is_home { tls } else { tls.for_others() }))
    }

    /// The request to `place`. `is_first`: nobody has redirected us there.
    pub(super) async fn request(
        &self,
        place: &Place,
        wanted: &Wanted,
        (is_first, was_asked): (bool, bool),
    ) -> Result<ClientRequest, String> {
        let mut sheet = self.sheet(place, wanted, is_first);
        if let Some(credentials) = self.credentials.as_ref().filter(|_| place.is_same_origin(&self.home)) {
            credentials.add_to(&mut sheet, was_asked).await?;
        }
        self.request_of(place, sheet)
    }

    /// What goes into the request to `place`, except credentials.
    pub(super) fn sheet(&self, place: &Place, wanted: &Wanted, is_first: bool) -> Sheet {
        let mut sheet = Sheet {
            headers: wanted.headers_with(&self.headers),
            query: if is_first { self.query.clone() } else { Vec::new() },
            protocols: wanted.protocols.clone(),
        };
        if !place.is_same_origin(&self.home) {
            sheet.headers.retain(|(name, _)| !is_for_one_server(name));
        }
        sheet
    }

    pub(super) fn request_of(&self, place: &Place, sheet: Sheet) -> Result<ClientRequest, String> {
        Ok(ClientRequest {
            host: place.host_header(),
            target: with_query(&place.target, &sheet.query),
            headers: ExtraHeaders::for_request(sheet.headers).map_err(|error| error.to_string())?,
            origin: self.origin.clone(),
            protocols: sheet.protocols,
            require_protocol: self.require_protocol,
            extensions: self.wire.deflate.iter().map(DeflateOptions::offer).collect(),
        })
    }

    /// Does TLS, if it is wanted, and the opening handshake. `None`: the server has agreed on HTTP/2 but takes no WebSockets
    /// there.
    async fn shake_hands(
        &self,
        (line, dialed): (Line, Dialed),
        place: &Place,
        (tls, http2): (Option<ClientTls>, Http2),
        (request, under_way): (ClientRequest, &mut UnderWay),
    ) -> Result<Option<Opened>, Failure> {
        let since = Instant::now();
        let _under_way = self.watch.as_ref().map(|watch| watch.begins(place.secure));
        let is_verified = tls.as_ref().is_some_and(|tls| !tls.is_insecure());
        let secured = match tls {
            None => Secured::plain(line, http2),
            Some(tls) => {
                under_way.is_in_tls = true;
                let secured = self.encrypt(line, place, (&tls, http2)).await?;
                under_way.is_in_tls = false;
                secured
            }
        };
        let Secured { stream, certificate, is_http2 } = secured;
        let sent = Sent::of(&request);
        let answered = if is_http2 {
            ask_by_http2(stream, place, request, under_way).await?
        } else {
            if http2 != Http2::Off {
                let alias = &self.environment.alias;
                tracing::info!(
                    target: "tremor_runtime",
                    "[Connector::{alias}] {} does not offer HTTP/2, so HTTP/1.1 is spoken with it", self.shown(place)
                );
            }
            Some(ask_by_http1(stream, place, request, under_way).await?)
        };
        let Some(Answered { stream, input, response }) = answered else { return Ok(None) };
        self.is_good(&response)?;
        let certificate = certificate.filter(|_| is_verified);
        let (place, took) = (place.clone(), since.elapsed());
        Ok(Some(Opened { dialed, stream, input, response, place, sent, certificate, took }))
    }

    async fn encrypt(&self, line: Line, place: &Place, tls: (&ClientTls, Http2)) -> Result<Secured, Failure> {
        let encrypted = match line {
            Line::Tcp(tcp) => Secured::by_tls(tcp, place, tls).await,
            Line::Other(stream) => Secured::by_tls(stream, place, tls).await,
        };
        encrypted.map_err(|error| {
            self.watch.iter().for_each(|watch| watch.tls_failed(Some(&error)));
            Failure::Other(error.to_string())
        })
    }

    /// Whether an answer is one that we can do with.
    fn is_good(&self, response: &Response) -> Result<(), Failure> {
        let is_ours = |protocol: &String| {
            self.credentials.as_ref().is_some_and(|credentials| credentials.is_secret(protocol))
        };
        if response.protocol.as_ref().is_some_and(is_ours) {
            let cause = "the server takes the credentials among the subprotocols for one";
            return Err(Failure::Other(cause.to_owned()));
        }
        Ok(())
    }

    /// What is behind the 101: opening messages, the reply that is expected.
    async fn finish(
        &self,
        opened: Opened,
        (way, looks): (Way, Option<Box<Incoming>>),
        opening: Option<&Opening>,
    ) -> Result<Duplex, ConnectError> {
        let Opened { dialed, mut stream, mut input, response, place, sent, certificate, took } = opened;
        let told = |cause: String| {
            ConnectError::Failed(format!("cannot connect to {}: {cause}", self.shown(&place)))
        };
        let Dialed { mut address, peer, local } = dialed;
        if let Some(opening) = opening {
            address.conn = opening.conn;
        }
        let mut of_connection = Record::from_iter([
            ("tls", Value::from(place.secure)),
            ("peer", peer.into()),
            ("conn", Value::from(address.conn)),
        ]);
        describe(self, &sent, (&response, place.secure), certificate.as_ref(), &mut of_connection);
        if !way.params.is_empty() {
            of_connection.insert("params", listed(way.params.into_iter()));
        }
        if let Some(route) = way.shown {
            of_connection.insert("route", route);
        }
        let deflate = self.agreed(&response, &mut stream).await.map_err(told)?;
        let mut metadata = Metadata::new(super::SPEC.name, of_connection);
        if let Some((kind, of_partner)) = opening.and_then(partner) {
            metadata.add(kind, of_partner);
        }
        let origin = match local {
            Some(local) => OriginUri {
                port: Some(local.port()),
                path: vec![local.port().to_string()],
                ..OriginUri::new("tremor-ws-client", local.ip().to_string())
            },
            None => OriginUri {
                path: vec![address.host.clone()],
                ..OriginUri::new("tremor-ws-client", "localhost")
            },
        };
        let meta = metadata.text();
        let mut protocol = WebSocket::new(Role::Client, &self.wire, metadata, ())
            .deflate(deflate.as_ref())
            .beating(&self.wire.pace, self.heartbeat.clone())
            .looking(looks);
        let told_of = (&self.wire, deflate.as_ref());
        let greeted = self.greeting.exchange(&mut stream, &mut input, &mut protocol, told_of).await;
        let greeted = greeted.map_err(told)?;
        let link = self.watch.as_ref().map(|watch| {
            watch.opens(Opens {
                port: way.exit.as_deref(),
                shown: None,
                queue: None,
                tls: place.secure,
                deflates: deflate.is_some(),
                took,
            })
        });
        if let Some(link) = &link {
            self.greeting.count(greeted, link);
        }
        Ok(Duplex {
            send_queue: None,
            traffic: traffic(link.as_ref()),
            stream: counted(stream, input.len(), link.as_ref()),
            input,
            meta,
            protocol: Box::new(protocol.counted(link)),
            origin: Arc::new(origin),
            exit: way.exit,
            address,
            limits: self.wire.times,
            outgoing: None,
            joining: None,
        })
    }
}

impl Secured {
    fn plain(line: Line, http2: Http2) -> Self {
        let stream: Box<dyn Stream> = match line {
            Line::Tcp(tcp) => Box::new(tcp),
            Line::Other(stream) => stream,
        };
        Self { stream, certificate: None, is_http2: http2 == Http2::Known }
    }

    async fn by_tls(
        stream: impl Stream + 'static,
        place: &Place,
        (tls, http2): (&ClientTls, Http2),
    ) -> Result<Self, TlsError> {
        let encrypted = tls.connect(&place.host, stream).await?;
        let certificate = encrypted.server_certificate();
        let is_http2 = http2 != Http2::Off && encrypted.protocol() == Some(ALPN);
        Ok(Self { stream: Box::new(encrypted), certificate, is_http2 })
    }
}

/// Asks for a WebSocket on a stream of HTTP/2; `None`: the server offers none there, and HTTP/1.1 may be tried.
async fn ask_by_http2(
    stream: Box<dyn Stream>,
    place: &Place,
    request: ClientRequest,
    under_way: &mut UnderWay,
) -> Result<Option<Answered>, Failure> {
    match http2::open(stream, request, place.secure, &mut under_way.refused).await {
        Ok((stream, response)) => {
            Ok(Some(Answered { stream: Box::new(stream), input: BytesMut::new(), response }))
        }
        Err(http2::Failure::NotOffered) if place.secure => Ok(None),
        Err(http2::Failure::NotOffered) => {
            Err(Failure::Other("the server takes no WebSockets over HTTP/2".to_owned()))
        }
        Err(http2::Failure::Answer(refusal)) => Err(Failure::Answer(refusal)),
        Err(http2::Failure::Other(cause)) => Err(Failure::Other(cause)),
    }
}

async fn ask_by_http1(
    mut stream: Box<dyn Stream>,
    place: &Place,
    request: ClientRequest,
    UnderWay { handshake, input, .. }: &mut UnderWay,
) -> Result<Answered, Failure> {
    // A server that speaks TLS 1.3 may refuse our certificate only now.
    let io_error = |error: io::Error| Failure::Other(explain(&error));
    let request = ClientHandshake::new(request).map_err(|error| Failure::Other(error.to_string()))?;
    let handshake = handshake.insert(request);
    stream.write_all(handshake.request()).await.map_err(io_error)?;
    stream.flush().await.map_err(io_error)?;
    loop {
        match handshake.advance(input) {
            Ok(Some(response)) => return Ok(Answered { stream, input: mem::take(input), response }),
            Ok(None) => {}
            Err(_) if !place.secure && input.starts_with(TLS_ALERT) => {
                return Err(Failure::Other("the server speaks TLS; write `wss`".to_owned()));
            }
            Err(error) => return Err(error.into()),
        }
        if !read_more(&mut stream, input).await.map_err(io_error)? {
            return Err(handshake.cut_short(input).into());
        }
    }
}
