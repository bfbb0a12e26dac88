//! A flow that measures itself, for all cases in memory: no file, no socket, only decoding, a pipeline and encoding.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use super::file_flow::{LIMIT, rate};
use crate::{
    bench::{Bench, flow_text},
    error::{Doing as _, Error, Result},
};

/// How often a flow gets the records.
const PASSES: u64 = 3;

/// Whether the source wants to hear what becomes of its events.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Listening {
    Yes,
    No,
}

/// A flow from a `bench` connector through a pipeline and back.
pub(super) struct BenchFlow {
    name: &'static str,
    flow: PathBuf,
    report: PathBuf,
}

/// What came of one run.
pub(super) struct Measured {
    /// By the report of the connector.
    pub(super) events_per_second: f64,
    /// Bytes that came out, by the report of the connector.
    pub(super) mb_per_second: f64,
    /// MB that went in, by processor time from the start of the process to its end.
    pub(super) mb_per_cpu_second: Option<f64>,
}

impl BenchFlow {
    /// Writes the flow around `pipeline`, statements that create the pipeline `work`.
    pub(super) fn new(
        bench: &Bench,
        name: &'static str,
        listening: Listening,
        pipeline: &str,
    ) -> Result<Self> {
        let folder = bench.folder.path().join(name);
        fs::create_dir_all(&folder).doing(|| format!("create {}", folder.display()))?;
        let (flow, report) = (folder.join("flow.troy"), folder.join("report.json"));
        let text = text(&bench.records()?.path, listening, pipeline);
        fs::write(&flow, text).doing(|| format!("write {}", flow.display()))?;
        Ok(Self { name, flow, report })
    }

    /// One run, in which every record has to come out as often as it went in.
    pub(super) fn run(&self, bench: &Bench) -> Result<Measured> {
        let (lines, bytes) = (bench.records()?.lines * PASSES, bench.records()?.bytes * PASSES);
        let stdout = File::create(&self.report).doing(|| format!("create {}", self.report.display()))?;
        let mut command = bench.program.server(&self.flow);
        command.arg("--debug-connectors").stdout(stdout);
        let mut running = bench.children.spawn(&format!("the flow of `{}`", self.name), &mut command)?;
        let cpu = running.finish_with_cpu(LIMIT)?;
        let text = fs::read_to_string(&self.report).doing(|| format!("read {}", self.report.display()))?;
        let wrong = |problem: &str| Error::WrongResult {
            path: self.report.clone(),
            problem: format!("{problem}: {text}"),
        };
        let report = Report::read(&text).ok_or_else(|| wrong("this is not the report of `bench`"))?;
        if report.events != lines {
            return Err(wrong(&format!("{} events instead of {lines}", report.events)));
        }
        Ok(Measured {
            events_per_second: report.events_per_second,
            mb_per_second: report.bytes_per_second / 1e6,
            mb_per_cpu_second: cpu.map(|cpu: Duration| rate(bytes, cpu)),
        })
    }
}

/// What a report says that is looked at here.
struct Report {
    events: u64,
    events_per_second: f64,
    bytes_per_second: f64,
}

impl Report {
    /// `None` if the text is something else.
    fn read(text: &str) -> Option<Self> {
        let report: serde_json::Value = serde_json::from_str(text).ok()?;
        let rate = |name| report.get("throughput")?.get(name)?.as_f64();
        Some(Self {
            events: report.get("count")?.as_u64()?,
            events_per_second: rate("events_per_second")?,
            bytes_per_second: rate("bytes_per_second")?,
        })
    }
}

fn text(input: &Path, listening: Listening, pipeline: &str) -> String {
    flow_text::flow(&format!(
        r#"  use tremor::connectors;
  use tremor::pipelines;
  define connector bench from bench
  with
    codec = "json",
    config = {{"path": {input}, "iters": {PASSES}, "structured": true, "is_transactional": {is_transactional}}}
  end;
  create connector bench;
{pipeline}  connect /connector/bench to /pipeline/work;
  connect /pipeline/work to /connector/bench;
"#,
        input = flow_text::quoted(input),
        is_transactional = listening == Listening::Yes,
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_read() {
        let text = r#"{"mean":1.5,"count":3,"bytes":9,
            "throughput":{"events_per_second":1,"bytes_per_second":2.5},"quantiles":[]}"#;
        let report = Report::read(text).unwrap();
        assert_eq!((report.events, report.events_per_second, report.bytes_per_second), (3, 1.0, 2.5));
        assert!(Report::read("Throughput   (data): 1.0 MB/s").is_none());
    }

    #[test]
    fn a_flow_listens_only_if_asked_to() {
        let [yes, no] =
            [Listening::Yes, Listening::No].map(|listening| text(Path::new("in"), listening, "work"));
        assert!(yes.contains(r#""is_transactional": true"#), "{yes}");
        assert_eq!(yes.replace(r#""is_transactional": true"#, r#""is_transactional": false"#), no);
    }
}
