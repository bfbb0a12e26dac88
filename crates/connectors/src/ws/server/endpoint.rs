//! Where a server listens (`spec/websocket.md` 2.1).

use super::peer::{Incoming, Peer};
use crate::ws::options::{Settings, address, unix_endpoint};
use std::{
    io,
    net::IpAddr,
    path::PathBuf,
    task::{Context, Poll, ready},
    time::Duration,
};
use tokio::net::TcpListener;
#[cfg(unix)]
use tremor_connector::socket::{UnixAcceptor, UnixPlace};
use tremor_connector::{
    ConnectError,
    config::{ConfigError, Entry, OneOrMany, Reader},
    socket::{self, HAS_USER_TIMEOUT, IpVersion, Ports, SocketOptions},
    tls::{ServerTls, TlsKeys},
    url::Url,
};
use tremor_value::Value;

/// One place to listen.
pub(super) struct Endpoint {
    place: Place,
    /// Its connections are encrypted.
    pub(super) tls: Option<ServerTls>,
}

enum Place {
    /// What `url` says: any version of IP.
    Address {
        host: String,
        port: u16,
        backlog: u32,
        options: SocketOptions,
    },
    Tcp {
        host: String,
        ports: Ports,
        version: IpVersion,
        backlog: u32,
        options: SocketOptions,
    },
    #[cfg(unix)]
    Unix(UnixPlace),
}

/// All places of a server.
pub(super) struct Endpoints {
    pub(super) all: Vec<Endpoint>,
    /// `wss` without `tls`, to be told when everything else is right.
    pub(super) lacks_tls: Option<ConfigError>,
    /// All settings of TLS there are, each once.
    pub(super) tls: Vec<ServerTls>,
}

/// What endpoints have unless they say otherwise.
struct Common {
    backlog: u32,
    options: SocketOptions,
    tls: Option<ServerTls>,
    /// Which keys there are in `tls`.
    keys: TlsKeys,
}

