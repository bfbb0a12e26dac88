//! Guard `basic`: names and passwords.

use super::credentials::Login;
use super::password::{HashError, Stored};
use super::session::Session;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// The users that a `basic` guard knows. Source: `spec/websocket.md` 7.3; RFC 7617.
#[derive(Clone, Debug, Default)]
pub struct Users {
    users: BTreeMap<String, User>,
    /// What is compared where that would be quicker than for others: with unknown names, and users whose hashes are not slow.
    decoy: Option<Stored>,
}

/// One of them.
#[derive(Clone, Debug)]
pub struct User {
    /// What the password is compared with.
    pub password: Stored,
    /// What they may do.
    pub roles: Vec<String>,
}

/// Why a file of users cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct UsersError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: UserProblem,
}

/// What is wrong with a user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UserProblem {
    /// Not UTF-8.
    #[error("is not UTF-8")]
    NotUtf8,
    /// No colon.
    #[error("is not `NAME:HASH` or `NAME:HASH:ROLES`")]
    Shape,
    /// The name is empty.
    #[error("the name is empty")]
    NoName,
    /// A login ends the name at its first colon.
    #[error("the name has a colon, which ends the name in what a client sends (`name:password`)")]
    Colon,
    /// The name has characters that a login cannot hold.
    #[error("the name has control characters, which no login can hold")]
    Control,
    /// The name was there already.
    #[error("the name comes a second time")]
    Twice,
    /// The hash cannot be used.
    #[error("the hash {0}")]
    Hash(#[from] HashError),
}

impl Users {
    /// Adds one.
    ///
    /// # Errors
    /// If the name is no name or there already.
    pub fn add(&mut self, name: &str, user: User) -> Result<(), UserProblem> {
        match name {
            "" => return Err(UserProblem::NoName),
            name if name.contains(':') => return Err(UserProblem::Colon),
            name if name.contains(char::is_control) => return Err(UserProblem::Control),
            _ => {}
        }
        if user.password.is_slow() && self.decoy.is_none() {
            self.decoy = Some(user.password.clone());
        }
        match self.users.insert(name.to_owned(), user) {
            None => Ok(()),
            Some(_) => Err(UserProblem::Twice),
        }
    }

    /// Reads a file with lines `NAME:HASH` (as `htpasswd -B` writes them) or `NAME:HASH:ROLE ROLE`. Empty lines and
    /// those that begin with `#` are left out.
    ///
    /// # Errors
    /// The first line that cannot be used.
    pub fn from_file(content: &[u8]) -> Result<Self, UsersError> {
        let mut users = Self::default();
        for (index, line) in content.split(|byte| *byte == b'\n').enumerate() {
            let failed = |problem| UsersError { line: index + 1, problem };
            let line = std::str::from_utf8(line).map_err(|_| failed(UserProblem::NotUtf8))?;
            let line = line.trim_end_matches('\r');
            if line.trim().is_empty() || line.starts_with('#') {
                continue;
            }
            users.add_line(line).map_err(failed)?;
        }
        Ok(users)
    }

    fn add_line(&mut self, line: &str) -> Result<(), UserProblem> {
        let (name, rest) = line.split_once(':').ok_or(UserProblem::Shape)?;
        let (hash, roles) = rest.split_once(':').unwrap_or((rest, ""));
        let password = Stored::hash(hash)?;
        let roles = roles.split([' ', ',']).filter(|role| !role.is_empty()).map(str::to_owned).collect();
        self.add(name, User { password, roles })
    }

    /// `true` without any.
    pub fn is_empty(&self) -> bool {
        self.users.is_empty()
    }

    /// Whether there is one of that name.
    pub fn has(&self, name: &str) -> bool {
        self.users.contains_key(name)
    }

    /// What each of them may do.
    pub(super) fn roles(&self) -> impl Iterator<Item = &[String]> {
        self.users.values().map(|user| user.roles.as_slice())
    }

    /// What has to be compared to answer a login.
    pub(super) fn comparison(&self, guard: &Arc<str>, login: Login) -> Comparison {
        let user = self.users.get(&login.name);
        let stored = user.map(|user| &user.password);
        let decoy = self.decoy.as_ref().filter(|_| stored.is_none_or(|stored| !stored.is_slow()));
        let session =
            user.map(|user| Session::unlimited(guard.clone(), Some(login.name.clone()), user.roles.clone()));
        Comparison { stored: stored.cloned(), decoy: decoy.cloned(), session, login }
    }

    /// Whether slow hashes are not all alike: then the time of an answer tells who might be there.
    pub fn take_different_times(&self) -> bool {
        let mut efforts = self.users.values().filter_map(|user| user.password.effort());
        let first = efforts.next();
        efforts.any(|effort| Some(effort) != first)
    }
}

/// The comparison of a password, which may take long.
///
/// Where [`is_slow`](Self::is_slow) says so, [`run`](Self::run) takes a good part of a second of a processor, by
/// intention: call it on a thread that may block, and only a few at once.
pub struct Comparison {
    stored: Option<Stored>,
    decoy: Option<Stored>,
    session: Option<Session>,
    login: Login,
}

impl Comparison {
    /// Whether [`run`](Self::run) takes long.
    pub fn is_slow(&self) -> bool {
        self.decoy.is_some() || self.stored.as_ref().is_some_and(Stored::is_slow)
    }

    /// Compares; `None` if the name is unknown or the password wrong, which take the same time.
    pub fn run(self) -> Option<Session> {
        let password = self.login.password.expose();
        let matches = self.stored.is_some_and(|stored| stored.matches(password));
        if let Some(decoy) = self.decoy {
            let _takes_its_time = decoy.matches(password);
        }
        self.session.filter(|_| matches)
    }
}

impl fmt::Debug for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Comparison").field("is_slow", &self.is_slow()).finish_non_exhaustive()
    }
}
