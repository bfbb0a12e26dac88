//! Whether a message gets dearer when more connections are open.

use super::echo_flow::{Echoes, PER_MESSAGE, costs};
use crate::{
    bench::{
        Bench,
        contest::{Aim, Case, Contest, Sample},
        ws_load::{self, Load},
    },
    error::{Error, Result},
};

pub(super) const CASE: Case = Case {
    name: "scale",
    what: "server CPU per echo, 1 000 connections with 16 messages in flight each",
    reference: "the same flow with 10 connections",
    unit: "us",
    aim: Aim::AtMostTimes(1.2),
    runs: 5,
    prepare: |bench| Ok(Box::new(Scale { servers: Echoes::plain(bench)? })),
};

const MESSAGES: u64 = 2_000_000;

struct Scale {
    servers: Echoes,
}

impl Contest for Scale {
    fn ours(&mut self, bench: &Bench) -> Result<Sample> {
        self.measure(bench, 1_000)
    }

    fn reference(&mut self, bench: &Bench) -> Result<Sample> {
        self.measure(bench, 10)
    }
}

impl Scale {
    fn measure(&self, bench: &Bench, connections: u64) -> Result<Sample> {
        let (server, target) = self.servers.ours(bench)?;
        let load = Load { connections, in_flight: 16, messages: MESSAGES };
        let measured = ws_load::run(&target, load, || server.cpu())?;
        let cpu = measured.server_cpu.ok_or_else(|| {
            Error::Answer("the system does not tell how much processor time a process has used".to_owned())
        })?;
        let mut details = vec![("messages/s", MESSAGES as f64 / measured.took.as_secs_f64())];
        details.extend(costs(&measured, MESSAGES, PER_MESSAGE).pop());
        Ok(Sample { value: cpu.as_secs_f64() * 1e6 / MESSAGES as f64, details })
    }
}
