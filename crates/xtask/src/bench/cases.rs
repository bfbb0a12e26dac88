//! The cases: a file and a line each.

mod bench_flow;
pub(crate) mod echo_flow;
mod fairness;
mod fan_out;
mod file;
pub(crate) mod file_flow;
mod handshakes;
mod idle;
mod passthrough;
mod scale;
mod script;
mod script_limited;
mod start;
mod start_run;
mod start_server;
mod stdio;
mod ws_echo;
mod ws_many;
mod ws_one;
mod ws_windowed;
mod wss;

use super::contest::Case;

/// In the order of the table.
pub(super) const CASES: &[&Case] = &[
    &file::CASE,
    &stdio::CASE,
    &passthrough::CASE,
    &passthrough::ACKNOWLEDGED,
    &script::CASE,
    &script_limited::CASE,
    &ws_windowed::CASE,
    &ws_many::CASE,
    &ws_one::CASE,
    &wss::CASE,
    &idle::CASE,
    &idle::AFTER_A_MESSAGE,
    &handshakes::PLAIN,
    &handshakes::TLS,
    &fan_out::CASE,
    &scale::CASE,
    &fairness::CASE,
    &start_server::CASE,
    &start_run::CASE,
];
