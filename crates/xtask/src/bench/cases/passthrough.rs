//! A flow that measures itself: no file, no socket, only decoding, a pipeline and encoding.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    time::Duration,
};

use super::file_flow::{LIMIT, PER_CPU_SECOND, json_loop, quoted, rate};
use crate::{
    bench::{
        Bench,
        contest::{Aim, Case, Contest, Sample},
    },
    error::{Doing as _, Error, Result},
};

pub(super) const CASE: Case = Case {
    name: "passthrough",
    what: "the input of `file` three times from memory, JSON in and out, by the report of the `bench` connector",
    reference: "one thread of simd-json parse and serialise over the same bytes in memory",
    unit: "MB/s",
    aim: Aim::AtLeastTimes(1.8),
    runs: 5,
    prepare: |bench| Ok(Box::new(Passthrough::new(bench, "passthrough", Listening::No)?)),
};

pub(super) const ACKNOWLEDGED: Case = Case {
    name: "passthrough acknowledged",
    what: "the flow of `passthrough` with `is_transactional`: its source listens, so every event has a receipt",
    reference: "the flow of `passthrough` itself",
    unit: "MB/s",
    aim: Aim::AtLeastTimes(0.9),
    runs: 5,
    prepare: |bench| Ok(Box::new(Acknowledged::new(bench)?)),
};

const PASSES: u64 = 3;

/// Whether the source wants to hear what becomes of its events.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Listening {
    Yes,
    No,
}

struct Passthrough {
    flow: PathBuf,
    report: PathBuf,
}

impl Passthrough {
    fn new(bench: &Bench, name: &str, listening: Listening) -> Result<Self> {
        let folder = bench.folder.path().join(name);
        fs::create_dir_all(&folder).doing(|| format!("create {}", folder.display()))?;
        let (flow, report) = (folder.join("flow.troy"), folder.join("report.json"));
        let text = text(&bench.records()?.path, listening);
        fs::write(&flow, text).doing(|| format!("write {}", flow.display()))?;
        Ok(Self { flow, report })
    }

    /// One run, by its own report.
    fn sample(&self, bench: &Bench) -> Result<Sample> {
        let lines = bench.records()?.lines * PASSES;
        let bytes = bench.records()?.bytes * PASSES;
        let stdout = File::create(&self.report).doing(|| format!("create {}", self.report.display()))?;
        let mut command = bench.program.server(&self.flow);
        command.arg("--debug-connectors").stdout(stdout);
        let cpu = bench.children.spawn("the flow of `passthrough`", &mut command)?.finish_with_cpu(LIMIT)?;
        let text = fs::read_to_string(&self.report).doing(|| format!("read {}", self.report.display()))?;
        let wrong = |problem: &str| Error::WrongResult {
            path: self.report.clone(),
            problem: format!("{problem}: {text}"),
        };
        let report = Report::read(&text).ok_or_else(|| wrong("this is not the report of `bench`"))?;
        if report.events != lines {
            return Err(wrong(&format!("{} events instead of {lines}", report.events)));
        }
        let mut details = vec![("events/s", report.events_per_second)];
        details.extend(cpu.map(|cpu: Duration| (PER_CPU_SECOND, rate(bytes, cpu))));
        Ok(Sample { value: report.bytes_per_second / 1e6, details })
    }
}

impl Contest for Passthrough {
    fn ours(&mut self, bench: &Bench) -> Result<Sample> {
        self.sample(bench)
    }

    fn reference(&mut self, bench: &Bench) -> Result<Sample> {
        json_loop(bench)
    }
}

/// The same flow twice, with and without somebody who listens.
struct Acknowledged {
    listening: Passthrough,
    deaf: Passthrough,
}

impl Acknowledged {
    fn new(bench: &Bench) -> Result<Self> {
        Ok(Self {
            listening: Passthrough::new(bench, "acknowledged", Listening::Yes)?,
            deaf: Passthrough::new(bench, "unacknowledged", Listening::No)?,
        })
    }
}

impl Contest for Acknowledged {
    fn ours(&mut self, bench: &Bench) -> Result<Sample> {
        self.listening.sample(bench)
    }

    fn reference(&mut self, bench: &Bench) -> Result<Sample> {
        self.deaf.sample(bench)
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

fn text(input: &Path, listening: Listening) -> String {
    format!(
        r#"define flow main
flow
  use tremor::pipelines;
  define connector bench from bench
  with
    codec = "json",
    config = {{"path": {input}, "iters": {PASSES}, "structured": true, "is_transactional": {is_transactional}}}
  end;
  create connector bench;
  create pipeline passthrough from pipelines::passthrough;
  connect /connector/bench to /pipeline/passthrough;
  connect /pipeline/passthrough to /connector/bench;
end;
deploy flow main;
"#,
        input = quoted(input),
        is_transactional = listening == Listening::Yes,
    )
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
    fn only_the_acknowledged_flow_listens() {
        let [yes, no] = [Listening::Yes, Listening::No].map(|listening| text(Path::new("in"), listening));
        assert!(yes.contains(r#""is_transactional": true"#), "{yes}");
        assert_eq!(yes.replace(r#""is_transactional": true"#, r#""is_transactional": false"#), no);
    }
}
