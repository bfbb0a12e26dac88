//! How a connection ends. Source: `spec/websocket.md` 11, RFC 6455 section 7.

use crate::CloseCode;
use crate::error::ProtocolError;
use crate::options::{Options, Role};
use std::time::Duration;

/// Longest reason in bytes: a control frame less the code.
const MAX_REASON_BYTES: usize = 123;

/// Whether a close code may be on the wire, in either direction.
///
/// Never: 0-999, 1004, 1005, 1006, 1015, 1016-2999, 5000 and above.
pub fn is_wire_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The longest beginning of `reason` that fits a Close (123 bytes), cut on a character border.
pub fn truncate_reason(reason: &str) -> &str {
    reason.get(..reason.floor_char_boundary(MAX_REASON_BYTES)).unwrap_or_default()
}

/// The body of a Close: the arguments of [`Encoder::close`](crate::Encoder::close).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseFrame {
    /// The code; `None` sends an empty body.
    pub code: Option<u16>,
    /// The reason, empty without a code.
    pub reason: String,
}

/// How long to wait while closing; `None` waits for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CloseTimeouts {
    /// `close_handshake_timeout`: from our Close to the peer's. Default 1 s.
    pub handshake: Option<Duration>,
    /// `server_connection_drop_timeout`: how long a client leaves it to the server to end TCP. Default 1 s.
    pub server_drop: Option<Duration>,
}

impl Default for CloseTimeouts {
    fn default() -> Self {
        let second = Some(Duration::from_secs(1));
        Self { handshake: second, server_drop: second }
    }
}

/// What to do after writing what is to be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// Keep reading for the peer's Close, at most this long; then [`Closing::ended`] with [`End::Timeout`].
    AwaitClose(Option<Duration>),
    /// Leave it to the peer to end TCP, throwing away what still comes, at most this long; then end it.
    AwaitDrop(Option<Duration>),
    /// End TCP now. A peer that is still sending loses our Close unless the write side is shut down first and
    /// input is drained for a moment.
    Drop,
}

/// A frame to send, if any, and what comes after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CloseAnswer {
    /// The Close to send.
    pub send: Option<CloseFrame>,
    /// What to do once it is written.
    pub next: Next,
}

/// How TCP came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The peer ended it, or a read or write failed.
    Peer,
    /// We ended it because [`Next::Drop`] said so or the time of [`Next::AwaitDrop`] was over.
    Local,
    /// We ended it because the time of [`Next::AwaitClose`], or another one of the connection, was over.
    Timeout,
}

/// Who ended a connection; the `by` of the `closed` event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// The peer closed, or its TCP connection went away.
    Peer,
    /// We closed.
    Local,
    /// Something did not happen in time.
    Timeout,
    /// The peer broke the protocol and we failed the connection.
    Error,
}

impl EndedBy {
    /// The word in the `closed` event.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Peer => "peer",
            Self::Local => "local",
            Self::Timeout => "timeout",
            Self::Error => "error",
        }
    }
}

/// What is reported of the end of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The code of who closed first; 1005 for a Close without code, 1006 for an end without Close.
    pub code: u16,
    /// The reason that came with the code.
    pub reason: String,
    /// Both sides sent a Close.
    pub clean: bool,
    /// Who ended it.
    pub by: EndedBy,
}

#[derive(Debug)]
enum State {
    Open,
    /// We closed first and wait.
    Asked(CloseFrame),
    /// Both have sent a Close; what the first one said.
    Both(CloseFrame, EndedBy),
    /// We failed the connection.
    Failed {
        code: u16,
        reason: String,
    },
}

/// Decides what happens around a Close; one for each connection.
#[derive(Debug)]
pub struct Closing {
    role: Role,
    fail_by_drop: bool,
    echo: bool,
    timeouts: CloseTimeouts,
    state: State,
}

impl Closing {
    /// For a fresh connection; `role` is our own.
    pub fn new(role: Role, options: &Options, timeouts: CloseTimeouts) -> Self {
        let Options { fail_by_drop, echo_close_codereason: echo, .. } = *options;
        Self { role, fail_by_drop, echo, timeouts, state: State::Open }
    }

    /// `true` until a Close was sent or received, or the connection failed: data may be sent.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// We want to close. `None` if the connection is closing already.
    ///
    /// The reason is cut to what fits. A code that may not be sent is the encoder's error and should be refused
    /// before this is called, with [`is_wire_code`].
    pub fn start(&mut self, code: u16, reason: &str) -> Option<CloseAnswer> {
        if !self.is_open() {
            return None;
        }
        let frame = CloseFrame { code: Some(code), reason: truncate_reason(reason).to_owned() };
        self.state = State::Asked(frame.clone());
        Some(CloseAnswer { send: Some(frame), next: Next::AwaitClose(self.timeouts.handshake) })
    }

    /// The peer's Close has come. At most one Close is ever sent.
    pub fn received(&mut self, code: Option<u16>, reason: &str) -> CloseAnswer {
        let theirs = CloseFrame { code, reason: reason.to_owned() };
        let next = self.end_of_tcp();
        match std::mem::replace(&mut self.state, State::Open) {
            State::Open => {
                let plain = CloseFrame { code: Some(1000), reason: String::new() };
                let reply = if self.echo { theirs.clone() } else { plain };
                self.state = State::Both(theirs, EndedBy::Peer);
                CloseAnswer { send: Some(reply), next }
            }
            State::Asked(ours) => {
                self.state = State::Both(ours, EndedBy::Local);
                CloseAnswer { send: None, next }
            }
            state => {
                self.state = state;
                CloseAnswer { send: None, next }
            }
        }
    }

    /// The peer broke the protocol: nothing more is read, not even its Close.
    pub fn failed(&mut self, error: &ProtocolError) -> CloseAnswer {
        self.failed_with(error.close_code().into(), error.to_string())
    }

    /// The same where what the peer has sent is wrong for another reason. The code has to be one that may be sent.
    pub fn failed_with(&mut self, code: u16, reason: String) -> CloseAnswer {
        let say = self.is_open() && !self.fail_by_drop;
        let send = say.then(|| CloseFrame { code: Some(code), reason: truncate_reason(&reason).to_owned() });
        let next = if self.fail_by_drop { Next::Drop } else { self.end_of_tcp() };
        self.state = State::Failed { code, reason };
        CloseAnswer { send, next }
    }

    /// TCP has ended; what to report.
    pub fn ended(self, end: End) -> Outcome {
        let without_close =
            |by| Outcome { code: CloseCode::Abnormal.into(), reason: String::new(), clean: false, by };
        match (self.state, end) {
            (State::Both(first, by), _) => Outcome {
                code: first.code.unwrap_or(CloseCode::Status.into()),
                reason: first.reason,
                clean: true,
                by,
            },
            (State::Failed { code, reason }, _) => Outcome { code, reason, clean: false, by: EndedBy::Error },
            (State::Open | State::Asked(_), End::Peer) => without_close(EndedBy::Peer),
            (State::Open | State::Asked(_), End::Timeout) => without_close(EndedBy::Timeout),
            (State::Open | State::Asked(_), End::Local) => without_close(EndedBy::Local),
        }
    }

    /// The server ends TCP first; the client gives it some time to.
    fn end_of_tcp(&self) -> Next {
        match self.role {
            Role::Server => Next::Drop,
            Role::Client => Next::AwaitDrop(self.timeouts.server_drop),
        }
    }
}