impl Endpoints {
    /// Reads `url`, `endpoint` or `listen`, and what belongs to them. `http2`: that is spoken, too.
    pub(super) fn read(settings: &mut Settings<'_>, http2: bool) -> Result<Self, ConfigError> {
        let url = settings.config.entry("url");
        let endpoint = settings.config.record("endpoint")?;
        let listen = settings.config.entry("listen");
        let written = [
            url.as_ref().map(|_| "url"),
            endpoint.as_ref().map(|_| "endpoint"),
            listen.as_ref().map(|_| "listen"),
        ];
        let mut written = written.into_iter().flatten();
        if let (Some(first), Some(second)) = (written.next(), written.next()) {
            let problem = format!("is another way to say `{first}`; write one of them");
            let hint = if first == "url" { " (what clients see is `public_url`)" } else { "" };
            return Err(settings.config.invalid(second, problem + hint));
        }
        if let (None, None, None) = (&url, &endpoint, &listen) {
            return Err(settings.config.missing("url", r#"a string such as "127.0.0.1:4242""#));
        }
        let url = url.map(|entry| server_url(&entry).map(|url| (url, entry))).transpose()?;
        let tls = settings.config.record("tls")?;
        let keys = if http2 { TlsKeys::WebSocketOrHttp2 } else { TlsKeys::WebSocket };
        let tls = tls.map(|tls| ServerTls::from_config(tls, keys)).transpose()?;
        let options = settings.socket()?;
        let backlog = settings.config.or_in("backlog", 128, 1..=65_535)?;
        let common = Common { backlog, options, tls, keys };
        let mut found = Self { all: Vec::new(), lacks_tls: None, tls: common.tls.iter().cloned().collect() };
        if let Some((url, entry)) = &url {
            found.address((url, entry), &common, settings);
        }
        if let Some(endpoint) = endpoint {
            found.endpoint(endpoint, &common)?;
        }
        if let Some(listen) = listen {
            found.list(&listen, &common, settings)?;
        }
        if common.tls.is_some() && found.all.iter().all(|endpoint| endpoint.tls.is_none()) {
            let problem = "has no effect: nothing that is listened on is encrypted (what is written as `ws://` is plain)";
            return Err(settings.config.conflict("tls", problem));
        }
        for hazard in found.tls.iter().flat_map(ServerTls::hazards) {
            settings.warn(&hazard);
        }
        Ok(found)
    }

    fn list(
        &mut self,
        listen: &Entry<'_>,
        common: &Common,
        settings: &Settings<'_>,
    ) -> Result<(), ConfigError> {
        let OneOrMany(entries) = listen.read::<OneOrMany<Entry<'_>>>()?;
        if entries.is_empty() {
            return Err(listen.invalid("an empty list listens nowhere"));
        }
        for (number, entry) in entries.iter().enumerate() {
            let is_same = |other: &&Entry<'_>| other.value() == entry.value() && !is_any_port(other.value());
            if let Some(other) = entries.iter().take(number).find(is_same) {
                return Err(entry.conflict(format!("is the same place as `{}`", other.path_text())));
            }
            if entry.value().as_str().is_none() {
                let endpoint: Reader<'_> =
                    entry.read().map_err(|_| entry.mismatch("a string or a record"))?;
                self.endpoint(endpoint, common)?;
                continue;
            }
            let url = server_url(entry)?;
            self.address((&url, entry), common, settings);
        }
        Ok(())
    }

    /// `entry` is where `url` stands.
    fn address(&mut self, (url, entry): (&Url, &Entry<'_>), common: &Common, settings: &Settings<'_>) {
        // What is written decides.
        let is_plain = url.scheme_is_written() && url.scheme() == "ws";
        let tls = common.tls.clone().filter(|_| !is_plain);
        if url.has_path() {
            let routes = settings.config.members().get("routes").and_then(Value::as_array);
            let so = match routes.is_some_and(|routes| !routes.is_empty()) {
                true => "`routes` say which paths are accepted",
                false => "every path is accepted",
            };
            settings.warn(&format!("the path of `{url}` is ignored: {so}"));
        }
        if url.scheme() == "wss" && tls.is_none() {
            let expected = r#"{"cert": "…", "key": "…"}, since the URL says `wss`"#;
            self.lacks_tls = Some(settings.config.missing("tls", expected));
        }
        let port = url.port_or(if tls.is_some() { 443 } else { 80 });
        let place = entry.path_text();
        if !url.host_is_written() {
            settings.warn(&format!(
                "{place}: names no host, so only this machine can connect; write `0.0.0.0:{port}` for all others, too"
            ));
        }
        if url.port().is_none() && !url.scheme_is_written() {
            settings.warn(&format!("{place}: says no port, so it is {port}"));
        }
        let &Common { backlog, options, .. } = common;
        let place = Place::Address { host: url.host().to_string(), port, backlog, options };
        self.all.push(Endpoint { place, tls });
    }

    fn endpoint(&mut self, mut config: Reader<'_>, common: &Common) -> Result<(), ConfigError> {
        config
            .refuse(&[("host", "is `interface` here"), ("url", "stands beside `endpoint`: `public_url`")])?;
        match config.members().get("type").and_then(Value::as_str) {
            Some("onion" | "tor") => {
                let problem = "is a matter of Tor, which forwards a port (`HiddenServicePort`) to one that is listened on as `tcp`";
                return Err(config.invalid("type", problem));
            }
            Some("universal") => {
                let problem = "is several protocols on one port; only WebSockets are served here, so write `tcp` or `unix`";
                return Err(config.invalid("type", problem));
            }
            _ => {}
        }
        let is_unix = config.required_word("type", &[("tcp", false), ("unix", true)])?;
        let endpoint = if is_unix { unix(&mut config, common)? } else { self.tcp(&mut config, common)? };
        config.finish()?;
        self.all.push(endpoint);
        Ok(())
    }

    fn tcp(&mut self, config: &mut Reader<'_>, common: &Common) -> Result<Endpoint, ConfigError> {
        let version: u8 = config.or("version", 4)?;
        let version = match version {
            4 => IpVersion::V4,
            6 => IpVersion::V6,
            _ => return Err(config.invalid("version", "is 4 or 6")),
        };
        let host = match config.entry("interface") {
            None => version.unspecified().to_owned(),
            Some(entry) => interface(&entry, version)?,
        };
        let ports = ports(config)?;
        let mut options = common.options;
        let shared: Option<bool> = config.optional("shared")?;
        if shared == Some(true) && !cfg!(unix) {
            return Err(config.invalid("shared", "this system does not have it"));
        }
        options.reuse_port = shared.unwrap_or(options.reuse_port);
        let user_timeout: u32 = config.or("user_timeout", 0)?;
        if user_timeout > 0 && !HAS_USER_TIMEOUT {
            return Err(config.invalid("user_timeout", "this system does not have it"));
        }
        options.user_timeout = (user_timeout > 0).then(|| Duration::from_millis(user_timeout.into()));
        let backlog = config.or_in("backlog", common.backlog, 1..=65_535)?;
        let tls = match config.record("tls")? {
            None => common.tls.clone(),
            Some(tls) => {
                let tls = ServerTls::from_config(tls, common.keys)?;
                self.tls.push(tls.clone());
                Some(tls)
            }
        };
        Ok(Endpoint { place: Place::Tcp { host, ports, version, backlog, options }, tls })
    }
}

/// Whether a place to listen is at whatever port is free, so that two of them are two places.
fn is_any_port(place: &Value) -> bool {
    match place.as_str() {
        Some(url) => url.trim_end_matches('/').ends_with(":0"),
        None => place.get("portrange").is_some() || place.get("port").and_then(Value::as_u64) == Some(0),
    }
}

/// The address in `entry`, as that of a server.
fn server_url(entry: &Entry<'_>) -> Result<Url, ConfigError> {
    let url = address(entry)?;
    if !url.host_is_written() && !url.scheme_is_written() && url.has_path() {
        let problem = "is no address; a unix socket is written as ";
        return Err(entry.invalid(problem.to_owned() + &unix_endpoint(url.path_and_query())));
    }
    if url.userinfo().is_some() {
        let problem = "name and password have no meaning in the address of a server; leave them out";
        return Err(entry.invalid(problem));
    }
    Ok(url)
}

/// An address of this machine.
fn interface(entry: &Entry<'_>, version: IpVersion) -> Result<String, ConfigError> {
    let name: &str = entry.read()?;
    let (like, other) = match version {
        IpVersion::V4 => ("127.0.0.1", 6),
        IpVersion::V6 => ("::1", 4),
    };
    // This name alone means the same everywhere.
    if name.eq_ignore_ascii_case("localhost") {
        return Ok(name.to_owned());
    }
    // As addresses of IPv6 stand in URLs.
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    match bare.parse::<IpAddr>() {
        Ok(address) if address.is_ipv4() == (version == IpVersion::V4) => Ok(bare.to_owned()),
        Ok(_) => Err(entry.conflict(format!("`{name}` is of the other version of IP; that is `version` {other}"))),
        Err(_) => Err(entry.invalid(format!(
            "is no address of this machine: write one, such as `{like}`; a host name can stand in `url`, the port in `port`"
        ))),
    }
}

/// `port`, or `portrange`.
fn ports(config: &mut Reader<'_>) -> Result<Ports, ConfigError> {
    let port: Option<u16> = config.optional("port")?;
    let Some(entry) = config.entry("portrange") else {
        let port = port.ok_or_else(|| config.missing("port", "a number; 0 is any free port"))?;
        return Ok(port.into());
    };
    if port.is_some() {
        return Err(entry.invalid("is another way to say `port`; write one of them"));
    }
    let range: Vec<u16> = entry.read()?;
    match *range.as_slice() {
        [first, last] if 0 < first && first <= last => Ok(Ports { first, last }),
        _ => Err(entry.invalid("is the first and the last port, such as `[9000, 9010]`")),
    }
}

#[cfg(not(unix))]
fn unix(config: &mut Reader<'_>, _: &Common) -> Result<Endpoint, ConfigError> {
    Err(config.invalid("type", "this system has no unix sockets"))
}

#[cfg(unix)]
fn unix(config: &mut Reader<'_>, common: &Common) -> Result<Endpoint, ConfigError> {
    let path: PathBuf = config.required("path")?;
    let is_abstract = config.or("abstract", false)?;
    if is_abstract && !cfg!(target_os = "linux") {
        return Err(config.invalid("abstract", "this system does not have it"));
    }
    let mode = config.entry("mode").map(|entry| mode(&entry)).transpose()?;
    if is_abstract && mode.is_some() {
        return Err(config.conflict("mode", "has no meaning for an abstract socket, which is no file"));
    }
    let backlog = config.or_in("backlog", common.backlog, 1..=65_535)?;
    let place = UnixPlace { path, is_abstract, mode, backlog };
    if let Err(error) = place.address() {
        return Err(config.invalid("path", format!("cannot be the path of a socket: {error}")));
    }
    Ok(Endpoint { place: Place::Unix(place), tls: None })
}

/// Permissions, written in octal.
#[cfg(unix)]
fn mode(entry: &Entry<'_>) -> Result<u32, ConfigError> {
    let text: &str = entry.read()?;
    let digits = text.strip_prefix("0o").unwrap_or(text);
    let is_octal = !digits.is_empty() && digits.bytes().all(|digit| (b'0'..=b'7').contains(&digit));
    let mode = u32::from_str_radix(digits, 8).ok().filter(|mode| is_octal && *mode <= 0o777);
    mode.ok_or_else(|| entry.invalid(format!("`{text}` are no permissions in octal, such as \"0660\"")))
}

impl Endpoint {
    /// Begins to listen.
    pub(super) async fn listen(&self) -> Result<Acceptor, ConnectError> {
        let failed = |error: &dyn std::fmt::Display| ConnectError::Failed(error.to_string());
        let (listener, options) = match &self.place {
            Place::Address { host, port, backlog, options } => {
                (socket::listen(host, *port, *backlog, options).await, options)
            }
            Place::Tcp { host, ports, version, backlog, options } => {
                (socket::listen_on(host, *ports, *version, *backlog, options).await, options)
            }
            #[cfg(unix)]
            Place::Unix(place) => {
                let listener = place.listen().map_err(|error| failed(&error))?;
                return Ok(Acceptor::Unix { listener, shown: place.shown() });
            }
        };
        let listener = listener.map_err(|error| failed(&error))?;
        let port = listener.local_addr().map_err(|error| failed(&error))?.port();
        Ok(Acceptor::Tcp { listener, port, options: *options })
    }
}

/// Listens in one place.
pub(super) enum Acceptor {
    Tcp {
        listener: TcpListener,
        port: u16,
        options: SocketOptions,
    },
    #[cfg(unix)]
    Unix {
        listener: UnixAcceptor,
        shown: String,
    },
}

impl Acceptor {
    /// The next one who connects.
    pub(super) fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<io::Result<(Incoming, Peer)>> {
        Poll::Ready(Ok(match self {
            Self::Tcp { listener, options, .. } => {
                let (stream, peer) = ready!(listener.poll_accept(cx))?;
                (Incoming::Tcp(stream, *options), peer.into())
            }
            #[cfg(unix)]
            Self::Unix { listener, .. } => {
                let (stream, peer) = ready!(listener.poll_accept(cx))?;
                (Incoming::Unix(stream), Peer::Unix(peer))
            }
        }))
    }

    /// What origins of events name it by: the port or the path.
    pub(super) fn name(&self) -> String {
        match self {
            Self::Tcp { port, .. } => port.to_string(),
            #[cfg(unix)]
            Self::Unix { shown, .. } => shown.clone(),
        }
    }

    /// Where it listens, for logs.
    pub(super) fn address(&self) -> String {
        match self {
            Self::Tcp { listener, port, .. } => {
                listener.local_addr().map_or_else(|_| format!("port {port}"), |address| address.to_string())
            }
            #[cfg(unix)]
            Self::Unix { shown, .. } => shown.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ws::testing::environment;

    #[test]
    fn each_place_has_the_queue_of_its_own_or_of_all() {
        let environment = environment();
        let listen = r#""listen": ["127.0.0.1:0", {"type": "tcp", "port": 0}, {"type": "unix", "path": "/a", "backlog": 7}]"#;
        for (config, expected) in
            [(format!("{{{listen}}}"), [128, 128, 7]), (format!(r#"{{{listen}, "backlog": 5}}"#), [5, 5, 7])]
        {
            let config = Value::from_json_str(&config).unwrap();
            let mut settings = Settings::alone(Reader::new(&config, "config").unwrap(), &environment);
            let endpoints = Endpoints::read(&mut settings, false).unwrap();
            let backlogs = endpoints.all.iter().map(|endpoint| match &endpoint.place {
                Place::Address { backlog, .. } | Place::Tcp { backlog, .. } => *backlog,
                Place::Unix(place) => place.backlog,
            });
            assert!(backlogs.eq(expected), "{config}");
        }
    }
}
