//! What encryption costs.

use super::{echo_flow::Echoes, ws_echo::throughput, ws_windowed::LOAD};
use crate::{
    bench::{
        Bench,
        contest::{Aim, Case, Contest, Sample},
    },
    error::Result,
};

pub(super) const CASE: Case = Case {
    name: "wss",
    what: "the load of `ws windowed` over TLS 1.3",
    reference: "the same flow without TLS",
    unit: "messages/s",
    aim: Aim::AtLeastTimes(0.7),
    runs: 5,
    prepare: |bench| Ok(Box::new(Wss { tls: Echoes::tls(bench)?, plain: Echoes::plain(bench)? })),
};

struct Wss {
    tls: Echoes,
    plain: Echoes,
}

impl Contest for Wss {
    fn ours(&mut self, bench: &Bench) -> Result<Sample> {
        throughput(self.tls.ours(bench)?, LOAD)
    }

    fn reference(&mut self, bench: &Bench) -> Result<Sample> {
        throughput(self.plain.ours(bench)?, LOAD)
    }
}
