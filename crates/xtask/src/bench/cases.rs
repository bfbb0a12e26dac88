//! The cases: a file and a line each.

mod echo_flow;
mod file;
mod file_flow;
mod script;
mod start;
mod start_run;
mod start_server;
mod ws_windowed;

use super::contest::Case;

/// In the order of the table.
pub(super) const CASES: &[&Case] =
    &[&file::CASE, &script::CASE, &ws_windowed::CASE, &start_server::CASE, &start_run::CASE];
