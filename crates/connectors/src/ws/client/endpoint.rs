//! From nothing to a stream of bytes (`spec/websocket.md` 2.1).

use super::{
    place::Place,
    proxy::{Asking, Proxies},
};
use crate::ws::{options::Settings, peer_record};
use std::{
    io,
    net::SocketAddr,
    num::NonZeroU16,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::{
    io::AsyncWriteExt,
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tremor_connector::{
    Environment,
    config::{ConfigError, Reader},
    duplex::{Address, Stream},
    socket::{self, Family, SocketOptions, Target},
    url::{Rules, Url},
};
use tremor_value::{Record, Value};
use tremor_ws::{ProxyVersion, write_proxy_header};

/// How long resolving the name and connecting may take, in seconds.
const CONNECT_LIMIT_S: u64 = 10;

/// What to connect to, whatever is asked for there.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) enum Endpoint {
    /// What the URL says.
    #[default]
    OfUrl,
    Tcp {
        host: String,
        port: u16,
        family: Option<Family>,
    },
    Unix(PathBuf),
}

/// Makes connections.
pub(super) struct Dialer {
    pub(super) endpoint: Endpoint,
    pub(super) socket: SocketOptions,
    pub(super) proxies: Proxies,
    /// `send_proxy_protocol`
    pub(super) proxy_header: Option<ProxyVersion>,
    /// For all until bytes go to and fro, that of a proxy included.
    limit: Duration,
}

/// Both ends of a connection to a server.
pub(super) struct Dialed {
    pub(super) address: Address,
    /// `peer` of the metadata.
    pub(super) peer: Record,
    /// Our end, if it has an address.
    pub(super) local: Option<SocketAddr>,
}

/// What carries the bytes.
pub(super) enum Line {
    Tcp(TcpStream),
    Other(Box<dyn Stream>),
}

/// What `endpoint` says.
#[derive(Default)]
pub(super) struct Said<'a> {
    pub(super) endpoint: Endpoint,
    pub(super) limit: Duration,
    /// The record, if it is to be asked for `tls`.
    pub(super) reader: Option<Reader<'a>>,
}

impl<'a> Said<'a> {
    pub(super) fn read(settings: &mut Settings<'a>) -> Result<Self, ConfigError> {
        let limit = Duration::from_secs(CONNECT_LIMIT_S);
        let Some(mut reader) = settings.config.record("endpoint")? else {
            return Ok(Self { limit, ..Self::default() });
        };
        let kind = reader.members().get("type").and_then(Value::as_str);
        if matches!(kind, Some("tor" | "onion")) {
            let problem = "is reached by a proxy: `proxy` of `socks5h://127.0.0.1:9050`";
            return Err(reader.invalid("type", problem));
        }
        let is_unix = reader.required_word("type", &[("tcp", false), ("unix", true)])?;
        let limit = match reader.or_in("timeout", CONNECT_LIMIT_S, 0..=600)? {
            0 => Duration::MAX,
            seconds => Duration::from_secs(seconds),
        };
        if is_unix {
            let path = reader.required("path")?;
            reader.finish()?;
            return Ok(Self { endpoint: Endpoint::Unix(path), limit, reader: None });
        }
        let family = match reader.optional_in("version", 4..=6)? {
            None => None,
            Some(4_u8) => Some(Family::V4),
            Some(6) => Some(Family::V6),
            Some(_) => return Err(reader.invalid("version", "is that of IP: 4 or 6")),
        };
        let host: String = reader.required("host")?;
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(&host);
        let shown = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
        if host.is_empty() || host.contains(['/', '?', '#', '@']) {
            return Err(reader.invalid("host", "is no host name and no IP address"));
        }
        Url::parse(&shown, &Rules::WEBSOCKET).map_err(|error| reader.invalid("host", error.to_string()))?;
        let port: NonZeroU16 = reader.required("port")?;
        let endpoint = Endpoint::Tcp { host: host.to_ascii_lowercase(), port: port.get(), family };
        Ok(Self { endpoint, limit, reader: Some(reader) })
    }
}

impl Dialer {
    pub(super) fn new(
        (endpoint, limit): (Endpoint, Duration),
        socket: SocketOptions,
        proxies: Proxies,
        proxy_header: Option<ProxyVersion>,
    ) -> Self {
        Self { endpoint, socket, proxies, proxy_header, limit }
    }

