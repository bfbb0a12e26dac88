//! How many files and connections the process may have open.

use super::TARGET;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{debug, warn};

/// Raises the soft limit of open files to the hard one: every connection is one of them, and the usual soft limit of 1024
/// is meant for programs that cannot work with more.
pub(super) fn raise_limit() {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return;
    }
    let (from, to) = (shown(current), shown(maximum));
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => debug!(target: TARGET, "The limit of open files is raised from {from} to {to}"),
        Err(error) => {
            warn!(target: TARGET, "The limit of open files stays at {from}; raising it to {to} failed: {error}");
        }
    }
}

fn shown(limit: Option<u64>) -> String {
    limit.map_or_else(|| "unlimited".to_owned(), |limit| limit.to_string())
}
