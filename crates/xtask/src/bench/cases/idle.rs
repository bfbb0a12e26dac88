//! What a connection costs on which nothing happens.

use std::{
    thread,
    time::{Duration, Instant},
};

use super::echo_flow::Echoes;
use crate::{
    bench::{
        Bench,
        children::Running,
        contest::{Aim, Case, Contest, Sample},
        ws_load::{Crowd, Target},
    },
    error::{Error, Result},
};

pub(super) const CASE: Case = Case {
    name: "idle",
    what: "resident memory of 10 000 idle WebSocket connections, each",
    reference: "plain async-tungstenite on tokio",
    unit: "KiB",
    aim: Aim::Within(8.0),
    runs: 3,
    prepare: |bench| Ok(Box::new(Idle { servers: Echoes::plain(bench)?, exchanges: false })),
};

pub(super) const AFTER_A_MESSAGE: Case = Case {
    name: "idle after a message",
    what: "the same when each connection has sent one message of 100 bytes and got it back",
    prepare: |bench| Ok(Box::new(Idle { servers: Echoes::plain(bench)?, exchanges: true })),
    ..CASE
};

const CONNECTIONS: usize = 10_000;
/// Connections that come, exchange a message and go, so that what the server sets up once is set up.
const WARM_UP: usize = 500;
/// How long memory has to stay the same to be looked at.
const STILL: Duration = Duration::from_millis(500);
/// How long it may take to get there.
const LIMIT: Duration = Duration::from_secs(30);

struct Idle {
    servers: Echoes,
    exchanges: bool,
}

impl Contest for Idle {
    fn ours(&mut self, bench: &Bench) -> Result<Sample> {
        self.measure(self.servers.ours(bench)?)
    }

    fn reference(&mut self, bench: &Bench) -> Result<Sample> {
        self.measure(self.servers.reference(bench)?)
    }
}

impl Idle {
    fn measure(&self, (server, target): (Running, Target)) -> Result<Sample> {
        let mut crowd = Crowd::new(target)?;
        crowd.join(WARM_UP)?;
        crowd.exchange()?;
        crowd.leave();
        let before = settled(&server)?;
        crowd.join(CONNECTIONS)?;
        if self.exchanges {
            crowd.exchange()?;
        }
        let after = settled(&server)?;
        let kib = |bytes: u64| bytes as f64 / 1_024.0;
        Ok(Sample {
            value: (kib(after) - kib(before)) / CONNECTIONS as f64,
            details: vec![("KiB before", kib(before)), ("KiB with all of them", kib(after))],
        })
    }
}

/// Resident bytes once they have not changed for a while.
fn settled(server: &Running) -> Result<u64> {
    let resident = || {
        let unknown = || Error::Answer("the system does not tell how much memory a process has".to_owned());
        server.resident_bytes().ok_or_else(unknown)
    };
    let start = Instant::now();
    let (mut last, mut since) = (resident()?, start);
    while since.elapsed() < STILL && start.elapsed() < LIMIT {
        thread::sleep(Duration::from_millis(20));
        let now = resident()?;
        if now != last {
            (last, since) = (now, Instant::now());
        }
    }
    Ok(last)
}
