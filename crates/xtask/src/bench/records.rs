//! The JSON lines that the file cases read: records as services log them, the same in every run.
//!
//! Generated from a fixed seed: nested records and lists, short and long strings of which a few need
//! escapes or hold characters outside ASCII, small and large integers, floats, booleans and nulls.

use std::{
    fs::File,
    io::{BufWriter, Write as _},
    path::{Path, PathBuf},
};

use crate::error::{Doing as _, Result};

/// Input of the file cases, in bytes.
pub(crate) const TOTAL_BYTES: u64 = 190_000_000;
/// Length that the message of each record is chosen for, line break included.
const RECORD_BYTES: usize = 630;
/// One record in so many has the field `keep` false.
const DROPPED_EVERY: u64 = 100;

const WORDS: [&str; 24] = [
    "payment",
    "accepted",
    "for",
    "order",
    "while",
    "cache",
    "was",
    "warming",
    "retry",
    "after",
    "timeout",
    "upstream",
    "closed",
    "connection",
    "früh",
    "naïve",
    "in",
    "zone",
    "eu-west",
    "shard",
    "moved",
    "to",
    "replica",
    "done",
];
const METHODS: [&str; 4] = ["GET", "POST", "PUT", "DELETE"];
const LEVELS: [&str; 4] = ["debug", "info", "warn", "error"];
const AGENTS: [&str; 3] = [
    "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.5 Safari/605.1.15",
    "curl/8.9.1",
];

/// Different values of the field `kind`: `kind-00` to `kind-19`.
pub(crate) const KINDS: u64 = 20;

/// A written file of records and what a filter on `keep` makes of it.
pub(crate) struct Records {
    pub(crate) path: PathBuf,
    /// Size of the file.
    pub(crate) bytes: u64,
    pub(crate) lines: u64,
    /// Lines whose `keep` is true; the first and the last line are among them.
    pub(crate) kept: u64,
    pub(crate) first: String,
    /// The only line whose `last` is true.
    pub(crate) last: String,
}

impl Records {
    /// Writes about `total` bytes of records to `path` and waits until the disk has them, so that no
    /// writing back of the input falls into a measurement.
    pub(crate) fn write(path: &Path, total: u64) -> Result<Self> {
        let writing = || format!("write {}", path.display());
        let mut file = BufWriter::with_capacity(1 << 20, File::create(path).doing(writing)?);
        let mut made = Self {
            path: path.to_owned(),
            bytes: 0,
            lines: 0,
            kept: 0,
            first: String::new(),
            last: String::new(),
        };
        let mut random = Random(0x7e_0b_5e_ed);
        let mut line = String::new();
        while made.last.is_empty() {
            let last = made.bytes + RECORD_BYTES as u64 >= total;
            let keep = last || made.lines % DROPPED_EVERY != DROPPED_EVERY - 1;
            line.clear();
            record(&mut line, made.lines, keep, last, &mut random);
            file.write_all(line.as_bytes()).and_then(|()| file.write_all(b"\n")).doing(writing)?;
            made.bytes += line.len() as u64 + 1;
            made.kept += u64::from(keep);
            if made.lines == 0 {
                made.first.clone_from(&line);
            }
            if last {
                made.last.clone_from(&line);
            }
            made.lines += 1;
        }
        file.into_inner()
            .map_err(|error| error.into_error())
            .and_then(|file| file.sync_all())
            .doing(writing)?;
        Ok(made)
    }
}

