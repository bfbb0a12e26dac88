//! The command line as a user types it.
#![expect(clippy::unwrap_used, reason = "a helper of a test may fail like the test itself")]

mod benchmarks;
mod checks;
mod command_suites;
mod commands;
mod integration;
mod kills;
mod live;
mod measuring;
mod memory;
mod oneshot;
mod open_files;
mod outages;
mod runs;
mod servers;
mod tree;
