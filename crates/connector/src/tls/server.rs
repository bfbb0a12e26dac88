//! TLS of a server.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError, RwLock},
};

use rustls::{
    AlertDescription, HandshakeKind, ServerConfig,
    crypto::ring::Ticketer,
    server::{Acceptor, ClientHello, ProducesTickets, ServerSessionMemoryCache, StoresServerSessions},
};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio_rustls::{LazyConfigAcceptor, TlsAcceptor, server::TlsStream};
use tracing::{info, warn};
use tremor_value::Record;

use super::{
    Encrypted, PeerCertificate, ReadAhead, TlsError, TlsKeys,
    clients::ClientTrust,
    identities::Names,
    load::{Loaded, load},
    tell_of_files,
};
use crate::{
    config::{ConfigError, Key, Reader},
    files::{Following, Look},
    task::TARGET,
};

/// Sessions that are remembered here, for the few clients that do not take tickets.
const REMEMBERED_SESSIONS: usize = 256;

/// TLS of a server, ready for handshakes. Cloning is cheap; clones are one and the same.
#[derive(Clone, Debug)]
pub struct ServerTls(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// What was configured, to read it once more.
    record: Record,
    path: Vec<Key>,
    keys: TlsKeys,
    watches: bool,
    current: RwLock<Arc<Current>>,
    /// How the files looked when they were last read, for good or not. Held while they are read.
    seen: Mutex<Look>,
}

/// What the next handshake works with.
#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    /// The names that clients may ask for; any if there is none.
    admitted: Option<Names>,
    clients: Option<ClientTrust>,
    sessions: Sessions,
    hazards: Vec<String>,
}

/// What sessions are resumed by. A session lives in its ticket, with the client, so that all can be resumed, however many
/// there are.
#[derive(Clone, Debug)]
struct Sessions {
    tickets: Arc<dyn ProducesTickets>,
    remembered: Arc<dyn StoresServerSessions>,
}

impl Sessions {
    fn new() -> Result<Self, rustls::Error> {
        Ok(Self { tickets: Ticketer::new()?, remembered: ServerSessionMemoryCache::new(REMEMBERED_SESSIONS) })
    }
}

impl ServerTls {
    /// Reads the `tls` record of a server: `cert` and `key`; for websockets also all of `spec/websocket.md` 14.1, under the
    /// names of Crossbar, too.
    ///
    /// Reads files and so may block for a moment.
    ///
    /// # Errors
    /// If a key is missing, unknown or of the wrong type, if a file cannot be read or lacks what it should
    /// hold, or if a private key does not belong to its certificate.
    pub fn from_config(tls: Reader<'_>, keys: TlsKeys) -> Result<Self, ConfigError> {
        let (record, path) = (tls.members().clone(), tls.path().to_vec());
        let mut look = Look::default();
        let loaded = load(tls, keys, &mut look)?;
        let watches = loaded.watches;
        let current = Current::new(loaded, None)
            .map_err(|error| Reader::again(&record, path.clone()).invalid("cert", error.to_string()))?;
        let current = RwLock::new(Arc::new(current));
        Ok(Self(Arc::new(Inner { record, path, keys, watches, current, seen: Mutex::new(look) })))
    }

    /// What works but is hardly meant, each in a sentence.
    #[must_use]
    pub fn hazards(&self) -> Vec<String> {
        self.0.current().hazards.clone()
    }

    /// The settings as rustls has them, until they are read again.
    #[must_use]
    pub fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.0.current().config)
    }

    /// If `reload` is `watch`: reads the files again whenever they change, until what is given back is dropped. `alias` is
    /// the connector that tells of it. Needs a Tokio runtime.
    #[must_use]
    pub fn watch(&self, alias: &str) -> Option<Following> {
        if !self.0.watches {
            return None;
        }
        let (seen, tls, alias) = (self.clone(), self.clone(), alias.to_owned());
        Some(Following::start(
            move || seen.look(),
            move || {
                let (tls, alias) = (tls.clone(), alias.clone());
                async move {
                    info!(target: TARGET, "[Connector::{alias}] files of `tls` have changed");
                    let _told = tls.reload(&alias).await;
                }
            },
        ))
    }

    /// Reads all files again; what is wrong with them leaves everything as it is. Either is logged for the connector `alias`.
    ///
    /// Handshakes that begin afterwards see the new files. Open connections keep what they have, and what they can resume
    /// they still can, unless `client_ca` holds other certificates than before: then every client shows its own again.
    ///
    /// # Errors
    /// With what is wrong, which has been logged.
    pub async fn reload(&self, alias: &str) -> Result<(), String> {
        let inner = Arc::clone(&self.0);
        let outcome = tokio::task::spawn_blocking(move || inner.reload()).await;
        let outcome = outcome.map_err(|_| "an internal error".to_owned()).and_then(|outcome| outcome);
        match &outcome {
            Ok(()) => {
                info!(target: TARGET, "[Connector::{alias}] new handshakes use the files of `tls` as they are now");
                for hazard in self.hazards() {
                    warn!(target: TARGET, "[Connector::{alias}] {hazard}");
                }
            }
            Err(problem) => tell_of_files(alias, problem),
        }
        outcome
    }

    /// How the files looked when they were last read, and how they look now. Blocks for a moment.
    fn look(&self) -> (Look, Look) {
        let known = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let now = known.again();
        (known, now)
    }

    /// Does the handshake with a client. The time limit is the caller's business.
    ///
    /// # Errors
    /// If the handshake fails; the connection is closed then.
    pub async fn accept<S>(&self, stream: S) -> Result<Encrypted<TlsStream<ReadAhead<S>>>, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let now = self.0.current();
        let stream = ReadAhead::new(stream);
        let config = Arc::clone(&now.config);
        let stream = match &now.admitted {
            None => TlsAcceptor::from(config).accept(stream).await,
            Some(admitted) => {
                let start = LazyConfigAcceptor::new(Acceptor::default(), stream).await;
                let mut start = start.map_err(TlsError::Accept)?;
                if let Some((alert, refused)) = refusal(admitted, &start.client_hello()) {
                    tell(&mut start.io, alert).await;
                    return Err(refused);
                }
                start.into_stream(config).await
            }
        };
        let stream = stream.map_err(TlsError::Accept)?;
        now.look_again(stream.get_ref().1)?;
        Ok(Encrypted::new(stream))
    }
}

