//! TLS of a client.

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
};

use rustls::{
    ClientConfig, RootCertStore,
    client::{WebPkiServerVerifier, danger::ServerCertVerifier},
    pki_types::{CertificateDer, ServerName},
};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::{TlsConnector, client::TlsStream};
use tracing::info;
use tremor_value::{Record, Value};

use super::{
    Encrypted, HTTP2, PeerCertificate, ReadAhead, TlsError, TlsKeys, Versions, alpn, either,
    load::{anchors, identity, mismatch},
    pins::Pins,
    provider, tell_of_files,
    verify::{NamedOrIssued, Pinned, Unverified},
};
use crate::{
    config::{ConfigError, Entry, Key, OneOrMany, Reader},
    files::{Look, Reading},
    task::TARGET,
    url::Url,
};

/// Names that Zilla has for some of this (`spec/websocket.md` 20), and what only servers have.
const ELSEWHERE: &[(&str, &str)] = &[
    ("keys", "is written as `cert` and `key`: files instead of entries of a vault"),
    ("signers", "is written as `cert` and `key`: files instead of entries of a vault"),
    ("trust", "is written as `cafile`: files instead of entries of a vault"),
    ("trustcacerts", "is written as `add_system_roots`"),
    ("version", "is written as `min_version` and `max_version`"),
    ("sni", "is written as `domain`"),
    ("mutual", "is for a server; a client shows a certificate with `cert` and `key`"),
];

/// TLS of a client, ready for handshakes. Cloning is cheap.
#[derive(Clone)]
pub struct ClientTls {
    config: Arc<ClientConfig>,
    domain: Option<ServerName<'static>>,
    insecure: bool,
    is_pinned: bool,
    /// Without if there are no files.
    source: Option<Arc<Source>>,
}

/// What a client's TLS was made of.
struct Source {
    record: Record,
    path: Vec<Key>,
    keys: TlsKeys,
    /// What was made of it last.
    last: Mutex<(Reading, ClientTls)>,
}

impl Source {
    /// Gives what is to be told, too. Blocks for a moment.
    fn renewed(&self) -> (ClientTls, Option<Result<(), String>>) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (reading, current) = &mut *last;
        let (known, now) = reading.look();
        if known == now {
            return (current.clone(), None);
        }
        let read = || {
            let tls = Reader::again(&self.record, self.path.clone());
            ClientTls::from_reader(tls, self.keys, &mut Look::default()).map_err(|error| error.to_string())
        };
        let told = reading.again(read).map(|read| read.map(|fresh| *current = fresh));
        (current.clone(), told)
    }
}

/// What `tls` of a client says.
#[derive(Clone, Debug)]
pub enum ClientTlsSetting {
    /// Nothing.
    Absent,
    /// `false`.
    Off,
    /// `true` or a record.
    On(ClientTls),
}

impl ClientTlsSetting {
    /// Reads `tls` of a client: a bool, or a record with `cafile` (a path or a list of them), `domain`, `cert`
    /// and `key`; for websockets also `add_system_roots`, `min_version`, `max_version`, `alpn`, `pins`, `insecure`, and
    /// the names that Crossbar has for some of these.
    ///
    /// Reads files and so may block for a moment.
    ///
    /// # Errors
    /// If a key is unknown or of the wrong type, if a file cannot be read or lacks what it should hold, if
    /// `cert` and `key` do not come and belong together, or if no root certificate is there to trust.
    pub fn from_config(config: &mut Reader<'_>, keys: TlsKeys) -> Result<Self, ConfigError> {
        let Some(entry) = config.entry("tls") else { return Ok(Self::Absent) };
        match entry.value() {
            Value::Bool(false) => Ok(Self::Off),
            Value::Bool(true) => ClientTls::with_system_roots(&entry).map(Self::On),
            Value::Record(_) => ClientTls::from_files(entry.read()?, keys).map(Self::On),
            _ => Err(entry.mismatch("bool or record")),
        }
    }

    /// The TLS that a socket client uses, where the setting alone decides.
    #[must_use]
    pub fn enabled(self) -> Option<ClientTls> {
        match self {
            Self::On(tls) => Some(tls),
            Self::Absent | Self::Off => None,
        }
    }
}

