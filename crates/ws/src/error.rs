//! What can go wrong on an open connection.

use tungstenite::protocol::frame::coding::CloseCode;

/// The peer broke the protocol or a limit; the connection has to be failed.
///
/// Nothing further can be read from it. [`close_code`](Self::close_code) is the code to send.
/// Source: `spec/websocket.md` 9 and 11.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProtocolError {
    /// A reserved bit that no extension owns.
    #[error("reserved header bits {bits:#05b} are set and no extension uses them")]
    ReservedBits {
        /// RSV1 to RSV3, RSV1 the highest of the three.
        bits: u8,
    },
    /// Opcode 3 to 7 or 11 to 15.
    #[error("opcode {opcode} is reserved")]
    ReservedOpcode {
        /// The opcode.
        opcode: u8,
    },
    /// A client sent a frame without a mask.
    #[error("a frame from the client is not masked")]
    Unmasked,
    /// A server sent a frame with a mask.
    #[error("a frame from the server is masked")]
    Masked,
    /// A control frame of more than 125 payload bytes.
    #[error("a control frame is longer than 125 bytes")]
    ControlTooLong,
    /// A control frame without FIN.
    #[error("a control frame is fragmented")]
    ControlFragmented,
    /// A length in a longer form than it needs.
    #[error("a payload length of {len} is not written in its shortest form")]
    LengthNotMinimal {
        /// The announced length in bytes.
        len: u64,
    },
    /// A 64-bit length with the top bit set.
    #[error("a payload length has its top bit set")]
    LengthTopBit,
    /// A continuation frame without a message to continue.
    #[error("a continuation frame continues nothing")]
    NothingToContinue,
    /// A new message before the last one was finished.
    #[error("a message begins while another one is unfinished")]
    MessageUnfinished,
    /// Text that is not UTF-8.
    #[error("a text message is not valid UTF-8")]
    TextNotUtf8,
    /// A message type that [`Options::accept`](crate::Options::accept) leaves out.
    #[error("{} messages are not accepted here", if *.binary { "binary" } else { "text" })]
    TypeNotAccepted {
        /// Whether the refused message is binary.
        binary: bool,
    },
    /// A frame over [`Limits::max_frame_bytes`](crate::Limits::max_frame_bytes).
    #[error("a frame announces {announced} bytes, at most {max} are accepted")]
    FrameTooLarge {
        /// The announced payload length in bytes.
        announced: u64,
        /// The limit in bytes.
        max: usize,
    },
    /// A message over [`Limits::max_message_bytes`](crate::Limits::max_message_bytes).
    #[error("a message reaches {size} bytes, at most {max} are accepted")]
    MessageTooLarge {
        /// Bytes received plus those the current frame announces.
        size: u64,
        /// The limit in bytes.
        max: usize,
    },
    /// A compressed message that inflates to more than
    /// [`Limits::max_message_bytes`](crate::Limits::max_message_bytes) or
    /// [`DeflateOptions::max_inflated_bytes`](crate::DeflateOptions::max_inflated_bytes).
    #[error("a message inflates to more than {max} bytes")]
    InflatedTooLarge {
        /// The limit in bytes.
        max: usize,
    },
    /// A large message, while those that are there take all that they may: [`LargeMessages`](crate::LargeMessages).
    #[error("large messages would take more than {max} bytes together")]
    NoRoom {
        /// The limit in bytes.
        max: usize,
    },
    /// A compressed message that does not inflate.
    #[error("a compressed message is not valid deflate data")]
    InflateFailed,
    /// More frames in a message than [`Limits::max_fragments`](crate::Limits::max_fragments).
    #[error("a message has more than {max} frames")]
    TooManyFragments {
        /// The limit.
        max: u32,
    },
    /// More pings and pongs than `max_control_rate` allows.
    #[error("more than {max} pings and pongs in a second")]
    ControlRate {
        /// How many may come in a second.
        max: u64,
    },
    /// More messages than `message_rate` allows.
    #[error("more than {max} messages in a second")]
    MessageRate {
        /// How many may come in a second.
        max: u64,
    },
    /// More bytes than `byte_rate` allows.
    #[error("more than {max} bytes in a second")]
    ByteRate {
        /// How many may come in a second.
        max: u64,
    },
    /// A Close with a body of one byte.
    #[error("the body of a Close has one byte")]
    CloseBodyTooShort,
    /// A Close with a code that must not be on the wire.
    #[error("close code {code} must not be sent")]
    CloseCodeInvalid {
        /// The code received.
        code: u16,
    },
    /// A Close with a reason that is not UTF-8.
    #[error("the reason of a Close is not valid UTF-8")]
    CloseReasonNotUtf8,
}

/// What a [`ProtocolError`] is counted under. Source: `spec/websocket.md` 21, `ws.errors{kind}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The rules of the protocol.
    Protocol,
    /// Text that is not UTF-8.
    Utf8,
    /// A size or count over its limit.
    Size,
    /// Compressed messages that do not inflate.
    Deflate,
}

impl ErrorKind {
    /// The label of the metric.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Protocol => "protocol",
            Self::Utf8 => "utf8",
            Self::Size => "size",
            Self::Deflate => "deflate",
        }
    }
}

impl ProtocolError {
    /// The code to close the connection with.
    pub fn close_code(&self) -> CloseCode {
        match self {
            Self::TextNotUtf8 | Self::CloseReasonNotUtf8 | Self::InflateFailed => CloseCode::Invalid,
            Self::TypeNotAccepted { .. } => CloseCode::Unsupported,
            Self::FrameTooLarge { .. } | Self::MessageTooLarge { .. } | Self::InflatedTooLarge { .. } => {
                CloseCode::Size
            }
            Self::NoRoom { .. } => CloseCode::Again,
            Self::TooManyFragments { .. }
            | Self::ControlRate { .. }
            | Self::MessageRate { .. }
            | Self::ByteRate { .. } => CloseCode::Policy,
            _ => CloseCode::Protocol,
        }
    }

    /// What the error is counted under.
    pub fn kind(&self) -> ErrorKind {
        match self.close_code() {
            _ if *self == Self::InflateFailed => ErrorKind::Deflate,
            CloseCode::Invalid => ErrorKind::Utf8,
            CloseCode::Size | CloseCode::Policy | CloseCode::Again => ErrorKind::Size,
            _ => ErrorKind::Protocol,
        }
    }
}

/// A frame could not be built; the output buffer is as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// A text message that is not UTF-8; the connection is not harmed.
    #[error("a text message must be valid UTF-8")]
    NotUtf8,
    /// The payload of a ping or pong is longer than 125 bytes.
    #[error("a control frame holds at most 125 bytes, not {len}")]
    ControlTooLong {
        /// The length asked for.
        len: usize,
    },
    /// A close code that must never be sent.
    #[error("close code {code} must not be sent")]
    CloseCodeNotSendable {
        /// The code asked for.
        code: u16,
    },
    /// A close reason without a code; the wire has no room for that.
    #[error("a close reason needs a close code")]
    ReasonWithoutCode,
    /// The message could not be compressed; later ones are sent as they are.
    #[error("a message could not be compressed")]
    Deflate,
    /// A Close was sent before; nothing may follow it.
    #[error("the connection is closing, nothing more can be sent")]
    Closed,
    /// The secure generator of the system gave no masking key.
    #[error("no masking key: {0}")]
    Random(getrandom::Error),
}

impl EncodeError {
    /// `true` while other messages can still be sent on the connection.
    pub fn can_continue(&self) -> bool {
        !matches!(self, Self::Closed | Self::Random(_))
    }
}
