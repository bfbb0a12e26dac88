//! What a guard has found out about somebody.

use super::json::Json;
use std::sync::Arc;

/// Somebody whom a guard has accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// The name of the guard.
    pub guard: Arc<str>,
    /// Who it is; `None` if the credentials name nobody.
    pub identity: Option<String>,
    /// What they may do.
    pub roles: Vec<String>,
    /// What else the flow wants to know, by name.
    pub attributes: Vec<(String, Json)>,
    /// From when on the session counts no more, in milliseconds since 1970; `None`: never.
    pub expires_at_ms: Option<u64>,
    /// When to ask for fresh credentials, in milliseconds since 1970.
    pub challenge_at_ms: Option<u64>,
    /// The name of the key that vouched for it.
    pub kid: Option<String>,
}

impl Session {
    /// Somebody who stays for any time.
    pub fn unlimited(guard: Arc<str>, identity: Option<String>, roles: Vec<String>) -> Self {
        Self {
            guard,
            identity,
            roles,
            attributes: Vec::new(),
            expires_at_ms: None,
            challenge_at_ms: None,
            kid: None,
        }
    }

    /// Whether it has all of `roles`.
    pub fn holds(&self, roles: &[String]) -> bool {
        roles.iter().all(|role| self.roles.contains(role))
    }
}
