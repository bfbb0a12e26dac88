//! Pipe, `file`, filter, `file`, pipe, with both ends checked here.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Write as _},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, Receiver},
    },
    thread,
    time::Duration,
};

use serde_json::Value;

use super::{Soaked, Span, growth, pipe, wrong};
use crate::{
    bench::{Bench, cases::file_flow, records::Records},
    error::{Doing as _, Error, Result},
};

/// Size of the records that go round and round.
const ROUND_BYTES: u64 = 8_000_000;
/// How long the rest may take once no new record is sent.
const LIMIT: Duration = Duration::from_secs(60);

/// Sends records until `span` is over and checks that exactly the kept ones come out, in order.
pub(super) fn run(bench: &Bench, span: Span) -> Result<Soaked> {
    let folder = bench.folder.path().join("soak-file");
    fs::create_dir_all(&folder).doing(|| format!("create {}", folder.display()))?;
    let [input, output, flow] = ["in", "out", "flow.troy"].map(|name| folder.join(name));
    pipe::make(&input)?;
    pipe::make(&output)?;
    let round = Arc::new(Round::new(&Records::write(&folder.join("records.json"), ROUND_BYTES)?)?);
    fs::write(&flow, file_flow::filter_flow(&input, &output))
        .doing(|| format!("write {}", flow.display()))?;

    let mut server = bench.children.spawn("the flow of `soak`", &mut bench.program.server(&flow))?;
    let shared = Arc::new(Shared::default());
    let (tell, ended) = mpsc::channel();
    let ends: [(_, Work, _); 2] = [("writing", write, input), ("reading", read, output)];
    for (name, work, path) in ends {
        let (tell, round, shared) = (tell.clone(), Arc::clone(&round), Arc::clone(&shared));
        // Nobody waits for these threads: a pipe that is never opened would hold them for ever.
        thread::spawn(move || tell.send((name, work(&path, &round, &shared))));
    }

    let events = || shared.events.load(Ordering::Relaxed);
    let soaked = growth::watch("file", &mut server, span, events, || fault(&ended))?;
    shared.over.store(true, Ordering::Relaxed);
    server.finish(LIMIT)?;
    for _ in 0..2 {
        let (what, result) = ended.recv_timeout(LIMIT).map_err(|_| wrong("the ends of the pipes hang"))?;
        result.map_err(|error| wrong(format!("{what}: {error}")))?;
    }
    let expected = shared.expected.load(Ordering::Relaxed);
    if events() == expected {
        Ok(Soaked { events: expected, ..soaked })
    } else {
        Err(wrong(format!("{} events came out, {expected} should have", events())))
    }
}

#[derive(Default)]
struct Shared {
    /// What came out.
    events: AtomicU64,
    /// What has to have come out in the end.
    expected: AtomicU64,
    /// Nothing new is to be sent.
    over: AtomicBool,
}

/// What one end of the pipes has to do.
type Work = fn(&Path, &Round, &Shared) -> Result<()>;

