//! Typed, strict reading of configuration records.