/// Appends one compact record to `out`.
fn record(out: &mut String, number: u64, keep: bool, last: bool, random: &mut Random) {
    let (kind, host, zone) = (random.below(KINDS), random.below(40), random.below(3));
    let (method, level, agent) = (random.pick(&METHODS), random.pick(&LEVELS), random.pick(&AGENTS));
    let (status, latency, size) = (200 + random.below(300), random.fraction(2_000), random.below(4_000_000));
    let (user, trace, page) = (random.below(1 << 40), random.next(), random.below(90));
    let (cpu, load) = (random.fraction(100), random.fraction(16));
    let (cached, debt) = (random.below(3) == 0, random.fraction(500));
    let parent = if random.below(4) == 0 { "null".to_owned() } else { format!("\"{:016x}\"", random.next()) };
    let at = 1_700_000_000_000_000_000 + number * 1_000_003;
    out.push_str(&format!(
        concat!(
            r#"{{"id":{number},"at":{at},"kind":"kind-{kind:02}","level":"{level}","keep":{keep},"last":{last},"#,
            r#""host":{{"name":"web-{host:02}.example.org","zone":"eu-west-{zone}","cpu":{cpu},"load":{load}}},"#,
            r#""request":{{"method":"{method}","path":"/shop/{page}/items","status":{status},"#,
            r#""latency_ms":{latency},"bytes":{size},"cached":{cached},"agent":"{agent}"}},"#,
            r#""user":{{"id":{user},"roles":["buyer","reviewer"],"balance":-{debt}}},"#,
            r#""trace":{{"id":"{trace:016x}","parent":{parent},"sampled":true}},"message":""#,
        ),
        number = number,
        at = at,
        kind = kind,
        level = level,
        keep = keep,
        last = last,
        host = host,
        zone = zone,
        cpu = cpu,
        load = load,
        method = method,
        page = page,
        status = status,
        latency = latency,
        size = size,
        cached = cached,
        agent = agent,
        user = user,
        debt = debt,
        trace = trace,
        parent = parent,
    ));
    message(out, random);
    out.push_str("\"}");
}

/// Appends words, some quoted, until the record has its length; short or long by up to 60 bytes.
fn message(out: &mut String, random: &mut Random) {
    let spread = usize::try_from(random.below(120)).unwrap_or_default();
    let length = RECORD_BYTES - 68 + spread;
    if random.below(8) == 0 {
        out.push_str("first line\\nsecond line\\t");
    }
    loop {
        let word = random.pick(&WORDS);
        if random.below(30) == 0 {
            out.push_str("\\\"");
            out.push_str(word);
            out.push_str("\\\"");
        } else {
            out.push_str(word);
        }
        if out.len() >= length {
            return;
        }
        out.push(' ');
    }
}

/// SplitMix64: small, well spread, the same everywhere.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Evenly enough from `0..limit`.
    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }

    /// `0..limit` with three decimals, never a whole number, as floats of measurements are.
    fn fraction(&mut self, limit: u64) -> String {
        format!("{}.{:02}{}", self.below(limit), self.below(100), 1 + self.below(9))
    }

    fn pick(&mut self, from: &[&'static str]) -> &'static str {
        let index = usize::try_from(self.below(from.len() as u64)).unwrap_or_default();
        from.get(index).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;

    #[test]
    fn records_are_valid_sized_and_always_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let made = Records::write(&one, 1_000_000).unwrap();
        Records::write(&two, 1_000_000).unwrap();
        let text = std::fs::read_to_string(&one).unwrap();
        assert_eq!(text, std::fs::read_to_string(&two).unwrap());

        assert_eq!(text.len() as u64, made.bytes);
        assert_eq!(text.lines().count() as u64, made.lines);
        let average = text.len() / text.lines().count();
        assert!((600..=660).contains(&average), "{average}");

        let values: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(values.iter().filter(|value| value["keep"] == true).count() as u64, made.kept);
        assert_eq!(values.iter().filter(|value| value["last"] == true).count(), 1);
        assert_eq!(values.last().unwrap()["last"], true);
        assert_eq!(values.last().unwrap()["keep"], true);
        assert!(text.contains('\\') && text.contains('ü'));
        for kind in 0..KINDS {
            let name = format!("kind-{kind:02}");
            assert!(values.iter().any(|value| value["kind"] == name.as_str()), "{name}");
        }
        // What is compact already stays the same size when it is written again.
        let again: usize = values.iter().map(|value| value.to_string().len() + 1).sum();
        assert_eq!(again, text.len());
    }
}
