//! Listening where it is said part by part: one of several ports, on addresses of one version.

use super::{Failure, SocketError, SocketOptions, Target, resolve};
use socket2::SockRef;
use std::io;
use std::net::SocketAddr;
use tokio::net::TcpListener;

/// A version of IP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpVersion {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl IpVersion {
    /// The address that stands for all of this machine.
    #[must_use]
    pub fn unspecified(self) -> &'static str {
        match self {
            Self::V4 => "0.0.0.0",
            Self::V6 => "::",
        }
    }

    fn is_of(self, address: &SocketAddr) -> bool {
        address.is_ipv4() == (self == Self::V4)
    }
}

/// The first free one of these ports; 0 as the only one is any.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ports {
    /// The first one.
    pub first: u16,
    /// The last one, not below the first.
    pub last: u16,
}

impl From<u16> for Ports {
    fn from(port: u16) -> Self {
        Self { first: port, last: port }
    }
}

/// Listens on the first of `ports` that can be had on an address of `host`, of this version of IP only: what listens on all
/// addresses of IPv6 leaves those of IPv4 to others. `backlog` is the length of the accept queue.
///
/// # Errors
/// If the name has no address of this version, or none can be bound.
pub async fn listen_on(
    host: &str,
    ports: Ports,
    version: IpVersion,
    backlog: u32,
    options: &SocketOptions,
) -> Result<TcpListener, SocketError> {
    let mut addresses = resolve(host, ports.first).await?;
    addresses.retain(|address| version.is_of(address));
    if addresses.is_empty() {
        let version = if version == IpVersion::V4 { "IPv4" } else { "IPv6" };
        let cause = io::Error::other(format!("it has no {version} address"));
        return Err(SocketError::Resolve { host: host.to_owned(), cause: Some(cause) });
    }
    let mut failures = Vec::new();
    for port in ports.first..=ports.last {
        failures.clear();
        for address in &mut addresses {
            address.set_port(port);
            match bind(*address, backlog, options) {
                Ok(listener) => return Ok(listener),
                Err(error) => failures.push(Failure { address: *address, error }),
            }
        }
    }
    let target = Target { host: host.to_owned(), port: ports.first };
    match failures.pop() {
        Some(last) if ports.first < ports.last => {
            Err(SocketError::ListenInRange { target, last_port: ports.last, last })
        }
        last => Err(SocketError::Listen { target, failures: failures.into_iter().chain(last).collect() }),
    }
}

fn bind(address: SocketAddr, backlog: u32, options: &SocketOptions) -> io::Result<TcpListener> {
    let socket = options.socket(&address)?;
    if address.is_ipv6() {
        SockRef::from(&socket).set_only_v6(true)?;
    }
    socket.bind(address)?;
    socket.listen(backlog)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[cfg(target_os = "linux")]
    use socket2::{Domain, Socket, Type};

    async fn on(host: &str, ports: Ports, version: IpVersion) -> Result<TcpListener, String> {
        let options = SocketOptions::default();
        listen_on(host, ports, version, 16, &options).await.map_err(|error| error.to_string())
    }

    #[tokio::test]
    async fn the_first_port_that_is_free_is_taken() {
        // Two neighbours of which the first is taken; others may take the second, so look for such a pair.
        for _ in 0..50 {
            let taken = on("127.0.0.1", 0.into(), IpVersion::V4).await.unwrap();
            let first = taken.local_addr().unwrap().port();
            let Some(last) = first.checked_add(1) else { continue };
            let none = on("127.0.0.1", Ports { first, last: first }, IpVersion::V4).await.unwrap_err();
            assert_eq!(none, format!("cannot listen on 127.0.0.1:{first}: address already in use"));
            let Ok(second) = on("127.0.0.1", Ports { first, last }, IpVersion::V4).await else { continue };
            assert_eq!(second.local_addr().unwrap().port(), last);
            let full = on("127.0.0.1", Ports { first, last }, IpVersion::V4).await.unwrap_err();
            assert_eq!(
                full,
                format!(
                    "cannot listen on any port from {first} to {last} of 127.0.0.1: address already in use"
                )
            );
            return;
        }
        panic!("no two neighbouring ports are free");
    }

    #[tokio::test]
    async fn names_have_addresses_of_the_version_or_are_refused() {
        assert!(on("localhost", 0.into(), IpVersion::V4).await.unwrap().local_addr().unwrap().is_ipv4());
        let wrong = on("127.0.0.1", 0.into(), IpVersion::V6).await.unwrap_err();
        assert_eq!(wrong, "cannot resolve `127.0.0.1`: it has no IPv6 address");
        // Both can have the same port.
        if let Ok(six) = on(IpVersion::V6.unspecified(), 0.into(), IpVersion::V6).await {
            let port = six.local_addr().unwrap().port();
            on(IpVersion::V4.unspecified(), port.into(), IpVersion::V4).await.unwrap();
        }
    }

    /// Connections to `listener`, which accepts none, of which the first ones are there.
    #[cfg(target_os = "linux")]
    fn knock(listener: &TcpListener, times: usize, there: usize) -> Vec<Socket> {
        let address = listener.local_addr().unwrap().into();
        let socket = |_| {
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            socket.set_nonblocking(true).unwrap();
            // It is under way, in the best case.
            socket.connect(&address).ok();
            socket
        };
        let sockets: Vec<_> = (0..times).map(socket).collect();
        for socket in &sockets[..there] {
            while socket.peer_addr().is_err() {
                std::thread::yield_now();
            }
        }
        sockets
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn so_many_wait_to_be_accepted_and_no_more() {
        let options = SocketOptions::default();
        for in_parts in [false, true] {
            let listen = async |backlog| match in_parts {
                true => listen_on("127.0.0.1", 0.into(), IpVersion::V4, backlog, &options).await.unwrap(),
                false => super::super::listen("127.0.0.1", 0, backlog, &options).await.unwrap(),
            };
            let (short, long) = (listen(3).await, listen(128).await);
            // The system adds one.
            let waiting = knock(&short, 5, 4);
            // What was asked for later is there.
            let _all = knock(&long, 100, 100);
            let there = waiting.iter().filter(|socket| socket.peer_addr().is_ok()).count();
            assert_eq!(there, 4);
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn accepted_connections_have_the_user_timeout_of_their_listener() {
        let timeout = std::time::Duration::from_millis(4321);
        let options = SocketOptions { user_timeout: Some(timeout), ..SocketOptions::default() };
        let listener = listen_on("127.0.0.1", 0.into(), IpVersion::V4, 16, &options).await.unwrap();
        let client = tokio::net::TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (accepted, _) = listener.accept().await.unwrap();
        assert_eq!(SockRef::from(&accepted).tcp_user_timeout().unwrap(), Some(timeout));
        drop(client);
    }
}
