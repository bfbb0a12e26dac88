//! What both ends of a connection may set.

/// Which end of the connection we are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// We connected: our frames are masked, the peer's are not.
    Client,
    /// We accepted: the peer's frames are masked, ours are not.
    Server,
}

/// Bounds on what a peer may send. Source: `spec/websocket.md` 9 and 13.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Payload bytes of one frame, 0 for no limit. Default 16 MiB.
    pub max_frame_bytes: usize,
    /// Payload bytes of one message over all its frames, 0 for no limit. Default 64 MiB.
    pub max_message_bytes: usize,
    /// Frames of one message, 0 for no limit; an empty one that ends it is not counted. Default 65 536.
    pub max_fragments: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_frame_bytes: 16 << 20, max_message_bytes: 64 << 20, max_fragments: 65_536 }
    }
}

/// The message types a connection takes; others fail it with 1003.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Accepted {
    /// Text and binary.
    #[default]
    Any,
    /// Text only.
    Text,
    /// Binary only.
    Binary,
}

/// Protocol options. Source: `spec/websocket.md` 9, 11 and 19; names are those of its tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Server: an unmasked frame fails the connection. Default true.
    pub require_masked_client_frames: bool,
    /// Client: a masked frame is taken instead of failing the connection. Default false.
    pub accept_masked_server_frames: bool,
    /// Client: mask what we send. Default true; false breaks the protocol.
    pub mask_client_frames: bool,
    /// Server: mask what we send. Default false; true breaks the protocol.
    pub mask_server_frames: bool,
    /// Apply the masking key to payloads, in both directions. Default true. With false the mask bit and a key are
    /// on the wire but payloads are raw: for tests against a peer that does the same.
    pub apply_mask: bool,
    /// Refuse text messages that are not UTF-8, incoming and outgoing. Default true. With false a text message
    /// may hold any bytes. The reason of a Close is always checked.
    pub validate_utf8: bool,
    /// Fail a connection by dropping it, without sending a Close. Default false.
    pub fail_by_drop: bool,
    /// Answer a Close with the peer's code and reason instead of 1000 without a reason. Default false.
    pub echo_close_codereason: bool,
    /// Split outgoing messages into frames of at most this many payload bytes; 0 never splits. Default 0.
    pub auto_fragment_size: usize,
    /// Message types the peer may send. Default [`Accepted::Any`].
    pub accept: Accepted,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            require_masked_client_frames: true,
            accept_masked_server_frames: false,
            mask_client_frames: true,
            mask_server_frames: false,
            apply_mask: true,
            validate_utf8: true,
            fail_by_drop: false,
            echo_close_codereason: false,
            auto_fragment_size: 0,
            accept: Accepted::Any,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_those_of_the_spec() {
        let limits =
            Limits { max_frame_bytes: 16_777_216, max_message_bytes: 67_108_864, max_fragments: 65_536 };
        assert_eq!(Limits::default(), limits);
        let options = Options {
            require_masked_client_frames: true,
            accept_masked_server_frames: false,
            mask_client_frames: true,
            mask_server_frames: false,
            apply_mask: true,
            validate_utf8: true,
            fail_by_drop: false,
            echo_close_codereason: false,
            auto_fragment_size: 0,
            accept: Accepted::Any,
        };
        assert_eq!(Options::default(), options);
    }
}
