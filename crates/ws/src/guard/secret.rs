//! Text that must not be shown.

use ring::digest::{SHA256, SHA256_OUTPUT_LEN, digest};
use subtle::ConstantTimeEq as _;

/// A password or token. `Debug` hides it, and it has no `Display`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Hides `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for whoever checks it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(***)")
    }
}

/// SHA-256 of `parts`, one after the other.
pub(super) fn sha256(parts: &[&[u8]]) -> [u8; SHA256_OUTPUT_LEN] {
    let mut context = ring::digest::Context::new(&SHA256);
    for part in parts {
        context.update(part);
    }
    fixed(context.finish().as_ref())
}

/// SHA-256 of `bytes`.
pub(super) fn sha256_of(bytes: &[u8]) -> [u8; SHA256_OUTPUT_LEN] {
    fixed(digest(&SHA256, bytes).as_ref())
}

fn fixed(digest: &[u8]) -> [u8; SHA256_OUTPUT_LEN] {
    let mut fixed = [0; SHA256_OUTPUT_LEN];
    for (to, from) in fixed.iter_mut().zip(digest) {
        *to = *from;
    }
    fixed
}

/// Whether both digests are the same, in a time that does not depend on where they differ.
pub(super) fn same(one: &[u8; SHA256_OUTPUT_LEN], other: &[u8; SHA256_OUTPUT_LEN]) -> bool {
    one.ct_eq(other).into()
}

/// Reads `digits`, two for each byte, in either case.
pub(super) fn unhex(digits: &str) -> Option<Vec<u8>> {
    let (pairs, []) = digits.as_bytes().as_chunks::<2>() else { return None };
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    pairs.iter().map(|[high, low]| Some(digit(*high)? * 16 + digit(*low)?)).collect()
}
