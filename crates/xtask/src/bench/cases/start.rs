//! What the cases about starting share: the program doing nothing, and a clock in milliseconds.

use std::time::{Duration, Instant};

use crate::{
    bench::{Bench, contest::Sample},
    error::Result,
};

/// Nothing here takes long.
pub(super) const LIMIT: Duration = Duration::from_secs(20);

/// The program as good as empty: it says its version and ends.
pub(super) fn empty_main(bench: &Bench) -> Result<Sample> {
    let mut command = bench.program.command(&["--version"]);
    let start = Instant::now();
    bench.children.spawn("`tremor --version`", &mut command)?.finish(LIMIT)?;
    Ok(since(start))
}

/// A sample in milliseconds.
pub(super) fn since(start: Instant) -> Sample {
    Sample { value: start.elapsed().as_secs_f64() * 1e3, details: Vec::new() }
}