/// Which end of the pipes it was, and what came of it.
type Ended = (&'static str, Result<()>);

/// What a thread has found wrong; both end only when all is over.
fn fault(ended: &Receiver<Ended>) -> Option<String> {
    let (what, result) = ended.try_recv().ok()?;
    Some(match result {
        Ok(()) => format!("{what} ended too early"),
        Err(error) => format!("{what}: {error}"),
    })
}

/// The records that go round.
struct Round {
    /// With their line breaks.
    lines: Vec<String>,
    /// Those of them that the filter keeps.
    kept: Vec<Value>,
    /// The one that ends the flow, which comes last.
    last: String,
}

impl Round {
    fn new(records: &Records) -> Result<Self> {
        let text = fs::read_to_string(&records.path).doing(|| "read the records".to_owned())?;
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        let last = lines.pop().unwrap_or_default();
        let values = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        let kept = values.filter(|value| value.get("keep") == Some(&Value::Bool(true))).collect();
        Ok(Self { lines, kept, last })
    }
}

/// Whole rounds until it is over, then the last record.
fn write(path: &Path, round: &Round, shared: &Shared) -> Result<()> {
    let writing = || format!("write to {}", path.display());
    let bytes = round.lines.concat();
    let mut expected = 1;
    let mut pipe = OpenOptions::new().write(true).open(path).doing(writing)?;
    while !shared.over.load(Ordering::Relaxed) {
        pipe.write_all(bytes.as_bytes()).doing(writing)?;
        expected += round.kept.len() as u64;
    }
    shared.expected.store(expected, Ordering::Relaxed);
    pipe.write_all(round.last.as_bytes()).doing(writing)
}

/// Compares every byte that comes out, until the end.
fn read(path: &Path, round: &Round, shared: &Shared) -> Result<()> {
    let reading = || format!("read from {}", path.display());
    let mut pipe = BufReader::with_capacity(1 << 16, File::open(path).doing(reading)?);
    let known = learn(&mut pipe, &round.kept).map_err(|problem| at(path, problem))?;
    let mut events = round.kept.len() as u64;
    shared.events.store(events, Ordering::Relaxed);
    let mut next = vec![0; known.len()];
    loop {
        let length = fill(&mut pipe, &mut next).doing(reading)?;
        if length < known.len() {
            next.truncate(length);
            break;
        }
        if next != known {
            return Err(at(path, format!("what came behind event {events} is not what was sent")));
        }
        events += round.kept.len() as u64;
        shared.events.store(events, Ordering::Relaxed);
    }
    if parsed(&next).is_none() || parsed(&next) != parsed(round.last.as_bytes()) {
        let end = String::from_utf8_lossy(&next).into_owned();
        return Err(at(path, format!("behind event {events} came not the last record but {end:?}")));
    }
    shared.events.store(events + 1, Ordering::Relaxed);
    Ok(())
}

/// Reads one round, compares it as JSON, and returns how it was written: so are all that follow.
fn learn(pipe: &mut impl BufRead, kept: &[Value]) -> std::result::Result<Vec<u8>, String> {
    let mut known = Vec::new();
    for (number, expected) in (1..).zip(kept) {
        let start = known.len();
        pipe.read_until(b'\n', &mut known).map_err(|error| error.to_string())?;
        let line = known.get(start..).unwrap_or_default();
        if parsed(line).as_ref() != Some(expected) {
            return Err(format!("line {number} is not what was sent: {:?}", String::from_utf8_lossy(line)));
        }
    }
    Ok(known)
}

/// Fills the buffer, but for what is missing at the end.
fn fill(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while let Some(free) = buffer.get_mut(length..).filter(|free| !free.is_empty()) {
        match input.read(free) {
            Ok(0) => break,
            Ok(read) => length += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(length)
}

fn parsed(line: &[u8]) -> Option<Value> {
    serde_json::from_slice(line).ok()
}

fn at(path: &Path, problem: String) -> Error {
    Error::WrongResult { path: path.to_owned(), problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the reader says to an output that is `text`; the records are 1, 2 and the last one 9.
    fn said(text: &str) -> (Result<()>, u64) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out");
        fs::write(&path, text).unwrap();
        let round = Round {
            lines: vec!["1\n".into(), "2\n".into()],
            kept: vec![1.into(), 2.into()],
            last: "9\n".into(),
        };
        let shared = Shared::default();
        let result = read(&path, &round, &shared);
        (result, shared.events.into_inner())
    }

    #[test]
    fn whole_rounds_and_the_last_record_are_right() {
        assert!(matches!(said("1\n2\n1\n2\n1\n2\n9\n"), (Ok(()), 7)));
    }

    #[test]
    fn lost_repeated_and_broken_records_are_noticed() {
        for text in ["", "1\n", "2\n1\n", "1\n2\n", "1\n2\n2\n1\n9\n", "1\n2\n1\n9\n", "1\n2\n1\n2\n9\n9\n"] {
            assert!(said(text).0.is_err(), "{text:?}");
        }
    }

    #[test]
    fn what_is_written_can_be_read() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::write(&folder.path().join("records"), 50_000).unwrap();
        let round = Round::new(&records).unwrap();
        assert_eq!(round.lines.len() as u64 + 1, records.lines);
        assert_eq!(round.kept.len() as u64 + 1, records.kept);
        let out = folder.path().join("out");
        let shared = Shared { over: AtomicBool::new(true), ..Shared::default() };
        fs::write(&out, "").unwrap();
        write(&out, &round, &shared).unwrap();
        assert_eq!(fs::read_to_string(&out).unwrap(), round.last);
        assert_eq!(shared.expected.into_inner(), 1);
    }
}
