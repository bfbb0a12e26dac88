//! From an accepted socket to the 101 (`spec/websocket.md` 3).

use super::{
    Door, Shared,
    admission::{Full, Person, Place, Slot},
    asker::{Asker, Failure},
    begun,
    cookies::{self, Asking},
    doorman::{self, Doorman},
    http2::{Exchange, Facts, Requests},
    metadata::{Reached, metadata},
    peer::Peer,
    petition::Petition,
    refusing::{NotOpened, RETRY_AFTER_S},
    replay,
    routing::{Chosen, Way},
};
use crate::ws::{
    Metadata,
    guards::{AsksFlow, Brought, Question, guard_certificate},
    http2::{ALPN, is_http2},
    metrics::{Link, counted, traffic},
    protocol::WebSocket,
    schema::{Missing, Opened, Outgoing},
};
use bytes::BytesMut;
use std::{
    borrow::Cow,
    net::IpAddr,
    sync::{Arc, PoisonError},
};
use tokio::time::{Instant, timeout_at};
use tremor_connector::{
    duplex::{self, Address, Duplex, Stream},
    more_before,
    tls::PeerCertificate,
};
use tremor_event::OriginUri;
use tremor_value::Value;
use tremor_ws::guard::{Carrier, Session};
use tremor_ws::{Accept, ExtraHeaders, Forwarded, Head, ProxyDetails, Reject, Request, Role};

/// A byte stream on which something may be asked for.
pub(super) struct Entered {
    pub(super) stream: Box<dyn Stream>,
    /// What was read of it.
    pub(super) input: BytesMut,
    pub(super) certificate: Option<PeerCertificate>,
    /// What a proxy said in front of it.
    pub(super) proxy: ProxyDetails,
    /// A place among the connections of its client.
    place: OfClient,
    /// There was room when it came.
    pub(super) has_room: bool,
    is_http2: bool,
}

/// A place among the connections of a client, if those are counted.
type OfClient = Result<Option<Box<Place<IpAddr>>>, Full>;

/// Somebody who may ask for something.
struct Admitted {
    asker: Asker,
    slot: Slot,
    certificate: Option<PeerCertificate>,
    /// What a proxy said in front of it.
    proxy: ProxyDetails,
    /// When it came.
    since: Instant,
}

impl Shared {
    /// Everything from the accepted socket to the 101, under one deadline (`spec/websocket.md` 3.1). `peer` becomes the
    /// address of the client, if a proxy that is believed says what that is.
    pub(super) async fn open(
        self: &Arc<Self>,
        door: &Arc<Door>,
        stream: impl Stream + 'static,
        peer: &mut Peer,
        requests: Requests,
    ) -> Result<Duplex, NotOpened> {
        let since = Instant::now();
        let deadline = self.open_handshake.map(|limit| since + limit);
        if self.proxies.is_none() && !self.lets(peer) {
            return Err("its address is not allowed".into());
        }
        let Ok(_pending) = self.caps.handshakes.try_acquire() else {
            // Whoever expects TLS would not understand an answer, and a handshake is what there is no room for.
            return Err(match door.tls {
                None => self.no_room(Asker::new(stream)).await,
                Some(_) => "too many handshakes are under way".into(),
            });
        };
        let _under_way = self.watch.as_ref().map(|watch| watch.begins(door.tls.is_some()));
        let entered = self.enter(door, stream, peer, deadline).await?;
        if entered.is_http2 {
            let carried = within(deadline, self.carry(door, entered, (peer, requests))).await;
            return Err(carried.unwrap_or_else(|| "no preface of HTTP/2 in time".into()));
        }
        let Entered { stream, input, certificate, proxy, place, has_room, .. } = entered;
        let asker = Asker::Http1 { stream, input };
        let (asker, slot) = self.admit(asker, place, has_room).await?;
        self.answer(door, Admitted { asker, slot, certificate, proxy, since }, peer, deadline).await
    }

    /// The same from a request on a stream of an HTTP/2 connection. `has_room`: what is known of that already.
    pub(super) async fn open_stream(
        &self,
        door: &Door,
        exchange: Box<Exchange>,
        facts: &Facts,
        peer: &mut Peer,
        has_room: Option<bool>,
    ) -> Result<Duplex, NotOpened> {
        let since = Instant::now();
        let deadline = self.open_handshake.map(|limit| since + limit);
        let asker = Asker::Http2(exchange);
        let Ok(_pending) = self.caps.handshakes.try_acquire() else { return Err(self.no_room(asker).await) };
        let _under_way = self.watch.as_ref().map(|watch| watch.begins(door.tls.is_some()));
        let place = self.place(peer);
        let has_room = place.is_ok() && has_room.unwrap_or_else(|| self.caps.is_in_time());
        let (asker, slot) = self.admit(asker, place, has_room).await?;
        let (certificate, proxy) = (facts.certificate.clone(), facts.proxy.clone());
        self.answer(door, Admitted { asker, slot, certificate, proxy, since }, peer, deadline).await
    }

