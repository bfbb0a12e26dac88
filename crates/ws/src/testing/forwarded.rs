//! What proxies say of clients.

use crate::{Forwarded, Network, Reject, Trust, handshake::Headers, is_in};
use std::net::{IpAddr, SocketAddr};

/// The first byte chooses who is believed and who asks, the others are lines, each of a header that its first letter
/// chooses: nobody else is believed, a plain reader finds the same client, and whatever that client writes in front of what
/// its proxy has written changes nothing, or makes a request that is refused.
///
/// # Panics
/// If not.
pub fn forwarded_agrees(data: &[u8]) {
    let Some((choice, text)) = data.split_first() else { return };
    let networks: Vec<Network> = ["10.0.0.0/8", "fd00::/8"].into_iter().flat_map(Network::parse).collect();
    assert_eq!(networks.len(), 2);
    let (trust, hops) = match choice & 3 {
        0 => (Trust::Nobody, 0),
        3 => (Trust::Hops(usize::from(choice >> 2 & 3)), usize::from(choice >> 2 & 3)),
        _ => (Trust::Networks(networks.clone()), usize::MAX),
    };
    let peer = match choice >> 4 & 3 {
        0 => None,
        1 => Some(IpAddr::from([1, 2, 3, 4])),
        _ => Some(IpAddr::from([10, 0, 0, 1])),
    };
    let lines = lines(text);
    let found = ask(&trust, peer, &lines);
    let is_believed = match choice & 3 {
        0 => false,
        3 => true,
        _ => peer.is_none_or(|peer| is_in(&networks, peer)),
    };
    if !is_believed {
        assert_eq!(found, Ok(Forwarded::default()), "somebody is believed who is not trusted");
        return;
    }
    if let Err(reject) = &found {
        assert_eq!((reject.status, reject.label), (400, "forwarded"));
    }
    let is_proxy = |address: IpAddr| matches!(trust, Trust::Hops(_)) || is_in(&networks, address);
    if lines.iter().all(|(name, _)| *name != "forwarded") {
        let client = client(&lines, hops, is_proxy);
        assert_eq!(found.as_ref().map(|found| found.client).map_err(|_| ()), client, "{lines:?}");
    }
    if let Ok(Forwarded { client: Some((address, _)), .. }) = &found
        && !is_proxy(*address)
    {
        has_the_last_word(&trust, peer, &lines, &found);
    }
}

type Line = (&'static str, Vec<u8>);

fn lines(text: &[u8]) -> Vec<Line> {
    let lines = text.split(|byte| *byte == b'\n').filter_map(|line| line.split_first());
    let named = lines.filter_map(|(first, value)| {
        let name = match first {
            b'f' => "forwarded",
            b'a' => "x-forwarded-for",
            b'p' => "x-forwarded-proto",
            b'h' => "x-forwarded-host",
            _ => return None,
        };
        let is_fit = value.iter().all(|byte| matches!(byte, b'\t' | b' '..=0x7e | 0x80..));
        is_fit.then(|| (name, value.trim_ascii().to_vec()))
    });
    named.take(16).collect()
}

fn ask(trust: &Trust, peer: Option<IpAddr>, lines: &[Line]) -> Result<Forwarded, Reject> {
    let fields = lines.iter().map(|(name, value)| (*name, value.as_slice()));
    trust.forwarded(peer, &Headers::from_fields(fields))
}

/// The client that the list of addresses names, from its end.
fn client(
    lines: &[Line],
    mut hops: usize,
    is_proxy: impl Fn(IpAddr) -> bool,
) -> Result<Option<(IpAddr, Option<u16>)>, ()> {
    let all = lines.iter().filter(|(name, _)| *name == "x-forwarded-for");
    let all: Vec<_> = all.map(|(_, value)| value.as_slice()).collect();
    let mut client = None;
    for item in all.join(&b',').rsplit(|byte| *byte == b',') {
        if hops == 0 {
            break;
        }
        hops -= 1;
        let item = String::from_utf8(item.trim_ascii().to_vec()).unwrap_or_default();
        let is_withheld = item.is_empty() || item.starts_with('_') || item.eq_ignore_ascii_case("unknown");
        let Some((address, port)) = address(&item) else {
            return if is_withheld { Ok(client) } else { Err(()) };
        };
        client = Some((address, port));
        if !is_proxy(address) {
            break;
        }
    }
    Ok(client)
}

fn address(text: &str) -> Option<(IpAddr, Option<u16>)> {
    let bare =
        text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).filter(|text| text.contains(':'));
    if let Ok(address) = bare.unwrap_or(text).parse::<IpAddr>() {
        return Some((address.to_canonical(), None));
    }
    let address: SocketAddr = text.parse().ok()?;
    Some((address.ip().to_canonical(), Some(address.port())))
}

/// A client that has written something, to which its proxy has added, is not believed, whatever that was.
fn has_the_last_word(trust: &Trust, peer: Option<IpAddr>, lines: &[Line], found: &Result<Forwarded, Reject>) {
    for (name, written) in [
        ("forwarded", "for=6.6.6.6;proto=https;host=evil"),
        ("forwarded", "for=10.6.6.6"),
        ("forwarded", "for=\"torn"),
        ("forwarded", "for=\"\\\""),
        ("forwarded", "junk"),
        ("x-forwarded-for", "6.6.6.6"),
        ("x-forwarded-for", "10.6.6.6, \""),
        ("x-forwarded-for", "junk"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "evil"),
    ] {
        let Some(place) = lines.iter().position(|(own, _)| *own == name) else { continue };
        let mut apart = lines.to_vec();
        apart.insert(place, (name, written.as_bytes().to_vec()));
        let heard = ask(trust, peer, &apart);
        // Schemes and hosts are one for each address or one for all: who writes that has to replace what was there.
        let is_list = ["x-forwarded-proto", "x-forwarded-host"].contains(&name);
        let of_client = |found: &Result<Forwarded, Reject>| found.as_ref().ok().map(|found| found.client);
        if is_list {
            assert!(
                heard.is_err() || of_client(&heard) == of_client(found),
                "`{written}` in front of {lines:?}"
            );
            continue;
        }
        assert_eq!(&heard, found, "`{written}` in front of {lines:?}");
        let mut together = lines.to_vec();
        match together.get_mut(place) {
            // What proxies write has an end.
            Some((_, value)) if !value.contains(&b'"') => {
                *value = [written.as_bytes(), b", ", value].concat();
            }
            _ => continue,
        }
        let heard = ask(trust, peer, &together);
        assert!(heard.is_err() || heard == *found, "`{written}` in {lines:?}: {heard:?}");
    }
}
