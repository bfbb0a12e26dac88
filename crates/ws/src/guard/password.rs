//! Passwords and their hashes.

use super::secret::{same, sha256, sha256_of, unhex};
use argon2::password_hash::PasswordVerifier as _;
use argon2::password_hash::phc::PasswordHash;

/// What a password is compared with. `Debug` says only what kind it is.
#[derive(Clone)]
pub enum Stored {
    /// A password that the configuration names, kept as its SHA-256.
    Plain([u8; 32]),
    /// `$sha256$SALT$HEX`: SHA-256 of the bytes of the salt as it is written, then those of the password.
    Sha256 {
        /// The salt.
        salt: String,
        /// The digest.
        digest: [u8; 32],
    },
    /// `$2b$…`, `$2a$…`, `$2y$…`.
    Bcrypt(String),
    /// `$argon2id$…`.
    Argon2id(String),
}

/// Why a hash cannot be used. The texts never hold the hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HashError {
    /// None of the kinds that are known.
    #[error("is none of `$argon2id$...`, `$2b$...` (bcrypt) and `$sha256$SALT$HEX`")]
    Kind,
    /// One of them, but not well-formed.
    #[error("is not well-formed")]
    Malformed,
    /// It would take too much time or memory to compare with.
    #[error("costs too much to compare with (bcrypt: at most 16, argon2id: at most 1 GiB and 100 rounds)")]
    Cost,
    /// A hash that is slow by intention, where what is presented is compared with every entry.
    #[error("is slow to compare with, and tokens are compared with every entry; use `$sha256$SALT$HEX`")]
    Slow,
}

impl Stored {
    /// Keeps a password that was given as it is.
    pub fn plain(password: &str) -> Self {
        Self::Plain(sha256_of(password.as_bytes()))
    }

    /// Reads a hash.
    ///
    /// # Errors
    /// If it is of an unknown kind, malformed, or costs too much.
    pub fn hash(text: &str) -> Result<Self, HashError> {
        if let Some(rest) = text.strip_prefix("$sha256$") {
            let (salt, digest) = rest.split_once('$').ok_or(HashError::Malformed)?;
            let digest = unhex(digest).and_then(|digest| digest.try_into().ok());
            let digest = digest.ok_or(HashError::Malformed)?;
            return Ok(Self::Sha256 { salt: salt.to_owned(), digest });
        }
        if text.starts_with("$argon2id$") {
            return argon2id(text);
        }
        if ["$2a$", "$2b$", "$2y$"].iter().any(|start| text.starts_with(start)) {
            let parts: bcrypt::HashParts = text.parse().map_err(|_| HashError::Malformed)?;
            return match parts.get_cost() {
                4..=16 => Ok(Self::Bcrypt(text.to_owned())),
                17.. => Err(HashError::Cost),
                _ => Err(HashError::Malformed),
            };
        }
        Err(HashError::Kind)
    }

    /// Whether comparing takes so long, by intention, that it is not done where connections are served.
    pub fn is_slow(&self) -> bool {
        matches!(self, Self::Bcrypt(_) | Self::Argon2id(_))
    }

    /// What decides how long comparing takes, if that is [slow](Self::is_slow).
    pub(super) fn effort(&self) -> Option<&str> {
        match self {
            Self::Plain(_) | Self::Sha256 { .. } => None,
            // Behind the version, which changes nothing of that.
            Self::Bcrypt(hash) => hash.get(4..6),
            // Without salt and digest.
            Self::Argon2id(hash) => hash.rsplitn(3, '$').nth(2),
        }
    }

    /// Whether `password` is the one. See [`is_slow`](Self::is_slow).
    pub fn matches(&self, password: &str) -> bool {
        match self {
            Self::Plain(digest) => same(digest, &sha256_of(password.as_bytes())),
            Self::Sha256 { salt, digest } => same(digest, &sha256(&[salt.as_bytes(), password.as_bytes()])),
            Self::Bcrypt(hash) => bcrypt::verify(password, hash).unwrap_or(false),
            Self::Argon2id(hash) => PasswordHash::new(hash).is_ok_and(|hash| {
                argon2::Argon2::default().verify_password(password.as_bytes(), &hash).is_ok()
            }),
        }
    }
}

impl std::fmt::Debug for Stored {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Plain(_) => "Plain(***)",
            Self::Sha256 { .. } => "Sha256(***)",
            Self::Bcrypt(_) => "Bcrypt(***)",
            Self::Argon2id(_) => "Argon2id(***)",
        })
    }
}

fn argon2id(text: &str) -> Result<Stored, HashError> {
    let hash = PasswordHash::new(text).map_err(|_| HashError::Malformed)?;
    let parameters = argon2::Params::try_from(&hash).map_err(|_| HashError::Malformed)?;
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err(HashError::Malformed);
    }
    if parameters.m_cost() > 1 << 20 || parameters.t_cost() > 100 {
        return Err(HashError::Cost);
    }
    Ok(Stored::Argon2id(text.to_owned()))
}
