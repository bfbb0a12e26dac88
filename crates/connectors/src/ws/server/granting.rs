//! From a request to the 101, or to another answer (`spec/websocket.md` 3.1).

use super::{
    Door, Shared,
    admission::{Full, Person, Slot},
    asker::{Asker, Failure},
    begun,
    cookies::{self, Asking, Known},
    doorman::{self, Granted, Handshake},
    metadata::{Asked, Reached, metadata},
    opening::{Admitted, within},
    peer::Peer,
    petition::Petition,
    refusing::{NotOpened, RETRY_AFTER_S},
    replay,
    routing::{Chosen, Way},
};
use crate::ws::{
    Metadata,
    guards::{AsksFlow, Brought, Described, Stay, Visit, guard_certificate},
    metrics::{Opens, counted, traffic},
    protocol::{Revocation, WebSocket},
    schema::{Aside, Missing, Opened},
};
use bytes::BytesMut;
use std::{
    borrow::Cow,
    pin::pin,
    sync::{Arc, PoisonError, atomic::Ordering::Relaxed},
};
use tokio::{sync::watch, time::Instant};
use tremor_connector::{
    Joining,
    duplex::{self, Address, Duplex, Stream},
    more_before,
    tls::PeerCertificate,
};
use tremor_value::{Record, sentence};
use tremor_ws::guard::{Carrier, Session};
use tremor_ws::{
    Accept, Deflate, Extension, ExtraHeaders, Forwarded, Head, Page, ProxyDetails, Reject, Request, Role,
};

/// Why somebody who asks gets no connection.
enum Denied {
    /// This is the answer.
    Refused(Reject),
    /// A page is all that was asked for.
    Shown(Page),
    /// There is no room.
    NoRoom,
    /// Nobody is there any more who could be answered; in words for the log.
    Gone(String),
    /// It cannot be answered; in words for the log.
    Failed(String),
}

/// A request that comes to nothing.
struct NotGranted {
    denied: Denied,
    /// What is told of it, if anybody hears of that.
    told: Record,
    /// For the log, once there is one.
    path: Option<String>,
}

impl From<Denied> for NotGranted {
    fn from(denied: Denied) -> Self {
        Self { denied, told: Record::default(), path: None }
    }
}

impl From<Reject> for Denied {
    fn from(reject: Reject) -> Self {
        Self::Refused(reject)
    }
}

impl From<Failure> for Denied {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Refused(reject) => Self::Refused(reject),
            Failure::Gone(cause) => Self::Gone(cause),
            Failure::Silent(cause) => Self::Failed(cause),
        }
    }
}

impl Shared {
    /// Rows 3 to 22: from the request to the 101. `peer` becomes the address of the client, if a proxy that is believed
    /// says what that is.
    pub(super) async fn answer(
        &self,
        door: &Door,
        mut admitted: Admitted,
        peer: &mut Peer,
        deadline: Option<Instant>,
    ) -> Result<Duplex, NotOpened> {
        let (request, agreed) = match self.decide(door, &mut admitted, peer, deadline).await {
            Ok(agreed) => agreed,
            Err(NotGranted { denied, told, path }) => {
                return Err(self.deny(admitted.asker, denied).await.about(told, path.as_deref()));
            }
        };
        let Admitted { asker, slot, since, .. } = admitted;
        let line = asker.grant(&request, &agreed.accept(), deadline).await?;
        Ok(self.join(door, agreed, line, (slot, since)))
    }

    /// Says why not.
    async fn deny(&self, asker: Asker, denied: Denied) -> NotOpened {
        match denied {
            Denied::Refused(reject) => self.refuse(asker, &reject).await,
            Denied::Shown(page) => self.show(asker, &page).await,
            Denied::NoRoom => self.no_room(asker).await,
            Denied::Gone(cause) => NotOpened::gone(cause),
            Denied::Failed(cause) => cause.into(),
        }
    }

