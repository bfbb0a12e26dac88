//! One connection for each origin of events (`spec/websocket.md` 15): with a `ws_server` in front that is a proxy.

use super::{Client, no_way};
use crate::ws::options::Settings;
use async_trait::async_trait;
use std::{
    collections::HashMap,
    io,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};
use tremor_connector::{
    ConnectError, Connected, Connector, Environment, Handshake, Listener, Opening, Openings, PerOrigin,
    Refused, Told, config::ConfigError, duplex::Duplex,
};
use tremor_event::OriginUri;
use tremor_value::{Record, Value};

/// Reads `per_origin`, and what is said only with it or only without.
pub(super) fn read(
    settings: &mut Settings<'_>,
    environment: &Environment,
) -> Result<Option<(PerOrigin, Openings)>, ConfigError> {
    let most = settings.entry("max_connections")?;
    if !settings.or("per_origin", false)? {
        return match most {
            Some(most) => Err(most.conflict("belongs to `per_origin`: otherwise there is one connection")),
            None => Ok(None),
        };
    }
    for key in ["stable_after", "give_up_on"] {
        if let Some(entry) = settings.entry(key)? {
            return Err(entry.conflict("says nothing here: with `per_origin` no connection is made again"));
        }
    }
    let most = match most.map(|most| most.read()).transpose()?.unwrap_or(65_536) {
        0 => usize::MAX,
        most => most,
    };
    Ok(Some(PerOrigin::new(most, environment.ids.clone())))
}

/// Opens a connection for each origin.
pub(super) struct ForEach {
    /// Until it is put to work.
    parts: Option<(Arc<Client>, Openings)>,
}

impl ForEach {
    pub(super) fn new(client: Arc<Client>, openings: Openings) -> Self {
        Self { parts: Some((client, openings)) }
    }
}

#[async_trait]
impl Connector for ForEach {
    async fn connect(&mut self) -> Result<Connected, ConnectError> {
        if let Some((client, _)) = &self.parts {
            client.learn().await?;
        }
        let Some((client, openings)) = self.parts.take() else {
            return Err(ConnectError::Final("it has been at work before".to_owned()));
        };
        let waiting =
            Waiting { client, openings, progress: Arc::default(), is_draining: watch::Sender::default() };
        Ok(Connected::Listener(Box::new(waiting)))
    }
}

struct Waiting {
    client: Arc<Client>,
    openings: Openings,
    progress: Arc<Progress>,
    /// No more connections are opened.
    is_draining: watch::Sender<bool>,
}

/// What those hear whose connection was not open by then.
const TOO_LATE: &str = "the flow ended before their connection was open";

/// When a connection to a server was last made, by what tells servers apart. A server has one handshake at a time, so whoever
/// waits for its turn is not late as long as those in front of it succeed.
#[derive(Default)]
struct Progress(Mutex<HashMap<Server, Instant>>);

type Server = (String, u16);

/// Servers that are told apart, at most.
const MOST_SERVERS: usize = 1024;

impl Progress {
    fn lock(&self) -> MutexGuard<'_, HashMap<Server, Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn made(&self, server: Server) {
        let mut made = self.lock();
        if made.len() >= MOST_SERVERS {
            // Whoever waits has the time it has anyway.
            made.clear();
        }
        made.insert(server, Instant::now());
    }

    fn last(&self, server: &Server) -> Option<Instant> {
        self.lock().get(server).copied()
    }
}

#[async_trait]
impl Listener for Waiting {
    async fn accept(&mut self) -> io::Result<Handshake> {
        let Some(opening) = self.openings.next().await else { return std::future::pending().await };
        let (client, progress) = (self.client.clone(), self.progress.clone());
        let mut draining = self.is_draining.subscribe();
        Ok(Box::pin(async move {
            let opened = tokio::select! {
                biased;
                opened = client.open_in_time(&opening, &progress) => opened,
                Ok(_) = draining.wait_for(|is_draining| *is_draining) => Err(TOO_LATE.to_owned()),
            };
            match opened {
                Ok(duplex) => {
                    opening.made();
                    Ok(duplex)
                }
                Err(cause) => {
                    let refused = client.not_opened(&opening, &cause);
                    opening.failed(&cause);
                    Err(refused)
                }
            }
        }))
    }

    fn answers_to_the_end(&self) -> bool {
        true
    }

    fn drain(&mut self) -> bool {
        self.is_draining.send_replace(true);
        false
    }
}

impl Client {
    /// The wait for its turn counts, too, but for what passes until the last one in front of it has succeeded: many may want
    /// to connect to a server that does not answer, and to one that does.
    async fn open_in_time(&self, opening: &Opening, progress: &Progress) -> Result<Duplex, String> {
        if !opening.said.is_null() {
            self.can_open(&opening.said)?;
        }
        let wanted = self.wanted.changed_by(&opening.said)?;
        let way = self.ways.of(&wanted).ok_or_else(|| no_way(&wanted))?;
        let told =
            |cause: &dyn std::fmt::Display| format!("`{}` was not opened: {cause}", wanted.place.shown());
        let server = self.dialer.queue(&wanted.place, wanted.place.is_same_origin(&self.home));
        let limit = match self.open_handshake {
            Some(handshake) => self.dialer.limit().saturating_add(handshake),
            None => Duration::MAX,
        };
        let mut opened = pin!(self.open_now(&wanted, way, Some(opening)));
        let mut since = Instant::now();
        loop {
            let left = limit.saturating_sub(since.elapsed());
            if let Ok(opened) = timeout(left, opened.as_mut()).await {
                if opened.is_ok() {
                    progress.made(server);
                }
                return opened.map_err(|error| told(&error));
            }
            match progress.last(&server).filter(|last| *last > since) {
                Some(last) => since = last,
                None => {
                    let (ms, server) = (limit.as_millis(), wanted.place.server());
                    return Err(told(&format!(
                        "no connection within {ms} ms, with the wait for its turn: handshakes with {server} are made one by one"
                    )));
                }
            }
        }
    }

    /// What the flow is told of a connection that came to nothing.
    fn not_opened(&self, opening: &Opening, cause: &str) -> Refused {
        let record =
            [("kind", Value::from("rejected")), ("conn", opening.conn.into()), ("reason", cause.into())];
        let mut meta = Record::from_iter([(super::SPEC.name, conn(opening.conn))]);
        if let Some((kind, of_partner)) = partner(opening) {
            meta.insert(kind, of_partner);
        }
        let told = Told {
            record: Record::from_iter(record).into(),
            meta: meta.into(),
            origin: Arc::new(OriginUri::new("tremor-ws-client", "localhost".to_owned())),
        };
        Refused { cause: cause.to_owned(), told: vec![told] }
    }
}

/// What metadata says of the connection that the events come from for which this one is opened.
pub(super) fn partner(opening: &Opening) -> Option<(&'static str, Value)> {
    let (kind, id) = opening.partner?;
    (kind != super::SPEC.name).then(|| (kind, conn(id)))
}

fn conn(id: u64) -> Value {
    Record::from_iter([("conn", Value::from(id))]).into()
}
