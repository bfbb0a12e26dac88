//! Until when credentials let the connections of one identity stay.

use crate::guard::session::{Claims, Session, Vouching};
use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicU64, Ordering},
};

/// Until when one guard lets connections of one identity stay. By which keys is a matter of each [`Stake`](super::Stake).
///
/// Both times move to later ones, so a connection need not be told of a renewal: it looks here when its time has come, and
/// waits on if there is more of it now. They move back only where a key is [forgotten](Self::forget).
#[derive(Debug)]
pub(super) struct Term {
    /// The last times of `grants`.
    expires_at_ms: AtomicU64,
    challenge_at_ms: AtomicU64,
    /// What has prolonged it: of all that the same keys vouch for that which ends last.
    pub(super) grants: Mutex<Vec<Grant>>,
}

/// What credentials are good for.
#[derive(Clone, Debug)]
pub(super) struct Grant {
    pub(super) end_ms: u64,
    pub(super) challenge_ms: u64,
    /// The keys that vouch for it.
    pub(super) keys: Vec<Vouching>,
    pub(super) claims: Arc<Claims>,
}

impl Grant {
    pub(super) fn of(session: &Session) -> Self {
        Self {
            end_ms: session.expires_at_ms.unwrap_or(NEVER),
            challenge_ms: session.challenge_at_ms.unwrap_or(NEVER),
            keys: session.keys.clone(),
            claims: Arc::new(Claims::of(session)),
        }
    }
}

/// Of how many keys a term remembers what they have prolonged. Beyond that it forgets what ends first, as if that had never
/// come; each connection knows of its own all the same.
pub(super) const MOST_GRANTS: usize = 8;

/// In place of a time that never comes.
pub(super) const NEVER: u64 = u64::MAX;

impl Term {
    pub(super) fn new(first: Grant) -> Self {
        Self {
            expires_at_ms: AtomicU64::new(first.end_ms),
            challenge_at_ms: AtomicU64::new(first.challenge_ms),
            grants: Mutex::new(vec![first]),
        }
    }

    /// When it ends; [`NEVER`], perhaps.
    pub(super) fn expires_at_ms(&self) -> u64 {
        self.expires_at_ms.load(Ordering::Relaxed)
    }

    /// When to ask for fresh credentials; [`NEVER`], perhaps.
    pub(super) fn challenge_at_ms(&self) -> u64 {
        self.challenge_at_ms.load(Ordering::Relaxed)
    }

    /// Takes over the times of `newer` if it ends later, and remembers it in case that what ends later still is forgotten.
    pub(super) fn extend(&self, newer: Grant) -> bool {
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        match grants.iter_mut().find(|grant| grant.keys == newer.keys) {
            Some(grant) if grant.end_ms >= newer.end_ms => {}
            Some(grant) => *grant = newer,
            None => grants.push(newer),
        }
        if grants.len() > MOST_GRANTS
            && let Some((first, _)) = grants.iter().enumerate().min_by_key(|(_, grant)| grant.end_ms)
        {
            grants.swap_remove(first);
        }
        let before = self.expires_at_ms();
        self.go_by(&grants) > before
    }

    /// The claims of what prolongs it most, if that has not ended.
    pub(super) fn claims(&self, now_ms: u64) -> Option<Arc<Claims>> {
        let grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        let last = grants.iter().filter(|grant| grant.end_ms > now_ms).max_by_key(|grant| grant.end_ms);
        last.map(|grant| grant.claims.clone())
    }

    /// What keys have prolonged that are lost counts no more.
    pub(super) fn forget(&self, is_lost: impl Fn(&Vouching) -> bool) {
        let mut grants = self.grants.lock().unwrap_or_else(PoisonError::into_inner);
        let all = grants.len();
        grants.retain(|grant| !grant.keys.iter().any(&is_lost));
        if grants.len() < all {
            self.go_by(&grants);
        }
    }

    /// Takes over the last times; gives when it ends now.
    fn go_by(&self, grants: &[Grant]) -> u64 {
        let last = |time: fn(&Grant) -> u64| grants.iter().map(time).max().unwrap_or(0);
        let expires = last(|grant| grant.end_ms);
        self.expires_at_ms.store(expires, Ordering::Relaxed);
        self.challenge_at_ms.store(last(|grant| grant.challenge_ms), Ordering::Relaxed);
        expires
    }
}
