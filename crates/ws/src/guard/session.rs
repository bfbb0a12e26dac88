//! What a guard has found out about somebody.

use super::json::Json;
use super::jwk::Key;
use std::sync::Arc;

/// Somebody whom a guard has accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Session {
    /// The name of the guard.
    pub guard: Arc<str>,
    /// Who it is, as far as its guard is concerned; `None` if the credentials name nobody.
    pub identity: Option<String>,
    /// Whether that is who the client is: not so of a guard that is about something else, such as its machine.
    pub gives_identity: bool,
    /// What they may do.
    pub roles: Vec<String>,
    /// What else the flow wants to know, by name.
    pub attributes: Vec<(String, Json)>,
    /// From when on the session counts no more, in milliseconds since 1970; `None`: never.
    pub expires_at_ms: Option<u64>,
    /// When to ask for fresh credentials, in milliseconds since 1970.
    pub challenge_at_ms: Option<u64>,
    /// The keys that vouched for it.
    pub keys: Vec<Vouching>,
}

/// What a session says of somebody besides who it is.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Claims {
    /// What they may do.
    pub roles: Vec<String>,
    /// What else the flow wants to know, by name.
    pub attributes: Vec<(String, Json)>,
}

impl Claims {
    /// Those of a session.
    pub fn of(session: &Session) -> Self {
        Self { roles: session.roles.clone(), attributes: session.attributes.clone() }
    }

    /// What both say.
    #[must_use]
    pub fn common(&self, other: &Self) -> Self {
        let roles = self.roles.iter().filter(|role| other.roles.contains(role));
        let attributes = self.attributes.iter().filter(|attribute| other.attributes.contains(attribute));
        Self { roles: roles.cloned().collect(), attributes: attributes.cloned().collect() }
    }
}

/// A key that vouched for somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vouching {
    /// The guard whose key it is.
    pub guard: Arc<str>,
    /// The key itself: another one of the same name is not what has vouched.
    pub key: Arc<Key>,
}

impl Session {
    /// Somebody who stays for any time.
    pub fn unlimited(guard: Arc<str>, identity: Option<String>, roles: Vec<String>) -> Self {
        Self {
            guard,
            identity,
            gives_identity: true,
            roles,
            attributes: Vec::new(),
            expires_at_ms: None,
            challenge_at_ms: None,
            keys: Vec::new(),
        }
    }

    /// Whom a cookie stands for that is bound to these sessions of other guards, as `guard` knows it: what all of them say
    /// that still count, until the first of those ends. Nobody if they name nobody.
    pub fn of_bound(guard: &Arc<str>, bound: &[Self], now_ms: u64) -> Option<Self> {
        let counts = |session: &&Self| session.counts(now_ms);
        let identity = bound.iter().filter(counts).find_map(|session| session.name())?.to_owned();
        let mut all = Self::unlimited(guard.clone(), Some(identity), Vec::new());
        for session in bound.iter().filter(counts) {
            for role in &session.roles {
                if !all.roles.contains(role) {
                    all.roles.push(role.clone());
                }
            }
            for (name, value) in &session.attributes {
                if all.attributes.iter().all(|(known, _)| known != name) {
                    all.attributes.push((name.clone(), value.clone()));
                }
            }
            all.keys.extend_from_slice(&session.keys);
            all.expires_at_ms = all.expires_at_ms.into_iter().chain(session.expires_at_ms).min();
        }
        Some(all)
    }

    /// Whether it has not ended yet.
    pub fn counts(&self, now_ms: u64) -> bool {
        self.expires_at_ms.is_none_or(|end_ms| end_ms > now_ms)
    }

    /// Who the client is, if it says that.
    pub fn name(&self) -> Option<&str> {
        self.identity.as_deref().filter(|_| self.gives_identity)
    }

    /// Whether it has all of `roles`.
    pub fn holds(&self, roles: &[String]) -> bool {
        roles.iter().all(|role| self.roles.contains(role))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_stands_for_all_that_still_counts_until_the_first_of_it_ends() {
        let key = |guard: &str| Vouching { guard: guard.into(), key: Key::of_tests("k", b'1') };
        let session = |guard: &str, who: &str, roles: &[&str], expires_at_ms| {
            let who = Some(who.to_owned()).filter(|who| !who.is_empty());
            let roles = roles.iter().map(|role| (*role).to_owned()).collect();
            let attributes = vec![("from".to_owned(), Json::Text(guard.to_owned()))];
            let keys = vec![key(guard)];
            Session { attributes, expires_at_ms, keys, ..Session::unlimited(guard.into(), who, roles) }
        };
        let of = |bound: &[Session]| Session::of_bound(&"browser".into(), bound, 10);
        assert_eq!(of(&[]), None);
        assert_eq!(of(&[session("a", "", &["r"], None)]), None, "nobody by name");
        assert_eq!(of(&[session("a", "ann", &["r"], Some(10))]), None, "it is over");
        let machine = Session { gives_identity: false, ..session("m", "press", &["p"], None) };
        assert_eq!(of(std::slice::from_ref(&machine)), None, "that is not who it is");
        let used = of(&[machine, session("a", "ann", &[], None)]).unwrap();
        assert_eq!((used.name(), used.roles.as_slice()), (Some("ann"), ["p".to_owned()].as_slice()));
        let all = of(&[
            session("old", "eve", &["w"], Some(9)),
            session("a", "", &["r"], Some(30)),
            session("b", "ann", &["s", "r"], Some(11)),
            session("c", "bob", &[], None),
        ]);
        let all = all.unwrap();
        assert_eq!((&*all.guard, all.identity.as_deref()), ("browser", Some("ann")));
        assert_eq!((all.roles, all.expires_at_ms), (vec!["r".to_owned(), "s".to_owned()], Some(11)));
        assert_eq!(all.attributes, [("from".to_owned(), Json::Text("a".to_owned()))]);
        assert_eq!((all.challenge_at_ms, all.keys), (None, vec![key("a"), key("b"), key("c")]));
    }
}
