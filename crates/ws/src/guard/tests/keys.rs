//! JWKs and sets of them.

use super::*;

fn parse(text: &str) -> Result<Key, KeyError> {
    Key::from_jwk(&Json::parse(text.as_bytes()).unwrap())
}

fn b64(bytes: usize, last: u8) -> String {
    use base64::Engine as _;
    let mut number = vec![0xff; bytes];
    number[bytes - 1] = last;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(number)
}

fn rsa(n: &str, e: &str, more: &str) -> String {
    format!(r#"{{"kty":"RSA","kid":"r","n":"{n}","e":"{e}"{more}}}"#)
}

fn oct(bytes: usize, more: &str) -> String {
    format!(r#"{{"kty":"oct","kid":"o","k":"{}"{more}}}"#, b64(bytes, 1))
}

#[test]
fn rsa_keys_have_their_size() {
    assert!(parse(&rsa(&b64(256, 1), "AQAB", "")).is_ok());
    assert!(parse(&rsa(&b64(1024, 1), "Aw", "")).is_ok());
    // Some write a zero in front.
    assert!(parse(&rsa(&format!("AP__{}", b64(256, 1)), "AAEAAQ", "")).is_ok());
    assert_eq!(parse(&rsa(&b64(255, 1), "AQAB", "")).err(), Some(KeyError::RsaBits { bits: 2040 }));
    assert_eq!(parse(&rsa(&b64(1025, 1), "AQAB", "")).err(), Some(KeyError::RsaBits { bits: 8200 }));
    assert_eq!(parse(&rsa("", "AQAB", "")).err(), Some(KeyError::RsaBits { bits: 0 }));
    assert_eq!(parse(&rsa(&b64(256, 2), "AQAB", "")).err(), Some(KeyError::Value("n")));
    for e in ["AQ", "Ag", "", "AA", "AQAAAAE"] {
        assert_eq!(parse(&rsa(&b64(256, 1), e, "")).err(), Some(KeyError::Value("e")), "{e}");
    }
    assert_eq!(parse(&rsa("a+b", "AQAB", "")).err(), Some(KeyError::Encoding("n")));
    assert_eq!(parse(r#"{"kty":"RSA","n":1,"e":"AQAB"}"#).err(), Some(KeyError::Member("n")));
}

#[test]
fn symmetric_keys_are_as_long_as_the_hash() {
    assert_eq!(parse(&oct(31, "")).err(), Some(KeyError::HmacBytes { bytes: 31, at_least: 32 }));
    let key = parse(&oct(48, "")).unwrap();
    assert!(key.fits(Algorithm::Hs256) && key.fits(Algorithm::Hs384) && !key.fits(Algorithm::Hs512));
    let too_short = KeyError::HmacBytes { bytes: 48, at_least: 64 };
    assert_eq!(parse(&oct(48, r#","alg":"HS512""#)).err(), Some(too_short));
    let narrowed = parse(&oct(64, r#","alg":"HS512""#)).unwrap();
    assert!(narrowed.fits(Algorithm::Hs512) && !narrowed.fits(Algorithm::Hs256));
}

#[test]
fn points_are_whole() {
    let ec = |curve: &str, x: &str, y: &str| format!(r#"{{"kty":"EC","crv":"{curve}","x":"{x}","y":"{y}"}}"#);
    let (x, y) = (b64(32, 1), b64(32, 1));
    assert!(parse(&ec("P-256", &x, &y)).is_ok());
    assert_eq!(parse(&ec("P-384", &x, &y)).err(), Some(KeyError::Value("x")));
    assert_eq!(parse(&ec("P-256", &x, &b64(31, 1))).err(), Some(KeyError::Value("y")));
    assert_eq!(parse(&ec("P-521", &b64(66, 1), &b64(66, 1))).err(), Some(KeyError::Value("x")));
    assert_eq!(parse(&ec("secp256k1", &x, &y)).err(), Some(KeyError::Curve));
    assert_eq!(parse(&format!(r#"{{"kty":"OKP","crv":"X25519","x":"{x}"}}"#)).err(), Some(KeyError::Curve));
    assert_eq!(parse(r#"{"kty":"OKP","crv":"Ed25519","x":"AA"}"#).err(), Some(KeyError::Value("x")));
}

#[test]
fn keys_for_something_else_are_refused() {
    let with = |more: &str| parse(&oct(32, more)).err();
    assert_eq!(with(r#","use":"sig","key_ops":["sign","verify"]"#), None);
    assert_eq!(with(r#","use":"enc""#), Some(KeyError::Use));
    assert_eq!(with(r#","use":7"#), Some(KeyError::Type("use")));
    assert_eq!(with(r#","key_ops":["sign"]"#), Some(KeyError::Use));
    assert_eq!(with(r#","key_ops":"verify""#), Some(KeyError::Type("key_ops")));
    for alg in ["none", "RS256", "ES256", "A128KW", "hs256"] {
        assert_eq!(with(&format!(r#","alg":"{alg}""#)), Some(KeyError::Algorithm), "{alg}");
    }
    assert_eq!(with(r#","alg":1"#), Some(KeyError::Type("alg")));
    assert_eq!(with(r#","kid2":1"#), None);
    assert_eq!(parse(r#"{"kty":"rsa"}"#).err(), Some(KeyError::Kind));
    assert_eq!(parse("{}").err(), Some(KeyError::Member("kty")));
    assert_eq!(parse("[]").err(), Some(KeyError::NotAnObject));
}

#[test]
fn sets_leave_out_what_they_cannot_use() {
    let set = |keys: &[String], origin| {
        KeySet::parse(format!(r#"{{"keys":[{}],"more":1}}"#, keys.join(",")).as_bytes(), origin)
    };
    let good = rsa(&b64(256, 1), "AQAB", "");
    let encryption = rsa(&b64(256, 1), "AQAB", r#","use":"enc""#);
    let nameless = good.replace(r#""kid":"r","#, "");
    let found = set(&[encryption.clone(), nameless, good.clone(), "7".into()], Origin::Url).unwrap();
    assert_eq!(found.keys().len(), 1);
    let why: Vec<String> = found.unused().iter().map(ToString::to_string).collect();
    assert_eq!(
        why,
        [
            r#"key 0 ("r"): it is not for verifying signatures (`use` or `key_ops`)"#,
            "key 1: `kid` is missing or not a string",
            "key 3: is not a JSON object",
        ]
    );
    let error = set(&[encryption], Origin::Own).unwrap_err().to_string();
    assert!(error.starts_with("has no key that can be used; key 0"), "{error}");
    assert_eq!(set(&[], Origin::Own).unwrap_err(), KeySetError::NoKey(None));
    assert!(set(&[], Origin::Url).unwrap().keys().is_empty(), "all keys are withdrawn");
    assert!(set(&["7".into()], Origin::Url).is_err());
    for text in ["", "[]", "{}", r#"{"keys":{}}"#, "<html>", r#"{"keys":[],"keys":[]}"#] {
        assert_eq!(KeySet::parse(text.as_bytes(), Origin::Url).unwrap_err(), KeySetError::NotASet, "{text}");
    }
    // A URL that gives public keys gives no secrets.
    let both = [oct(32, ""), good];
    let from_url = set(&both, Origin::Url).unwrap();
    assert_eq!(from_url.keys().iter().map(|key| key.kid()).collect::<Vec<_>>(), [Some("r")]);
    assert_eq!(from_url.unused()[0].why, KeyError::Mixed);
    assert_eq!(from_url.unused()[0].index, 0);
    assert_eq!(set(&both, Origin::Own).unwrap().keys().len(), 2);
    assert_eq!(set(&both[..1], Origin::Url).unwrap().keys().len(), 1);
}

#[test]
fn keys_that_no_token_can_tell_apart_are_refused_where_somebody_has_written_them() {
    let own = |keys: &[String]| {
        KeySet::from_list(&keys.iter().map(|key| Json::parse(key.as_bytes()).unwrap()).collect::<Vec<_>>())
    };
    let set = |keys: &[String]| format!(r#"{{"keys":[{}]}}"#, keys.join(","));
    let named = |name: &str, more: &str| oct(64, more).replace(r#""kid":"o""#, &format!(r#""kid":"{name}""#));
    let twice =
        [named("a", ""), named("b", ""), rsa(&b64(256, 1), "AQAB", ""), named("b", r#","alg":"HS512""#)];
    let error = KeySetError::Twice { kid: "b".to_owned(), first: 1, second: 3 };
    assert_eq!(own(&twice).unwrap_err(), error);
    assert!(error.to_string().starts_with("keys 1 and 3 have the same `kid` (\"b\")"), "{error}");
    // One that cannot be used counts where it stands.
    let in_a_file = [vec!["7".to_owned()], twice.to_vec()].concat();
    let error = KeySet::parse(set(&in_a_file).as_bytes(), Origin::Own).unwrap_err();
    assert_eq!(error, KeySetError::Twice { kid: "b".to_owned(), first: 2, second: 4 });
    assert!(KeySet::parse(set(&twice).as_bytes(), Origin::Url).is_ok(), "others have made that");
    // These are told apart by the algorithm of the token.
    let apart = [
        rsa(&b64(256, 1), "AQAB", r#","alg":"RS256""#),
        rsa(&b64(256, 1), "AQAB", r#","alg":"PS256""#),
        named("r", ""),
    ];
    assert_eq!(own(&apart).unwrap().keys().len(), 3);
}

#[test]
fn no_key_is_shown() {
    let secret = b64(32, 1);
    let key = parse(&oct(32, "")).unwrap();
    let shown = format!("{key:?}");
    assert!(shown.contains("\"o\"") && !shown.contains(&secret[..8]), "{shown}");
    let set = KeySet::from_list(&[Json::parse(oct(32, "").as_bytes()).unwrap()]).unwrap();
    assert!(!format!("{set:?}").contains(&secret[..8]));
    assert!(!format!("{set:?}").contains("255"));
}
