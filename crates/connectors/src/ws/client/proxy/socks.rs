//! SOCKS 5. Source: RFC 1928, RFC 1929.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::lookup_host,
};

const VERSION: u8 = 5;
const NO_LOGIN: u8 = 0;
const LOGIN: u8 = 2;

/// Who looks up the addresses of names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Names {
    /// We do: `socks5`.
    AreResolvedHere,
    /// The proxy does: `socks5h`.
    AreResolvedThere,
}

/// Has the proxy connect to `host` and `port`.
///
/// # Errors
/// In words.
pub(super) async fn connect(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    names: Names,
    host: &str,
    port: u16,
    login: Option<(&str, &str)>,
) -> Result<(), String> {
    let address = address(names, host, port).await?;
    greet(stream, login).await?;
    let mut request = vec![VERSION, 1, 0];
    request.extend_from_slice(&address);
    request.extend_from_slice(&port.to_be_bytes());
    stream.write_all(&request).await.map_err(told)?;
    stream.flush().await.map_err(told)?;
    let [version, reply, _, kind] = read::<4>(stream).await?;
    if version != VERSION {
        return Err(NOT_SOCKS.to_owned());
    }
    if reply != 0 {
        return Err(refusal(reply));
    }
    // The address from which it connects is of no use, but it is there.
    let len = match kind {
        1 => 4,
        4 => 16,
        3 => usize::from(read::<1>(stream).await?[0]),
        _ => return Err(NOT_SOCKS.to_owned()),
    };
    let mut rest = vec![0; len + 2];
    stream.read_exact(&mut rest).await.map_err(told).map(|_| ())
}

/// Agrees on how we say who we are, and says it.
async fn greet(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    login: Option<(&str, &str)>,
) -> Result<(), String> {
    let greeting: &[u8] =
        if login.is_some() { &[VERSION, 2, NO_LOGIN, LOGIN] } else { &[VERSION, 1, NO_LOGIN] };
    stream.write_all(greeting).await.map_err(told)?;
    stream.flush().await.map_err(told)?;
    match (read::<2>(stream).await?, login) {
        ([VERSION, NO_LOGIN], _) => Ok(()),
        ([VERSION, LOGIN], Some((user, password))) => {
            let mut request = vec![1];
            for text in [user, password] {
                let len =
                    u8::try_from(text.len()).map_err(|_| "name and password are too long".to_owned())?;
                request.push(len);
                request.extend_from_slice(text.as_bytes());
            }
            stream.write_all(&request).await.map_err(told)?;
            stream.flush().await.map_err(told)?;
            match read::<2>(stream).await? {
                [_, 0] => Ok(()),
                _ => Err("it does not take this name and password".to_owned()),
            }
        }
        ([VERSION, _], None) => {
            Err("it wants to know who we are; write name and password into its URL".to_owned())
        }
        ([VERSION, _], Some(_)) => Err("it takes no name and password".to_owned()),
        _ => Err(NOT_SOCKS.to_owned()),
    }
}

const NOT_SOCKS: &str = "it does not speak SOCKS 5";

/// Where to, as a request has it: its sort and itself.
async fn address(names: Names, host: &str, port: u16) -> Result<Vec<u8>, String> {
    let ip = match (host.parse::<IpAddr>(), names) {
        (Ok(ip), _) => Some(ip),
        (Err(_), Names::AreResolvedThere) => None,
        (Err(_), Names::AreResolvedHere) => {
            let found = lookup_host((host, port)).await;
            let found = found.map_err(|error| format!("cannot resolve `{host}`: {error}"))?;
            let mut found: Vec<IpAddr> = found.map(|address| address.ip()).collect();
            // More proxies reach these.
            found.sort_by_key(|ip| !ip.is_ipv4());
            let first = found.first().copied();
            Some(first.ok_or_else(|| format!("cannot resolve `{host}`: it has no address"))?)
        }
    };
    match ip.map(|ip| ip.to_canonical()) {
        Some(IpAddr::V4(ip)) => Ok([&[1][..], &Ipv4Addr::octets(&ip)].concat()),
        Some(IpAddr::V6(ip)) => Ok([&[4][..], &Ipv6Addr::octets(&ip)].concat()),
        None => {
            let len = u8::try_from(host.len()).map_err(|_| format!("the name `{host}` is too long"))?;
            Ok([&[3, len][..], host.as_bytes()].concat())
        }
    }
}

