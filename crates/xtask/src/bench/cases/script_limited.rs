//! A script that says which limit an event falls under, and an operator that enforces it.

use super::{
    bench_flow::{BenchFlow, Listening},
    file_flow::{PER_CPU_SECOND, json_loop},
};
use crate::{
    bench::{
        Bench,
        contest::{Aim, Case, Contest, Sample},
        records::KINDS,
    },
    error::Result,
};

pub(super) const CASE: Case = Case {
    name: "script limited",
    what: "the input of `passthrough` through a script, match with 20 arms that write metadata, and a rate limiter",
    reference: "one thread of simd-json parse and serialise over the same bytes in memory",
    unit: "events/s",
    aim: Aim::AtLeastTimes(0.9),
    runs: 5,
    prepare: |bench| {
        Ok(Box::new(Limited(BenchFlow::new(bench, "script limited", Listening::No, &pipeline())?)))
    },
};

/// Events per second that every bucket lets pass: more than there will ever be.
const RATE: u64 = 1_000_000_000;

struct Limited(BenchFlow);

impl Contest for Limited {
    fn ours(&mut self, bench: &Bench) -> Result<Sample> {
        let measured = self.0.run(bench)?;
        let mut details = vec![("MB/s", measured.mb_per_second)];
        details.extend(measured.mb_per_cpu_second.map(|rate| (PER_CPU_SECOND, rate)));
        Ok(Sample { value: measured.events_per_second, details })
    }

    fn reference(&mut self, bench: &Bench) -> Result<Sample> {
        let Sample { value: mb_per_second, mut details } = json_loop(bench)?;
        let records = bench.records()?;
        details.insert(0, ("MB/s", mb_per_second));
        Ok(Sample { value: mb_per_second * 1e6 * records.lines as f64 / records.bytes as f64, details })
    }
}

/// One arm for each kind of record, which has a class of its own with a bucket for each zone. An event that is
/// beyond its rate, or that has no limits, ends the process with a failure.
fn pipeline() -> String {
    let arm = |pattern: &str, class: &str| {
        format!(
            "        case {pattern} => let $class = \"{class}\"; let $rate = {RATE}; let $dimensions = event.host.zone\n"
        )
    };
    let mut arms = String::new();
    for kind in 0..KINDS {
        arms.push_str(&arm(&format!("\"kind-{kind:02}\""), &format!("class-{kind:02}")));
    }
    arms.push_str(&arm("_", "other"));
    format!(
        r#"  define pipeline limited
  into out, exit
  pipeline
    define script classify
    script
      match event.kind of
{arms}      end;
      event
    end;
    define operator limit from grouper::bucket;
    create script classify;
    create operator limit;
    select event from in into classify;
    select event from classify into limit;
    select event from limit into out;
    select {{"exit": 1}} from limit/overflow into exit;
    select {{"exit": 1}} from limit/err into exit;
  end;
  create pipeline work from limited;
  create connector exit from connectors::exit;
  connect /pipeline/work/exit to /connector/exit;
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_what_the_case_says() {
        let text = pipeline();
        assert_eq!(text.matches("case \"kind-").count(), 20);
        for name in ["class", "rate", "dimensions"] {
            assert_eq!(text.matches(&format!("let ${name} = ")).count(), 21, "{name}");
        }
    }
}
