//! The codecs (`spec/codecs.md` part A). One file and one line in the table per codec.

mod binary;
mod json;
mod null;
mod string;

use crate::{Codec, Spec};

/// All of them, in the order of the reference.
pub const ALL: &[&Spec<dyn Codec>] = &[&json::SPEC, &string::SPEC, &binary::SPEC, &null::SPEC];