    /// All but the 101; or why not, with what is told of the request.
    async fn decide<'s>(
        &'s self,
        door: &Door,
        admitted: &mut Admitted,
        peer: &mut Peer,
        deadline: Option<Instant>,
    ) -> Result<(Request, Agreed<'s>), NotGranted> {
        let Admitted { asker, slot, certificate, proxy, .. } = admitted;
        let head = asker.head(&door.handshake, deadline, Some(self.draining())).await;
        let mut head = head.map_err(Denied::from)?;
        if let Some(page) = self.health(&head) {
            return Err(Denied::Shown(page).into());
        }
        if self.is_draining() {
            return Err(self.denied(Reject::unavailable(RETRY_AFTER_S), Asked::head(&head)));
        }
        let from_trusted_proxy = self.trust.is_named(peer.ip());
        let forwarded = self.trust.forwarded(peer.ip(), &head.headers);
        let forwarded = forwarded.map_err(|reject| self.denied(reject, Asked::head(&head)))?;
        if let Some((ip, port)) = forwarded.client {
            *peer = Peer::Net { ip, port };
        }
        if let (None, Some(address)) = (&slot.of_address, peer.ip()) {
            let place = self.caps.place(address);
            slot.of_address = place.map_err(|Full| self.denied(Denied::NoRoom, Asked::head(&head)))?;
        }
        let certificate = certificate.as_ref();
        let shown = certificate.filter(|_| self.guards.look_at_certificates()).map(guard_certificate);
        let brought = Brought { certificate: shown.as_ref(), from_trusted_proxy, address: peer.ip() };
        let method = asker.method();
        let has_left = watch::Sender::new(false);
        let candidate = Candidate {
            shared: self,
            door,
            peer,
            certificate,
            proxy,
            brought,
            method,
            deadline,
            has_left: &has_left,
        };
        let upgraded = candidate.watched(asker, pin!(candidate.upgrade(&mut head, &forwarded))).await;
        let (request, offered) = upgraded.map_err(|denied| self.denied(denied, Asked::head(&head)))?;
        let agreed = candidate.watched(asker, pin!(candidate.agree(&request, &offered, slot))).await;
        match agreed {
            Ok(agreed) => Ok((request, agreed)),
            Err(denied) => Err(self.denied(denied, Asked::request(&request))),
        }
    }

    /// Somebody who gets no connection, with what is told of the request, if anybody hears of it.
    fn denied(&self, denied: impl Into<Denied>, asked: Asked<'_>) -> NotGranted {
        let denied = denied.into();
        let is_told = matches!(denied, Denied::Refused(_) | Denied::NoRoom | Denied::Gone(_))
            && self.is_told.load(Relaxed);
        let told = is_told.then(|| asked.shown(&self.exposed, self.guards.secrets()));
        NotGranted { denied, told: told.unwrap_or_default(), path: Some(asked.path().to_owned()) }
    }

    /// Makes the connection of what was agreed.
    fn join(
        &self,
        door: &Door,
        agreed: Agreed<'_>,
        (stream, input): (Box<dyn Stream>, BytesMut),
        (slot, since): (Slot, Instant),
    ) -> Duplex {
        let Agreed { way, address, sessions, deflate, opened, joining, .. } = agreed;
        let Way { exit, wire, queue, schemas, shown, .. } = way;
        let sessions: Vec<_> = sessions.iter().collect();
        let meta = agreed.metadata.text();
        let failures = self.watch.clone().map(|watch| (watch, door.tls.is_some()));
        let renewals = self.guards.renewals(address.conn, &sessions, failures);
        let aside = renewals.as_ref().map(|_| -> Aside {
            let guards = self.guards.clone();
            Box::new(move |message| guards.renewal(message))
        });
        let looking = schemas.as_ref().and_then(|plans| plans.incoming(&opened));
        let protocol = WebSocket::new(Role::Server, wire, agreed.metadata, slot)
            .deflate(deflate.as_ref())
            .sharing(self.caps.large.clone())
            .until(&wire.pace, agreed.stay)
            .past(renewals)
            .looking(looking.map(|looking| looking.except(aside)))
            .acknowledging(joining.clone())
            .unless(agreed.known.map(|_| agreed.forgotten));
        let outgoing = schemas.as_ref().and_then(|plans| plans.outgoing(&opened));
        let link = self.watch.as_ref().map(|watch| {
            watch.opens(Opens {
                port: exit.as_deref(),
                shown: shown.as_ref(),
                queue: queue.as_deref(),
                tls: door.tls.is_some(),
                deflates: deflate.is_some(),
                took: since.elapsed(),
            })
        });
        let origin = door.origin((address.host.clone(), address.port));
        Duplex {
            stream: counted(stream, input.len(), link.as_ref()),
            traffic: traffic(link.as_ref()),
            input,
            meta,
            protocol: Box::new(protocol.counted(link)),
            origin: Arc::new(origin),
            exit: exit.clone(),
            address,
            limits: wire.times,
            send_queue: queue.clone(),
            outgoing: outgoing.map(|outgoing| -> Arc<dyn duplex::Outgoing> { outgoing }),
            joining,
        }
    }

    /// The schema that the messages of a connection have is not to be had. Any path that a client makes up may be one.
    fn no_schema(&self, missing: Missing) -> Reject {
        let mut told = self.schemas_told.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(left_out) = told.may_log(1, Instant::now()) {
            let alias = &self.environment.alias;
            let more = more_before(left_out);
            tracing::warn!(
                target: "tremor_runtime",
                "[Connector::{alias}] a connection is refused, since its schema cannot be had: {}{more}", sentence(&missing.cause)
            );
        }
        if missing.is_gone {
            return Reject::new(404, "schema", "there is no schema for this path");
        }
        late_schema()
    }
}

