//! What can keep a measurement from being taken.

use std::{io, path::PathBuf, process::ExitStatus, time::Duration};

/// Result of everything here that can fail.
pub(crate) type Result<T> = std::result::Result<T, Error>;

/// Why there is no figure. A missed aim is a figure, not an error.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The system refused something; `action` completes "cannot ...".
    #[error("cannot {action}: {source}")]
    Io { action: String, source: io::Error },
    /// No case has the name that was asked for.
    #[error("there is no case `{asked}`; the cases are {known}")]
    UnknownCase { asked: String, known: String },
    /// The build of the measured binary failed; cargo has already said why.
    #[error("`cargo build --release -p tremor-cli` failed")]
    Build,
    /// The build of the benches of the crates failed; cargo has already said why.
    #[error("`cargo bench --no-run` failed")]
    BuildBenches,
    /// Counting instructions gave no number.
    #[error("no count from {name}: {problem}")]
    NoCount { name: String, problem: String },
    /// A child process ended too early or with a failure.
    #[error("{name} ended with {status}; the end of its standard error:\n{stderr}")]
    Ended { name: String, status: ExitStatus, stderr: String },
    /// A child process did not get done.
    #[error("{name} was not done after {limit:?}; the end of its standard error:\n{stderr}")]
    Late { name: String, limit: Duration, stderr: String },
    /// A peer said something that the load generator does not expect.
    #[error("unexpected answer: {0}")]
    Answer(String),
    /// A flow that ran for long did something that it must not do.
    #[error("{0}")]
    Soak(String),
    /// A module of the library cannot be parsed.
    #[error("a module of the library is broken:\n{reports}")]
    Library { reports: String },
    /// The measured program did its work wrongly, so its speed means nothing.
    #[error("wrong result in {path}: {problem}", path = path.display())]
    WrongResult { path: PathBuf, problem: String },
}

/// Gives an [`io::Result`] the words that say what was tried.
pub(crate) trait Doing<T> {
    /// `action` completes "cannot ...".
    fn doing(self, action: impl FnOnce() -> String) -> Result<T>;
}

impl<T> Doing<T> for io::Result<T> {
    fn doing(self, action: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|source| Error::Io { action: action(), source })
    }
}
