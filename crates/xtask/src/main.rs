//! Developer commands. `cargo xtask bench` measures the `tremor` binary from outside against references
//! that run in the same session; `docs/PERFORMANCE.md` explains what it prints. `cargo xtask reference`
//! writes the reference pages in `docs/reference/`.

mod attack;
mod bench;
mod cpu_time;
mod error;
mod instructions;
mod memory;
mod output;
mod reference;
mod reference_pages;
mod soak;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The references get the allocator that the measured binary has, so that no ratio is a ratio of allocators.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Developer commands of this workspace.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Measure the tremor binary against references and print the ratios
    Bench(bench::Args),
    /// Count the instructions of single parts and print how many each item takes
    Instructions(instructions::Args),
    /// Let events flow for long and see whether memory grows; do what nobody should and see who is harmed
    Soak(soak::Args),
    /// Do to a WebSocket server what nobody should, and see how its quiet clients fare
    Attack(attack::Args),
    /// Be the other side of a measurement, in a process of its own
    #[command(name = "bench-reference", hide = true, subcommand)]
    BenchReference(reference::Command),
    /// Write the pages of docs/reference from the tables of the program
    Reference(reference_pages::Args),
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Bench(args) => bench::run(&args),
        Command::Instructions(args) => instructions::run(&args),
        Command::Soak(args) => soak::run(&args),
        Command::Attack(args) => attack::run(&args),
        Command::Reference(args) => reference_pages::run(&args),
        Command::BenchReference(command) => reference::run(&command).map(|()| ExitCode::SUCCESS),
    };
    done.unwrap_or_else(|error| {
        output::note(&format!("error: {error}"));
        ExitCode::FAILURE
    })
}
