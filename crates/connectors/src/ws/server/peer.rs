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
    Net(SocketAddr),
    #[cfg(unix)]
    Unix(UnixPeer),
}

/// The host of those who come by a unix socket.
#[cfg(unix)]
const HERE: &str = "localhost";

impl Peer {
    /// Its address, if it has one.
    pub(super) fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Net(address) => Some(address.ip()),
            #[cfg(unix)]
            Self::Unix(_) => None,
        }
    }

    /// The one that a proxy stands for, which may not know its port.
    pub(super) fn behind(&self, (ip, port): (IpAddr, Option<u16>)) -> Self {
        let own = match self {
            Self::Net(address) => address.port(),
            #[cfg(unix)]
            Self::Unix(_) => 0,
        };
        Self::Net(SocketAddr::new(ip, port.unwrap_or(own)))
    }

    /// Host and port for origins.
    pub(super) fn host_and_port(&self) -> (String, u16) {
        match self {
            Self::Net(address) => (address.ip().to_canonical().to_string(), address.port()),
            #[cfg(unix)]
            Self::Unix(_) => (HERE.to_owned(), 0),
        }
    }

    /// The address of a new connection with it.
    pub(super) fn address(&self, environment: &Environment) -> Address {
        match self {
            Self::Net(address) => environment.address(*address),
            #[cfg(unix)]
            Self::Unix(_) => Address { conn: environment.ids.next_id(), host: HERE.to_owned(), port: 0 },
        }
    }

    /// As metadata have it.
    pub(super) fn record(&self) -> Record {
        match self {
            Self::Net(_) => {
                let (host, port) = self.host_and_port();
                Record::from_iter([("host", Value::from(host)), ("port", Value::from(u64::from(port)))])
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
            Self::Net(address) => address.fmt(out),
            #[cfg(unix)]
            Self::Unix(UnixPeer { uid, pid, .. }) => match pid {
                Some(pid) => write!(out, "process {pid} of user {uid}"),
                None => write!(out, "user {uid}"),
            },
        }
    }
}
