//! Whether one connection that takes all it can get keeps the others waiting.

use std::time::Duration;

use super::echo_flow::Echoes;
use crate::{
    bench::{
        Bench,
        children::Running,
        contest::{Aim, Case, Contest, Sample},
        ws_load::{self, Flood, Target},
    },
    error::Result,
};

pub(super) const CASE: Case = Case {
    name: "fairness",
    what: "p99 of 20 000 echoes on 100 quiet connections beside one with 1 000 messages in flight",
    reference: "the same load on plain async-tungstenite on tokio",
    unit: "us",
    aim: Aim::AtMostTimes(1.0),
    runs: 5,
    prepare: |bench| Ok(Box::new(Fairness { servers: Echoes::plain(bench)? })),
};

const FLOOD: Flood = Flood { in_flight: 1_000, quiet: 100, pause: Duration::from_millis(50), messages: 200 };

struct Fairness {
    servers: Echoes,
}

impl Contest for Fairness {
    fn ours(&mut self, bench: &Bench) -> Result<Sample> {
        measure(self.servers.ours(bench)?)
    }

    fn reference(&mut self, bench: &Bench) -> Result<Sample> {
        measure(self.servers.reference(bench)?)
    }
}

fn measure((server, target): (Running, Target)) -> Result<Sample> {
    let flooded = ws_load::flood(&target, FLOOD, || server.cpu())?;
    let seconds = flooded.measured.took.as_secs_f64();
    let mut details = vec![
        ("us p50", flooded.quiet.per_mille_us(500)),
        ("us p99.9", flooded.quiet.per_mille_us(999)),
        ("flood messages/s", flooded.flood_messages as f64 / seconds),
        ("processors of load generator", flooded.measured.own_cpu.as_secs_f64() / seconds),
    ];
    details
        .extend(flooded.measured.server_cpu.map(|cpu| ("processors of server", cpu.as_secs_f64() / seconds)));
    Ok(Sample { value: flooded.quiet.per_mille_us(990), details })
}