impl ClientTls {
    /// Reads `tls` of a `ws_client`, where the scheme of `url` counts too (`spec/websocket.md` 1.2): `wss`
    /// alone turns TLS on with the system's root certificates, `tls` with `ws://` works, too.
    ///
    /// # Errors
    /// As [`ClientTlsSetting::from_config`], and for `false` with `wss`.
    pub fn for_websocket(config: &mut Reader<'_>, url: &Url) -> Result<Option<Self>, ConfigError> {
        let secure = url.scheme() == "wss";
        match ClientTlsSetting::from_config(config, TlsKeys::WebSocket)? {
            ClientTlsSetting::On(tls) => Ok(Some(tls)),
            ClientTlsSetting::Off if secure => {
                Err(config.conflict("tls", "is false, but the scheme of the URL is `wss`; write `ws` there"))
            }
            ClientTlsSetting::Absent if secure => {
                let tls = Self::build(Trust::System, None, Options::default());
                tls.map(Some).map_err(|problem| config.invalid("tls", problem))
            }
            ClientTlsSetting::Absent | ClientTlsSetting::Off => Ok(None),
        }
    }

    /// TLS that trusts whom the system trusts, where a configuration has no `tls` record to say more.
    ///
    /// # Errors
    /// In words, if the system trusts nobody.
    pub fn system() -> Result<Self, String> {
        Self::build(Trust::System, None, Options::default())
    }

    /// The same for another server than the one that is configured: whom we trust stays, but it is not shown our
    /// certificate, and its own has to be for its name and not for `domain`.
    #[must_use]
    pub fn for_others(&self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.client_auth_cert_resolver = Arc::new(Nobody);
        // A session that is taken up again would say who we are.
        config.resumption = rustls::client::Resumption::default();
        Self { config: Arc::new(config), domain: None, source: None, ..self.clone() }
    }

    /// The same with HTTP/2 among what is offered, unless `alpn` says what is.
    #[must_use]
    pub fn offering_http2(&self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        if config.alpn_protocols.is_empty() {
            config.alpn_protocols = [HTTP2, "http/1.1"].map(|name| name.as_bytes().to_vec()).to_vec();
        }
        Self { config: Arc::new(config), ..self.clone() }
    }

    /// The same without HTTP/2 among what is offered.
    #[must_use]
    pub fn without_http2(&self) -> Self {
        let mut config = ClientConfig::clone(&self.config);
        config.alpn_protocols.retain(|name| name != HTTP2.as_bytes());
        Self { config: Arc::new(config), ..self.clone() }
    }

