//! Guards `bearer` and `apikey`: tokens that are listed.

use super::password::{HashError, Stored};
use super::session::Session;
use std::sync::Arc;

/// The tokens that such a guard knows. Source: `spec/websocket.md` 7.3.
#[derive(Clone, Debug, Default)]
pub struct Tokens(Vec<(Stored, Holder)>);

/// Whose token it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// Who it is.
    pub identity: Option<String>,
    /// What they may do.
    pub roles: Vec<String>,
}

impl Tokens {
    /// Adds a token: as it is, or as `$sha256$SALT$HEX`.
    ///
    /// Other hashes are slow by intention, and a token would have to be compared with each of them.
    ///
    /// # Errors
    /// If it looks like a hash and cannot be used.
    pub fn add(&mut self, token_or_hash: &str, holder: Holder) -> Result<(), HashError> {
        let stored = match token_or_hash {
            "" => return Err(HashError::Malformed),
            hash if hash.starts_with("$sha256$") => Stored::hash(hash)?,
            hash if Stored::hash(hash).is_ok() => return Err(HashError::Slow),
            token => Stored::plain(token),
        };
        self.0.push((stored, holder));
        Ok(())
    }

    /// `true` without any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What the holder of each may do.
    pub(super) fn roles(&self) -> impl Iterator<Item = &[String]> {
        self.0.iter().map(|(_, holder)| holder.roles.as_slice())
    }

    /// Whose token it is. All of them are compared, whichever fits.
    pub(super) fn find(&self, guard: &Arc<str>, token: &str) -> Option<Session> {
        let mut found = None;
        for (stored, holder) in &self.0 {
            if stored.matches(token) && found.is_none() {
                found = Some(holder);
            }
        }
        found.map(|holder| Session::unlimited(guard.clone(), holder.identity.clone(), holder.roles.clone()))
    }
}
