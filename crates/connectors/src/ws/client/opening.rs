//! The opening handshake, with all that may be between the first request and the 101 (`spec/websocket.md` 8).

use super::{
    Client,
    credentials::{Sheet, is_for_one_server, with_query},
    endpoint::{Dialed, Line},
    http2::{self, Http2},
    metadata::{Sent, describe},
    per_origin::partner,
    place::Place,
    wanted::{Wanted, Way},
};
use crate::ws::{
    Metadata,
    exposed::listed,
    http2::ALPN,
    metrics::{counted, traffic},
    protocol::WebSocket,
    read_more,
    schema::Incoming,
};
use bytes::BytesMut;
use std::{
    io, mem,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::{Duration, Instant, SystemTime},
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
    ClientError, ClientHandshake, ClientRequest, DeflateOptions, ExtraHeaders, Headers, Refusal, Response,
    Role,
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
}

impl UnderWay {
    /// The time is over: a refusal counts, even if not all of it has come.
    fn cut_short(self, limit: Duration) -> Failure {
        if let Some(refusal) = self.refused {
            return Failure::Answer(refusal);
        }
        match self.handshake.map(|mut handshake| handshake.cut_short(&self.input)) {
            Some(refused @ ClientError::Status(_)) => refused.into(),
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
        let tls = self.tls_for(place, is_home).map_err(told)?;
        if tls.as_ref().is_some_and(ClientTls::is_insecure) {
            let alias = &self.environment.alias;
            tracing::error!(
                target: "tremor_runtime",
                "[Connector::{alias}] `tls.insecure` is on: the certificate of `{}` is not verified, anybody can pretend to be it",
                place.host
            );
        }
        let http2 = if place.secure || self.http2 == Http2::Known { self.http2 } else { Http2::Off };
        let is_home = place.is_same_origin(&self.home);
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
                Err(_) => Err(under_way.cut_short(limit)),
            },
        };
        opened.map_err(|failure| match failure {
            Failure::Other(cause) => told(cause),
            failure => failure,
        })
    }

    /// The TLS that is spoken with `place`.
    fn tls_for(&self, place: &Place, is_home: bool) -> Result<Option<ClientTls>, String> {
        match (&self.tls, place.secure) {
            (_, false) => Ok(None),
            (Some(tls), true) if is_home => Ok(Some(tls.clone())),
            (Some(tls), true) => Ok(Some(tls.for_others())),
            (None, true) => ClientTls::system().map(Some),
        }
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

    /// Does TLS, if it is wanted, and the opening handshake.
    async fn shake_hands(
        &self,
        mut dialed: Dialed,
        place: &Place,
        (tls, http2): (Option<ClientTls>, Http2),
        (request, under_way): (ClientRequest, &mut UnderWay),
    ) -> Result<Option<Opened>, Failure> {
        let since = Instant::now();
        let _under_way = self.watch.as_ref().map(|watch| watch.begins(place.secure));
        let tls_failed = |error: TlsError| {
            self.watch.iter().for_each(|watch| watch.tls_failed("handshake"));
            Failure::Other(error.to_string())
        };
        let failed = |cause: String| Failure::Other(cause);
        // A server that speaks TLS 1.3 may refuse our certificate only now.
        let io_error = |error: io::Error| Failure::Other(explain(&error));
        let line = mem::replace(&mut dialed.line, Line::Gone);
        let is_verified = tls.as_ref().is_some_and(|tls| !tls.is_insecure());
        let (mut certificate, mut is_http2) = (None, tls.is_none() && http2 == Http2::Known);
        let mut stream: Box<dyn Stream> = match (line, tls) {
            (Line::Tcp(tcp), None) => Box::new(tcp),
            (Line::Other(stream), None) => stream,
            (Line::Tcp(tcp), Some(tls)) => {
                let encrypted = tls.connect(&place.host, tcp).await.map_err(tls_failed)?;
                certificate = encrypted.server_certificate();
                is_http2 = http2 != Http2::Off && encrypted.protocol() == Some(ALPN);
                Box::new(encrypted)
            }
            (Line::Other(stream), Some(tls)) => {
                let encrypted = tls.connect(&place.host, stream).await.map_err(tls_failed)?;
                certificate = encrypted.server_certificate();
                is_http2 = http2 != Http2::Off && encrypted.protocol() == Some(ALPN);
                Box::new(encrypted)
            }
            (Line::Gone, _) => return Err(failed("the connection is gone".to_owned())),
        };
        let sent = Sent::of(&request);
        if is_http2 {
            let (stream, response) =
                match http2::open(stream, request, place.secure, &mut under_way.refused).await {
                    Ok(opened) => opened,
                    Err(http2::Failure::NotOffered) if place.secure => return Ok(None),
                    Err(http2::Failure::NotOffered) => {
                        return Err(failed("the server takes no WebSockets over HTTP/2".to_owned()));
                    }
                    Err(http2::Failure::Answer(refusal)) => return Err(Failure::Answer(refusal)),
                    Err(http2::Failure::Other(cause)) => return Err(failed(cause)),
                };
            self.is_good(&response)?;
            let (stream, input) = (Box::new(stream), BytesMut::new());
            let certificate = certificate.filter(|_| is_verified);
            let (place, took) = (place.clone(), since.elapsed());
            return Ok(Some(Opened { dialed, stream, input, response, place, sent, certificate, took }));
        }
        if http2 != Http2::Off {
            let alias = &self.environment.alias;
            tracing::info!(
                target: "tremor_runtime",
                "[Connector::{alias}] {} does not offer HTTP/2, so HTTP/1.1 is spoken with it", self.shown(place)
            );
        }
        let UnderWay { handshake, input, .. } = under_way;
        let handshake =
            handshake.insert(ClientHandshake::new(request).map_err(|error| failed(error.to_string()))?);
        stream.write_all(handshake.request()).await.map_err(io_error)?;
        stream.flush().await.map_err(io_error)?;
        let response = loop {
            match handshake.advance(input) {
                Ok(Some(response)) => break response,
                Ok(None) => {}
                Err(_) if !place.secure && input.starts_with(TLS_ALERT) => {
                    return Err(failed("the server speaks TLS; write `wss`".to_owned()));
                }
                Err(error) => return Err(error.into()),
            }
            if !read_more(&mut stream, input).await.map_err(io_error)? {
                return Err(handshake.cut_short(input).into());
            }
        };
        self.is_good(&response)?;
        let certificate = certificate.filter(|_| is_verified);
        let (place, took) = (place.clone(), since.elapsed());
        let input = mem::take(input);
        Ok(Some(Opened { dialed, stream, input, response, place, sent, certificate, took }))
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
        let Dialed { mut address, peer, local, .. } = dialed;
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
        let deflate = match &self.wire.deflate {
            Some(options) => options.agree(&response.extensions),
            None => Ok(None),
        };
        let deflate = deflate.map_err(|error| told(error.to_string()))?;
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
        let link = self
            .watch
            .as_ref()
            .map(|watch| watch.opens((way.exit.as_deref(), None), (place.secure, deflate.is_some()), took));
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

/// Whether a 401 asks for name and password.
fn asks_for_login(headers: &Headers) -> bool {
    // A challenge begins a header or stands behind a comma; a quoted comma does no harm here.
    let mut challenges = headers.all("www-authenticate").flat_map(|value| value.split(|byte| *byte == b','));
    challenges.any(|challenge| {
        let challenge = challenge.trim_ascii();
        let word = challenge.split(|byte| *byte == b' ').next().unwrap_or_default();
        word.eq_ignore_ascii_case(b"basic")
    })
}

/// How long a server wants us to wait.
fn retry_after(refusal: &Refusal) -> Option<Duration> {
    if let Some(seconds) = refusal.retry_after {
        return Some(Duration::from_secs(seconds));
    }
    let value = std::str::from_utf8(refusal.headers.get("retry-after")?).ok()?;
    let at = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds_of(value.trim())?))?;
    at.duration_since(SystemTime::now()).ok()
}

