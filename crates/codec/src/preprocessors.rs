//! The preprocessors (`spec/codecs.md` part C). One file and one line in the table per preprocessor.

mod base64;
mod ingest_ns;
mod length_prefixed;
mod remove_empty;
mod separate;

use crate::{Preprocessor, Spec};

/// All of them, in the order of the reference.
pub const ALL: &[&Spec<dyn Preprocessor>] =
    &[&separate::SPEC, &remove_empty::SPEC, &base64::SPEC, &ingest_ns::SPEC, &length_prefixed::SPEC];
