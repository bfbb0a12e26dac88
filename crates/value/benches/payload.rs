//! What payloads cost: nanoseconds per document, beside what the parser below them needs.
//!
//! `cargo bench -p tremor-value` times every case on every kind of document. For counting instructions one case is
//! picked, and its rounds: `valgrind --tool=callgrind --toggle-collect='*counted*' <bench> records skim 10`.
#![expect(clippy::cast_possible_truncation, clippy::print_stdout, clippy::expect_used, reason = "a bench")]

use std::{hint::black_box, time::Instant};

use tremor_value::{Bytes, Payload, json};

/// Documents of a kind that are run through in one round.
const DOCUMENTS: u64 = 2000;

type Case = (&'static str, fn(&mut Setting, &Bytes));

const CASES: [Case; 12] = [
    ("simd-json: to tape", |setting, document| {
        setting.scratch.clear();
        setting.scratch.extend_from_slice(document);
        let tape = simd_json::to_tape(&mut setting.scratch);
        black_box(tape.is_ok());
    }),
    ("simd-json: tree and back", |setting, document| {
        setting.scratch.clear();
        setting.scratch.extend_from_slice(document);
        let tree = simd_json::to_borrowed_value(&mut setting.scratch).expect("valid");
        setting.out.clear();
        simd_json::prelude::Writable::write(&tree, &mut setting.out).expect("a buffer");
    }),
    ("tree", |setting, document| {
        black_box(setting.parser.parse(document).expect("valid"));
    }),
    ("tree and back", |setting, document| {
        let value = setting.parser.parse(document).expect("valid");
        setting.out.clear();
        json::write(&value, &mut setting.out);
    }),
    ("payload", |setting, document| {
        black_box(setting.payload(document));
    }),
    ("payload and back", |setting, document| {
        let payload = setting.payload(document);
        setting.out.clear();
        payload.write_json(&mut setting.out);
    }),
    ("payload, one read", |setting, document| {
        black_box(setting.payload(document).get("keep"));
    }),
    ("payload, a deep read", |setting, document| {
        black_box(setting.payload(document).get_path(["request", "agent"]));
    }),
    ("payload, one write and back", |setting, document| {
        let mut payload = setting.payload(document);
        payload.insert("level", "none");
        setting.out.clear();
        payload.write_json(&mut setting.out);
    }),
    ("payload, ten writes and back", |setting, document| {
        let mut payload = setting.payload(document);
        for key in ["id", "at", "kind", "level", "keep", "last", "new", "newer", "newest", "more"] {
            payload.insert(key, 1_i64);
        }
        setting.out.clear();
        payload.write_json(&mut setting.out);
    }),
    ("payload to tree", |setting, document| {
        black_box(setting.payload(document).into_value());
    }),
    ("payload, built by a read", |setting, document| {
        let payload = setting.payload(document);
        black_box(payload.value());
    }),
];

#[derive(Default)]
struct Setting {
    parser: json::Parser,
    scratch: Vec<u8>,
    out: Vec<u8>,
}

impl Setting {
    fn payload(&mut self, document: &Bytes) -> Payload {
        self.parser.document(document.clone()).expect("valid")
    }
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let kinds = [
        ("records", documents(record)),
        ("messages", documents(message)),
        ("spaced", documents(|random| spaced(&record(random)))),
        ("escaped keys", documents(|random| record(random).replace("\"zone\"", "\"gr\\u00fc\\u00dfe\""))),
        ("repeated keys", documents(|random| record(random).replacen('{', "{\"id\":0,", 1))),
        ("strings", documents(|random| format!("[\"{}\"]", "word ".repeat(1 + random.below(300) as usize)))),
        ("numbers", documents(numbers)),
        ("deep", documents(|_| format!("{}1{}", r#"{"a":["#.repeat(250), "]}".repeat(250)))),
    ];
    if let (Some(kind), Some(case)) = (arguments.next(), arguments.next()) {
        let rounds = arguments.next().and_then(|rounds| rounds.parse().ok()).unwrap_or(10);
        let (_, documents) = kinds.iter().find(|(name, _)| *name == kind).expect("a kind of documents");
        let (_, run) = CASES.iter().find(|(name, _)| *name == case).expect("a case");
        let mut setting = Setting::default();
        for _ in 0..rounds {
            counted(*run, &mut setting, documents);
        }
        println!("{} documents", rounds * documents.len());
        return;
    }
    for (kind, documents) in &kinds {
        let bytes: usize = documents.iter().map(Bytes::len).sum();
        println!("{kind}, {} bytes", bytes / documents.len());
        for (name, run) in CASES {
            let mut setting = Setting::default();
            let mut best = f64::INFINITY;
            for _ in 0..15 {
                let start = Instant::now();
                counted(run, &mut setting, documents);
                best = best.min(start.elapsed().as_secs_f64());
            }
            let (each, rate) = (best / documents.len() as f64 * 1e9, bytes as f64 / best / 1e6);
            println!("  {name:<30} {each:>8.0} ns {rate:>8.0} MB/s");
        }
    }
}

#[inline(never)]
fn counted(run: fn(&mut Setting, &Bytes), setting: &mut Setting, documents: &[Bytes]) {
    for document in documents {
        run(setting, document);
    }
}

/// Documents that lie one behind the other in one buffer, as a read gives them.
fn documents(make: impl Fn(&mut Random) -> String) -> Vec<Bytes> {
    let mut random = Random(7);
    let lines: Vec<String> = (0..DOCUMENTS).map(|_| make(&mut random)).collect();
    let buffer = Bytes::from(lines.join("\n"));
    let mut start = 0;
    let mut slice = |line: &String| {
        let document = buffer.slice(start..start + line.len());
        start += line.len() + 1;
        document
    };
    lines.iter().map(&mut slice).collect()
}

/// A record of 630 bytes, as services log them.
fn record(random: &mut Random) -> String {
    let mut record = format!(
        concat!(
            r#"{{"id":{},"at":{},"kind":"kind-{:02}","level":"{}","keep":true,"last":false,"#,
            r#""host":{{"name":"web-{:02}.example.org","zone":"eu-west-{}","cpu":{},"load":{}}},"#,
            r#""request":{{"method":"{}","path":"/shop/{}/items","status":{},"#,
            r#""latency_ms":{},"bytes":{},"cached":{},"agent":"{}"}},"#,
            r#""user":{{"id":{},"roles":["buyer","reviewer"],"balance":-{}}},"#,
            r#""trace":{{"id":"{:016x}","parent":null,"sampled":true}},"message":""#,
        ),
        random.below(1_000_000),
        1_700_000_000_000_000_000 + random.below(1 << 40),
        random.below(20),
        random.pick(&["debug", "info", "warn", "error"]),
        random.below(40),
        random.below(3),
        random.fraction(100),
        random.fraction(16),
        random.pick(&["GET", "POST", "PUT", "DELETE"]),
        random.below(90),
        200 + random.below(300),
        random.fraction(2000),
        random.below(4_000_000),
        random.below(3) == 0,
        random
            .pick(&["curl/8.9.1", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"]),
        random.below(1 << 40),
        random.fraction(500),
        random.next(),
    );
    let length = 560 + random.below(120) as usize;
    while record.len() < length {
        let words = ["payment", "accepted", "for", "order", "cache", "früh", "naïve", r#"\"done\""#, r"to\n"];
        record.push_str(random.pick(&words));
        record.push(' ');
    }
    record + "\"}"
}

/// A message of 100 bytes, as clients send them.
fn message(random: &mut Random) -> String {
    format!(
        r#"{{"seq":{:09},"type":"update","price":{},"symbol":"{}","note":"a message of one hundred bytes"}}"#,
        100_000_000 + random.below(800_000_000),
        random.fraction(1000),
        random.pick(&["ABCD", "EFGH"]),
    )
}

fn numbers(random: &mut Random) -> String {
    let numbers: Vec<String> = (0..60)
        .map(|at| if at % 2 == 0 { random.fraction(1 << 30) } else { random.below(1 << 50).to_string() })
        .collect();
    format!(r#"{{"numbers":[{}]}}"#, numbers.join(","))
}

/// The same with the white space that other programs put in.
fn spaced(document: &str) -> String {
    let mut is_inside = false;
    let mut before = ' ';
    let mut spaced = String::new();
    for character in document.chars() {
        is_inside ^= character == '"' && before != '\\';
        before = character;
        spaced.push(character);
        if !is_inside && matches!(character, ',' | ':') {
            spaced.push(' ');
        }
    }
    spaced
}

/// `SplitMix64`: small, well spread, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// A number with three decimals.
    fn fraction(&mut self, limit: u64) -> String {
        format!("{}.{:02}{}", self.below(limit), self.below(100), 1 + self.below(9))
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        let index = self.below(from.len() as u64) as usize;
        from.get(index).copied().unwrap_or_default()
    }
}
