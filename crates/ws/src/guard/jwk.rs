//! Keys that verify signatures, and sets of them.

use super::algorithm::Algorithm;
use super::json::Json;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// A key that verifies signatures, made from a JWK. Source: RFC 7517, section 4; RFC 7518, section 6.
///
/// `Debug` shows no key material.
#[derive(PartialEq, Eq)]
pub struct Key {
    kid: Option<String>,
    algorithm: Option<Algorithm>,
    material: Material,
}

/// What a key is made of; `signature` works with it.
#[derive(PartialEq, Eq)]
pub(super) enum Material {
    /// Modulus and exponent, big-endian without leading zeros.
    Rsa {
        n: Vec<u8>,
        e: Vec<u8>,
    },
    /// An uncompressed point.
    P256(Vec<u8>),
    /// An uncompressed point.
    P384(Vec<u8>),
    /// A point that was checked to be on the curve.
    P521(Box<p521::ecdsa::VerifyingKey>),
    Ed25519(Vec<u8>),
    Hmac(Vec<u8>),
}

/// Why a JWK cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// It is not an object.
    #[error("is not a JSON object")]
    NotAnObject,
    /// A member has to be there and be a string.
    #[error("`{0}` is missing or not a string")]
    Member(&'static str),
    /// A member has the wrong type.
    #[error("`{0}` has the wrong type")]
    Type(&'static str),
    /// A member is not base64url without padding.
    #[error("`{0}` is not base64url without padding")]
    Encoding(&'static str),
    /// A member has the wrong length, or a value that no such key has.
    #[error("`{0}` has a value that no such key has")]
    Value(&'static str),
    /// The kind of key is unknown.
    #[error("`kty` is none of `RSA`, `EC`, `OKP` and `oct`")]
    Kind,
    /// The curve is unknown.
    #[error("`crv` is none of `P-256`, `P-384`, `P-521` (`EC`) and `Ed25519` (`OKP`)")]
    Curve,
    /// The key is for something else.
    #[error("it is not for verifying signatures (`use` or `key_ops`)")]
    Use,
    /// `alg` does not go with the key.
    #[error("`alg` names no signature algorithm that such a key works with")]
    Algorithm,
    /// An RSA key outside of 2048 to 8192 bits.
    #[error("an RSA key has 2048 to 8192 bits, this one has {bits}")]
    RsaBits {
        /// Bits of the modulus.
        bits: usize,
    },
    /// A symmetric key that is too short.
    #[error("a key for HMAC has at least {at_least} bytes, this one has {bytes}")]
    HmacBytes {
        /// Its bytes.
        bytes: usize,
        /// What its algorithm, or the shortest one, asks for.
        at_least: usize,
    },
    /// A symmetric key beside public ones, from a URL.
    #[error("a symmetric key is not used beside public keys from a URL")]
    Mixed,
}

type Members = BTreeMap<String, Json>;

impl Key {
    /// Reads one JWK. Members that are not for verifying (`d`, `x5c`, ...) are left alone.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn from_jwk(jwk: &Json) -> Result<Self, KeyError> {
        let members = jwk.as_object().ok_or(KeyError::NotAnObject)?;
        let kind = required(members, "kty")?;
        check_use(members)?;
        let material = match kind {
            "RSA" => rsa(members)?,
            "EC" => elliptic(members)?,
            "OKP" => octet_pair(members)?,
            "oct" => symmetric(members)?,
            _ => return Err(KeyError::Kind),
        };
        let algorithm = match optional(members, "alg")? {
            None => None,
            Some(name) => Some(Algorithm::named(name).ok_or(KeyError::Algorithm)?),
        };
        let kid = optional(members, "kid")?.map(str::to_owned);
        let key = Self { kid, algorithm, material };
        match algorithm {
            Some(algorithm) if !key.material.goes_with(algorithm) => Err(key.material.mismatch(algorithm)),
            _ => Ok(key),
        }
    }

    /// Its name.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether it may verify signatures of `algorithm`: by its type, its size, and its own `alg`.
    pub fn fits(&self, algorithm: Algorithm) -> bool {
        self.algorithm.is_none_or(|own| own == algorithm) && self.material.goes_with(algorithm)
    }

    /// Whether it is the same key under the same name, whatever else a set says of it.
    pub fn is(&self, other: &Self) -> bool {
        self.kid == other.kid && self.material == other.material
    }

    pub(super) fn material(&self) -> &Material {
        &self.material
    }

    /// Whether a token may be of either.
    fn is_mistaken_for(&self, other: &Self) -> bool {
        let is_of_both = |(_, algorithm): &(_, Algorithm)| self.fits(*algorithm) && other.fits(*algorithm);
        self.kid == other.kid && Algorithm::ALL.iter().any(is_of_both)
    }

    fn is_symmetric(&self) -> bool {
        matches!(self.material, Material::Hmac(_))
    }
}

#[cfg(test)]
impl Key {
    /// One of that name for HMAC, made of that byte.
    pub(super) fn of_tests(kid: &str, byte: u8) -> Arc<Self> {
        Arc::new(Self {
            kid: Some(kid.to_owned()),
            algorithm: None,
            material: Material::Hmac(vec![byte; 32]),
        })
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("kid", &self.kid).field("alg", &self.algorithm).finish_non_exhaustive()
    }
}

impl Material {
    fn goes_with(&self, algorithm: Algorithm) -> bool {
        use Algorithm as A;
        match self {
            Self::Rsa { .. } => {
                matches!(algorithm, A::Rs256 | A::Rs384 | A::Rs512 | A::Ps256 | A::Ps384 | A::Ps512)
            }
            Self::P256(_) => algorithm == A::Es256,
            Self::P384(_) => algorithm == A::Es384,
            Self::P521(_) => algorithm == A::Es512,
            Self::Ed25519(_) => algorithm == A::Ed25519,
            Self::Hmac(secret) => algorithm.hmac_bytes().is_some_and(|bytes| secret.len() >= bytes),
        }
    }

    /// Why it does not go with an algorithm.
    fn mismatch(&self, algorithm: Algorithm) -> KeyError {
        match (self, algorithm.hmac_bytes()) {
            (Self::Hmac(secret), Some(at_least)) => KeyError::HmacBytes { bytes: secret.len(), at_least },
            _ => KeyError::Algorithm,
        }
    }
}

fn optional<'j>(members: &'j Members, name: &'static str) -> Result<Option<&'j str>, KeyError> {
    match members.get(name) {
        None => Ok(None),
        Some(value) => value.as_str().map(Some).ok_or(KeyError::Type(name)),
    }
}

fn required<'j>(members: &'j Members, name: &'static str) -> Result<&'j str, KeyError> {
    optional(members, name).ok().flatten().ok_or(KeyError::Member(name))
}

fn decoded(members: &Members, name: &'static str) -> Result<Vec<u8>, KeyError> {
    URL_SAFE_NO_PAD.decode(required(members, name)?).map_err(|_| KeyError::Encoding(name))
}

/// A coordinate or a key, which always has all its bytes.
fn of_length(members: &Members, name: &'static str, bytes: usize) -> Result<Vec<u8>, KeyError> {
    Some(decoded(members, name)?).filter(|value| value.len() == bytes).ok_or(KeyError::Value(name))
}

fn check_use(members: &Members) -> Result<(), KeyError> {
    if optional(members, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(KeyError::Use);
    }
    let Some(operations) = members.get("key_ops") else { return Ok(()) };
    let operations = operations.as_list().ok_or(KeyError::Type("key_ops"))?;
    let is_ours = operations.iter().any(|operation| operation.as_str() == Some("verify"));
    if is_ours { Ok(()) } else { Err(KeyError::Use) }
}

fn rsa(members: &Members) -> Result<Material, KeyError> {
    let without_zeros = |mut number: Vec<u8>| {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        number.drain(..zeros);
        number
    };
    let n = without_zeros(decoded(members, "n")?);
    let e = without_zeros(decoded(members, "e")?);
    let leading = n.first().map_or(0, |first| first.leading_zeros());
    let bits = (n.len() * 8).saturating_sub(usize::try_from(leading).unwrap_or(0));
    if !(2048..=8192).contains(&bits) {
        return Err(KeyError::RsaBits { bits });
    }
    let is_odd = |number: &[u8]| number.last().is_some_and(|last| last % 2 == 1);
    if !is_odd(&n) {
        return Err(KeyError::Value("n"));
    }
    if !is_odd(&e) || e == [1] || e.len() > 4 {
        return Err(KeyError::Value("e"));
    }
    Ok(Material::Rsa { n, e })
}

fn elliptic(members: &Members) -> Result<Material, KeyError> {
    let curve = required(members, "crv")?;
    let bytes = match curve {
        "P-256" => 32,
        "P-384" => 48,
        "P-521" => 66,
        _ => return Err(KeyError::Curve),
    };
    let x = of_length(members, "x", bytes)?;
    let y = of_length(members, "y", bytes)?;
    let point = [&[4][..], &x, &y].concat();
    Ok(match curve {
        "P-256" => Material::P256(point),
        "P-384" => Material::P384(point),
        _ => {
            let key = p521::ecdsa::VerifyingKey::from_sec1_bytes(&point);
            Material::P521(Box::new(key.map_err(|_| KeyError::Value("x"))?))
        }
    })
}

fn octet_pair(members: &Members) -> Result<Material, KeyError> {
    match required(members, "crv")? {
        "Ed25519" => Ok(Material::Ed25519(of_length(members, "x", 32)?)),
        _ => Err(KeyError::Curve),
    }
}

fn symmetric(members: &Members) -> Result<Material, KeyError> {
    let secret = decoded(members, "k")?;
    if secret.len() < 32 {
        return Err(KeyError::HmacBytes { bytes: secret.len(), at_least: 32 });
    }
    Ok(Material::Hmac(secret))
}

/// Where a set of keys comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The configuration or a file: whoever runs the server wrote it.
    Own,
    /// A URL: others decide what is in it.
    Url,
}

/// The keys of one issuer.
#[derive(Debug, Default)]
pub struct KeySet {
    keys: Vec<Arc<Key>>,
    unused: Vec<Unused>,
}

/// An element of a set that is not used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("key {index}{}: {why}", .kid.as_ref().map(|kid| format!(" ({kid:?})")).unwrap_or_default())]
pub struct Unused {
    /// Its place in the set, from 0.
    pub index: usize,
    /// Its name.
    pub kid: Option<String>,
    /// What is wrong with it.
    pub why: KeyError,
}

/// Why a set of keys cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// Not a JWK set at all.
    #[error("is not a JWK set (a JSON object whose `keys` is a list)")]
    NotASet,
    /// No key in it can be used.
    #[error("has no key that can be used{}", .0.as_ref().map(|first| format!("; {first}")).unwrap_or_default())]
    NoKey(Option<Unused>),
    /// One of the keys that a configuration lists cannot be used.
    #[error("{0}")]
    Key(Unused),
    /// Two keys have one name, and go with the same algorithm: which of them has signed a token cannot be told.
    #[error(
        "keys {first} and {second} have the same `kid` ({kid:?}), so no token can say which of them has signed it"
    )]
    Twice {
        /// The name.
        kid: String,
        /// The places of both in the set, from 0.
        first: usize,
        /// The later one.
        second: usize,
    },
}