    /// What to say of `alpn` if it does not fit. `http2`: that is spoken, too.
    #[must_use]
    pub fn hazard(&self, http2: bool) -> Option<&'static str> {
        let keys = if http2 { TlsKeys::WebSocketOrHttp2 } else { TlsKeys::WebSocket };
        let protocols = &self.config.alpn_protocols;
        keys.hazard(protocols).filter(|_| !protocols.is_empty())
    }

    /// No certificate is verified, but for its key where there are `pins`.
    #[must_use]
    pub fn is_insecure(&self) -> bool {
        self.insecure
    }

    /// What to say of that at each connect to `server`.
    #[must_use]
    pub fn insecurity(&self, server: &dyn fmt::Display) -> Option<String> {
        let what = match self.is_pinned {
            _ if !self.insecure => return None,
            true => format!("of the certificate of {server} only the key is verified, by `tls.pins`"),
            false => format!("the certificate of {server} is not verified, anybody can pretend to be it"),
        };
        Some(format!("`tls.insecure` is on: {what}"))
    }

    fn with_system_roots(entry: &Entry<'_>) -> Result<Self, ConfigError> {
        Self::build(Trust::System, None, Options::default()).map_err(|problem| entry.invalid(problem))
    }

    fn from_files(tls: Reader<'_>, keys: TlsKeys) -> Result<Self, ConfigError> {
        let (record, path) = (tls.members().clone(), tls.path().to_vec());
        let mut look = Look::default();
        let current = Self::from_reader(tls, keys, &mut look)?;
        let last = Mutex::new((Reading::of(look), current.clone()));
        let source = Source { record, path, keys, last };
        Ok(Self { source: Some(Arc::new(source)), ..current })
    }

    /// `look` gets every file, before it is read.
    fn from_reader(mut tls: Reader<'_>, keys: TlsKeys, look: &mut Look) -> Result<Self, ConfigError> {
        let whole = Reader::again(tls.members(), tls.path().to_vec());
        let is_websocket = keys != TlsKeys::Common;
        if is_websocket {
            tls.refuse(ELSEWHERE)?;
        }
        let mut named = |key, crossbar| {
            if is_websocket { either(&mut tls, key, crossbar) } else { Ok(tls.entry(key)) }
        };
        let cafile = named("cafile", "ca_certificates")?;
        let domain = named("domain", "hostname")?.map(|name| server_name(&name)).transpose()?;
        let cert = named("cert", "certificate")?;
        let key: Option<Entry<'_>> = tls.optional("key")?;
        let mut options = Options { domain, ..Options::default() };
        let mut add_system_roots = false;
        if is_websocket {
            add_system_roots = tls.or("add_system_roots", false)?;
            options.versions = Versions::from_config(&mut tls)?;
            options.pins = Pins::from_config(&mut tls)?;
            options.protocols = alpn(&mut tls, keys.protocols(&[]))?;
            options.insecure = tls.or("insecure", false)?;
        }
        let pair = match (cert, key) {
            (Some(cert), Some(key)) => Some((cert, key)),
            (None, None) => None,
            (Some(_), None) => return Err(tls.missing("key", "path of the PEM private key of `cert`")),
            (None, Some(_)) => return Err(tls.missing("cert", "path of the PEM certificate of `key`")),
        };
        if options.insecure && cafile.is_some() {
            return Err(
                tls.conflict("insecure", "lets everybody pass, whatever `cafile` says; write one of them")
            );
        }
        if add_system_roots && cafile.is_none() {
            let problem =
                "has no meaning without `cafile`: the roots of the system are all that is trusted then";
            return Err(tls.conflict("add_system_roots", problem));
        }
        tls.finish()?;
        let trust = match cafile {
            None => Trust::System,
            Some(cafile) => {
                let OneOrMany(files) = cafile.read::<OneOrMany<Entry<'_>>>()?;
                if files.is_empty() {
                    return Err(cafile.invalid("an empty list trusts nobody"));
                }
                for file in &files {
                    look.add(&file.read::<PathBuf>()?);
                }
                Trust::Named { roots: anchors(&files)?, add_system_roots }
            }
        };
        let Some((cert, key)) = pair else {
            return Self::build(trust, None, options).map_err(|problem| whole.invalid_itself(problem));
        };
        for file in [&cert, &key] {
            look.add(&file.read::<PathBuf>()?);
        }
        let (certificates, private_key) = identity(&cert, &key, &[])?;
        let certified = rustls::sign::CertifiedKey::from_der(certificates, private_key, &provider())
            .map_err(|error| mismatch(&cert, &key, &error))?;
        Self::build(trust, Some(certified), options).map_err(|problem| whole.invalid_itself(problem))
    }

    /// # Errors
    /// In words, for the key `tls` as a whole.
    fn build(
        trust: Trust,
        identity: Option<rustls::sign::CertifiedKey>,
        options: Options,
    ) -> Result<Self, String> {
        let provider = provider();
        let algorithms = provider.signature_verification_algorithms;
        let verifier: Arc<dyn ServerCertVerifier> = if options.insecure {
            Arc::new(Unverified::new(algorithms))
        } else {
            let (roots, named) = trust.load()?;
            let issued = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
                .build()
                .map_err(|error| error.to_string())?;
            Arc::new(NamedOrIssued::new(named, issued))
        };
        let is_pinned = !options.pins.is_empty();
        let verifier = Pinned::around(verifier, options.pins);
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(&options.versions.0)
            .map_err(|error| error.to_string())?
            .dangerous()
            .with_custom_certificate_verifier(verifier);
        let mut config = match identity {
            Some(identity) => {
                builder.with_client_cert_resolver(Arc::new(rustls::sign::SingleCertAndKey::from(identity)))
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = options.protocols;
        Ok(Self {
            config: Arc::new(config),
            domain: options.domain,
            insecure: options.insecure,
            is_pinned,
            source: None,
        })
    }

    /// The same with the files as they are now, if they have changed; such that cannot be used leave it as it was last. Either is
    /// logged for the connector `alias`. Open connections keep what they have.
    pub async fn renewed(&self, alias: &str) -> Self {
        let Some(source) = self.source.clone() else { return self.clone() };
        let Ok((renewed, told)) = tokio::task::spawn_blocking(move || source.renewed()).await else {
            return self.clone();
        };
        match told {
            Some(Ok(())) => {
                info!(target: TARGET, "[Connector::{alias}] new connections use the files of `tls` as they are now");
            }
            Some(Err(problem)) => tell_of_files(alias, &problem),
            None => {}
        }
        renewed
    }

    /// The settings as rustls has them.
    #[must_use]
    pub fn config(&self) -> &Arc<ClientConfig> {
        &self.config
    }

    /// Does the handshake with a server. The certificate has to be for `domain` if that is configured, else
    /// for `host`: a name, or an address without brackets. Names are sent to the server (SNI), addresses are
    /// not. The time limit is the caller's business.
    ///
    /// # Errors
    /// If `host` is neither, or the handshake fails; the connection is closed then.
    pub async fn connect<S>(
        &self,
        host: &str,
        stream: S,
    ) -> Result<Encrypted<TlsStream<ReadAhead<S>>>, TlsError>
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let name = match &self.domain {
            Some(domain) => domain.clone(),
            None => ServerName::try_from(host.to_owned()).map_err(|_| TlsError::Name(host.to_owned()))?,
        };
        let shown = name.to_str().into_owned();
        let connector = TlsConnector::from(Arc::clone(&self.config));
        let connected = connector.connect(name, ReadAhead::new(stream)).await;
        connected.map(Encrypted::new).map_err(|cause| TlsError::Connect { name: shown, cause })
    }
}

