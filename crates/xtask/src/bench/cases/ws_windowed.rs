//! WebSocket echo with many messages under way on few connections.

use super::ws_echo::WsEcho;
use crate::bench::{
    contest::{Aim, Case},
    ws_load::Load,
};

pub(super) const CASE: Case = Case {
    name: "ws windowed",
    what: "echo of 2 million JSON messages of 100 bytes, 16 connections with 64 messages in flight each",
    reference: "plain async-tungstenite on tokio, message by message",
    unit: "messages/s",
    aim: Aim::AtLeastTimes(2.8),
    runs: 5,
    prepare: |bench| Ok(Box::new(WsEcho::new(bench, LOAD)?)),
};

/// Also what `wss` sends.
pub(super) const LOAD: Load = Load { connections: 16, in_flight: 64, messages: 2_000_000 };
