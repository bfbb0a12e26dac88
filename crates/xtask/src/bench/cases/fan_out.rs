//! One event for a thousand connections.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use super::echo_flow::costs;
use crate::{
    bench::{
        Bench,
        children::Running,
        contest::{Aim, Case, Contest, Sample},
        flow_text,
        program::{free_address, wait_for_accept},
        ws_load::{self, Target},
    },
    error::{Doing as _, Result},
    reference,
};

pub(super) const CASE: Case = Case {
    name: "fan-out",
    what: "500 events of 100 bytes of JSON to 1 000 connections each, one event after the other",
    reference: "one task that encodes the frame once and writes it to one socket after the other",
    unit: "deliveries/s",
    aim: Aim::AtLeastTimes(0.7),
    runs: 5,
    prepare: |bench| {
        let folder = bench.folder.path().join("fan-out");
        fs::create_dir_all(&folder).doing(|| format!("create {}", folder.display()))?;
        Ok(Box::new(FanOut { folder }))
    },
};

const LISTENERS: u64 = 1_000;
const EVENTS: u64 = 500;

struct FanOut {
    folder: PathBuf,
}

impl Contest for FanOut {
    fn ours(&mut self, bench: &Bench) -> Result<Sample> {
        let address = free_address()?;
        let flow = write(&self.folder, address)?;
        measure(bench.children.spawn("the fan-out flow", &mut bench.program.server(&flow))?, address)
    }

    fn reference(&mut self, bench: &Bench) -> Result<Sample> {
        let address = free_address()?;
        let mut command = reference::command()?;
        command.arg("fan-out").arg(address.to_string());
        measure(bench.children.spawn("the fan-out reference", &mut command)?, address)
    }
}

fn measure(mut server: Running, address: SocketAddr) -> Result<Sample> {
    wait_for_accept(&mut server, address)?;
    let measured = ws_load::fan_out(&Target::plain(address), LISTENERS, EVENTS, || server.cpu())?;
    let deliveries = LISTENERS * EVENTS;
    let names = ["us of server CPU per delivery", "us of load generator CPU per delivery"];
    Ok(Sample {
        value: deliveries as f64 / measured.took.as_secs_f64(),
        details: costs(&measured, deliveries, names),
    })
}

/// The first message of a connection (number 1 000 000) subscribes it and comes back, every other message goes to
/// all subscribers.
const SPREAD: &str = r#"  define pipeline spread
  pipeline
    define script address
    state
      {"subscribers": []}
    script
      match event of
        case %{ id == 1000000 } =>
          let state.subscribers = state.subscribers + [$ws_server.conn]
        case _ =>
          let $ws_server.`to` = state.subscribers
      end;
      event
    end;
    create script address;
    select event from in into address;
    select event from address into out;
  end;
  create pipeline spread;
  connect /connector/hub to /pipeline/spread;
  connect /pipeline/spread to /connector/hub;
"#;

/// Writes the flow of a hub that listens on `address`, and returns where it is.
fn write(folder: &Path, address: SocketAddr) -> Result<PathBuf> {
    let flow = folder.join("flow.troy");
    let text = flow_text::flow(&format!("{}{SPREAD}", flow_text::ws_server("hub", address, None)));
    fs::write(&flow, text).doing(|| format!("write {}", flow.display()))?;
    Ok(flow)
}
