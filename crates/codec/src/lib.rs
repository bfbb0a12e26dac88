//! Bytes to values and back: codecs, preprocessors and postprocessors (`spec/codecs.md`). No IO.
//!
//! The way in is a [`Decoder`]: bytes run through the preprocessors, and the codec turns every chunk that
//! comes out into the payload of an event. The way out is an [`Encoder`]: the codec turns a value into a
//! chunk, the postprocessors turn chunks into chunks, and all of it lands in one shared [`Chunks`] buffer.
//!
//! Both come from a [`Resolver`], which a [`Registry`] makes from a [`Definition`] after checking every name
//! and every config field. A new part is one file with a `SPEC` and one line in the table of its kind.

mod chunks;
mod codec;
pub mod codecs;
mod config;
mod decoder;
mod definition;
mod encoder;
mod error;
pub mod model;
mod pieces;
pub mod postprocessors;
pub mod preprocessors;
mod processor;
mod registry;
mod spec;
#[doc(hidden)]
pub mod testing;
#[cfg(test)]
mod tests;

pub use chunks::Chunks;
pub use codec::{Codec, Decoded, Decoding};
pub use config::{Config, nearest};
pub use decoder::{DecodedEvent, Decoder, Room, Step};
pub use definition::{Definition, NameAndConfig};
pub use encoder::Encoder;
pub use error::{CodecError, ConfigError, DecodeError, EncodeError, ProcessError};
pub use pieces::Pieces;
pub use processor::{Postprocessor, Preprocessor};
pub use registry::{Registry, Resolver};
pub use spec::{Case, Example, Field, FieldType, Given, Make, Sample, Spec, make_codec};
pub use spec::{make_postprocessor, make_preprocessor};