fn refusal(reply: u8) -> String {
    let words = match reply {
        1 => "it failed",
        2 => "its rules do not allow this connection",
        3 => "the network cannot be reached",
        4 => "the host cannot be reached",
        5 => "connection refused",
        6 => "it took too long",
        7 => "it cannot make connections",
        8 => "it does not know this sort of address",
        _ => return format!("it answered with the unknown code {reply}"),
    };
    words.to_owned()
}

async fn read<const N: usize>(stream: &mut (impl AsyncRead + Unpin)) -> Result<[u8; N], String> {
    let mut bytes = [0; N];
    stream.read_exact(&mut bytes).await.map_err(told)?;
    Ok(bytes)
}

fn told(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it ended the connection".to_owned(),
        _ => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What becomes of an attempt against a proxy that says `said` whatever it is told, and what it was told.
    async fn against(
        said: &[u8],
        names: Names,
        host: &str,
        login: Option<(&str, &str)>,
    ) -> (Result<(), String>, Vec<u8>) {
        let (mut ours, mut theirs) = tokio::io::duplex(1 << 16);
        theirs.write_all(said).await.unwrap();
        let mut told = Vec::new();
        let result = {
            let attempt = connect(&mut ours, names, host, 7000, login);
            tokio::pin!(attempt);
            let mut buffer = [0; 256];
            loop {
                tokio::select! {
                    biased;
                    read = theirs.read(&mut buffer) => told.extend_from_slice(&buffer[..read.unwrap()]),
                    result = &mut attempt => break result,
                    // It waits for more than it will ever be told.
                    () = tokio::task::yield_now() => if told.len() > 2 { theirs.shutdown().await.unwrap() },
                }
            }
        };
        drop(ours);
        theirs.read_to_end(&mut told).await.unwrap();
        (result, told)
    }

    #[tokio::test]
    async fn names_and_addresses_are_asked_for() {
        let fine = b"\x05\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x1b\x58";
        let (result, told) = against(fine, Names::AreResolvedThere, "feed.example", None).await;
        assert_eq!(
            (result, &told[..]),
            (Ok(()), &b"\x05\x01\x00\x05\x01\x00\x03\x0cfeed.example\x1b\x58"[..])
        );
        let by_name = b"\x05\x00\x05\x00\x00\x03\x02ab\x1b\x58";
        let (result, told) = against(by_name, Names::AreResolvedHere, "127.0.0.1", None).await;
        assert_eq!(
            (result, &told[..]),
            (Ok(()), &b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01\x1b\x58"[..])
        );
        let (result, told) = against(fine, Names::AreResolvedThere, "::1", None).await;
        assert!(result.is_ok() && told.get(6) == Some(&4), "{told:?}");
    }

    #[tokio::test]
    async fn name_and_password_are_said_if_they_are_wanted() {
        let login = Some(("me", "pw"));
        let fine = b"\x05\x02\x01\x00\x05\x00\x00\x01\x7f\x00\x00\x01\x1b\x58";
        let (result, told) = against(fine, Names::AreResolvedThere, "a", login).await;
        assert_eq!(
            (result, &told[..]),
            (Ok(()), &b"\x05\x02\x00\x02\x01\x02me\x02pw\x05\x01\x00\x03\x01a\x1b\x58"[..])
        );
        for (said, login, expected) in [
            (&b"\x05\x02\x01\x01"[..], login, "does not take this name"),
            (b"\x05\xff", login, "takes no name"),
            (b"\x05\xff", None, "wants to know who we are"),
            (b"\x04\x00", None, "does not speak"),
            (b"HTTP/1.1 400", None, "does not speak"),
            (b"\x05", None, "ended the connection"),
            (b"\x05\x00\x05\x05\x00\x01", None, "connection refused"),
            (b"\x05\x00\x05\x63\x00\x01", None, "unknown code 99"),
            (b"\x05\x00\x05\x00\x00\x09", None, "does not speak"),
        ] {
            let (result, _) = against(said, Names::AreResolvedThere, "a", login).await;
            let problem = result.unwrap_err();
            assert!(problem.contains(expected), "{said:?}: {problem}");
        }
    }
}
