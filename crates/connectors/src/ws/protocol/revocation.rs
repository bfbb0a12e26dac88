//! What a connection was let in by may be taken back.

use std::sync::atomic::{AtomicU8, Ordering};

/// What it is known by was taken back.
const REVOKED: u8 = 1;
/// Something else was, that was shown along with it.
const DOUBTED: u8 = 2;

/// Whether what somebody was let in by has been taken back since. Shared between a connection and whoever lets in.
#[derive(Debug, Default)]
pub(in crate::ws) struct Revocation(AtomicU8);

impl Revocation {
    /// What it is known by is taken back.
    pub(in crate::ws) fn revoke(&self) {
        self.0.fetch_or(REVOKED, Ordering::AcqRel);
    }

    /// Something that was shown along with it is taken back: that counts as long as the connection is not open.
    pub(in crate::ws) fn doubt(&self) {
        self.0.fetch_or(DOUBTED, Ordering::AcqRel);
    }

    /// Whether a connection that is not open yet is not to be.
    pub(in crate::ws) fn is_refused(&self) -> bool {
        self.0.load(Ordering::Acquire) != 0
    }

    /// Whether a connection that is open has to end.
    pub(super) fn is_revoked(&self) -> bool {
        self.0.load(Ordering::Acquire) & REVOKED != 0
    }

    /// The connection is open from now on.
    pub(super) fn open(&self) {
        if self.is_refused() {
            self.revoke();
        }
    }
}
