//! Verifying signatures, by libraries.

use super::algorithm::Algorithm;
use super::jwk::{Key, Material};
use p521::ecdsa::signature::Verifier as _;
use ring::{hmac, rsa, signature};

/// Whether `signature` is one of `message` by `key`, made by `algorithm`; `false` if the two do not go together.
pub(super) fn is_valid(algorithm: Algorithm, key: &Key, message: &[u8], signature: &[u8]) -> bool {
    use Algorithm as A;
    if !key.fits(algorithm) {
        return false;
    }
    match (key.material(), algorithm) {
        (Material::Rsa { n, e }, _) => {
            let key = rsa::PublicKeyComponents { n, e };
            rsa_parameters(algorithm)
                .is_some_and(|parameters| key.verify(parameters, message, signature).is_ok())
        }
        (Material::P256(point), A::Es256) => {
            unparsed(&signature::ECDSA_P256_SHA256_FIXED, point, message, signature)
        }
        (Material::P384(point), A::Es384) => {
            unparsed(&signature::ECDSA_P384_SHA384_FIXED, point, message, signature)
        }
        (Material::P521(key), A::Es512) => p521::ecdsa::Signature::from_slice(signature)
            .is_ok_and(|signature| key.verify(message, &signature).is_ok()),
        (Material::Ed25519(key), A::Ed25519) => unparsed(&signature::ED25519, key, message, signature),
        (Material::Hmac(secret), A::Hs256) => tagged(hmac::HMAC_SHA256, secret, message, signature),
        (Material::Hmac(secret), A::Hs384) => tagged(hmac::HMAC_SHA384, secret, message, signature),
        (Material::Hmac(secret), A::Hs512) => tagged(hmac::HMAC_SHA512, secret, message, signature),
        _ => false,
    }
}

/// PSS with a salt as long as the hash, as RFC 7518, section 3.5, has it.
fn rsa_parameters(algorithm: Algorithm) -> Option<&'static signature::RsaParameters> {
    match algorithm {
        Algorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
        Algorithm::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
        Algorithm::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
        _ => None,
    }
}

fn unparsed(
    algorithm: &'static dyn signature::VerificationAlgorithm,
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    signature::UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
}

fn tagged(algorithm: hmac::Algorithm, secret: &[u8], message: &[u8], tag: &[u8]) -> bool {
    hmac::verify(&hmac::Key::new(algorithm, secret), message, tag).is_ok()
}
