//! Against an implementation that nobody here wrote, over memory.

use bytes::BytesMut;
use std::io::{self, Read, Write};
use tremor_ws::{Decoder, Encoder, Incoming, Limits, Options, Role};
use tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tungstenite::{Message, WebSocket, protocol};

/// What the peer reads and what it wrote.
#[derive(Default)]
struct Pipe {
    to_peer: Vec<u8>,
    taken: usize,
    from_peer: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        // Odd sizes, so that frames are cut.
        let rest = &self.to_peer[self.taken..];
        let len = rest.len().min(buffer.len()).min(1021);
        if len == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        buffer[..len].copy_from_slice(&rest[..len]);
        self.taken += len;
        Ok(len)
    }
}

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.from_peer.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn peer(ours: Role, pipe: Pipe) -> WebSocket<Pipe> {
    let theirs = match ours {
        Role::Client => protocol::Role::Server,
        Role::Server => protocol::Role::Client,
    };
    WebSocket::from_raw_socket(pipe, theirs, Some(WebSocketConfig::default()))
}

fn messages() -> Vec<Message> {
    let mut all = Vec::new();
    for size in [0, 1, 125, 126, 127, 128, 10_000, 65535, 65536, 1 << 20] {
        all.push(Message::text("d\u{ed}a".chars().cycle().take(size).collect::<String>()));
        all.push(Message::binary((0..=255).cycle().take(size).collect::<Vec<u8>>()));
        all.push(Message::Ping(vec![7; size.min(125)].into()));
        all.push(Message::Pong(vec![8; size.min(125)].into()));
    }
    all
}

#[test]
fn the_peer_understands_us() {
    for role in [Role::Client, Role::Server] {
        for auto_fragment_size in [0, 1000] {
            let mut encoder = Encoder::new(role, Options { auto_fragment_size, ..Options::default() });
            let mut out = Vec::new();
            for message in messages() {
                match &message {
                    Message::Text(text) => encoder.message(text.as_bytes(), false, &mut out),
                    Message::Binary(bytes) => encoder.message(bytes, true, &mut out),
                    Message::Ping(bytes) => encoder.ping(bytes, &mut out),
                    Message::Pong(bytes) => encoder.pong(bytes, &mut out),
                    other => panic!("no case for {other}"),
                }
                .unwrap();
            }
            encoder.close(Some(4001), "bye", &mut out).unwrap();

            let mut peer = peer(role, Pipe { to_peer: out, ..Pipe::default() });
            for message in messages() {
                assert!(peer.read().unwrap() == message, "{role:?}, fragments of {auto_fragment_size}");
            }
            let close = CloseFrame { code: 4001.into(), reason: "bye".into() };
            assert_eq!(peer.read().unwrap(), Message::Close(Some(close)));
        }
    }
}

#[test]
fn we_understand_the_peer() {
    for role in [Role::Client, Role::Server] {
        let mut peer = peer(role, Pipe::default());
        for message in messages() {
            peer.write(message).unwrap();
        }
        peer.flush().unwrap();
        peer.close(Some(CloseFrame { code: 1001.into(), reason: "idle".into() })).unwrap();
        let wire = peer.get_ref().from_peer.clone();

        for read_bytes in [wire.len(), 65536, 1021] {
            let mut decoder = Decoder::new(role, Limits::default(), Options::default());
            let mut input = BytesMut::new();
            let mut events = Vec::new();
            for piece in wire.chunks(read_bytes) {
                input.extend_from_slice(piece);
                decoder.decode(&mut input, &mut events).unwrap();
            }
            let expected: Vec<Incoming> = messages()
                .into_iter()
                .map(|message| match message {
                    Message::Text(text) => Incoming::Message {
                        payload: text.into(),
                        binary: false,
                        frames: 1,
                        compressed: false,
                    },
                    Message::Binary(payload) => {
                        Incoming::Message { payload, binary: true, frames: 1, compressed: false }
                    }
                    Message::Ping(bytes) => Incoming::Ping(bytes),
                    Message::Pong(bytes) => Incoming::Pong(bytes),
                    other => panic!("no case for {other}"),
                })
                .chain([Incoming::Close { code: Some(1001), reason: "idle".to_owned() }])
                .collect();
            assert!(events == expected, "{role:?}, reads of {read_bytes}");
        }
    }
}