impl KeySet {
    /// Reads a JWK set (RFC 7517, section 5): the content of a file or the answer of a URL.
    ///
    /// Keys that cannot be used are left out, as that RFC asks, and told by [`unused`](Self::unused): sets of identity
    /// providers commonly hold keys for encryption too.
    ///
    /// A URL that answers with an empty list withdraws all keys, which is an answer like any other: no token is good then.
    ///
    /// # Errors
    /// If it is no set, or none of its keys can be used. An empty set of a file is a mistake of whoever wrote it, and so are
    /// two keys of one name that go with the same algorithm: tokens of such keys are refused, which is all that is done about
    /// them where others make the set.
    pub fn parse(text: &[u8], origin: Origin) -> Result<Self, KeySetError> {
        let json = Json::parse(text).ok_or(KeySetError::NotASet)?;
        let keys = json.as_object().and_then(|set| set.get("keys")).and_then(Json::as_list);
        let keys = keys.ok_or(KeySetError::NotASet)?;
        let set = Self::collect(keys, origin)?;
        if keys.is_empty() && origin == Origin::Url {
            return Ok(set);
        }
        if set.keys.is_empty() { Err(KeySetError::NoKey(set.unused.into_iter().next())) } else { Ok(set) }
    }

    /// Makes a set of the JWKs that a configuration lists, each of which has to be usable.
    ///
    /// # Errors
    /// The first key that is not, two that have one name, or that there is none.
    pub fn from_list(keys: &[Json]) -> Result<Self, KeySetError> {
        let mut set = Self::collect(keys, Origin::Own)?;
        match set.unused.pop() {
            Some(last) => Err(KeySetError::Key(set.unused.into_iter().next().unwrap_or(last))),
            None if set.keys.is_empty() => Err(KeySetError::NoKey(None)),
            None => Ok(set),
        }
    }

