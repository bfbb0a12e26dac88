//! The postprocessors (`spec/codecs.md` part D). One file and one line in the table per postprocessor.

mod base64;
mod ingest_ns;
mod length_prefixed;
mod separate;

use crate::{Postprocessor, Spec};

/// All of them, in the order of the reference.
pub const ALL: &[&Spec<dyn Postprocessor>] =
    &[&separate::SPEC, &base64::SPEC, &length_prefixed::SPEC, &ingest_ns::SPEC];