    /// A place among the connections of `peer`; of one behind a proxy later, when it is known who that is.
    fn place(&self, peer: &Peer) -> OfClient {
        match peer.ip() {
            Some(address) if !self.trust.is_proxy(address) => self.caps.place(address),
            _ => Ok(None),
        }
    }

    /// Row 1: whether there is room.
    async fn admit(&self, asker: Asker, place: OfClient, has_room: bool) -> Result<(Asker, Slot), NotOpened> {
        let place = match place {
            Ok(place) if has_room && !self.is_draining() => place,
            _ => return Err(self.no_room(asker).await),
        };
        match self.caps.connections.clone().try_acquire_owned() {
            Ok(slot) => Ok((asker, (slot, place, None))),
            Err(_) => Err(self.no_room(asker).await),
        }
    }

    /// Row 2: up to where the peer may ask for something.
    async fn enter(
        &self,
        door: &Door,
        mut stream: impl Stream + 'static,
        peer: &mut Peer,
        deadline: Option<Instant>,
    ) -> Result<Entered, NotOpened> {
        let mut proxy = ProxyDetails::default();
        if let Some(proxies) = &self.proxies {
            let header = within(deadline, proxies.header(&mut stream, peer.ip())).await;
            let header = header.ok_or("no header of the PROXY protocol in time")??;
            if let Some(source) = header.source {
                *peer = Peer::Net(source);
            }
            proxy = header.details;
            if !self.lets(peer) {
                return Err("its address is not allowed".into());
            }
        }
        let place = self.place(peer);
        let has_room = place.is_ok() && self.caps.is_in_time();
        if !has_room && self.answers.drops {
            return Err(self.no_room(Asker::new(stream)).await);
        }
        let mut input = BytesMut::new();
        let (stream, certificate, is_http2): (Box<dyn Stream>, _, _) = match &door.tls {
            None => {
                // The first bytes say which version it is. Whoever sends none in time is told so in the words of the older one.
                let begins = match door.http2 {
                    true => within(deadline, is_http2(&mut stream, &mut input)).await,
                    false => None,
                };
                (Box::new(stream), None, matches!(begins, Some(Ok(Some(true)))))
            }
            Some(tls) => {
                let encrypted = within(deadline, tls.accept(stream)).await;
                if let Some(watch) = &self.watch {
                    match &encrypted {
                        None => watch.tls_failed("timeout"),
                        Some(Err(_)) => watch.tls_failed("handshake"),
                        Some(Ok(_)) => {}
                    }
                }
                let encrypted = encrypted.ok_or("no TLS handshake in time")?;
                let encrypted = encrypted.map_err(|error| error.to_string())?;
                let certificate = encrypted.client_certificate();
                let is_http2 = door.http2 && encrypted.protocol() == Some(ALPN);
                (Box::new(encrypted), certificate, is_http2)
            }
        };
        Ok(Entered { stream, input, certificate, proxy, place, has_room, is_http2 })
    }

