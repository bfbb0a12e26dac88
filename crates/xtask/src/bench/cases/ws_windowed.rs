//! WebSocket echo with many messages under way on few connections.

use std::{net::SocketAddr, path::PathBuf};

use crate::{
    bench::{
        Bench,
        children::Running,
        contest::{Aim, Case, Contest, Sample},
        program::{free_address, wait_for_accept},
        ws_load::{self, Load},
    },
    error::Result,
    reference,
};

use super::echo_flow;

pub(super) const CASE: Case = Case {
    name: "ws windowed",
    what: "echo of 2 million JSON messages of 100 bytes, 16 connections with 64 messages in flight each",
    reference: "plain async-tungstenite on tokio, message by message",
    unit: "messages/s",
    aim: Aim::AtLeastTimes(2.8),
    runs: 5,
    prepare: |bench| Ok(Box::new(WsWindowed { flow: echo_flow::folder(bench)? })),
};

const LOAD: Load = Load { connections: 16, in_flight: 64, messages: 2_000_000 };

struct WsWindowed {
    /// Folder for the flow, which is written anew for every run: each has a port of its own.
    flow: PathBuf,
}

impl Contest for WsWindowed {
    fn ours(&mut self, bench: &Bench) -> Result<Sample> {
        let address = free_address()?;
        let flow = echo_flow::write(&self.flow, address)?;
        let server = bench.children.spawn("the echo flow", &mut bench.program.server(&flow))?;
        measure(server, address)
    }

    fn reference(&mut self, bench: &Bench) -> Result<Sample> {
        let address = free_address()?;
        let mut command = reference::command()?;
        command.arg("ws-echo").arg(address.to_string());
        let server = bench.children.spawn("the echo reference", &mut command)?;
        measure(server, address)
    }
}

/// The same load for both sides; the server is killed afterwards.
fn measure(mut server: Running, address: SocketAddr) -> Result<Sample> {
    wait_for_accept(&mut server, address)?;
    let measured = ws_load::run(address, LOAD, || server.cpu())?;
    let messages = LOAD.messages as f64;
    let mut details = Vec::new();
    if let Some(cpu) = measured.server_cpu {
        details.push(("us of server CPU per message", cpu.as_secs_f64() * 1e6 / messages));
    }
    details.push(("us of load generator CPU per message", measured.own_cpu.as_secs_f64() * 1e6 / messages));
    Ok(Sample { value: messages / measured.took.as_secs_f64(), details })
}
