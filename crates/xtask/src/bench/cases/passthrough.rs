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
    prepare: |bench| Ok(Box::new(Passthrough::new(bench)?)),
};

const PASSES: u64 = 3;

struct Passthrough {
    flow: PathBuf,
    report: PathBuf,
}

impl Passthrough {
    fn new(bench: &Bench) -> Result<Self> {
        let folder = bench.folder.path().join("passthrough");
        fs::create_dir_all(&folder).doing(|| format!("create {}", folder.display()))?;
        let (flow, report) = (folder.join("flow.troy"), folder.join("report.json"));
        fs::write(&flow, text(&bench.records()?.path)).doing(|| format!("write {}", flow.display()))?;
        Ok(Self { flow, report })
    }
}

impl Contest for Passthrough {
    fn ours(&mut self, bench: &Bench) -> Result<Sample> {
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

    fn reference(&mut self, bench: &Bench) -> Result<Sample> {
        json_loop(bench)
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

fn text(input: &Path) -> String {
    format!(
        r#"define flow main
flow
  use tremor::pipelines;
  define connector bench from bench
  with
    codec = "json",
    config = {{"path": {input}, "iters": {PASSES}, "structured": true}}
  end;
  create connector bench;
  create pipeline passthrough from pipelines::passthrough;
  connect /connector/bench to /pipeline/passthrough;
  connect /pipeline/passthrough to /connector/bench;
end;
deploy flow main;
"#,
        input = quoted(input),
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
}