    /// Rows 3 to 22: from the request to the 101.
    async fn answer(
        &self,
        door: &Door,
        admitted: Admitted,
        peer: &mut Peer,
        deadline: Option<Instant>,
    ) -> Result<Duplex, NotOpened> {
        let Admitted { mut asker, mut slot, certificate, proxy, since } = admitted;
        let head = match asker.head(&door.handshake, deadline, self.draining()).await {
            Ok(head) => head,
            Err(Failure::Refused(reject)) => return Err(self.refuse(asker, &reject).await),
            Err(Failure::Gone(cause)) => return Err(cause.into()),
        };
        let forwarded = match self.trust.forwarded(peer.ip(), &head.headers) {
            Ok(forwarded) => forwarded,
            Err(reject) => return Err(self.refuse(asker, &reject).await),
        };
        let from_trusted_proxy = self.trust.is_named(peer.ip());
        if let Some(client) = forwarded.client {
            *peer = peer.behind(client);
        }
        if let (None, Some(address)) = (&slot.1, peer.ip()) {
            let Ok(of_client) = self.caps.place(address) else { return Err(self.no_room(asker).await) };
            slot.1 = of_client;
        }
        let shown =
            certificate.as_ref().filter(|_| self.guards.look_at_certificates()).map(guard_certificate);
        let brought = Brought { certificate: shown.as_ref(), from_trusted_proxy, address: peer.ip() };
        let undecided = || self.guards.undecided();
        let renewal = self.renewal(door, &head, &forwarded, brought);
        match self.in_time(deadline, undecided, renewal).await {
            Ok(None) => {}
            Ok(Some(Ok(page))) => return Err(self.show(asker, &page).await),
            Ok(Some(Err(reject))) | Err(reject) => return Err(self.refuse(asker, &reject).await),
        }
        if let Some(page) = self.page(door, &head, &forwarded) {
            return Err(self.show(asker, &page).await);
        }
        let (request, offered) = match self.upgrade(door, head, &forwarded) {
            Ok(upgrade) => upgrade,
            Err(reject) => return Err(self.refuse(asker, &reject).await),
        };
        let carrier =
            Carrier { headers: &request.headers, query: request.query.as_deref(), protocols: &offered };
        let begun = self.cookies.as_ref().map(|cookies| cookies.begin(&request.headers));
        let Asking { bound, forgotten } = begun.unwrap_or_default();
        let petition = self.petition(door, (&request, asker.method()), peer, (certificate.as_ref(), &proxy));
        let asks_flow = petition.as_ref().map(|petition| -> &dyn AsksFlow { petition });
        let mut visit = self.guards.visit(carrier, brought).bound_by(&bound).asking(asks_flow);
        let decided = self.in_time(deadline, undecided, self.routing.decide(&request, &mut visit)).await;
        if let Some(watch) = &self.watch {
            let failures = visit.failures();
            failures.for_each(|(guard, reason)| watch.guard_failed(door.tls.is_some(), guard, reason));
        }
        let chosen = match decided.flatten() {
            Ok(chosen) => chosen,
            Err(reject) => return Err(self.refuse(asker, &reject).await),
        };
        let (last_received, opened) = match self.of_route(&chosen, &request, deadline).await {
            Ok(of_route) => of_route,
            Err(reject) => return Err(self.refuse(asker, &reject).await),
        };
        let sessions = visit.sessions(&chosen.way.demands);
        let Ok(of_person) = self.caps.place_of(person(&sessions)) else {
            return Err(self.refuse(asker, &too_many()).await);
        };
        slot.2 = of_person;
        let proven = self.guards.proven(&chosen.way.demands, &sessions);
        let known = self
            .cookies
            .as_ref()
            .map(|cookies| cookies.meet(&request.headers, request.secure, (&sessions, &proven, &forgotten)));
        let known = known.transpose().map_err(|error| error.to_string())?;
        if let Some(known) = known.as_ref().filter(|_| sessions.is_empty()) {
            // Nobody else says who it is.
            let Ok(of_cookie) = self.caps.place_of(Some((BY_COOKIE.into(), known.id.to_string()))) else {
                return Err(self.refuse(asker, &too_many()).await);
            };
            slot.2 = of_cookie;
        }
        let wanted = chosen.way.wire.deflate;
        let (extension, deflate) = wanted.and_then(|wanted| wanted.answer(&request.extensions)).unzip();
        let mut address = peer.address(&self.environment);
        if let Some(petition) = &petition {
            // The flow knows it by that already.
            address.conn = petition.reached.conn;
        }
        let reached = Reached {
            peer,
            conn: address.conn,
            is_encrypted: door.tls.is_some(),
            certificate: certificate.as_ref(),
            extension: extension.as_ref(),
            proxy: &proxy,
            sessions: &sessions,
            cookie: known.as_ref().map(|known| &*known.id),
        };
        let mut metadata =
            metadata(&request, Some(&chosen), &reached, (&self.exposed, self.guards.secrets()));
        let (mut headers, mut named) = (Cow::Borrowed(&self.answers.headers), None);
        for more in visit.headers(&chosen.way.demands) {
            headers = Cow::Owned(headers.and(more));
        }
        let about_all = self.doorman.as_ref().and_then(|doorman| Some((doorman, doorman.about_all()?)));
        if let Some(asked) = about_all {
            let origin = door.origin(peer.host_and_port());
            let about = (address.conn, asker.method());
            let asked = self.authorize(asked, about, (&mut metadata, origin), &mut slot);
            match self.in_time(deadline, doorman::late, asked).await.flatten() {
                Ok((more, identity)) => (headers, named) = (Cow::Owned(headers.and(&more)), identity),
                Err(reject) => return Err(self.refuse(asker, &reject).await),
            }
        }
        if self.is_draining() {
            return Err(self.refuse(asker, &Reject::unavailable(RETRY_AFTER_S)).await);
        }
        if let Some((cookies, known)) = self.cookies.as_ref().zip(known.as_ref()) {
            let kept =
                self.in_time(deadline, cookies::late, cookies.keep(known, (&proven, &forgotten))).await;
            if let Err(reject) = kept.flatten() {
                cookies.give_up(known);
                return Err(self.refuse(asker, &reject).await);
            }
        }
        let agreed = Accept {
            protocol: chosen.protocol,
            extensions: extension.as_slice(),
            cookie: known.as_ref().and_then(|known| known.set.as_deref()),
            headers: Some(&headers),
        };
        let (stream, input) = asker.grant(&request, &agreed, deadline).await?;
        let meta = metadata.text();
        let wire = &chosen.way.wire;
        let joining = chosen.way.replay.as_ref().map(|replay| {
            let of_guard = person(&sessions);
            let of_guard = of_guard.as_ref().map(|(guard, identity)| (&**guard, &**identity));
            let by_cookie = known.as_ref().map(|known| (BY_COOKIE, &*known.id));
            let named = named.as_deref().map(|identity| ("", identity));
            replay::joining(replay, named.or(of_guard).or(by_cookie), last_received)
        });
        let stay = self.guards.stay(address.conn, &chosen.way.demands, &sessions);
        let protocol = WebSocket::new(Role::Server, wire, metadata, slot)
            .deflate(deflate.as_ref())
            .until(&wire.pace, stay)
            .past(self.guards.renewals(address.conn, &sessions))
            .looking(chosen.way.schemas.as_ref().and_then(|plans| plans.incoming(&opened)))
            .acknowledging(joining.clone())
            .unless(known.map(|_| forgotten));
        let outgoing = chosen.way.schemas.as_ref().and_then(|plans| plans.outgoing(&opened));
        let link = self.watch.as_ref().map(|watch| {
            let way = (chosen.way.exit.as_deref(), chosen.way.shown.as_ref());
            watch.opens(way, (door.tls.is_some(), deflate.is_some()), since.elapsed())
        });
        let duplex =
            self.duplex(door, (stream, input), chosen.way, (address, meta), (protocol, link, outgoing));
        Ok(Duplex { joining, ..duplex })
    }

