//! What a connection was given and its peer's system has not confirmed (`sock_diag(7)`).

use tokio::net::TcpStream;

/// Bytes that were written to `stream` and that its peer's system is not known to have. `None` where this system does not tell.
#[cfg(target_os = "linux")]
pub(crate) fn untaken(stream: &TcpStream) -> Option<usize> {
    linux::queued(stream.local_addr().ok()?, stream.peer_addr().ok()?)
}

/// Only Linux tells without `unsafe`.
#[cfg(not(target_os = "linux"))]
pub(crate) fn untaken(_stream: &TcpStream) -> Option<usize> {
    None
}

#[cfg(target_os = "linux")]
mod linux {
    use rustix::net::{
        AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType,
        netlink::{SOCK_DIAG, SocketAddrNetlink},
        recv, sendto, socket_with,
    };
    use std::net::{IpAddr, SocketAddr};

    /// `SOCK_DIAG_BY_FAMILY`, the type of the request and of its answer.
    const BY_FAMILY: u16 = 20;
    /// `NLM_F_REQUEST`
    const REQUEST: u16 = 1;
    /// `struct nlmsghdr`
    const HEAD_BYTES: usize = 16;
    /// That and `struct inet_diag_req_v2`.
    const REQUEST_BYTES: u32 = 16 + 56;
    /// `AF_INET` and `AF_INET6`, in one byte.
    const V4: u8 = 2;
    const V6: u8 = 10;
    /// Where `struct inet_diag_msg` has the state of the socket.
    const STATE_AT: usize = HEAD_BYTES + 1;
    /// And the bytes it has not got rid of: behind the two families, states and timers, the addresses, and two counters.
    const QUEUED_AT: usize = HEAD_BYTES + 4 + 48 + 8;
    /// `TCP_LISTEN`: the number means something else.
    const LISTENS: u8 = 10;
    const TCP: u8 = 6;

    /// Asks for the socket between these.
    pub(super) fn queued(local: SocketAddr, peer: SocketAddr) -> Option<usize> {
        let socket =
            socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(SOCK_DIAG))
                .ok()?;
        sendto(&socket, &request(local, peer), SendFlags::empty(), &SocketAddrNetlink::new(0, 0)).ok()?;
        let mut answer = [0; 512];
        // The system has answered when the request is sent.
        let (_, len) = recv(&socket, &mut answer, RecvFlags::DONTWAIT).ok()?;
        read(answer.get(..len)?)
    }

    fn request(local: SocketAddr, peer: SocketAddr) -> Vec<u8> {
        let family = if local.is_ipv4() { V4 } else { V6 };
        let mut request = Vec::new();
        request.extend(REQUEST_BYTES.to_ne_bytes());
        request.extend(BY_FAMILY.to_ne_bytes());
        request.extend(REQUEST.to_ne_bytes());
        request.extend([0; 8]);
        request.extend([family, TCP, 0, 0]);
        let any_state = u32::MAX;
        request.extend(any_state.to_ne_bytes());
        request.extend(local.port().to_be_bytes());
        request.extend(peer.port().to_be_bytes());
        request.extend(address(local.ip()));
        request.extend(address(peer.ip()));
        let interface = match local {
            SocketAddr::V6(local) => local.scope_id(),
            SocketAddr::V4(_) => 0,
        };
        request.extend(interface.to_ne_bytes());
        let no_cookie = u64::MAX;
        request.extend(no_cookie.to_ne_bytes());
        request
    }

    fn address(ip: IpAddr) -> [u8; 16] {
        match ip {
            IpAddr::V6(ip) => ip.octets(),
            IpAddr::V4(ip) => {
                let mut octets = [0; 16];
                octets.iter_mut().zip(ip.octets()).for_each(|(to, from)| *to = from);
                octets
            }
        }
    }

    fn read(answer: &[u8]) -> Option<usize> {
        let kind = answer.get(4..)?.first_chunk().map(|kind| u16::from_ne_bytes(*kind))?;
        if kind != BY_FAMILY || *answer.get(STATE_AT)? == LISTENS {
            return None;
        }
        let queued = answer.get(QUEUED_AT..)?.first_chunk().map(|queued| u32::from_ne_bytes(*queued))?;
        usize::try_from(queued).ok()
    }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use socket2::SockRef;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    async fn pair(place: &str) -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind((place, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let place = if place == "::" { "127.0.0.1" } else { place };
        let (near, far) = tokio::join!(TcpStream::connect((place, port)), listener.accept());
        (far.unwrap().0, near.unwrap())
    }

    /// Writes until nothing goes any more; gives how many bytes did.
    fn fill(stream: &mut TcpStream) -> usize {
        let (mut written, chunk) = (0, vec![b'x'; 65_536]);
        while let Some(count) = stream.write(&chunk).now_or_never() {
            written += count.unwrap();
        }
        written
    }

    /// The system answers that there is none, or tells of the socket that listens.
    #[tokio::test]
    async fn nothing_is_known_of_a_connection_that_is_gone() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (listening, peer) = (listener.local_addr().unwrap(), "127.0.0.1:1".parse().unwrap());
        assert_eq!(linux::queued(listening, peer), None);
        drop(listener);
        assert_eq!(linux::queued(listening, peer), None);
    }

    #[tokio::test]
    async fn what_a_peer_does_not_read_is_counted_and_what_it_reads_is_not() {
        for place in ["127.0.0.1", "::1", "::"] {
            let (mut ours, mut theirs) = pair(place).await;
            SockRef::from(&theirs).set_recv_buffer_size(65_536).unwrap();
            assert_eq!(untaken(&ours), Some(0), "{place}");
            let written = fill(&mut ours);
            let before = untaken(&ours).unwrap();
            assert!(before > 0 && before <= written, "{place}: {before} of {written}");
            let mut read = vec![0; written];
            theirs.read_exact(&mut read).await.unwrap();
            let mut left = before;
            while left > 0 {
                left = untaken(&ours).unwrap();
                tokio::task::yield_now().await;
            }
        }
    }
}
