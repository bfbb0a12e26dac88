//! What lines cost on their way to a codec and from it: nanoseconds per line, as a source hands blocks on.
//!
//! `cargo bench -p tremor-codec` times every case. `<bench> CASE ROUNDS` runs one of them and prints how many
//! lines that were; `cargo xtask instructions` counts what `counted` executes meanwhile.
#![expect(clippy::print_stdout, clippy::expect_used, reason = "a bench")]

use std::{hint::black_box, time::Instant};

use tremor_codec::{Chunks, Decoder, Definition, Encoder, NameAndConfig, Registry};
use tremor_value::{Bytes, Value};

/// Size of a block.
const BLOCK_BYTES: usize = 64 * 1024;

type Case = (&'static str, usize, &'static str, fn(&mut Setting));

/// Name, length of a line in bytes, codec, what is done with one block of lines.
const CASES: [Case; 5] = [
    ("separate 100", 100, "string", decode),
    ("separate 630", 630, "string", decode),
    ("json 100", 100, "json", decode),
    ("join 100", 100, "string", encode),
    ("join 630", 630, "string", encode),
];

struct Setting {
    decoder: Decoder,
    encoder: Encoder,
    block: Bytes,
    lines: u32,
    value: Value,
    out: Chunks,
}

impl Setting {
    fn new(length: usize, codec: &str) -> Self {
        let separate = || vec![NameAndConfig { name: "separate".into(), config: Some(Value::record()) }];
        let definition = Definition {
            codec: NameAndConfig { name: codec.into(), config: None },
            preprocessors: separate(),
            postprocessors: separate(),
        };
        let parts = Registry::standard().resolver(&definition).expect("known parts");
        let text = format!("\"{}\"", "x".repeat(length - 3));
        let lines = BLOCK_BYTES / length;
        Self {
            decoder: parts.decoder(),
            encoder: parts.encoder(),
            block: format!("{text}\n").repeat(lines).into(),
            lines: u32::try_from(lines).expect("few lines"),
            value: text.into(),
            out: Chunks::new(),
        }
    }
}

fn decode(setting: &mut Setting) {
    setting.decoder.decode(setting.block.clone(), 1, &mut |event| {
        black_box(event.expect("an event"));
    });
}

fn encode(setting: &mut Setting) {
    setting.out.clear();
    for _ in 0..setting.lines {
        setting.encoder.encode(&setting.value, 1, (&Value::Null).into(), &mut setting.out).expect("a string");
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
        let (_, length, codec, run) = CASES.iter().find(|(name, ..)| *name == wanted).expect("a case");
        let mut setting = Setting::new(*length, codec);
        counted(*run, &mut setting, rounds);
        println!("{} lines", rounds * setting.lines);
        return;
    }
    for (name, length, codec, run) in CASES {
        let mut setting = Setting::new(length, codec);
        let sample = |setting: &mut Setting| {
            let start = Instant::now();
            counted(run, setting, 10);
            start.elapsed().as_secs_f64() / f64::from(10 * setting.lines) * 1e9
        };
        let best = (0..30).map(|_| sample(&mut setting)).fold(f64::INFINITY, f64::min);
        println!("{name:<12} {best:>8.1} ns");
    }
}
