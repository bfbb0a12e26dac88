//! How soon a server is there.

use std::{path::PathBuf, time::Instant};

use super::{echo_flow, start};
use crate::{
    bench::{
        Bench,
        contest::{Aim, Case, Contest, Sample},
        program::{free_address, wait_for_accept},
    },
    error::Result,
};

pub(super) const CASE: Case = Case {
    name: "start server",
    what: "`server run` of a WebSocket echo flow until it accepts a connection",
    reference: "`--version` of the same binary until it has ended",
    unit: "ms",
    aim: Aim::AtMostMore(10.0),
    runs: 20,
    prepare: |bench| Ok(Box::new(StartServer { flow: echo_flow::folder(bench)? })),
};

struct StartServer {
    flow: PathBuf,
}

impl Contest for StartServer {
    fn ours(&mut self, bench: &Bench) -> Result<Sample> {
        let address = free_address()?;
        let flow = echo_flow::write(&self.flow, address, None)?;
        let mut command = bench.program.server(&flow);
        let start = Instant::now();
        let mut server = bench.children.spawn("the echo flow", &mut command)?;
        wait_for_accept(&mut server, address)?;
        Ok(start::since(start))
    }

    fn reference(&mut self, bench: &Bench) -> Result<Sample> {
        start::empty_main(bench)
    }
}