    /// What the route that was chosen needs of the request: the id of the message that the client had last, and schemas.
    async fn of_route(
        &self,
        chosen: &Chosen<'_>,
        request: &Request,
        deadline: Option<Instant>,
    ) -> Result<(Option<u64>, Opened), Reject> {
        let last_received = match &chosen.way.replay {
            None => None,
            Some(_) => replay::asked(request.query.as_deref())?,
        };
        let Some(plans) = &chosen.way.schemas else { return Ok((last_received, Opened::default())) };
        let opened = self.in_time(deadline, late_schema, plans.open(&chosen.params)).await?;
        Ok((last_received, opened.map_err(|missing| self.no_schema(missing))?))
    }

    /// What comes of `future`, which is something of ours that a handshake waits for.
    ///
    /// # Errors
    /// The time for the handshake is over, which `late` answers, or no more connections are taken.
    async fn in_time<T>(
        &self,
        deadline: Option<Instant>,
        late: impl FnOnce() -> Reject,
        future: impl Future<Output = T>,
    ) -> Result<T, Reject> {
        tokio::select! {
            biased;
            done = within(deadline, future) => done.ok_or_else(late),
            () = begun(self.draining()) => {
                Err(Reject::unavailable(RETRY_AFTER_S))
            }
        }
    }

