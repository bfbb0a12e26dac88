//! Named pipes: files of which nothing stays.

use std::path::Path;

use rustix::fs::{CWD, Mode, mkfifoat};

use crate::error::{Doing as _, Result};

/// Makes a pipe with a name, for this user.
pub(super) fn make(path: &Path) -> Result<()> {
    let mode = Mode::RUSR | Mode::WUSR;
    mkfifoat(CWD, path, mode).map_err(Into::into).doing(|| format!("make a pipe at {}", path.display()))
}