impl Inner {
    fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Blocks for a moment.
    fn reload(&self) -> Result<(), String> {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        *seen = seen.again();
        let tls = Reader::again(&self.record, self.path.clone());
        let loaded = load(tls, self.keys, &mut Look::default()).map_err(|error| error.to_string())?;
        let fresh = Current::new(loaded, Some(&self.current())).map_err(|error| error.to_string())?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
        Ok(())
    }
}

impl Current {
    /// Sessions that began with `before` are only resumed if the same clients are let in: one whose issuer is trusted no
    /// more must not come back with its ticket.
    fn new(loaded: Loaded, before: Option<&Self>) -> Result<Self, rustls::Error> {
        let Loaded { mut config, admitted, clients, hazards, watches: _ } = loaded;
        let kept = before.filter(|before| match (&before.clients, &clients) {
            (None, None) => true,
            (Some(before), Some(now)) => before.is_same(now),
            _ => false,
        });
        let sessions = match kept {
            Some(before) => before.sessions.clone(),
            None => Sessions::new()?,
        };
        config.ticketer = Arc::clone(&sessions.tickets);
        config.session_storage = Arc::clone(&sessions.remembered);
        // Enough for a peer that has one connection.
        config.send_tls13_tickets = 1;
        Ok(Self { config: Arc::new(config), admitted, clients, sessions, hazards })
    }

    /// A session that is resumed has nobody's certificate verified.
    fn look_again(&self, connection: &rustls::ServerConnection) -> Result<(), TlsError> {
        let Some(clients) = &self.clients else { return Ok(()) };
        if connection.handshake_kind() != Some(HandshakeKind::Resumed) {
            return Ok(());
        }
        let good = clients.look_again(connection.peer_certificates());
        good.map_err(|error| TlsError::Accept(io::Error::new(io::ErrorKind::InvalidData, error)))
    }
}

/// Whether the name in a hello is not admitted; and what the client is told.
fn refusal(admitted: &Names, hello: &ClientHello<'_>) -> Option<(AlertDescription, TlsError)> {
    match hello.server_name() {
        Some(name) if !admitted.find(name).is_empty() => None,
        Some(name) => Some((AlertDescription::UnrecognisedName, TlsError::UnknownName(name.to_owned()))),
        // RFC 8446, section 9.2.
        None => Some((AlertDescription::MissingExtension, TlsError::NoName)),
    }
}

/// Sends a fatal alert in the clear, as it is before there are keys (RFC 8446, sections 5.1 and 6).
async fn tell(stream: &mut (impl AsyncWrite + Unpin), alert: AlertDescription) {
    let record = [0x15, 3, 3, 0, 2, 2, u8::from(alert)];
    // Whoever does not hear it is refused all the same.
    let _heard = stream.write_all(&record).await;
    let _heard = stream.shutdown().await;
}

impl<S> Encrypted<TlsStream<ReadAhead<S>>> {
    /// The protocol that was agreed on, if one was.
    #[must_use]
    pub fn protocol(&self) -> Option<&[u8]> {
        self.get_ref().get_ref().1.alpn_protocol()
    }

    /// The verified certificate of the client, if it has shown one.
    #[must_use]
    pub fn client_certificate(&self) -> Option<PeerCertificate> {
        let shown = self.get_ref().get_ref().1.peer_certificates()?;
        shown.first().map(|own| PeerCertificate::new(own.clone().into_owned()))
    }
}

#[cfg(test)]
mod tests;