impl<S> Encrypted<TlsStream<ReadAhead<S>>> {
    /// The protocol that was agreed on, if one was.
    #[must_use]
    pub fn protocol(&self) -> Option<&[u8]> {
        self.get_ref().get_ref().1.alpn_protocol()
    }

    /// The certificate of the server. It was verified, unless `insecure` is on.
    #[must_use]
    pub fn server_certificate(&self) -> Option<PeerCertificate> {
        let shown = self.get_ref().get_ref().1.peer_certificates()?;
        shown.first().map(|own| PeerCertificate::new(own.clone().into_owned()))
    }
}

/// Without keys and certificates.
impl fmt::Debug for ClientTls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientTls")
            .field("domain", &self.domain)
            .field("insecure", &self.insecure)
            .finish_non_exhaustive()
    }
}

/// Shows no certificate.
#[derive(Debug)]
struct Nobody;

impl rustls::client::ResolvesClientCert for Nobody {
    fn resolve(
        &self,
        _issuers: &[&[u8]],
        _schemes: &[rustls::SignatureScheme],
    ) -> Option<Arc<rustls::sign::CertifiedKey>> {
        None
    }

    fn has_certs(&self) -> bool {
        false
    }
}

#[derive(Default)]
struct Options {
    domain: Option<ServerName<'static>>,
    versions: Versions,
    protocols: Vec<Vec<u8>>,
    pins: Pins,
    insecure: bool,
}

/// Whom to trust.
enum Trust {
    System,
    Named { roots: Vec<CertificateDer<'static>>, add_system_roots: bool },
}

impl Trust {
    /// Everybody who may issue, and those of them who were named one by one.
    fn load(self) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), String> {
        let mut store = RootCertStore::empty();
        let (named, system) = match self {
            Self::System => (Vec::new(), true),
            Self::Named { roots, add_system_roots } => (roots, add_system_roots),
        };
        store.add_parsable_certificates(named.iter().cloned());
        if system {
            let found = rustls_native_certs::load_native_certs();
            let (added, _) = store.add_parsable_certificates(found.certs);
            if added == 0 && named.is_empty() {
                let cause = found.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
                return Err(format!(
                    "this system has no root certificates to trust{cause}; name a file with `tls.cafile`"
                ));
            }
        }
        Ok((store, named))
    }
}

fn server_name(entry: &Entry<'_>) -> Result<ServerName<'static>, ConfigError> {
    let text: &str = entry.read()?;
    ServerName::try_from(text.to_owned()).map_err(|_| entry.mismatch("name of a host, or an IP address"))
}
