//! What can go wrong, per boundary.

use tremor_value::json::JsonError;

/// A value or chunk that a codec cannot handle. The codec itself stays usable.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CodecError {
    /// The chunk is not a JSON document.
    #[error(transparent)]
    Json(#[from] JsonError),
    /// The chunk is not UTF-8.
    #[error("invalid UTF-8 at byte {offset}")]
    NotUtf8 {
        /// Bytes before the first that is wrong.
        offset: usize,
    },
}

/// A chunk that a pre- or postprocessor cannot handle.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProcessError {
    /// A piece between separators grew beyond the limit (`spec/codecs.md` C.1).
    #[error(
        "Discarded fragment of length {new} since total length of {total} exceeds maximum allowed length of {max}"
    )]
    PieceTooLong {
        /// Bytes that were added last.
        new: usize,
        /// Bytes of the piece with them.
        total: usize,
        /// Bytes that are allowed.
        max: usize,
    },
    /// A header announces a frame beyond the limit; where the next one begins is unknown.
    #[error("the length prefix announces {announced} bytes, more than the allowed {max}")]
    FrameTooLong {
        /// Bytes that the header announces.
        announced: u64,
        /// Bytes that are allowed.
        max: usize,
    },
    /// No room for the time in front (`spec/codecs.md` C.5).
    #[error("Extract Ingest Ts Preprocessor: < 8 byte")]
    NoIngestTime,
    /// The chunk is not base64 of the standard alphabet.
    #[error("invalid base64: {problem}")]
    Base64 {
        /// Where and why.
        problem: String,
    },
}

impl ProcessError {
    /// `true` while the next boundary of the stream is known: what follows can still be understood.
    #[must_use]
    pub fn can_continue(&self) -> bool {
        !matches!(self, Self::FrameTooLong { .. })
    }
}

/// Why a chunk gave no event. The text is that of the codec or preprocessor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A preprocessor could not handle it.
    #[error(transparent)]
    Preprocessor(#[from] ProcessError),
    /// The codec could not.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

/// Why a value gave no bytes. The text is that of the codec or postprocessor.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The codec could not handle it.
    #[error(transparent)]
    Codec(#[from] CodecError),
    /// A postprocessor could not.
    #[error(transparent)]
    Postprocessor(#[from] ProcessError),
}

/// What is wrong with a definition of a codec and its processors (`spec/codecs.md` A.1, B.3).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// Neither a name nor a record of name and config.
    #[error("Invalid config: {value}; {advice}")]
    Shape {
        /// The value that was given, as JSON.
        value: String,
        /// What would be right.
        advice: String,
    },
    /// No codec of this name.
    #[error("Codec \"{name}\" not found. {advice}")]
    UnknownCodec {
        /// The name that was given.
        name: String,
        /// The nearest name there is, or all that there are, as a sentence.
        advice: String,
    },
    /// No preprocessor of this name.
    #[error("{name} Preprocessor not found. {advice}")]
    UnknownPreprocessor {
        /// The name that was given.
        name: String,
        /// The nearest name there is, or all that there are, as a sentence.
        advice: String,
    },
    /// No postprocessor of this name.
    #[error("{name} Postprocessor not found. {advice}")]
    UnknownPostprocessor {
        /// The name that was given.
        name: String,
        /// The nearest name there is, or all that there are, as a sentence.
        advice: String,
    },
    /// The codec refuses its config; the text is the codec's own.
    #[error("{cause}")]
    Codec {
        /// Name of the codec.
        name: String,
        /// What is wrong.
        cause: String,
    },
    /// The config does not fit the fields of the codec, or the processor refuses it.
    #[error("{name} Invalid config: {cause}")]
    Invalid {
        /// Name of the codec or processor.
        name: String,
        /// What is wrong.
        cause: String,
    },
    /// A config is required, none was given.
    #[error("{name} Missing config")]
    Missing {
        /// Name of the codec or processor.
        name: String,
    },
}
