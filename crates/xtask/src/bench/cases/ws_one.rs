//! How long one message takes when nothing else is going on.

use super::echo_flow::{Echoes, PER_MESSAGE, costs};
use crate::{
    bench::{
        Bench,
        children::Running,
        contest::{Aim, Case, Contest, Sample},
        ws_load::{self, Target},
    },
    error::Result,
};

pub(super) const CASE: Case = Case {
    name: "ws one",
    what: "p50 of 50 000 echoes of 100 bytes of JSON, 1 connection with 1 message in flight",
    reference: "plain async-tungstenite on tokio",
    unit: "us",
    aim: Aim::AtMostTimes(1.3),
    runs: 5,
    prepare: |bench| Ok(Box::new(WsOne { servers: Echoes::plain(bench)? })),
};

const MESSAGES: u64 = 50_000;

struct WsOne {
    servers: Echoes,
}

impl Contest for WsOne {
    fn ours(&mut self, bench: &Bench) -> Result<Sample> {
        median(self.servers.ours(bench)?)
    }

    fn reference(&mut self, bench: &Bench) -> Result<Sample> {
        median(self.servers.reference(bench)?)
    }
}

fn median((server, target): (Running, Target)) -> Result<Sample> {
    let (measured, latencies) = ws_load::ping_pong(&target, MESSAGES, || server.cpu())?;
    let mut details =
        vec![("us p99", latencies.per_mille_us(990)), ("us p99.9", latencies.per_mille_us(999))];
    details.extend(costs(&measured, MESSAGES, PER_MESSAGE));
    Ok(Sample { value: latencies.per_mille_us(500), details })
}
