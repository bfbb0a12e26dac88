//! The other sides of the measurements, each in a process of its own as the program under test is.

pub(crate) mod fan_out;
pub(crate) mod json;
pub(crate) mod ws_echo;

use std::{env, net::SocketAddr, path::PathBuf, process};

use crate::{
    attack,
    error::{Doing as _, Result},
};

/// Which reference to be.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    /// Parse and serialise the lines of a file in memory; print the nanoseconds that took
    Json {
        /// File of JSON lines
        input: PathBuf,
    },
    /// Echo WebSocket messages one by one until killed
    WsEcho(ws_echo::Args),
    /// Give what one WebSocket connection says to all of them until killed
    FanOut {
        /// Where to listen
        address: SocketAddr,
    },
    /// Be the attackers of `cargo xtask attack`, and print what became of them
    Attack(attack::AttackerArgs),
}

/// Does what the command says.
///
/// # Errors
/// An unreadable file, invalid JSON, an address in use.
pub(crate) fn run(command: &Command) -> Result<()> {
    match command {
        Command::Json { input } => json::run(input),
        Command::WsEcho(args) => ws_echo::run(args),
        Command::FanOut { address } => fan_out::run(*address),
        Command::Attack(args) => attack::be_attackers(args),
    }
}

/// A command that starts this program as a reference.
pub(crate) fn command() -> Result<process::Command> {
    let path = env::current_exe().doing(|| "find the path of this program".to_owned())?;
    let mut command = process::Command::new(path);
    command.arg("bench-reference").stdin(process::Stdio::null()).stdout(process::Stdio::null());
    Ok(command)
}
