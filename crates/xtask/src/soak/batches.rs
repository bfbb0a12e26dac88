//! A few records out of many, gathered in batches for a sink that is slower than the file they are read from.
//!
//! What is kept stands in the file about one read apart: were a record to hold the block that it was read in, those that
//! wait would hold the whole file.

use std::{
    fs::{self, File},
    io::{BufWriter, Read as _, Write as _},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use super::{growth::Series, mib, pipe, wrong};
use crate::{
    bench::{Bench, cases::file_flow},
    error::{Doing as _, Result},
    output,
};

/// What is read from a regular file at once.
const BLOCK_BYTES: usize = 256 * 1_024;
/// Length of a record with its line break.
const RECORD_BYTES: usize = 640;
/// Of so many records one is kept, which makes one per block.
const KEPT_EVERY: usize = BLOCK_BYTES / RECORD_BYTES;
/// Records of a batch.
const BATCH: usize = 1_000;
/// Batches that come out. The file has 500 MiB, and a batch of records with their blocks would have half of that.
const BATCHES: usize = 2;
/// How much more memory the flow may take than before it had read anything: buffers, not what passed them.
const MAX_MORE_MIB: f64 = 128.0;
/// How the output is read: so many bytes, then a pause.
const PIECE_BYTES: usize = 64 * 1_024;
const PAUSE: Duration = Duration::from_millis(200);
/// Time between two looks.
const LOOK: Duration = Duration::from_millis(5);
/// How long all of it may take.
const LIMIT: Duration = Duration::from_secs(60);

/// Runs the flow once and prints what became of it. Returns whether all is as it should be.
pub(super) fn run(bench: &Bench) -> bool {
    output::note("batches: writing the input");
    let (word, text) = match watched(bench) {
        Ok(text) => ("passed", text),
        Err(error) => ("FAILED", error.to_string()),
    };
    output::result(&format!("batches: {word}: {text}"));
    word == "passed"
}

fn watched(bench: &Bench) -> Result<String> {
    let folder = tempfile::tempdir_in(bench.folder.path()).doing(|| "make a temporary folder".to_owned())?;
    let [input, output, flow] = ["in", "out", "flow.troy"].map(|name| folder.path().join(name));
    let kept = write(&input)?;
    pipe::make(&output)?;
    fs::write(&flow, file_flow::flow_of(PIPELINE, &input, &output)).doing(|| "write a flow".to_owned())?;

    let mut server = bench.children.spawn("the flow of `batches`", &mut bench.program.server(&flow))?;
    let (start, mut series) = (Instant::now(), Series::default());
    // Until the pipe has a reader, nothing is read from the file.
    server.stays(Duration::from_millis(500))?;
    series.look(start, &server)?;
    let before = mib(series.most());
    let reader = thread::spawn(move || slowly(&output));
    while !reader.is_finished() {
        if start.elapsed() > LIMIT {
            return Err(wrong(format!("not all came out within {LIMIT:?}")));
        }
        // It ends when all is written, which may be before all is read.
        if server.stays(LOOK).and_then(|()| series.look(start, &server)).is_err() {
            break;
        }
    }
    server.finish(LIMIT)?;
    let came = reader.join().map_err(|_| wrong("the reader panicked"))??;
    if came != kept {
        return Err(wrong(format!(
            "{} bytes came out that are not the {} of what is kept",
            came.len(),
            kept.len()
        )));
    }
    let most = mib(series.most());
    let text = format!(
        "{} records in batches of {BATCH}; resident memory {before:.0} MiB before, {most:.0} MiB at most",
        BATCH * BATCHES
    );
    if most - before > MAX_MORE_MIB {
        return Err(wrong(format!("more memory than {MAX_MORE_MIB} MiB: {text}")));
    }
    Ok(text)
}

/// What is kept, in batches; the last record ends the flow.
const PIPELINE: &str = r#"
  define pipeline work
  into out, exit
  pipeline
    define operator batch from generic::batch with count = 1000 end;
    create operator batch;
    select event from in where event.keep into batch;
    select event from batch into out;
    select {"exit": 0} from in where event.last into exit;
  end;
"#;

/// Writes the input and returns those of its lines that are kept.
fn write(path: &Path) -> Result<Vec<u8>> {
    let writing = || format!("write {}", path.display());
    let mut file = BufWriter::with_capacity(1 << 20, File::create(path).doing(writing)?);
    let mut kept = Vec::new();
    let count = KEPT_EVERY * BATCH * BATCHES;
    for number in 1..=count {
        let keep = number % KEPT_EVERY == 0;
        let line = record(number, keep, number == count);
        file.write_all(line.as_bytes()).doing(writing)?;
        if keep {
            kept.extend_from_slice(line.as_bytes());
        }
    }
    file.flush().doing(writing)?;
    Ok(kept)
}

/// A line of [`RECORD_BYTES`], as it is written again.
fn record(number: usize, keep: bool, last: bool) -> String {
    let head = format!(r#"{{"id":{number},"keep":{keep},"last":{last},"text":""#);
    let tail = "\"}\n";
    let text = "x".repeat(RECORD_BYTES.saturating_sub(head.len() + tail.len()));
    format!("{head}{text}{tail}")
}

/// Everything that comes out, read with pauses.
fn slowly(path: &Path) -> Result<Vec<u8>> {
    let reading = || format!("read {}", path.display());
    let mut pipe = File::open(path).doing(reading)?;
    let (mut all, mut piece) = (Vec::new(), vec![0; PIECE_BYTES]);
    loop {
        let read = pipe.read(&mut piece).doing(reading)?;
        if read == 0 {
            return Ok(all);
        }
        all.extend_from_slice(piece.get(..read).unwrap_or_default());
        thread::sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_json_of_one_length_and_whole_batches_are_kept() {
        for (number, keep, last) in [(1, false, false), (123_456, true, true)] {
            let line = record(number, keep, last);
            assert_eq!(line.len(), RECORD_BYTES);
            let value: serde_json::Value = serde_json::from_str(&line).unwrap();
            assert_eq!((&value["keep"], &value["last"]), (&keep.into(), &last.into()));
            assert_eq!(value["id"], number);
        }
        assert!(PIPELINE.contains(&format!("count = {BATCH} ")));
    }

    #[test]
    fn the_input_keeps_whole_batches_and_ends_with_one_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let kept = write(&folder.path().join("in")).unwrap();
        assert_eq!(kept.len(), BATCH * BATCHES * RECORD_BYTES);
        assert!(kept[kept.len() - RECORD_BYTES..].windows(11).any(|part| part == b"\"last\":true"));
    }
}