/// What was agreed with somebody who gets a connection.
struct Agreed<'s> {
    way: &'s Way,
    protocol: Option<String>,
    extension: Option<Extension>,
    deflate: Option<Deflate>,
    /// More headers of the 101.
    headers: Cow<'s, ExtraHeaders>,
    known: Option<Known>,
    /// The cookie was forgotten meanwhile.
    forgotten: Arc<Revocation>,
    /// In the order of what its route demands.
    sessions: Vec<Session>,
    /// Its part in them, which is there before the client hears that it is let in: fresh credentials that come elsewhere
    /// right behind the 101 are for a connection that is open.
    stay: Option<Stay>,
    address: Address,
    metadata: Metadata,
    opened: Opened,
    joining: Option<Box<Joining>>,
}

impl Agreed<'_> {
    fn accept(&self) -> Accept<'_> {
        Accept {
            protocol: self.protocol.as_deref(),
            extensions: self.extension.as_slice(),
            cookie: self.known.as_ref().and_then(|known| known.set.as_deref()),
            headers: Some(&self.headers),
        }
    }
}

/// Somebody who asks, as the steps of the handshake see it.
pub(super) struct Candidate<'s, 'h> {
    pub(super) shared: &'s Shared,
    pub(super) door: &'h Door,
    /// The client, not a proxy that stands for it.
    peer: &'h Peer,
    certificate: Option<&'h PeerCertificate>,
    /// What a proxy said in front of it.
    proxy: &'h ProxyDetails,
    /// What guards look at besides the request.
    pub(super) brought: Brought<'h>,
    /// By which it asks.
    method: &'static str,
    deadline: Option<Instant>,
    /// It is not there any more.
    has_left: &'h watch::Sender<bool>,
}

