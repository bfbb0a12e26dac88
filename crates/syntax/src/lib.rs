//! The language: grammar, tree and printer.
//!
//! Text goes in, a [`Parsed`] with tree and diagnostics comes out; a text with mistakes is normal input. Nothing
//! here does IO or evaluates anything.
//!
//! On the way the text is first cut into tokens (module `scan`), which finds lexical mistakes and bounds the
//! nesting, then parsed by a `pest` grammar (one file per area in `grammar/`) and lowered to [`ast`]. If the
//! grammar gives up, the statements are parsed one by one, so that each mistake gets its report.

pub mod ast;
mod expected;
mod habits;
mod highlight;
mod lower;
mod parse;
mod parser;
pub mod print;
mod recover;
mod scan;
mod secrets;
mod tree;
mod unexpected;

pub use highlight::highlight;
pub use parse::{Parsed, parse_deployment, parse_module, parse_query, parse_script};
pub use secrets::secrets;
pub use tree::{Tree, Visitor, erase_spans, misplaced_span, same};
