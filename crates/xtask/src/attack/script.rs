//! What attackers send.

use std::{
    io::{self, Write as _},
    time::Duration,
};

use super::kinds::Name;

/// A key that changes nothing.
const NO_MASK: [u8; 4] = [0; 4];
const MASKED: u8 = 0x80;
/// What the message of a bomb inflates to.
const BOMB_BYTES: usize = 128 << 20;

/// Broken texts: bytes without a beginning, too long forms, surrogates, what lies beyond, and characters that break off.
const BROKEN: &[&[u8]] = &[
    b"a\x80b",
    b"\xc0\xaf",
    b"\xe0\x80\xaf",
    b"\xf0\x80\x80\xaf",
    b"d\xc3\xada \xed\xa0\x80",
    b"\xf4\x90\x80\x80",
    b"\xce\xba\xe1\xbd\xb9\xff",
    b"ab\xf0\x9f\x98",
];

/// What one attacker does: the head, then the piece again and again, then the tail.
#[derive(Debug, Clone)]
pub(super) struct Script {
    pub(super) head: Vec<u8>,
    pub(super) piece: Vec<u8>,
    pub(super) pieces: u32,
    /// Between two pieces.
    pub(super) pause: Duration,
    pub(super) tail: Vec<u8>,
    /// Whether it reads what is answered.
    pub(super) reads: bool,
    /// What that should be.
    pub(super) answer: Answer,
}

/// What an attacker should hear: else the attack was another one than was meant.
#[derive(Debug, Clone, Copy)]
pub(super) struct Answer {
    /// How it begins.
    pub(super) start: &'static str,
    /// Code of the Close that it ends with.
    pub(super) code: Option<u16>,
}

const SILENCE: Answer = Answer { start: "", code: None };

const fn closes_with(code: u16) -> Answer {
    Answer { start: "HTTP/1.1 101", code: Some(code) }
}

/// A request for a WebSocket, with `more` header lines.
pub(super) fn request(more: &str) -> Vec<u8> {
    format!(
        "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dHJlbW9yIGJlbmNobWFyaw==\r\n{more}\r\n"
    )
    .into_bytes()
}

/// A frame of a client; `first` is FIN, RSV and opcode.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut out = header(first, payload.len() as u64);
    out.extend_from_slice(payload);
    out
}

fn header(first: u8, len: u64) -> Vec<u8> {
    let mut out = vec![first];
    match (u8::try_from(len), u16::try_from(len)) {
        (Ok(short @ 0..=125), _) => out.push(MASKED | short),
        (_, Ok(medium)) => {
            out.push(MASKED | 126);
            out.extend_from_slice(&medium.to_be_bytes());
        }
        _ => {
            out.push(MASKED | 127);
            out.extend_from_slice(&len.to_be_bytes());
        }
    }
    out.extend_from_slice(&NO_MASK);
    out
}

/// The scripts of an attack; attackers take them in turn.
pub(super) fn scripts(name: Name) -> io::Result<Vec<Script>> {
    let open = Script {
        head: request(""),
        piece: Vec::new(),
        pieces: 0,
        pause: Duration::ZERO,
        tail: Vec::new(),
        reads: true,
        answer: SILENCE,
    };
    Ok(match name {
        Name::HalfOpen => vec![
            Script { head: Vec::new(), ..open.clone() },
            Script { head: b"GET / HTTP/1.1\r\nHost: localhost\r\n".to_vec(), ..open },
        ],
        Name::SlowHeader => vec![Script {
            head: b"GET / HTTP/1.1\r\nX: ".to_vec(),
            piece: b"x".to_vec(),
            pieces: 110,
            pause: Duration::from_millis(50),
            ..open
        }],
        Name::OneByteFrames => vec![Script {
            piece: frame(0x81, b"1").repeat(100),
            pieces: 500,
            tail: frame(0x88, &1000_u16.to_be_bytes()),
            answer: closes_with(1000),
            ..open
        }],
        Name::HugeLength => vec![
            Script {
                tail: [header(0x82, 1 << 63), vec![0; 1_000]].concat(),
                answer: closes_with(1002),
                ..open.clone()
            },
            Script {
                tail: [header(0x82, 1 << 62), vec![0; 1_000]].concat(),
                answer: closes_with(1009),
                ..open
            },
        ],
        Name::EndlessFragments => [&b""[..], b"x"]
            .map(|payload| Script {
                head: [request(""), frame(0x02, payload)].concat(),
                piece: frame(0x00, payload).repeat(1_000),
                pieces: 100,
                answer: closes_with(1008),
                ..open.clone()
            })
            .to_vec(),
        Name::PingFlood => vec![Script {
            piece: frame(0x89, b"ping").repeat(100),
            pieces: 100,
            answer: closes_with(1008),
            ..open
        }],
        Name::DeflateBomb => {
            let extension = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
            let (head, tail) = (request(extension), frame(0xc2, &bomb()?));
            vec![Script { head, tail, answer: closes_with(1009), ..open }]
        }
        Name::BadUtf8 => bad_texts(&open),
        Name::StoppedReader => {
            let message = format!("\"{}\"", "x".repeat(9_998));
            vec![Script { piece: frame(0x81, message.as_bytes()), pieces: 2_000, reads: false, ..open }]
        }
        Name::Flood401 => [
            request(""),
            request("Authorization: Bearer nonsense\r\n"),
            request(
                    "Authorization: Bearer eyJhbGciOiJIUzI1NiIsImtpZCI6Im9uZSJ9.eyJzdWIiOiJxdWlldCJ9.cjJtw5noi_jNneUuoKcRCiVAMPu6K1VcCij455-jN7Y\r\n",
            ),
        ]
        .map(|head| {
            let answer = Answer { start: "HTTP/1.1 401", code: None };
            Script { head, answer, ..open.clone() }
        })
        .to_vec(),
    })
}

/// Every broken text in two fragments, cut at every place.
fn bad_texts(open: &Script) -> Vec<Script> {
    let mut all = Vec::new();
    for text in BROKEN {
        for cut in 0..=text.len() {
            let (first, second) = text.split_at(cut);
            all.push(Script {
                head: [open.head.clone(), frame(0x01, first)].concat(),
                pause: Duration::from_millis(1),
                piece: Vec::new(),
                pieces: 1,
                tail: frame(0x80, second),
                answer: closes_with(1007),
                ..open.clone()
            });
        }
    }
    all
}

/// Zeros, compressed as far as that goes, without the end of a flush (RFC 7692, section 7.2.1).
fn bomb() -> io::Result<Vec<u8>> {
    let mut deflate = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..BOMB_BYTES / zeros.len() {
        deflate.write_all(&zeros)?;
    }
    deflate.flush()?;
    let mut bytes = deflate.get_ref().clone();
    bytes.truncate(bytes.len() - 4);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_is_small() {
        let bomb = bomb().unwrap();
        assert!(bomb.len() * 900 < BOMB_BYTES, "{} bytes", bomb.len());
    }

    #[test]
    fn every_attack_has_a_script() {
        for attack in super::super::kinds::ALL {
            assert!(!scripts(attack.name).unwrap().is_empty(), "{}", attack.name);
        }
        assert!(scripts(Name::BadUtf8).unwrap().len() > 40);
    }
}
