//! Signed tokens as they travel: three parts in base64url.

use super::algorithm::Algorithm;
use super::json::Json;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::BTreeMap;

/// A token in its compact form (RFC 7515, section 3.1), taken apart; nothing of it is verified yet.
pub(super) struct Token<'t> {
    /// The first part, decoded.
    pub(super) header: BTreeMap<String, Json>,
    /// The second part, decoded: JSON, or anything else.
    pub(super) payload: Vec<u8>,
    /// What is signed: the first two parts as they were sent.
    pub(super) signed: &'t str,
    /// The third part, decoded.
    pub(super) signature: Vec<u8>,
}

impl<'t> Token<'t> {
    /// Takes `text` apart; `None` without exactly three parts in base64url without padding, or if the header is no
    /// JSON object.
    pub(super) fn parse(text: &'t str) -> Option<Self> {
        let (signed, signature) = text.rsplit_once('.')?;
        let (header, payload) = signed.split_once('.')?;
        // A dot that is left is no base64url.
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).ok();
        let Json::Object(header) = Json::parse(&decode(header)?)? else { return None };
        Some(Self { header, payload: decode(payload)?, signed, signature: decode(signature)? })
    }

    /// The algorithm that the header names, if it is one of ours.
    pub(super) fn algorithm(&self) -> Option<Algorithm> {
        Algorithm::named(self.header.get("alg")?.as_str()?)
    }

    /// The key that the header names.
    ///
    /// # Errors
    /// `Err` if `kid` is no string.
    pub(super) fn kid(&self) -> Result<Option<&str>, ()> {
        match self.header.get("kid") {
            None => Ok(None),
            Some(kid) => kid.as_str().map(Some).ok_or(()),
        }
    }

    /// Whether the header demands that extensions are understood. None is known here, so a token with any is refused;
    /// so is an empty list, which RFC 7515, section 4.1.11, forbids.
    pub(super) fn has_critical(&self) -> bool {
        self.header.contains_key("crit")
    }
}
