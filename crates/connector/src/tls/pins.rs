//! Public keys that a client insists on (`spec/websocket.md` 14.2).

use std::{fmt, sync::Arc};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use ring::digest;
use rustls::{CertificateError, OtherError, pki_types::CertificateDer, server::ParsedCertificate};

use crate::config::{ConfigError, Entry, OneOrMany, Reader};

/// SHA-256 of a SubjectPublicKeyInfo in DER: what stays when a certificate is renewed with the same key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Pin([u8; 32]);

/// The pins of which one has to fit.
///
/// Only the server's own key counts, never that of an issuer: which of the presented certificates the verified chain is made
/// of is not known here, and anybody can present one more.
#[derive(Clone, Debug, Default)]
pub(super) struct Pins(Vec<Pin>);

impl Pins {
    /// Reads `pins`: a list of pins in base64, with or without `sha256/` before it, or in 64 hex digits.
    pub(super) fn from_config(tls: &mut Reader<'_>) -> Result<Self, ConfigError> {
        let Some(entry) = tls.entry("pins") else { return Ok(Self::default()) };
        let OneOrMany(pins) = entry.read::<OneOrMany<Entry<'_>>>()?;
        if pins.is_empty() {
            return Err(entry.invalid(
                "an empty list trusts nobody; leave it out to trust every key that has a good certificate",
            ));
        }
        let pins = pins.iter().map(|pin| {
            let text: &str = pin.read()?;
            Pin::parse(text).ok_or_else(|| {
                pin.mismatch(
                    "the SHA-256 of a public key in base64 (`sha256/` and 44 characters) or in 64 hex digits",
                )
            })
        });
        pins.collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the key of this certificate is one of them.
    ///
    /// # Errors
    /// With the pin of the certificate that was shown.
    pub(super) fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), rustls::Error> {
        let pin = Pin::of(certificate)?;
        if self.0.contains(&pin) {
            return Ok(());
        }
        Err(CertificateError::Other(OtherError(Arc::new(WrongPin(pin)))).into())
    }
}

impl Pin {
    /// The pin of the key in a certificate.
    pub(super) fn of(certificate: &CertificateDer<'_>) -> Result<Self, rustls::Error> {
        let key = ParsedCertificate::try_from(certificate)?.subject_public_key_info();
        let hash = digest::digest(&digest::SHA256, &key);
        <[u8; 32]>::try_from(hash.as_ref()).map(Self).map_err(|_| CertificateError::BadEncoding.into())
    }

    fn parse(text: &str) -> Option<Self> {
        if text.len() == 64 {
            let mut bytes = [0; 32];
            for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
                *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
            }
            // A sign is no hex digit, though a number may have one.
            return text.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(Self(bytes));
        }
        // As curl (`sha256//`) and the header `Public-Key-Pins` write it. A hash may begin with `/` itself.
        let text = text.strip_prefix("sha256/").unwrap_or(text);
        let text = text.strip_prefix('/').filter(|rest| rest.len() == 44).unwrap_or(text);
        let bytes = BASE64_STANDARD.decode(text).ok()?;
        <[u8; 32]>::try_from(bytes).ok().map(Self)
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "sha256/{}", BASE64_STANDARD.encode(self.0))
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The server has a key that is not pinned.
#[derive(Debug, thiserror::Error)]
#[error("the key of the certificate is not among `tls.pins`; its pin is `{0}`")]
pub(super) struct WrongPin(Pin);

#[cfg(test)]
mod tests {
    use super::*;

    /// One hash in 64 begins with the character that also stands in front of it.
    #[test]
    fn a_hash_that_begins_with_a_slash_is_read_in_every_form() {
        let hash = format!("/{}=", "A".repeat(42));
        for text in [hash.clone(), format!("sha256/{hash}"), format!("sha256//{hash}")] {
            assert_eq!(Pin::parse(&text).unwrap().to_string(), format!("sha256/{hash}"), "{text}");
        }
        assert!(Pin::parse(&format!("//{hash}")).is_none());
    }
}
