//! The language: grammar, tree and printer. It reads text that it is handed and does no IO.

pub mod ast;
