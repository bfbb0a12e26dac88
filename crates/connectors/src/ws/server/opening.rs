//! From an accepted socket to where something may be asked for (`spec/websocket.md` 3).

use super::{
    Door, Shared,
    admission::{Full, Place, Slot},
    asker::{Asker, Failure},
    http2::{Exchange, Facts, Requests},
    peer::Peer,
    refusing::NotOpened,
};
use crate::ws::http2::{ALPN, is_http2};
use bytes::BytesMut;
use futures_util::{FutureExt as _, future::Either};
use std::{net::IpAddr, sync::Arc};
use tokio::time::{Instant, timeout_at};
use tremor_connector::{
    duplex::{Duplex, Stream},
    tls::PeerCertificate,
};
use tremor_event::OriginUri;
use tremor_ws::ProxyDetails;

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
pub(super) struct Admitted {
    pub(super) asker: Asker,
    pub(super) slot: Slot,
    pub(super) certificate: Option<PeerCertificate>,
    /// What a proxy said in front of it.
    pub(super) proxy: ProxyDetails,
    /// When it came.
    pub(super) since: Instant,
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
                Some(_) => NotOpened::cut_off("too many handshakes are under way"),
            });
        };
        let _under_way = self.watch.as_ref().map(|watch| watch.begins(door.tls.is_some()));
        let entered = self.enter(door, stream, peer, deadline).await?;
        if entered.is_http2 {
            let carried = within(deadline, Box::pin(self.carry(door, entered, (peer, requests)))).await;
            return Err(carried.unwrap_or_else(|| "no preface of HTTP/2 in time".into()));
        }
        let Entered { stream, input, certificate, proxy, place, has_room, .. } = entered;
        let asker = Asker::Http1 { stream, input };
        let (asker, slot) = self.admit(door, asker, (place, has_room), deadline).await?;
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
        let (asker, slot) = self.admit(door, asker, (place, has_room), deadline).await?;
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
    async fn admit(
        &self,
        door: &Door,
        asker: Asker,
        (place, has_room): (OfClient, bool),
        deadline: Option<Instant>,
    ) -> Result<(Asker, Slot), NotOpened> {
        let slot = match place {
            Ok(place) if has_room && !self.is_draining() => {
                let of_all = self.caps.connections.clone().try_acquire_owned().ok();
                of_all.map(|of_all| Slot { _of_all: of_all, of_address: place, of_identity: None })
            }
            _ => None,
        };
        match slot {
            Some(slot) => Ok((asker, slot)),
            None => Err(Box::pin(self.turn_away(door, asker, deadline)).await),
        }
    }

    /// There is no room. How we are is told all the same to one who asks for just that: who looks after a server must not
    /// take one that is full for one that is ill. Until it is clear what is asked for, this is a handshake as any other.
    async fn turn_away(&self, door: &Door, mut asker: Asker, deadline: Option<Instant>) -> NotOpened {
        if self.pages.tell_health() {
            match asker.head(&door.handshake, deadline, None).await {
                Ok(head) => {
                    if let Some(page) = self.health(&head) {
                        return self.show(asker, &page).await;
                    }
                }
                Err(Failure::Refused(_)) => {}
                Err(Failure::Gone(cause)) => return NotOpened::gone(cause),
                Err(Failure::Silent(_)) => return self.no_room(asker).await.untold(),
            }
        }
        self.no_room(asker).await
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
                *peer = source.into();
            }
            proxy = header.details;
            if !self.lets(peer) {
                return Err("its address is not allowed".into());
            }
        }
        let place = self.place(peer);
        let has_room = place.is_ok() && self.caps.is_in_time();
        if !has_room && self.answers.drops && !self.pages.tell_health() {
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
                let encrypted = within(deadline, Box::pin(tls.accept(stream))).await;
                if let Some(watch) = &self.watch {
                    match &encrypted {
                        None => watch.tls_failed(None),
                        Some(Err(error)) => watch.tls_failed(Some(error)),
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

    /// Whether a peer may connect at all. Who comes by a unix socket was let in by the permissions of its file.
    fn lets(&self, peer: &Peer) -> bool {
        peer.ip().is_none_or(|address| self.admits.lets(address))
    }
}

impl Door {
    /// Of what comes from a peer.
    pub(super) fn origin(&self, (host, port): (String, Option<u16>)) -> OriginUri {
        OriginUri { port, path: vec![self.name.clone()], ..OriginUri::new("tremor-ws-server", host) }
    }
}

/// What comes of `future`, unless that is later than `deadline`.
pub(super) fn within<T>(
    deadline: Option<Instant>,
    future: impl Future<Output = T>,
) -> impl Future<Output = Option<T>> {
    match deadline {
        None => Either::Left(future.map(Some)),
        Some(deadline) => Either::Right(timeout_at(deadline, future).map(Result::ok)),
    }
}
