//! Developer commands: benchmarks, generated pages, tidy checks.

fn main() {}