impl<'s> Candidate<'s, '_> {
    /// What comes of `work`, of which all that waits for something ends when the client goes away meanwhile.
    async fn watched<T>(
        &self,
        asker: &mut Asker,
        mut work: impl Future<Output = Result<T, Denied>> + Unpin,
    ) -> Result<T, Denied> {
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = asker.gone() => {}
        }
        self.has_left.send_replace(true);
        work.await.map_err(|_| Denied::Gone("the peer went away before it was answered".to_owned()))
    }

    /// Answers what is not about a WebSocket, and checks what is; gives the request, and its offers of subprotocols as they
    /// were sent: those of the request are without the ones that only carry credentials.
    async fn upgrade(
        &self,
        head: &mut Head,
        forwarded: &Forwarded,
    ) -> Result<(Request, Vec<String>), Denied> {
        let Self { shared, door, .. } = *self;
        if let Some(page) = self.renewal(head, forwarded).await {
            return Err(Denied::Shown(page?));
        }
        if let Some(page) = shared.page(door, head, forwarded) {
            return Err(Denied::Shown(page));
        }
        let mut request = head.upgrade_behind(&door.handshake, forwarded)?;
        let real = shared.guards.secrets().real_protocols(&request.protocols).inspect_err(|_| {
            // What is told of it is looked up there.
            head.headers = std::mem::take(&mut request.headers);
        })?;
        let offered = std::mem::replace(&mut request.protocols, real);
        Ok((request, offered))
    }

    /// Finds out by which way the connection goes and who it is, and whether guards, flow and limits allow it.
    async fn agree(
        &self,
        request: &Request,
        offered: &[String],
        slot: &mut Slot,
    ) -> Result<Agreed<'s>, Denied> {
        let Self { shared, .. } = *self;
        let begun = shared.cookies.as_ref().map(|cookies| cookies.begin(&request.headers));
        let Asking { bound, forgotten } = begun.unwrap_or_default();
        let bound = shared.guards.counting(bound);
        let carrier =
            Carrier { headers: &request.headers, query: request.query.as_deref(), protocols: offered };
        let petition = self.petition(request);
        let asks_flow = petition.as_ref().map(|petition| -> &dyn AsksFlow { petition });
        let mut visit = shared.guards.visit(carrier, self.brought).bound_by(&bound).asking(asks_flow);
        let chosen = self.choose(request, &mut visit).await?;
        let Chosen { way, protocol, .. } = chosen;
        let last_received = match &way.replay {
            None => None,
            Some(_) => replay::asked(request.query.as_deref())?,
        };
        let opened = self.schemas(&chosen).await?;
        let sessions = visit.sessions(&way.demands);
        let proven = shared.guards.proven(&way.demands, &sessions);
        let known = self.recognize(request, (&sessions, &proven, &forgotten), slot)?;
        let (extension, deflate) =
            way.wire.deflate.and_then(|wanted| wanted.answer(&request.extensions)).unzip();
        let mut address = self.peer.address(&shared.environment);
        if let Some(petition) = &petition {
            // The flow knows it by that already.
            address.conn = petition.reached.conn;
        }
        let reached = Reached {
            extension: extension.as_ref(),
            sessions: &sessions,
            cookie: known.as_ref().map(|known| &*known.id),
            ..self.reached(address.conn)
        };
        let told = (&shared.exposed, shared.guards.secrets());
        let mut metadata = metadata(request, Some(&chosen), &reached, told);
        let mut headers = Cow::Borrowed(&shared.answers.headers);
        for more in visit.headers(&way.demands) {
            headers = Cow::Owned(headers.and(more));
        }
        let mut described = Described { roles: true, attributes: true };
        let named = self.authorize(address.conn, &mut metadata, slot).await?.and_then(|granted| {
            headers = Cow::Owned(headers.and(&granted.headers));
            described = granted.leaves_to_guards();
            granted.identity
        });
        if shared.is_draining() {
            return Err(Reject::unavailable(RETRY_AFTER_S).into());
        }
        visit.still_admits(&way.demands)?;
        self.note(known.as_ref(), (&proven, &forgotten)).await?;
        let joining = way.replay.as_ref().map(|replay| {
            let who = owner(named.as_deref(), &sessions, known.as_ref());
            let who = who.as_ref().map(|(by, identity)| (&**by, &**identity));
            replay::joining(replay, who, last_received)
        });
        Ok(Agreed {
            way,
            protocol: protocol.map(str::to_owned),
            extension,
            deflate,
            headers,
            known,
            stay: shared.guards.stay(address.conn, &way.demands, &sessions, described),
            sessions: sessions.into_iter().cloned().collect(),
            address,
            metadata,
            opened,
            joining,
            forgotten,
        })
    }

    /// Finds the route, which asks guards.
    async fn choose<'r>(
        &self,
        request: &'r Request,
        visit: &mut Visit<'_>,
    ) -> Result<Chosen<'s, 'r>, Reject> {
        let shared = self.shared;
        let undecided = || shared.guards.undecided();
        let decided = self.in_time(undecided, pin!(shared.routing.decide(request, visit))).await;
        self.count_failures(visit);
        decided?
    }

    /// Counts what guards have found to be no good, where that is counted.
    pub(super) fn count_failures(&self, visit: &Visit<'_>) {
        if let Some(watch) = &self.shared.watch {
            let tls = self.door.tls.is_some();
            visit.failures().for_each(|(guard, reason)| watch.guard_failed(tls, guard, reason));
        }
    }

    /// The schemas of its messages.
    async fn schemas(&self, chosen: &Chosen<'_, '_>) -> Result<Opened, Reject> {
        let Some(plans) = &chosen.way.schemas else { return Ok(Opened::default()) };
        let opened = self.in_time(late_schema, Box::pin(plans.open(&chosen.params))).await?;
        opened.map_err(|missing| self.shared.no_schema(missing))
    }

    /// By what it is known, if anything is. Takes its place among the connections of whoever it is.
    fn recognize(
        &self,
        request: &Request,
        (sessions, proven, forgotten): (&[&Session], &[&Session], &Arc<Revocation>),
        slot: &mut Slot,
    ) -> Result<Option<Known>, Denied> {
        let caps = &self.shared.caps;
        slot.of_identity = caps.place_of(person(sessions)).map_err(|Full| too_many())?;
        let Some(cookies) = &self.shared.cookies else { return Ok(None) };
        let known = cookies.meet(&request.headers, request.secure, (sessions, proven, forgotten));
        let known = known.map_err(|error| Denied::Failed(error.to_string()))?;
        if sessions.is_empty() {
            // Nobody else says who it is.
            slot.of_identity = caps.place_of(Some(by_cookie(&known))).map_err(|Full| too_many())?;
        }
        Ok(Some(known))
    }

    /// Row 21: what the flow says, if it is asked about everybody.
    async fn authorize(
        &self,
        conn: u64,
        metadata: &mut Metadata,
        slot: &mut Slot,
    ) -> Result<Option<Granted>, Reject> {
        let Self { shared, door, peer, method, .. } = *self;
        let Some(doorman) = &shared.doorman else { return Ok(None) };
        let Some(question) = doorman.about_all() else { return Ok(None) };
        let origin = door.origin(peer.host_and_port());
        let handshake = Handshake { question, guard: None, conn, method, metadata, origin };
        let answer = self.in_time(doorman::late, Box::pin(doorman.ask(handshake))).await?;
        let granted = answer.ok_or_else(doorman::late)??;
        granted.tell_of(metadata);
        if let Some(identity) = granted.identity.clone() {
            // The place that a guard's word for it took is free again.
            slot.of_identity =
                shared.caps.place_of(Some(("".into(), identity))).map_err(|Full| too_many())?;
        }
        Ok(Some(granted))
    }

    /// Its cookie counts from now on.
    async fn note(
        &self,
        known: Option<&Known>,
        (proven, forgotten): (&[&Session], &Revocation),
    ) -> Result<(), Reject> {
        let Some((cookies, known)) = self.shared.cookies.as_ref().zip(known) else { return Ok(()) };
        let kept = self.in_time(cookies::late, pin!(cookies.keep(known, (proven, forgotten)))).await;
        kept.flatten().inspect_err(|_| cookies.give_up(known))
    }

    /// What the flow is asked by guards, where any does.
    fn petition<'a>(&'a self, request: &'a Request) -> Option<Petition<'a>> {
        let Self { shared, door, peer, method, .. } = *self;
        let doorman = shared.doorman.as_ref().filter(|_| !shared.guards.questions().is_empty())?;
        let reached = self.reached(peer.address(&shared.environment).conn);
        Some(Petition {
            shared,
            doorman,
            request,
            method,
            reached,
            origin: door.origin(peer.host_and_port()),
        })
    }

    /// How it reached us, as long as nothing else is known of it.
    fn reached(&self, conn: u64) -> Reached<'_> {
        let Self { peer, certificate, proxy, .. } = *self;
        let is_encrypted = self.door.tls.is_some();
        Reached { peer, conn, is_encrypted, certificate, extension: None, proxy, sessions: &[], cookie: None }
    }

    /// What comes of `future`, which is something of ours that a handshake waits for. It is pinned elsewhere: what is passed
    /// to a future by value stands in it twice, and all of a handshake is copied once.
    ///
    /// # Errors
    /// The time for the handshake is over, which `late` answers, or no more connections are taken, or the client has left:
    /// nobody hears the answer then.
    pub(super) async fn in_time<T>(
        &self,
        late: impl FnOnce() -> Reject,
        future: impl Future<Output = T> + Unpin,
    ) -> Result<T, Reject> {
        tokio::select! {
            biased;
            done = within(self.deadline, future) => done.ok_or_else(late),
            () = begun(self.shared.draining()) => Err(Reject::unavailable(RETRY_AFTER_S)),
            () = begun(self.has_left.subscribe()) => Err(Reject::unavailable(RETRY_AFTER_S)),
        }
    }
}

fn late_schema() -> Reject {
    let reject = Reject::new(503, "schema", "the schema cannot be had right now");
    reject.with_header("Retry-After", RETRY_AFTER_S.to_string())
}

/// Row 19.
fn too_many() -> Reject {
    let reason = "there are as many connections of this identity as there may be";
    let reject = Reject::new(429, "identity_connections", reason);
    reject.with_header("Retry-After", RETRY_AFTER_S.to_string())
}

/// Whose the messages of a connection are: the flow's word for it comes first, then that of guards, then a cookie.
fn owner(named: Option<&str>, sessions: &[&Session], known: Option<&Known>) -> Option<Person> {
    let named = named.map(|identity| ("".into(), identity.to_owned()));
    named.or_else(|| person(sessions)).or_else(|| known.map(by_cookie))
}

/// Who it is, as metadata says it: the first whom a guard knows by name.
fn person(sessions: &[&Session]) -> Option<Person> {
    sessions.iter().find_map(|session| Some((session.guard.clone(), session.name()?.to_owned())))
}

/// The same where only a cookie says it. What stands for a guard's name is the name of none.
fn by_cookie(known: &Known) -> Person {
    ("\0cookie".into(), known.id.to_string())
}
