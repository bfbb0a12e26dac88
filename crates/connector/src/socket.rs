//! Sockets: their options, listening and connecting (`spec/connectors.md` 2.4, 2.5; `spec/websocket.md` 2.1).

mod bind;
#[cfg(unix)]
mod unix;
mod untaken;

use std::{
    fmt, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use futures_util::stream::{FuturesUnordered, StreamExt};
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream, lookup_host},
    time::{Instant, sleep_until, timeout},
};

use crate::config::{ConfigError, Reader};
pub use bind::{IpVersion, Ports, listen_on};
#[cfg(unix)]
pub use unix::{UnixAcceptor, UnixError, UnixPeer, UnixPlace};
pub(crate) use untaken::untaken;

#[cfg(test)]
mod tests;

/// After that long without an answer the next address is tried too (RFC 8305, section 5).
const NEXT_ADDRESS_AFTER: Duration = Duration::from_millis(250);

/// Most addresses of one name that are tried.
const MAX_ADDRESSES: usize = 32;

/// Options of a socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// `SO_REUSEPORT`: several listeners share a port.
    pub reuse_port: bool,
    /// `SO_REUSEADDR`: a port can be bound while old connections of it linger.
    pub reuse_addr: bool,
    /// `TCP_NODELAY`: small writes leave at once.
    pub no_delay: bool,
    /// `TCP_USER_TIMEOUT`: how long what was sent may stay unacknowledged; `None`: as the system has it. Only where
    /// [`HAS_USER_TIMEOUT`].
    pub user_timeout: Option<Duration>,
}

/// Whether this system has `TCP_USER_TIMEOUT`.
pub const HAS_USER_TIMEOUT: bool = cfg!(target_os = "linux");

impl Default for SocketOptions {
    fn default() -> Self {
        Self { reuse_port: false, reuse_addr: true, no_delay: true, user_timeout: None }
    }
}

/// Which socket options there are, and what a contradiction between the two ways to write one means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketKind {
    /// `tcp_*`: `socket_options` wins over `no_delay`.
    Tcp,
    /// `ws_*`: `socket_options` and `no_delay` must agree.
    WebSocket,
    /// `udp_*`: there is no `TCP_NODELAY`.
    Udp,
}

impl SocketOptions {
    /// Reads the keys `socket_options` and (not for UDP) `no_delay` of `config`.
    ///
    /// # Errors
    /// For wrong types, unknown options, contradictions in `ws_*`, and what this system does not have.
    pub fn from_config(config: &mut Reader<'_>, kind: SocketKind) -> Result<Self, ConfigError> {
        let mut options = Self::default();
        let mut no_delay = None;
        if let Some(mut record) = config.record("socket_options")? {
            options.reuse_port = record.or("SO_REUSEPORT", options.reuse_port)?;
            options.reuse_addr = record.or("SO_REUSEADDR", options.reuse_addr)?;
            if options.reuse_port && !cfg!(unix) {
                return Err(record.invalid("SO_REUSEPORT", "this system does not have it"));
            }
            if kind != SocketKind::Udp {
                no_delay = record.optional("TCP_NODELAY")?;
            }
            record.finish()?;
        }
        if kind == SocketKind::Udp {
            return Ok(options);
        }
        let short: Option<bool> = config.optional("no_delay")?;
        if let (SocketKind::WebSocket, Some(long), Some(short)) = (kind, no_delay, short)
            && long != short
        {
            let problem =
                format!("is {short}, but `socket_options.TCP_NODELAY` is {long}; write one of them");
            return Err(config.invalid("no_delay", problem));
        }
        options.no_delay = no_delay.or(short).unwrap_or(options.no_delay);
        Ok(options)
    }

    /// Sets what an accepted connection needs.
    ///
    /// # Errors
    /// If the system refuses, which it does when the peer has gone already.
    pub fn apply_to_accepted(&self, stream: &TcpStream) -> io::Result<()> {
        // Linux hands the options of the listening socket down to what it accepts.
        if cfg!(target_os = "linux") { Ok(()) } else { stream.set_nodelay(self.no_delay) }
    }

