//! What frames cost: nanoseconds per message, as a server gets them from a read and puts them into a write.
//!
//! `cargo bench -p tremor-ws` times every case. `<bench> CASE ROUNDS` runs one of them and prints how many
//! messages that were; `cargo xtask instructions` counts what `counted` executes meanwhile.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a bench")]

use std::{hint::black_box, time::Instant};

use bytes::BytesMut;
use tremor_ws::{Decoder, Encoder, Incoming, Limits, Options, Role};

/// Messages of one read or write.
const MESSAGES: u32 = 64;

type Case = (&'static str, usize, fn(&mut Setting));

/// Name, length of a message in bytes, what is done with 64 of them.
const CASES: [Case; 4] = [
    ("decode 100", 100, decode),
    ("decode 4096", 4_096, decode),
    ("encode 100", 100, encode),
    ("encode 4096", 4_096, encode),
];

struct Setting {
    decoder: Decoder,
    encoder: Encoder,
    payload: Vec<u8>,
    /// What a client sends.
    wire: Vec<u8>,
    incoming: Vec<Incoming>,
    out: Vec<u8>,
}

impl Setting {
    fn new(length: usize) -> Self {
        let payload =
            b"{\"note\":\"f\xc3\xbcr alle\",".iter().copied().cycle().take(length).collect::<Vec<u8>>();
        let payload = String::from_utf8_lossy(&payload).replace('\u{fffd}', "x").into_bytes();
        let mut client = Encoder::new(Role::Client, Options::default());
        let mut wire = Vec::new();
        for _ in 0..MESSAGES {
            client.message(&payload, false, &mut wire).expect("text");
        }
        Self {
            decoder: Decoder::new(Role::Server, Limits::default(), Options::default()),
            encoder: Encoder::new(Role::Server, Options::default()),
            payload,
            wire,
            incoming: Vec::new(),
            out: Vec::new(),
        }
    }
}

fn decode(setting: &mut Setting) {
    let mut input = BytesMut::from(setting.wire.as_slice());
    setting.decoder.decode(&mut input, &mut setting.incoming).expect("frames");
    black_box(&setting.incoming);
    setting.incoming.clear();
}

fn encode(setting: &mut Setting) {
    setting.out.clear();
    for _ in 0..MESSAGES {
        setting.encoder.message(&setting.payload, false, &mut setting.out).expect("text");
    }
    black_box(&setting.out);
}

/// Not inlined, so that tools can find it.
#[inline(never)]
fn counted(run: fn(&mut Setting), setting: &mut Setting, rounds: u32) {
    for _ in 0..rounds {
        run(setting);
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    if let Some(wanted) = arguments.next() {
        let rounds = arguments.next().and_then(|rounds| rounds.parse().ok()).unwrap_or(10);
        let (_, length, run) = CASES.iter().find(|(name, ..)| *name == wanted).expect("a case");
        counted(*run, &mut Setting::new(*length), rounds);
        println!("{} messages", rounds * MESSAGES);
        return;
    }
    for (name, length, run) in CASES {
        let mut setting = Setting::new(length);
        let sample = |setting: &mut Setting| {
            let start = Instant::now();
            counted(run, setting, 100);
            start.elapsed().as_secs_f64() / f64::from(100 * MESSAGES) * 1e9
        };
        let best = (0..30).map(|_| sample(&mut setting)).fold(f64::INFINITY, f64::min);
        println!("{name:<12} {best:>8.1} ns");
    }
}
