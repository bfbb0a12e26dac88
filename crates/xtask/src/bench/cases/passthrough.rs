//! From memory through a pipeline that does nothing, without and with receipts.

use super::{
    bench_flow::{BenchFlow, Listening},
    file_flow::{PER_CPU_SECOND, json_loop},
};
use crate::{
    bench::{
        Bench,
        contest::{Aim, Case, Contest, Sample},
    },
    error::Result,
};

pub(super) const CASE: Case = Case {
    name: "passthrough",
    what: "the input of `file` three times from memory, JSON in and out, by the report of the `bench` connector",
    reference: "one thread of simd-json parse and serialise over the same bytes in memory",
    unit: "MB/s",
    aim: Aim::AtLeastTimes(1.8),
    runs: 5,
    prepare: |bench| {
        Ok(Box::new(Passthrough(BenchFlow::new(bench, "passthrough", Listening::No, PIPELINE)?)))
    },
};

pub(super) const ACKNOWLEDGED: Case = Case {
    name: "passthrough acknowledged",
    what: "the flow of `passthrough` with `is_transactional`: its source listens, so every event has a receipt",
    reference: "the flow of `passthrough` itself",
    unit: "MB/s",
    aim: Aim::AtLeastTimes(0.9),
    runs: 5,
    prepare: |bench| {
        Ok(Box::new(Acknowledged {
            listening: BenchFlow::new(bench, "acknowledged", Listening::Yes, PIPELINE)?,
            deaf: BenchFlow::new(bench, "unacknowledged", Listening::No, PIPELINE)?,
        }))
    },
};

const PIPELINE: &str = "  create pipeline work from pipelines::passthrough;\n";

struct Passthrough(BenchFlow);

impl Contest for Passthrough {
    fn ours(&mut self, bench: &Bench) -> Result<Sample> {
        sample(&self.0, bench)
    }

    fn reference(&mut self, bench: &Bench) -> Result<Sample> {
        json_loop(bench)
    }
}

/// The same flow twice, with and without somebody who listens.
struct Acknowledged {
    listening: BenchFlow,
    deaf: BenchFlow,
}

impl Contest for Acknowledged {
    fn ours(&mut self, bench: &Bench) -> Result<Sample> {
        sample(&self.listening, bench)
    }

    fn reference(&mut self, bench: &Bench) -> Result<Sample> {
        sample(&self.deaf, bench)
    }
}

fn sample(flow: &BenchFlow, bench: &Bench) -> Result<Sample> {
    let measured = flow.run(bench)?;
    let mut details = vec![("events/s", measured.events_per_second)];
    details.extend(measured.mb_per_cpu_second.map(|rate| (PER_CPU_SECOND, rate)));
    Ok(Sample { value: measured.mb_per_second, details })
}
