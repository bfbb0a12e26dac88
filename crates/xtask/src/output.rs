//! The two streams: results on standard output, progress and errors on standard error.
//!
//! Somebody who closes one of them does not want to read more, so failed writes are not reported.

use std::io::{self, Write as _};

/// One line of the result.
pub(crate) fn result(line: &str) {
    let _closed = writeln!(io::stdout(), "{line}");
}

/// One line about what is going on.
pub(crate) fn note(line: &str) {
    let _closed = writeln!(io::stderr(), "{line}");
}
