//! One thread that parses every line into a tree with simd-json and writes it out again.
//!
//! The best case for a plain loop: everything is in memory before the clock starts, values borrow from the
//! lines, which are parsed where they lie, buffers are reused, and nobody reads the output.

use std::{fs, hint::black_box, path::Path, time::Instant};

use simd_json::{Buffers, base::Writable as _, borrowed};

use crate::{
    cpu_time,
    error::{Doing as _, Error, Result},
    output,
};

/// The output is forgotten when it has so many bytes, as if it had been written.
const OUTPUT_BYTES: usize = 64 * 1024;

/// Prints how many nanoseconds the loop over the lines of `input` took, by the clock and of the processor.
pub(super) fn run(input: &Path) -> Result<()> {
    let mut bytes = fs::read(input).doing(|| format!("read {}", input.display()))?;
    let (start, cpu_before) = (Instant::now(), cpu_time::of_this_process());
    let kept = parse_and_write(&mut bytes)
        .map_err(|problem| Error::WrongResult { path: input.to_owned(), problem: problem.to_string() })?;
    let (took, cpu) = (start.elapsed(), cpu_time::of_this_process().saturating_sub(cpu_before));
    black_box(kept);
    output::result(&format!("{} {}", took.as_nanos(), cpu.as_nanos()));
    Ok(())
}

/// Returns the number of bytes written, so that the work cannot be left out.
fn parse_and_write(lines: &mut [u8]) -> simd_json::Result<usize> {
    let mut buffers = Buffers::new(4 * 1024);
    let mut out = Vec::with_capacity(2 * OUTPUT_BYTES);
    let mut written = 0;
    let mut rest = lines;
    while !rest.is_empty() {
        let length = memchr::memchr(b'\n', rest).unwrap_or(rest.len());
        let (line, behind) = rest.split_at_mut(length);
        rest = behind.split_at_mut_checked(1).map(|(_, rest)| rest).unwrap_or_default();
        if line.is_empty() {
            continue;
        }
        let value = borrowed::to_value_with_buffers(line, &mut buffers)?;
        value.write(&mut out).map_err(simd_json::Error::from)?;
        out.push(b'\n');
        if out.len() >= OUTPUT_BYTES {
            written += black_box(&out).len();
            out.clear();
        }
    }
    Ok(written + out.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_written_and_bad_ones_are_refused() {
        let mut lines = b"{\"a\":[1,2.5,\"x\\n\"]}\n\n[null]\n".to_vec();
        assert_eq!(parse_and_write(&mut lines).unwrap(), lines.len() - 1);
        assert!(parse_and_write(&mut b"{}\n{]\n".to_vec()).is_err());
    }
}
