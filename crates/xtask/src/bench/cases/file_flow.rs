//! The contest of all cases that send the generated records from file to file.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::Stdio,
    time::{Duration, Instant},
};

use crate::{
    bench::{
        Bench,
        contest::{Contest, Sample},
        flow_text,
        records::Records,
    },
    error::{Doing as _, Error, Result},
    reference,
};

/// How long one pass over the input may take.
pub(super) const LIMIT: Duration = Duration::from_secs(120);

/// How records come into a flow and out of it.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Through {
    /// Connectors of the kind `file`.
    Files,
    /// `stdio`; standard input and output of the process are the files.
    Stdio,
}

/// A flow that reads the records, ends itself after the last one and leaves a file behind.
pub(super) struct FileFlow {
    name: &'static str,
    through: Through,
    flow: PathBuf,
    output: PathBuf,
    /// Size of the output once it is complete, known after a first run that was checked line by line.
    output_bytes: Option<u64>,
}

impl FileFlow {
    /// Writes the flow around `pipeline`, a definition named `work` with the ports `out` and `exit`, and
    /// runs it once to see that every kept record arrives, in order.
    pub(super) fn new(bench: &Bench, name: &'static str, through: Through, pipeline: &str) -> Result<Self> {
        let records = bench.records()?;
        let folder = bench.folder.path().join(name);
        fs::create_dir_all(&folder).doing(|| format!("create {}", folder.display()))?;
        let (flow, output) = (folder.join("flow.troy"), folder.join("out.json"));
        fs::write(&flow, text(through, pipeline, &records.path, &output))
            .doing(|| format!("write {}", flow.display()))?;
        let mut new = Self { name, through, flow, output, output_bytes: None };
        new.pass(bench)?;
        new.output_bytes = Some(check(&new.output, records)?);
        Ok(new)
    }

    /// One run of the flow.
    fn pass(&self, bench: &Bench) -> Result<Pass> {
        if self.output.exists() {
            fs::remove_file(&self.output).doing(|| format!("remove {}", self.output.display()))?;
        }
        let mut command = bench.program.server(&self.flow);
        if self.through == Through::Stdio {
            let input = &bench.records()?.path;
            command.stdin(File::open(input).doing(|| format!("open {}", input.display()))?);
            let output = File::create(&self.output).doing(|| format!("create {}", self.output.display()))?;
            command.stdout(output);
        }
        let start = Instant::now();
        let mut running = bench.children.spawn(&format!("the flow of `{}`", self.name), &mut command)?;
        let size = || fs::metadata(&self.output).map_or(0, |metadata| metadata.len());
        let mut complete = None;
        if let Some(expected) = self.output_bytes {
            complete = Some(running.until(LIMIT, || (size() >= expected).then(|| start.elapsed()))?);
        }
        let cpu = running.cpu();
        running.finish(LIMIT)?;
        let ended = start.elapsed();
        match self.output_bytes {
            Some(expected) if expected != size() => Err(Error::WrongResult {
                path: self.output.clone(),
                problem: format!("{} bytes instead of {expected}", size()),
            }),
            _ => Ok(Pass { complete: complete.unwrap_or(ended), cpu, ended }),
        }
    }
}

/// How long one run took.
struct Pass {
    /// From the start of the process until the output had its full size.
    complete: Duration,
    /// Processor time up to then.
    cpu: Option<Duration>,
    /// Until the process had ended.
    ended: Duration,
}

impl Contest for FileFlow {
    fn ours(&mut self, bench: &Bench) -> Result<Sample> {
        let bytes = bench.records()?.bytes;
        let pass = self.pass(bench)?;
        let mut details = vec![("MB/s until the process ended, file synced", rate(bytes, pass.ended))];
        details.extend(pass.cpu.filter(|cpu| !cpu.is_zero()).map(|cpu| (PER_CPU_SECOND, rate(bytes, cpu))));
        Ok(Sample { value: rate(bytes, pass.complete), details })
    }

    fn reference(&mut self, bench: &Bench) -> Result<Sample> {
        json_loop(bench)
    }
}

