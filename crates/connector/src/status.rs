//! Where a connector stands, what it is told, what its parts report.

use tokio::sync::oneshot;

/// Where a connector stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It exists.
    Initializing,
    /// It works.
    Running,
    /// The user paused it.
    Paused,
    /// It finishes what it has.
    Draining,
    /// It has nothing left to do.
    Drained,
    /// It has ended.
    Stopped,
    /// It gave up.
    Failed,
}

/// What a connector shows of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// Where it stands.
    pub state: State,
    /// It has its connection.
    pub connected: bool,
    /// Why it failed, if it did.
    pub failure: Option<String>,
}

/// What a connector can be told.
#[derive(Debug)]
pub(crate) enum Control {
    /// Begin; hears of the first success, or why there will be none.
    Start(oneshot::Sender<Result<(), String>>),
    Pause,
    Resume,
    /// Finish; hears when everything is done.
    Drain(oneshot::Sender<()>),
    /// End; hears when everything has ended.
    Stop(oneshot::Sender<()>),
}

impl Control {
    /// The word for it in log lines.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Start(_) => "a start",
            Self::Pause => "a pause",
            Self::Resume => "a resume",
            Self::Drain(_) => "a drain",
            Self::Stop(_) => "a stop",
        }
    }
}

/// What the parts of a connector report. `connection` counts the connections it has had, so that word of an
/// earlier one is not taken for word of the present one.
#[derive(Debug)]
pub(crate) enum Report {
    /// The source will never give anything again.
    SourceFinished,
    /// The connection is gone; `is_busy`: the peer has said that it has no room for now.
    Lost { connection: u64, cause: String, clean: bool, is_busy: bool },
    /// The sink's task met an internal error.
    Panicked,
}
