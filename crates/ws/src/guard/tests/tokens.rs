//! JWTs: vectors, claims, and everything that must not pass.

use super::*;
use crate::guard::signature::is_valid;
use crate::guard::token::Token;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

/// A second after the tokens of the file were issued; they expire after an hour.
const NOW_MS: u64 = 1_700_000_001_000;

fn file() -> Json {
    Json::parse(include_bytes!("tokens.json")).unwrap()
}

fn key_set(file: &Json) -> KeySet {
    KeySet::from_list(member(file, "keys").as_list().unwrap()).unwrap()
}

fn check_with(options: &JwtOptions, token: &str, now_ms: u64) -> Result<Session, TokenError> {
    options.check(&"staff".into(), token, &key_set(&file()), now_ms)
}

fn check(token: &str) -> Result<Session, TokenError> {
    check_with(&JwtOptions::default(), token, NOW_MS)
}

/// A token with any header and claims, signed with the symmetric key of the file.
fn hs256(header: &str, claims: &str) -> String {
    let file = file();
    let keys = member(&file, "keys").as_list().unwrap();
    let oct = keys.iter().find(|key| text(key, "kid") == "oct").unwrap();
    hs256_with(&URL_SAFE_NO_PAD.decode(text(oct, "k")).unwrap(), header, claims)
}

fn hs256_with(secret: &[u8], header: &str, claims: &str) -> String {
    let signed = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, signed.as_bytes())))
}

const HS256: &str = r#"{"alg":"HS256","kid":"oct"}"#;

/// The examples of RFC 7515 (appendix A), RFC 7520 (section 4) and RFC 8037 (appendix A).
#[test]
fn signatures_of_the_rfcs() {
    let vectors = Json::parse(include_bytes!("rfc.json")).unwrap();
    for vector in vectors.as_list().unwrap() {
        let source = text(vector, "source");
        let key = Key::from_jwk(member(vector, "key")).unwrap();
        let token = Token::parse(text(vector, "token")).unwrap();
        let algorithm = token.algorithm().unwrap();
        assert!(source.ends_with(&algorithm.to_string()) || algorithm == Algorithm::Ed25519, "{source}");
        let verify =
            |message: &str, signature: &[u8]| is_valid(algorithm, &key, message.as_bytes(), signature);
        assert!(verify(token.signed, &token.signature), "{source}");
        assert!(!verify(&token.signed[1..], &token.signature), "{source}: other text");
        assert!(!verify(token.signed, &token.signature[1..]), "{source}: signature cut short");
        assert!(!verify(token.signed, &[]), "{source}: no signature");
        assert!(!verify(token.signed, &vec![0; token.signature.len()]), "{source}: zeros");
        for at in (0..token.signature.len()).step_by(13) {
            let mut signature = token.signature.clone();
            signature[at] ^= 1;
            assert!(!verify(token.signed, &signature), "{source}: byte {at} of the signature");
        }
        for (_, other) in Algorithm::ALL.iter().filter(|(_, other)| *other != algorithm) {
            assert!(
                !is_valid(*other, &key, token.signed.as_bytes(), &token.signature),
                "{source} as {other}"
            );
        }
    }
}

/// RFC 7515, A.2 and A.3: the claims of RFC 7519, section 3.1, which expired in 2011.
#[test]
fn claims_of_the_rfcs() {
    let vectors = Json::parse(include_bytes!("rfc.json")).unwrap();
    for vector in vectors.as_list().unwrap().iter().filter(|vector| {
        ["A.1 HS256", "A.2 RS256", "A.3 ES256"].iter().any(|name| text(vector, "source").ends_with(name))
    }) {
        let mut jwk = member(vector, "key").as_object().unwrap().clone();
        jwk.insert("kid".into(), Json::Text("one".into()));
        let keys = KeySet::from_list(&[Json::Object(jwk)]).unwrap();
        let attributes = vec![("root".to_owned(), "http://example.com/is_root".to_owned())];
        let options = JwtOptions {
            issuer: Some("joe".into()),
            identity: "iss".into(),
            attributes,
            ..Default::default()
        };
        let check = |now_ms| options.check(&"staff".into(), text(vector, "token"), &keys, now_ms);
        let session = check(1_300_819_379_999).unwrap();
        assert_eq!(session.identity.as_deref(), Some("joe"));
        assert_eq!(session.attributes, [("root".to_owned(), Json::Bool(true))]);
        assert_eq!(session.expires_at_ms, Some(1_300_819_380_000));
        assert_eq!(check(1_300_819_380_000), Err(TokenError::Expired));
    }
}