/// A sample of the reference of all cases about records.
pub(super) fn json_loop(bench: &Bench) -> Result<Sample> {
    let records = bench.records()?;
    let answer = bench.folder.path().join("reference.out");
    let file = File::create(&answer).doing(|| format!("create {}", answer.display()))?;
    let mut command = reference::command()?;
    command.arg("json").arg(&records.path).stdout(Stdio::from(file));
    bench.children.spawn("the JSON reference", &mut command)?.finish(LIMIT)?;
    let text = fs::read_to_string(&answer).doing(|| format!("read {}", answer.display()))?;
    let mut numbers = text.split_whitespace().map(str::parse).map_while(std::result::Result::ok);
    let (Some(took), Some(cpu)) = (numbers.next(), numbers.next()) else {
        return Err(Error::Answer(text));
    };
    let value = rate(records.bytes, Duration::from_nanos(took));
    let details = vec![(PER_CPU_SECOND, rate(records.bytes, Duration::from_nanos(cpu)))];
    Ok(Sample { value, details })
}

pub(super) const PER_CPU_SECOND: &str = "MB per second of CPU";

/// MB/s.
pub(super) fn rate(bytes: u64, took: Duration) -> f64 {
    bytes as f64 / 1e6 / took.as_secs_f64()
}

/// The flow of the case `file` with other paths; the record whose `last` is true ends it.
pub(crate) fn filter_flow(input: &Path, output: &Path) -> String {
    flow_of(super::file::PIPELINE, input, output)
}

/// A flow from file to file around `pipeline`, a definition named `work` with the ports `out` and `exit`.
pub(crate) fn flow_of(pipeline: &str, input: &Path, output: &Path) -> String {
    text(Through::Files, pipeline, input, output)
}

fn text(through: Through, pipeline: &str, input: &Path, output: &Path) -> String {
    let (connectors, source, sink) = match through {
        Through::Files => {
            let source = flow_text::file_source("input", input, r#""separate""#);
            (source + &flow_text::file_sink("output", output), "input", "output")
        }
        Through::Stdio => (STDIO.to_owned(), "console", "console"),
    };
    flow_text::flow(&format!(
        "  use tremor::connectors;
{connectors}{pipeline}
  create connector exit from connectors::exit;
  create pipeline work;
  connect /connector/{source} to /pipeline/work;
  connect /pipeline/work to /connector/{sink};
  connect /pipeline/work/exit to /connector/exit;
"
    ))
}

const STDIO: &str = r#"  define connector console from stdio
  with
    codec = "json",
    preprocessors = ["separate"],
    postprocessors = ["separate"]
  end;
  create connector console;
"#;

/// Every kept record is there, in order, once. Returns the size of the file.
fn check(output: &Path, records: &Records) -> Result<u64> {
    let wrong = |problem: String| Error::WrongResult { path: output.to_owned(), problem };
    let file = File::open(output).doing(|| format!("open {}", output.display()))?;
    let (mut bytes, mut lines, mut previous) = (0, 0, None);
    for line in BufReader::with_capacity(1 << 20, file).lines() {
        let line = line.doing(|| format!("read {}", output.display()))?;
        bytes += line.len() as u64 + 1;
        lines += 1;
        let id = id(&line).ok_or_else(|| wrong(format!("line {lines} has no `id`")))?;
        if previous.is_some_and(|previous| previous >= id) {
            return Err(wrong(format!("line {lines} is out of order")));
        }
        previous = Some(id);
    }
    if lines != records.kept {
        return Err(wrong(format!("{lines} lines instead of {}", records.kept)));
    }
    Ok(bytes)
}

/// The `id` of a line; the rest of the line has to be JSON.
fn id(line: &str) -> Option<u64> {
    serde_json::from_str::<serde_json::Value>(line).ok()?.get("id")?.as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_repeated_and_swapped_records_are_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let records = Records::write(&folder.path().join("in.json"), 20_000).unwrap();
        let text = fs::read_to_string(&records.path).unwrap();
        let kept: Vec<_> = text.lines().filter(|line| line.contains("\"keep\":true")).collect();
        let output = folder.path().join("out.json");
        let checked = |lines: &[&str]| {
            fs::write(&output, lines.join("\n") + "\n").unwrap();
            check(&output, &records)
        };
        let size = kept.iter().map(|line| line.len() as u64 + 1).sum::<u64>();
        assert_eq!(checked(&kept).unwrap(), size);
        assert!(checked(&kept[1..]).is_err());
        let mut swapped = kept.clone();
        swapped.swap(3, 4);
        assert!(checked(&swapped).is_err());
        let mut repeated = kept.clone();
        repeated[5] = repeated[4];
        assert!(checked(&repeated).is_err());
    }
}