/// Seconds since 1970 of a date as HTTP writes it: `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7).
fn seconds_of(date: &str) -> Option<u64> {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = date.split_once(", ")?;
    let mut parts = rest.split(' ');
    let number = |text: Option<&str>, most: u64| text?.parse::<u64>().ok().filter(|number| *number <= most);
    let day = number(parts.next(), 31)?;
    let month = parts.next()?;
    let month = u64::try_from(MONTHS.iter().position(|name| *name == month)?).ok()?;
    let year = number(parts.next(), 9999).filter(|year| *year >= 1970)?;
    let mut time = parts.next()?.split(':');
    let (hour, minute, second) =
        (number(time.next(), 23)?, number(time.next(), 59)?, number(time.next(), 60)?);
    if parts.next() != Some("GMT") || parts.next().is_some() || time.next().is_some() || day == 0 {
        return None;
    }
    // Years begin with March here, so that a leap day is the last.
    let (year, month) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    days.checked_sub(719_468).map(|days| days * 86_400 + hour * 3600 + minute * 60 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_of_http_are_read() {
        for (date, seconds) in [
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(784_111_777)),
            ("Thu, 01 Jan 1970 00:00:00 GMT", Some(0)),
            ("Tue, 29 Feb 2000 23:59:60 GMT", Some(951_868_800)),
            ("Fri, 31 Dec 9999 23:59:59 GMT", Some(253_402_300_799)),
            ("Sun, 06 Nov 1994 08:49:37 CET", None),
            ("Sun, 06 Nov 1969 08:49:37 GMT", None),
            ("Sun, 00 Nov 1994 08:49:37 GMT", None),
            ("Sun Nov  6 08:49:37 1994", None),
            ("Sun, 06 Nov 1994 08:49 GMT", None),
            ("soon", None),
        ] {
            assert_eq!(seconds_of(date), seconds, "{date}");
        }
    }
}