#[test]
fn tokens_of_another_implementation() {
    let file = file();
    let options = JwtOptions {
        issuer: Some("https://id.plant.example".into()),
        audience: vec!["https://edge.plant.example".into()],
        attributes: vec![("site".into(), "site".into()), ("none".into(), "nothing.here".into())],
        challenge_ms: Some(60_000),
        ..JwtOptions::default()
    };
    let tokens = member(&file, "algorithms").as_object().unwrap();
    assert_eq!(tokens.len(), 13);
    for (name, token) in tokens {
        let token = token.as_str().unwrap();
        let session = check_with(&options, token, NOW_MS).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(session.identity.as_deref(), Some("press-7"), "{name}");
        assert_eq!(session.roles, ["orders:read", "orders:write"]);
        assert_eq!(session.attributes, [("site".to_owned(), Json::Text("north".into()))]);
        assert_eq!(session.expires_at_ms, Some(1_700_003_600_000));
        assert_eq!(session.challenge_at_ms, Some(1_700_003_540_000));
        let only = |names: &[&str]| JwtOptions {
            algorithms: Some(names.iter().map(|name| Algorithm::named(name).unwrap()).collect()),
            ..options.clone()
        };
        assert!(check_with(&only(&[name]), token, NOW_MS).is_ok());
        let others: Vec<&str> = tokens.keys().map(String::as_str).filter(|other| other != name).collect();
        assert_eq!(check_with(&only(&others), token, NOW_MS), Err(TokenError::Algorithm), "{name}");
        // Cut short, or with a letter more: never a panic, never accepted.
        for at in (0..token.len()).step_by(3) {
            let (before, behind) = token.split_at(at);
            assert!(check_with(&options, before, NOW_MS).is_err());
            assert!(check_with(&options, &format!("{before}A{behind}"), NOW_MS).is_err());
        }
        assert!(check_with(&options, &format!("{token}="), NOW_MS).is_err());
        assert!(check_with(&options, &format!("{token}."), NOW_MS).is_err());
        assert!(check_with(&options, &format!(" {token}"), NOW_MS).is_err());
    }
}

