//! JSON in and out (`spec/codecs.md` A.2).
//!
//! [`Parser`] turns one document into a value; [`write()`], [`write_sorted`] and [`to_string`] go the other
//! way. What does the fast parsing is hidden behind this module; why a document was refused, and where, is
//! found by our own check.
//!
//! [`Parser::document`] builds nothing: `skim` checks the text and lists its members, `raw` reads what was checked
//! (see `docs/decisions/0006-json-payloads-stay-text.md`).

mod block;
mod check;
mod error;
mod number;
mod parse;
pub(crate) mod raw;
pub(crate) mod skim;
mod write;

pub use error::{JsonError, Problem};
pub use parse::Parser;
pub use write::{to_string, write, write_float, write_integer, write_sorted, write_string};

/// Arrays and records may be nested this deep in a document.
pub const MAX_DEPTH: usize = 512;

/// Longest document in bytes (positions are kept in 32 bits).
pub const MAX_DOCUMENT_BYTES: usize = u32::MAX as usize;
