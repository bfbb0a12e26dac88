//! Who has connected.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
#[cfg(unix)]
use tremor_connector::socket::UnixPeer;
use tremor_connector::{Environment, duplex::Address, socket::SocketOptions};
use tremor_value::{Record, Value};

/// A socket that was accepted.
pub(super) enum Incoming {
    Tcp(TcpStream, SocketOptions),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// The other end of it, or of what a proxy stands for.
#[derive(Clone, Debug)]
pub(super) enum Peer {
    Net {
        ip: IpAddr,
        /// Proxies may not say it.
        port: Option<u16>,
    },
    #[cfg(unix)]
    Unix(UnixPeer),
}

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        Self::Net { ip: address.ip(), port: Some(address.port()) }
    }
}

/// The host of those who come by a unix socket.
#[cfg(unix)]
const HERE: &str = "localhost";

impl Peer {
    /// Its address, if it has one.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Net { ip, .. } => Some(*ip),
            #[cfg(unix)]
            Self::Unix(_) => None,
        }
    }

    /// Host and port for origins.
    pub(super) fn host_and_port(&self) -> (String, Option<u16>) {
        match self {
            Self::Net { ip, port } => (ip.to_canonical().to_string(), *port),
            #[cfg(unix)]
            Self::Unix(_) => (HERE.to_owned(), None),
        }
    }

    /// The address of a new connection with it.
    pub(super) fn address(&self, environment: &Environment) -> Address {
        let (host, port) = self.host_and_port();
        Address { conn: environment.ids.next_id(), host, port }
    }

    /// As metadata have it.
    pub(super) fn record(&self) -> Record {
        match self {
            Self::Net { .. } => {
                let (host, port) = self.host_and_port();
                let port = port.map(|port| ("port", Value::from(u64::from(port))));
                [("host", Value::from(host))].into_iter().chain(port).collect()
            }
            #[cfg(unix)]
            Self::Unix(UnixPeer { path, uid, gid, pid }) => Record::from_iter([
                ("unix", path.as_deref().map_or(Value::Null, Value::from)),
                ("uid", Value::from(u64::from(*uid))),
                ("gid", Value::from(u64::from(*gid))),
                ("pid", pid.map_or(Value::Null, |pid| Value::from(i64::from(pid)))),
            ]),
        }
    }
}

/// For logs.
impl fmt::Display for Peer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Net { ip, port: Some(port) } => SocketAddr::new(*ip, *port).fmt(out),
            Self::Net { ip, port: None } => ip.fmt(out),
            #[cfg(unix)]
            Self::Unix(UnixPeer { uid, pid, .. }) => match pid {
                Some(pid) => write!(out, "process {pid} of user {uid}"),
                None => write!(out, "user {uid}"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peer_is_shown_with_its_port_where_that_is_known() {
        let address: SocketAddr = "[::1]:80".parse().unwrap();
        assert_eq!(Peer::from(address).to_string(), "[::1]:80");
        assert_eq!(Peer::Net { ip: address.ip(), port: None }.to_string(), "::1");
    }
}
