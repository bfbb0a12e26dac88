//! How many clients can come.

use super::echo_flow::{Echoes, costs};
use crate::{
    bench::{
        Bench,
        children::Running,
        contest::{Aim, Case, Contest, Sample},
        ws_load::{self, Target},
    },
    error::Result,
};

pub(super) const PLAIN: Case = Case {
    name: "handshakes plain",
    what: "10 000 clients that connect, shake hands and go, 32 at a time",
    reference: "accept_async of async-tungstenite in a task per connection",
    unit: "handshakes/s",
    aim: Aim::AtLeastTimes(1.0),
    runs: 5,
    prepare: |bench| Ok(Box::new(Handshakes { servers: Echoes::plain(bench)?, count: 10_000 })),
};

pub(super) const TLS: Case = Case {
    name: "handshakes tls",
    what: "4 000 clients that connect, do a full TLS 1.3 and a WebSocket handshake and go, 32 at a time",
    reference: "accept of tokio-rustls and accept_async of async-tungstenite in a task per connection",
    prepare: |bench| Ok(Box::new(Handshakes { servers: Echoes::tls(bench)?, count: 4_000 })),
    ..PLAIN
};

const AT_ONCE: usize = 32;

struct Handshakes {
    servers: Echoes,
    /// Few enough that no port of the client comes twice while the system still keeps its last use.
    count: u64,
}

impl Contest for Handshakes {
    fn ours(&mut self, bench: &Bench) -> Result<Sample> {
        self.measure(self.servers.ours(bench)?)
    }

    fn reference(&mut self, bench: &Bench) -> Result<Sample> {
        self.measure(self.servers.reference(bench)?)
    }
}

impl Handshakes {
    fn measure(&self, (server, target): (Running, Target)) -> Result<Sample> {
        let measured = ws_load::handshakes(&target, self.count, AT_ONCE, || server.cpu())?;
        Ok(Sample {
            value: self.count as f64 / measured.took.as_secs_f64(),
            details: costs(&measured, self.count, ["us of server CPU each", "us of client CPU each"]),
        })
    }
}