    /// How long a connection may take to be there.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// The server that a connection to `place` goes to, and a number beside it: whoever shares both has to queue.
    pub(super) fn queue(&self, place: &Place, is_home: bool) -> (String, u16) {
        match &self.endpoint {
            Endpoint::Unix(path) if is_home => (format!("unix:{}", path.display()), 0),
            Endpoint::Tcp { host, port, .. } if is_home => (host.clone(), *port),
            _ => (place.host.clone(), place.port),
        }
    }

    /// The server that a connection to `place` goes to, in messages.
    pub(super) fn shown(&self, place: &Place, is_home: bool) -> String {
        let (host, port) = self.queue(place, is_home);
        let server = Target { host, port };
        match self.proxies.before(&Place { host: server.host.clone(), port, ..place.clone() }) {
            Some(proxy) => format!("{server} through the proxy {}", proxy.shown()),
            None => server.to_string(),
        }
    }

    /// Connects to `place`; `is_home`: it is the one that the configuration is about, to which `endpoint` leads.
    ///
    /// # Errors
    /// In words that name the server.
    pub(super) async fn dial(
        &self,
        place: &Place,
        is_home: bool,
        environment: &Environment,
    ) -> Result<(Line, Dialed), String> {
        let (host, port, family) = match &self.endpoint {
            Endpoint::Unix(path) if is_home => return self.dial_unix(path, environment).await,
            Endpoint::Tcp { host, port, family } if is_home => (host, *port, *family),
            _ => (&place.host, place.port, None),
        };
        let target = Place { host: host.clone(), port, ..place.clone() };
        if let Some(proxy) = self.proxies.before(&target) {
            let told = |cause: String| {
                format!("cannot connect to {} through the proxy {}: {cause}", target.server(), proxy.shown())
            };
            let mut asking = Asking::default();
            let way = async {
                let server = proxy.server();
                let tcp = socket::connect(&server.host, server.port, &self.socket, Duration::MAX).await;
                let tcp = tcp.map_err(|error| error.to_string())?;
                let local = tcp.local_addr().map_err(|error| error.to_string())?;
                Ok((proxy.pass(tcp, &target, (&environment.alias, &mut asking)).await?, local))
            };
            let passed = timeout(self.limit, way).await;
            let late =
                |_| Err(asking.cut_short().unwrap_or_else(|| format!("no tunnel within {:?}", self.limit)));
            let (stream, local) = passed.unwrap_or_else(late).map_err(told)?;
            let address = Address { conn: environment.ids.next_id(), host: host.clone(), port: Some(port) };
            let peer = peer_record(&address);
            return Ok((Line::Other(stream), Dialed { peer, address, local: Some(local) }));
        }
        let tcp = socket::connect_by(family, host, port, &self.socket, self.limit).await;
        let mut tcp = tcp.map_err(|error| error.to_string())?;
        let told = |error: io::Error| format!("cannot connect to {}: {error}", target.server());
        let (peer, local) = (tcp.peer_addr().map_err(told)?, tcp.local_addr().map_err(told)?);
        if let Some(version) = self.proxy_header {
            tcp.write_all(&write_proxy_header(version, local, peer)).await.map_err(told)?;
        }
        let address = environment.address(peer);
        let peer = peer_record(&address);
        Ok((Line::Tcp(tcp), Dialed { peer, address, local: Some(local) }))
    }

    async fn dial_unix(&self, path: &Path, environment: &Environment) -> Result<(Line, Dialed), String> {
        let told =
            |cause: &dyn std::fmt::Display| format!("cannot connect to unix:{}: {cause}", path.display());
        let stream = timeout(self.limit, UnixStream::connect(path)).await;
        let stream = stream
            .map_err(|_| told(&format!("no answer within {:?}", self.limit)))?
            .map_err(|error| told(&socket::cause_of(&error)))?;
        let shown = path.to_string_lossy().into_owned();
        let mut peer = Record::from_iter([("unix", Value::from(shown.as_str()))]);
        if let Ok(who) = stream.peer_cred() {
            peer.insert("uid", u64::from(who.uid()));
            peer.insert("gid", u64::from(who.gid()));
            if let Some(pid) = who.pid().and_then(|pid| u64::try_from(pid).ok()) {
                peer.insert("pid", pid);
            }
        }
        let address = Address { conn: environment.ids.next_id(), host: format!("unix:{shown}"), port: None };
        Ok((Line::Other(Box::new(stream)), Dialed { peer, address, local: None }))
    }
}
