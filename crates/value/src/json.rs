//! JSON in and out (`spec/codecs.md` A.2).
//!
//! [`Parser`] turns one document into a value; [`write()`], [`write_sorted`] and [`to_string`] go the other
//! way.
//!
//! `skim` checks a text in one pass and lists its members; `read` builds values of a text that was checked, `raw` finds
//! and rewrites parts of it by its `outline`, and `arrange` writes it with members in another order. [`Parser::document`] only
//! skims, and has `rewrite` put keys in order that are not (see `docs/decisions/0006-json-payloads-stay-text.md`). What `skim` does
//! not accept goes to `check`, which says why a document is refused, and where.

pub(crate) mod arrange;
mod block;
mod check;
mod error;
mod number;
mod outline;
mod parse;
pub(crate) mod raw;
mod read;
mod rewrite;
pub(crate) mod skim;
#[cfg(test)]
pub(crate) mod work;
mod write;

pub use error::{JsonError, Problem};
pub use parse::Parser;
pub use write::{to_string, write, write_float, write_integer, write_sorted, write_string};
pub(crate) use write::{write_plain_key, write_scalar};

/// Arrays and records may be nested this deep in a document.
pub const MAX_DEPTH: usize = 512;

/// Longest document in bytes (positions are kept in 32 bits).
pub const MAX_DOCUMENT_BYTES: usize = u32::MAX as usize;
