//! WebSocket echo with one message at a time on each of many connections.

use super::ws_echo::WsEcho;
use crate::bench::{
    contest::{Aim, Case},
    ws_load::Load,
};

pub(super) const CASE: Case = Case {
    name: "ws many",
    what: "echo of 400 000 JSON messages of 100 bytes, 64 connections with 1 message in flight each",
    reference: "plain async-tungstenite on tokio, message by message",
    unit: "messages/s",
    aim: Aim::AtLeastTimes(1.0),
    runs: 5,
    prepare: |bench| Ok(Box::new(WsEcho::new(bench, LOAD)?)),
};

const LOAD: Load = Load { connections: 64, in_flight: 1, messages: 400_000 };