    fn socket(&self, address: &SocketAddr) -> io::Result<TcpSocket> {
        let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
        // Windows gives the option another meaning: there it lets two programs take the same port.
        if cfg!(not(windows)) {
            socket.set_reuseaddr(self.reuse_addr)?;
        }
        #[cfg(unix)]
        socket.set_reuseport(self.reuse_port)?;
        socket.set_nodelay(self.no_delay)?;
        #[cfg(target_os = "linux")]
        if self.user_timeout.is_some() {
            SockRef::from(&socket).set_tcp_user_timeout(self.user_timeout)?;
        }
        Ok(socket)
    }
}

/// Listens on the first address of `host` that works; `0.0.0.0` and `::` are taken literally, port 0 is any
/// free one. `backlog` is the length of the accept queue.
///
/// # Errors
/// If the name cannot be resolved or no address can be bound.
pub async fn listen(
    host: &str,
    port: u16,
    backlog: u32,
    options: &SocketOptions,
) -> Result<TcpListener, SocketError> {
    let mut failures = Vec::new();
    for address in resolve(host, port).await? {
        let bind = || -> io::Result<TcpListener> {
            let socket = options.socket(&address)?;
            socket.bind(address)?;
            socket.listen(backlog)
        };
        match bind() {
            Ok(listener) => return Ok(listener),
            Err(error) => failures.push(Failure { address, error }),
        }
    }
    Err(SocketError::Listen { target: Target::new(host, port), failures })
}

/// Connects to `host`, within `limit` from name resolution to the connection ([`Duration::MAX`]: none).
///
/// All addresses of a name are tried in the order in which the resolver gives them, the next one as soon as
/// one fails or has not answered for 250 ms; the first connection wins. An unspecified address (`0.0.0.0`,
/// `::`) means this machine. Dropping the future gives up.
///
/// # Errors
/// If the name cannot be resolved, no address can be connected to, or the time is over.
pub async fn connect(
    host: &str,
    port: u16,
    options: &SocketOptions,
    limit: Duration,
) -> Result<TcpStream, SocketError> {
    connect_by(None, host, port, options, limit).await
}

/// The versions of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Version 4.
    V4,
    /// Version 6.
    V6,
}

/// The same by addresses of `family` alone, if there is one.
///
/// # Errors
/// As [`connect`], also if there are only other addresses.
pub async fn connect_by(
    family: Option<Family>,
    host: &str,
    port: u16,
    options: &SocketOptions,
    limit: Duration,
) -> Result<TcpStream, SocketError> {
    let mut failures = Vec::new();
    let attempt = async {
        let mut addresses = resolve(host, port).await?;
        if let Some(family) = family {
            addresses.retain(|address| address.is_ipv4() == (family == Family::V4));
            if addresses.is_empty() {
                let version = if family == Family::V4 { 4 } else { 6 };
                let cause = io::Error::other(format!("it has no address of IP version {version}"));
                return Err(SocketError::Resolve { host: host.to_owned(), cause: Some(cause) });
            }
        }
        Ok(race(addresses.into_iter().map(connectable), options, &mut failures).await)
    };
    let outcome = timeout(limit, attempt).await;
    let target = Target::new(host, port);
    match outcome {
        Ok(Ok(Some(stream))) => Ok(stream),
        Ok(Ok(None)) => Err(SocketError::Connect { target, failures }),
        Ok(Err(error)) => Err(error),
        Err(_elapsed) => Err(SocketError::Timeout { target, limit, failures }),
    }
}

/// The first connection that comes about; failures are added to `failures`.
async fn race(
    addresses: impl Iterator<Item = SocketAddr>,
    options: &SocketOptions,
    failures: &mut Vec<Failure>,
) -> Option<TcpStream> {
    let mut addresses = addresses.fuse();
    let mut running = FuturesUnordered::new();
    let mut exhausted = false;
    loop {
        match addresses.next() {
            Some(address) => running.push(async move {
                let connected = match options.socket(&address) {
                    Ok(socket) => socket.connect(address).await,
                    Err(error) => Err(error),
                };
                connected.map_err(|error| Failure { address, error })
            }),
            None => exhausted = true,
        }
        let next_address_at = Instant::now() + NEXT_ADDRESS_AFTER;
        tokio::select! {
            finished = running.next() => match finished {
                Some(Ok(stream)) => return Some(stream),
                Some(Err(failure)) => failures.push(failure),
                None => return None,
            },
            () = sleep_until(next_address_at), if !exhausted => {}
        }
    }
}

async fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, SocketError> {
    let found = match host.parse::<IpAddr>() {
        Ok(ip) => return Ok(vec![SocketAddr::new(ip, port)]),
        Err(_) => lookup_host((host, port)).await,
    };
    let mut addresses: Vec<SocketAddr> = Vec::new();
    match found {
        Ok(found) => {
            for address in found.take(MAX_ADDRESSES) {
                if !addresses.contains(&address) {
                    addresses.push(address);
                }
            }
        }
        Err(error) => return Err(SocketError::Resolve { host: host.to_owned(), cause: Some(error) }),
    }
    if addresses.is_empty() {
        return Err(SocketError::Resolve { host: host.to_owned(), cause: None });
    }
    Ok(addresses)
}

/// The address to connect to for one that may be unspecified.
fn connectable(mut address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    address
}

/// What a user wanted to listen on or connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// A name, or an address without brackets; or `unix:` and the path of a socket, which has no port.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Target {
    fn new(host: &str, port: u16) -> Self {
        Self { host: host.to_owned(), port }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.starts_with("unix:") {
            return f.write_str(host);
        }
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

/// Why one address did not work.
#[derive(Debug)]
pub struct Failure {
    /// The address.
    pub address: SocketAddr,
    /// What the system said.
    pub error: io::Error,
}

/// Why there is no listener or no connection. Shown with address and cause, as in
/// `cannot listen on 127.0.0.1:80: address already in use`.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The name has no address.
    #[error("cannot resolve `{host}`: {}", .cause.as_ref().map_or_else(|| "it has no address".into(), cause_of))]
    Resolve {
        /// The name.
        host: String,
        /// What the system said, if it said anything.
        #[source]
        cause: Option<io::Error>,
    },
    /// No address could be bound.
    #[error("cannot listen on {target}: {}", Causes(target, failures))]
    Listen {
        /// What the user asked for.
        target: Target,
        /// One for each address of it.
        failures: Vec<Failure>,
    },
    /// No address could be bound at any of several ports.
    #[error("cannot listen on any port from {} to {} of {}: {}", .target.port, .last_port, .target.host, cause_of(&.last.error))]
    ListenInRange {
        /// What the user asked for, with the first port.
        target: Target,
        /// The last port.
        last_port: u16,
        /// What came of the last attempt.
        last: Failure,
    },
    /// No address took the connection.
    #[error("cannot connect to {target}: {}", Causes(target, failures))]
    Connect {
        /// What the user asked for.
        target: Target,
        /// One for each address of it.
        failures: Vec<Failure>,
    },
    /// The time was over.
    #[error("cannot connect to {target}: no answer within {limit:?}{}", After(target, failures))]
    Timeout {
        /// What the user asked for.
        target: Target,
        /// The time that was allowed.
        limit: Duration,
        /// Addresses that had failed by then.
        failures: Vec<Failure>,
    },
}

struct Causes<'a>(&'a Target, &'a [Failure]);

impl fmt::Display for Causes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, Failure { address, error }) in self.1.iter().enumerate() {
            if position > 0 {
                f.write_str("; ")?;
            }
            if address.to_string() != self.0.to_string() {
                write!(f, "{address}: ")?;
            }
            f.write_str(&cause_of(error))?;
        }
        Ok(())
    }
}

struct After<'a>(&'a Target, &'a [Failure]);

impl fmt::Display for After<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.1.is_empty() { Ok(()) } else { write!(f, " ({})", Causes(self.0, self.1)) }
    }
}

/// What the system said, in one style: small first letter, no error number.
#[must_use]
pub fn cause_of(error: &io::Error) -> String {
    let text = error.to_string();
    let text = match text.rfind(" (os error ") {
        Some(end) => text.get(..end).unwrap_or(&text),
        None => &text,
    };
    let mut chars = text.chars();
    match chars.next() {
        // An abbreviation such as `TLS` keeps its letters.
        Some(first) if !chars.clone().next().is_some_and(char::is_uppercase) => {
            first.to_lowercase().chain(chars).collect()
        }
        _ => text.to_owned(),
    }
}