    /// Row 21: what the flow says; gives more headers for the 101, and who it is, if the flow says that.
    async fn authorize(
        &self,
        (doorman, question): (&Doorman, &Question),
        about: (u64, &'static str),
        (metadata, origin): (&mut Metadata, OriginUri),
        slot: &mut Slot,
    ) -> Result<(ExtraHeaders, Option<String>), Reject> {
        let answer = doorman.ask((question, None), about, (metadata, origin)).await;
        let granted = answer.ok_or_else(doorman::late)??;
        granted.tell_of(metadata);
        if let Some(identity) = granted.identity.clone() {
            // The place that a guard's word for it took is free again.
            slot.2 = self.caps.place_of(Some(("".into(), identity))).map_err(|_| too_many())?;
        }
        Ok((granted.headers, granted.identity))
    }

    /// What the flow is asked by guards, where any does.
    fn petition<'a>(
        &'a self,
        door: &Door,
        (request, method): (&'a Request, &'static str),
        peer: &'a Peer,
        (certificate, proxy): (Option<&'a PeerCertificate>, &'a ProxyDetails),
    ) -> Option<Petition<'a>> {
        let doorman = self.doorman.as_ref().filter(|_| !self.guards.questions().is_empty())?;
        let reached = Reached {
            peer,
            conn: peer.address(&self.environment).conn,
            is_encrypted: door.tls.is_some(),
            certificate,
            extension: None,
            proxy,
            sessions: &[],
            cookie: None,
        };
        let origin = door.origin(peer.host_and_port());
        Some(Petition { shared: self, doorman, request, method, reached, origin })
    }

    /// The checks of an upgrade; gives the request, and its offers of subprotocols as they were sent: those of the request
    /// are without the ones that only carry credentials.
    fn upgrade(
        &self,
        door: &Door,
        head: Head,
        forwarded: &Forwarded,
    ) -> Result<(Request, Vec<String>), Reject> {
        let mut request = head.upgrade_behind(&door.handshake, forwarded)?;
        let real = self.guards.secrets().real_protocols(&request.protocols)?;
        let offered = std::mem::replace(&mut request.protocols, real);
        Ok((request, offered))
    }

    fn duplex(
        &self,
        door: &Door,
        (stream, input): (Box<dyn Stream>, BytesMut),
        way: &Way,
        (address, meta): (Address, Value),
        (protocol, link, outgoing): (WebSocket<Slot>, Option<Arc<Link>>, Option<Arc<Outgoing>>),
    ) -> Duplex {
        let origin = door.origin((address.host.clone(), address.port));
        let Way { exit, wire, queue, .. } = way;
        let (stream, traffic) = (counted(stream, input.len(), link.as_ref()), traffic(link.as_ref()));
        Duplex {
            stream,
            input,
            meta,
            protocol: Box::new(protocol.counted(link)),
            origin: Arc::new(origin),
            exit: exit.clone(),
            address,
            limits: wire.times,
            send_queue: queue.clone(),
            traffic,
            outgoing: outgoing.map(|outgoing| -> Arc<dyn duplex::Outgoing> { outgoing }),
            joining: None,
        }
    }
}

impl Shared {
    /// The schema that the messages of a connection have is not to be had. Any path that a client makes up may be one.
    fn no_schema(&self, missing: Missing) -> Reject {
        let mut told = self.schemas_told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left_out) = told.may_log(1, Instant::now()) {
            let alias = &self.environment.alias;
            let more = more_before(left_out);
            tracing::warn!(
                target: "tremor_runtime",
                "[Connector::{alias}] a connection is refused, since its schema cannot be had: {}{more}", missing.cause
            );
        }
        if missing.is_gone {
            return Reject::new(404, "schema", "there is no schema for this path");
        }
        late_schema()
    }

    /// Whether a peer may connect at all. Who comes by a unix socket was let in by the permissions of its file.
    fn lets(&self, peer: &Peer) -> bool {
        peer.ip().is_none_or(|address| self.admits.lets(address))
    }
}

impl Door {
    /// Of what comes from a peer.
    pub(super) fn origin(&self, (host, port): (String, u16)) -> OriginUri {
        OriginUri {
            port: Some(port),
            path: vec![self.name.clone()],
            ..OriginUri::new("tremor-ws-server", host)
        }
    }
}

fn late_schema() -> Reject {
    let reject = Reject::new(503, "schema", "the schema cannot be had right now");
    reject.with_header("Retry-After", RETRY_AFTER_S.to_string())
}

/// What stands for a guard's name where only a cookie says who it is: no guard has it.
const BY_COOKIE: &str = "\0cookie";

/// Row 19.
fn too_many() -> Reject {
    let reason = "there are as many connections of this identity as there may be";
    let reject = Reject::new(429, "identity_connections", reason);
    reject.with_header("Retry-After", RETRY_AFTER_S.to_string())
}

/// Who it is, as metadata says it: the first whom a guard knows by name.
fn person(sessions: &[&Session]) -> Option<Person> {
    sessions.iter().find_map(|session| Some((session.guard.clone(), session.identity.clone()?)))
}

pub(super) async fn within<T>(deadline: Option<Instant>, future: impl Future<Output = T>) -> Option<T> {
    match deadline {
        None => Some(future.await),
        Some(deadline) => timeout_at(deadline, future).await.ok(),
    }
}
