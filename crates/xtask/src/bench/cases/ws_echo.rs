//! The contest of all cases that count echoes: our flow against the reference.

use super::echo_flow::{Echoes, PER_MESSAGE, costs};
use crate::{
    bench::{
        Bench,
        children::Running,
        contest::{Contest, Sample},
        ws_load::{self, Load, Target},
    },
    error::Result,
};

/// The same load for both sides.
pub(super) struct WsEcho {
    servers: Echoes,
    load: Load,
}

impl WsEcho {
    /// Without TLS.
    pub(super) fn new(bench: &Bench, load: Load) -> Result<Self> {
        Ok(Self { servers: Echoes::plain(bench)?, load })
    }
}

impl Contest for WsEcho {
    fn ours(&mut self, bench: &Bench) -> Result<Sample> {
        throughput(self.servers.ours(bench)?, self.load)
    }

    fn reference(&mut self, bench: &Bench) -> Result<Sample> {
        throughput(self.servers.reference(bench)?, self.load)
    }
}

/// Messages per second; the server is killed afterwards.
pub(super) fn throughput((server, target): (Running, Target), load: Load) -> Result<Sample> {
    let measured = ws_load::run(&target, load, || server.cpu())?;
    let value = load.messages as f64 / measured.took.as_secs_f64();
    Ok(Sample { value, details: costs(&measured, load.messages, PER_MESSAGE) })
}