#[test]
fn the_key_is_found_by_its_name() {
    let file = file();
    assert_eq!(check(text(&file, "unknown_kid")), Err(TokenError::UnknownKey));
    let no_kid = member(&file, "no_kid");
    // Only one key of the set fits, whichever of its three algorithms an RSA key is used with.
    for name in ["ES256", "RS256"] {
        assert!(check(text(no_kid, name)).is_ok(), "{name}");
    }
    let keys = member(&file, "keys").as_list().unwrap();
    let p256 = keys.iter().find(|key| text(key, "kid") == "p256").unwrap();
    let mut second = p256.as_object().unwrap().clone();
    second.insert("kid".into(), Json::Text("second".into()));
    let check_in = |keys: &[Json], token: &str| {
        JwtOptions::default().check(&"g".into(), token, &KeySet::from_list(keys).unwrap(), NOW_MS)
    };
    let two = [p256.clone(), Json::Object(second)];
    assert_eq!(check_in(&two, text(no_kid, "ES256")), Err(TokenError::NoKid), "two keys fit");
    assert_eq!(check_in(&two, text(no_kid, "RS256")), Err(TokenError::NoKid), "no key fits");
    // Others may make such a set.
    let (x, y) = (text(p256, "x"), text(p256, "y"));
    let p256 = format!(r#"{{"kty":"EC","crv":"P-256","kid":"p256","x":"{x}","y":"{y}"}}"#);
    let twice = format!(r#"{{"keys":[{p256},{p256}]}}"#);
    let twice = KeySet::parse(twice.as_bytes(), Origin::Url).unwrap();
    let token = text(member(&file, "algorithms"), "ES256");
    let checked = JwtOptions::default().check(&"g".into(), token, &twice, NOW_MS);
    assert_eq!(checked, Err(TokenError::NoKid));
    assert!(check(&hs256(r#"{"alg":"HS256"}"#, "{}")).is_ok());
    assert_eq!(check(&hs256(r#"{"alg":"HS256","kid":7}"#, "{}")), Err(TokenError::Malformed));
    assert_eq!(check(&hs256(r#"{"alg":"HS256","kid":null}"#, "{}")), Err(TokenError::Malformed));
    assert_eq!(check(&hs256(r#"{"alg":"HS256","kid":""}"#, "{}")), Err(TokenError::UnknownKey));
}

#[test]
fn an_algorithm_is_never_used_with_a_key_of_another_kind() {
    let file = file();
    for key in member(&file, "keys").as_list().unwrap() {
        let kid = text(key, "kid");
        // The public part of each key, in every form that an attacker has it, as the secret of an HMAC.
        let parts = ["n", "x", "y", "e"].iter().filter_map(|name| key.as_object()?.get(*name)?.as_str());
        for part in parts {
            let header = format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#);
            for secret in [part.as_bytes(), &URL_SAFE_NO_PAD.decode(part).unwrap()] {
                assert_eq!(check(&hs256_with(secret, &header, "{}")), Err(TokenError::KeyMismatch), "{kid}");
            }
        }
        for (_, algorithm) in Algorithm::ALL {
            let fits = Key::from_jwk(key).unwrap().fits(*algorithm);
            let header = format!(r#"{{"alg":"{algorithm}","kid":"{kid}"}}"#);
            let expected = if fits { TokenError::Signature } else { TokenError::KeyMismatch };
            assert_eq!(check(&hs256_with(b"x", &header, "{}")), Err(expected), "{kid} {algorithm}");
        }
    }
}

#[test]
fn none_is_no_algorithm() {
    let claims = URL_SAFE_NO_PAD.encode("{}");
    for spelling in 0..16 {
        let none: String = "none"
            .chars()
            .enumerate()
            .map(|(at, c)| if spelling >> at & 1 == 1 { c.to_ascii_uppercase() } else { c })
            .collect();
        for header in [
            format!(r#"{{"alg":"{none}"}}"#),
            format!(r#"{{"alg":"{none}","kid":"oct"}}"#),
            format!(r#"{{"alg":"\u006eone","kid":"oct","x":"{none}"}}"#),
        ] {
            let signed = format!("{}.{claims}", URL_SAFE_NO_PAD.encode(&header));
            for signature in ["", "AA"] {
                let token = format!("{signed}.{signature}");
                assert_eq!(check(&token), Err(TokenError::Algorithm), "{header}");
            }
            assert_eq!(check(&hs256(&header, "{}")), Err(TokenError::Algorithm), "{header}");
        }
    }
}

#[test]
fn headers_are_read_strictly() {
    let file = file();
    assert!(check(text(&file, "ignored_headers")).is_ok());
    assert_eq!(check(text(&file, "crit")), Err(TokenError::Critical));
    for (header, error) in [
        (r#"{"alg":"HS256","kid":"oct","crit":[]}"#, TokenError::Critical),
        (r#"{"alg":"HS256","kid":"oct","crit":["b64"],"b64":false}"#, TokenError::Critical),
        (r#"{"alg":"HS256","kid":"oct","crit":null}"#, TokenError::Critical),
        (r#"{"alg":"hs256","kid":"oct"}"#, TokenError::Algorithm),
        (r#"{"alg":"HS256 ","kid":"oct"}"#, TokenError::Algorithm),
        (r#"{"alg":["HS256"],"kid":"oct"}"#, TokenError::Algorithm),
        (r#"{"alg":null,"kid":"oct"}"#, TokenError::Algorithm),
        (r#"{"kid":"oct"}"#, TokenError::Algorithm),
        (r#"{"alg":"HS256","alg":"HS256","kid":"oct"}"#, TokenError::Malformed),
        (r#"{"alg":"none","alg":"HS256","kid":"oct"}"#, TokenError::Malformed),
        (r#"["HS256"]"#, TokenError::Malformed),
        ("\"HS256\"", TokenError::Malformed),
        ("", TokenError::Malformed),
        ("{", TokenError::Malformed),
    ] {
        assert_eq!(check(&hs256(header, "{}")), Err(error), "{header}");
    }
    // Of two things that are wrong, the one that is checked first is told.
    let expired = r#"{"exp":1}"#;
    assert_eq!(check(&hs256(r#"{"alg":"none","crit":1}"#, expired)), Err(TokenError::Algorithm));
    assert_eq!(check(&hs256(r#"{"alg":"HS256","kid":"x","crit":1}"#, expired)), Err(TokenError::Critical));
    assert_eq!(check(&hs256(r#"{"alg":"HS256","kid":"x"}"#, expired)), Err(TokenError::UnknownKey));
    assert_eq!(check(&hs256_with(b"x", HS256, expired)), Err(TokenError::Signature));
    assert_eq!(check(&hs256_with(b"x", HS256, "[]")), Err(TokenError::Malformed));
    let strict = JwtOptions { issuer: Some("a".into()), audience: vec!["b".into()], ..JwtOptions::default() };
    assert_eq!(check_with(&strict, &hs256(HS256, expired), NOW_MS), Err(TokenError::Expired));
    assert_eq!(check_with(&strict, &hs256(HS256, "{}"), NOW_MS), Err(TokenError::Issuer));
    assert_eq!(check_with(&strict, &hs256(HS256, r#"{"iss":"a"}"#), NOW_MS), Err(TokenError::Audience));
}

#[test]
fn shapes_that_are_no_tokens() {
    let good = hs256(HS256, "{}");
    let parts: Vec<&str> = good.split('.').collect();
    let (header, claims, signature) = (parts[0], parts[1], parts[2]);
    assert!(check(&good).is_ok());
    for bad in [
        String::new(),
        ".".into(),
        "..".into(),
        "...".into(),
        format!("{header}.{claims}"),
        format!("{good}.{signature}"),
        format!("{header}..{signature}"),
        format!("{header}.{claims}=.{signature}"),
        format!("{header}.{claims}\n.{signature}"),
        format!("{header}.{claims}.{signature}=="),
        format!("{header}.{claims}.+/{signature}"),
        format!("{header}.{claims}.é"),
        // The same bytes in other letters: bits beyond the last byte are set.
        format!("{header}.e31.{signature}"),
    ] {
        assert_eq!(check(&bad), Err(TokenError::Malformed), "{bad}");
    }
    assert_eq!(check(&format!("{header}.{claims}.")), Err(TokenError::Signature));
    for claims in ["[]", "1", "\"x\"", "null", "", "{}{}", r#"{"a":1,"a":2}"#, r#"{"exp":1e999}"#] {
        assert_eq!(check(&hs256(HS256, claims)), Err(TokenError::Malformed), "{claims}");
    }
    let deep = JwtOptions { max_token_bytes: 1 << 20, ..JwtOptions::default() };
    let nested = format!(r#"{{"a":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    assert_eq!(check_with(&deep, &hs256(HS256, &nested), NOW_MS), Err(TokenError::Malformed));
    let long = hs256(HS256, &format!(r#"{{"a":"{}"}}"#, "a".repeat(8192)));
    assert_eq!(check(&long), Err(TokenError::TooLong));
    assert!(check_with(&deep, &long, NOW_MS).is_ok());
    let exact = JwtOptions { max_token_bytes: good.len(), ..JwtOptions::default() };
    assert!(check_with(&exact, &good, NOW_MS).is_ok());
    let less = JwtOptions { max_token_bytes: good.len() - 1, ..JwtOptions::default() };
    assert_eq!(check_with(&less, &good, NOW_MS), Err(TokenError::TooLong));
}

#[test]
fn times_are_checked_with_leeway() {
    let file = file();
    let token = text(member(&file, "algorithms"), "HS256");
    let leeway = |leeway_ms| JwtOptions { leeway_ms, ..JwtOptions::default() };
    assert_eq!(check_with(&leeway(0), token, 1_699_999_999_999), Err(TokenError::NotYet));
    assert!(check_with(&leeway(0), token, 1_700_000_000_000).is_ok());
    assert!(check_with(&leeway(1), token, 1_699_999_999_999).is_ok());
    assert!(check_with(&leeway(0), token, 1_700_003_599_999).is_ok());
    assert_eq!(check_with(&leeway(0), token, 1_700_003_600_000), Err(TokenError::Expired));
    let late = check_with(&leeway(1000), token, 1_700_003_600_999).unwrap();
    assert_eq!(late.expires_at_ms, Some(1_700_003_601_000));
    assert_eq!(check_with(&leeway(1000), token, 1_700_003_601_000), Err(TokenError::Expired));

    let fractions = text(&file, "fractions");
    assert_eq!(check_with(&leeway(0), fractions, 1_700_000_000_249), Err(TokenError::NotYet));
    assert!(check_with(&leeway(0), fractions, 1_700_000_000_250).is_ok());
    assert_eq!(check_with(&leeway(0), fractions, 1_700_000_001_500), Err(TokenError::Expired));

    assert_eq!(check(text(&file, "forever")).unwrap().expires_at_ms, None);
    let require_exp = JwtOptions { require_exp: true, ..JwtOptions::default() };
    assert_eq!(check_with(&require_exp, text(&file, "forever"), NOW_MS), Err(TokenError::NoExpiry));
    assert_eq!(check(text(&file, "text_expiry")), Err(TokenError::Claim));
    let with = |claims: &str| check(&hs256(HS256, claims)).map(|session| session.expires_at_ms);
    assert_eq!(with(r#"{"exp":null}"#), Err(TokenError::Claim));
    assert_eq!(with(r#"{"exp":-1}"#), Err(TokenError::Expired));
    assert_eq!(with(r#"{"exp":-1e300}"#), Err(TokenError::Expired));
    assert_eq!(with(r#"{"exp":1e300}"#), Ok(Some(u64::MAX)));
    assert_eq!(with(r#"{"exp":18446744073709551615}"#), Ok(Some(u64::MAX)));
    assert_eq!(with(r#"{"nbf":1e300}"#), Err(TokenError::NotYet));
    assert_eq!(with(r#"{"iat":1700000002}"#), Err(TokenError::NotYet));
    assert_eq!(with(r#"{"nbf":true}"#), Err(TokenError::Claim));
}

#[test]
fn issuer_and_audience_have_to_be_ours() {
    let options = |issuer: Option<&str>, audience: &[&str]| JwtOptions {
        issuer: issuer.map(str::to_owned),
        audience: audience.iter().map(|audience| (*audience).to_owned()).collect(),
        ..JwtOptions::default()
    };
    let check = |options: JwtOptions, claims: &str| check_with(&options, &hs256(HS256, claims), NOW_MS).err();
    assert_eq!(check(options(Some("a"), &[]), r#"{"iss":"a"}"#), None);
    for claims in [r#"{"iss":"A"}"#, r#"{"iss":"a/"}"#, r#"{"iss":["a"]}"#, r#"{"iss":null}"#, "{}"] {
        assert_eq!(check(options(Some("a"), &[]), claims), Some(TokenError::Issuer), "{claims}");
    }
    for claims in [r#"{"aud":"a"}"#, r#"{"aud":["x","b"]}"#, r#"{"aud":[1,"a"]}"#] {
        assert_eq!(check(options(None, &["a", "b"]), claims), None, "{claims}");
    }
    for claims in [r#"{"aud":"c"}"#, r#"{"aud":[]}"#, r#"{"aud":{"a":1}}"#, r#"{"aud":[["a"]]}"#, "{}"] {
        assert_eq!(check(options(None, &["a", "b"]), claims), Some(TokenError::Audience), "{claims}");
    }
}

#[test]
fn a_session_knows_the_key_that_vouches_for_it() {
    let session = check(&hs256(HS256, "{}")).unwrap();
    let [vouching] = session.keys.as_slice() else { panic!("{:?}", session.keys) };
    assert_eq!((&*vouching.guard, vouching.key.kid()), ("staff", Some("oct")));
    let one = Key::of_tests("oct", b'1');
    assert!(one.is(&Key::of_tests("oct", b'1')) && !one.is(&vouching.key));
    assert!(!one.is(&Key::of_tests("oct", b'2')) && !one.is(&Key::of_tests("tco", b'1')));
}

/// What is wrong with a token whose key is known says more than that its key is not known.
#[test]
fn errors_tell_whether_a_key_has_signed() {
    let wrong = |header: &str, claims: &str| {
        let options =
            JwtOptions { issuer: Some("us".into()), audience: vec!["us".into()], ..JwtOptions::default() };
        check_with(&options, &hs256(header, claims), NOW_MS).unwrap_err()
    };
    let unknown = wrong(r#"{"alg":"HS256","kid":"x"}"#, "{}");
    let forged = hs256_with(&[7; 32], HS256, "{}");
    let unsigned = [TokenError::TooLong, TokenError::Malformed, unknown, check(&forged).unwrap_err()];
    assert_eq!(unsigned[2..], [TokenError::UnknownKey, TokenError::Signature]);
    assert!(unsigned.is_sorted() && unsigned.iter().all(|error| !error.is_signed()));
    let signed = [
        wrong(HS256, r#"{"nbf":99999999999}"#),
        wrong(HS256, r#"{"exp":1}"#),
        wrong(HS256, "{}"),
        wrong(HS256, r#"{"iss":"us"}"#),
        wrong(HS256, r#"{"iss":"us","aud":"us","sub":1}"#),
    ];
    assert_eq!(
        signed,
        [
            TokenError::NotYet,
            TokenError::Expired,
            TokenError::Issuer,
            TokenError::Audience,
            TokenError::Claim
        ]
    );
    assert!(signed.is_sorted() && signed.iter().all(|error| error.is_signed()));
}

#[test]
fn identity_and_roles_come_from_claims() {
    let file = file();
    let roles = |path: &str, claims: &str| {
        let options = JwtOptions { roles: path.into(), ..JwtOptions::default() };
        check_with(&options, &hs256(HS256, claims), NOW_MS).map(|session| session.roles)
    };
    let ok = |roles: &[&str]| Ok(roles.iter().map(|role| (*role).to_owned()).collect::<Vec<_>>());
    let nested = JwtOptions { roles: "realm_access.roles".into(), ..JwtOptions::default() };
    let session = check_with(&nested, text(member(&file, "algorithms"), "ES256"), NOW_MS).unwrap();
    assert_eq!(session.roles, ["operator", "viewer"]);
    assert_eq!(roles("scope", r#"{"scope":"  a  b "}"#), ok(&["a", "b"]));
    assert_eq!(roles("scope", r#"{"scope":["a b","c"]}"#), ok(&["a b", "c"]));
    assert_eq!(roles("scope", "{}"), ok(&[]));
    assert_eq!(roles("a.b", r#"{"a":{"b":"x"},"a.b":"y"}"#), ok(&["y"]));
    assert_eq!(check(text(&file, "roles_of_numbers")), Err(TokenError::Claim));
    assert_eq!(roles("scope", r#"{"scope":{"a":1}}"#), Err(TokenError::Claim));
    assert_eq!(check(text(&file, "no_claims")).unwrap().identity, None);
    for claims in [r#"{"sub":1}"#, r#"{"sub":""}"#, r#"{"sub":null}"#] {
        assert_eq!(check(&hs256(HS256, claims)), Err(TokenError::Claim), "{claims}");
    }
}