    fn collect(list: &[Json], origin: Origin) -> Result<Self, KeySetError> {
        let mut set = Self::default();
        let mut places = Vec::new();
        for (index, jwk) in list.iter().enumerate() {
            match Key::from_jwk(jwk) {
                Ok(key) if key.kid.is_some() => {
                    set.keys.push(Arc::new(key));
                    places.push(index);
                }
                Ok(_) => set.unused.push(Unused { index, kid: None, why: KeyError::Member("kid") }),
                Err(why) => {
                    let kid = jwk.as_object().and_then(|key| key.get("kid")).and_then(Json::as_str);
                    set.unused.push(Unused { index, kid: kid.map(str::to_owned), why });
                }
            }
        }
        if origin == Origin::Own {
            set.check_names(&places)?;
        }
        let has_public = set.keys.iter().any(|key| !key.is_symmetric());
        if origin == Origin::Url && has_public {
            let all = std::mem::take(&mut set.keys).into_iter();
            let (symmetric, public) = all.partition(|key| key.is_symmetric());
            set.keys = public;
            let mixed = |key: Arc<Key>| {
                let is_it = |jwk: &Json| {
                    jwk.as_object().and_then(|jwk| jwk.get("kid")).and_then(Json::as_str) == key.kid()
                };
                let index = list.iter().position(is_it).unwrap_or_default();
                Unused { index, kid: key.kid.clone(), why: KeyError::Mixed }
            };
            let symmetric: Vec<Arc<Key>> = symmetric;
            set.unused.extend(symmetric.into_iter().map(mixed));
        }
        Ok(set)
    }

    /// Refuses keys that no token can tell apart; `places` are those of the keys. Those of different types may have one name
    /// (RFC 7517, section 4.5).
    fn check_names(&self, places: &[usize]) -> Result<(), KeySetError> {
        let mut seen: Vec<(usize, &Key)> = Vec::new();
        for (second, key) in places.iter().copied().zip(&self.keys) {
            if let Some((first, _)) = seen.iter().find(|(_, other)| other.is_mistaken_for(key)) {
                let kid = key.kid.clone().unwrap_or_default();
                return Err(KeySetError::Twice { kid, first: *first, second });
            }
            seen.push((second, key));
        }
        Ok(())
    }

    /// The elements that are not used, and why.
    pub fn unused(&self) -> &[Unused] {
        &self.unused
    }

    /// The keys.
    pub fn keys(&self) -> &[Arc<Key>] {
        &self.keys
    }
}
