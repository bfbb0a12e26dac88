//! What the options of guards do, through the whole server.

use super::{
    keys::{answer, key_server, key_server_at},
    sessions::{ends_in, frame, in_seconds, next_told, renewal, telling_server},
    *,
};

#[tokio::test]
async fn tokens_are_checked_as_their_guard_says() {
    let over = format!(r#"{{"sub":"ann","scope":"read","exp":{:.3}}}"#, in_seconds(-1000.0));
    let elsewhere = r#"{"sub":"ann","plant":{"roles":["read"]}}"#;
    let plain = r#"{"sub":"ann","scope":"read"}"#;
    for (options, claims, status) in [
        ("", plain, 101),
        (r#", "require_exp": true"#, plain, 401),
        (r#", "max_token_size": 60"#, plain, 401),
        (r#", "max_token_size": 1000"#, plain, 101),
        ("", over.as_str(), 401),
        (r#", "leeway": 2000"#, over.as_str(), 101),
        ("", elsewhere, 403),
        (r#", "roles": "plant.roles""#, elsewhere, 101),
        (r#", "roles": "plant.roles""#, plain, 403),
        (r#", "algorithms": ["HS256"]"#, plain, 101),
    ] {
        let (_subject, port) = server(&jwt_guard(options), r#"{"staff": ["read"]}"#, "").await;
        assert_eq!(self::status(&port, &bearer(&token("one", claims))).await, status, "{options} {claims}");
    }
    let (mut subject, port) =
        server(&jwt_guard(r#", "identity": "mail.first""#), r#"{"staff": []}"#, "").await;
    let (_, _, mut tcp) =
        ask(&port, "/", &bearer(&token("one", r#"{"sub":"a","mail":{"first":"b"}}"#))).await;
    let (_, shown) = metadata(&mut subject, &mut tcp).await;
    assert_eq!(shown.get("identity"), Some(&"b".into()));
}

#[tokio::test]
async fn a_guard_may_allow_less_than_its_keys() {
    let key = format!(r#"{{"kty":"oct","kid":"one","k":"{}"}}"#, URL_SAFE_NO_PAD.encode(SECRET.repeat(2)));
    let signed = {
        let signed = format!(
            "{}.{}",
            URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","kid":"one"}"#),
            URL_SAFE_NO_PAD.encode("{}")
        );
        let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &SECRET.repeat(2));
        let signature = ring::hmac::sign(&key, signed.as_bytes());
        bearer(&format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature)))
    };
    for (options, status) in [("", 101), (r#", "algorithms": ["HS512"]"#, 401)] {
        let guard = format!(r#""staff": {{"type": "jwt", "options": {{"keys": [{key}]{options}}}}}"#);
        let (_subject, port) = server(&guard, r#"{"staff": []}"#, "").await;
        assert_eq!(self::status(&port, &signed).await, status, "{options}");
    }
}

/// Two guards with keys and places of their own, which take the same people.
fn two_guards(options: &str) -> String {
    let guard = |name: &str, options: &str| {
        let credentials = format!(r#""credentials": {{"headers": {{"x-{name}": "{{credentials}}"}}}}"#);
        format!(
            r#""{name}": {{"type": "jwt", {credentials}, "options": {{"keys": [{}]{options}}}}}"#,
            jwk(name)
        )
    };
    format!("{}, {}", guard("one", options), guard("two", options))
}

/// Credentials for both, which end at these times from now.
fn for_both(one: f64, two: f64) -> String {
    let claims = |end: f64| format!(r#"{{"sub":"ann","exp":{:.3}}}"#, in_seconds(end));
    format!("X-One: {}\r\nX-Two: {}\r\n", token("one", &claims(one)), token("two", &claims(two)))
}

#[tokio::test]
async fn of_several_sessions_the_first_that_ends_counts() {
    let both = r#"{"one": [], "two": []}"#;
    for ends in [(2.0, 60.0), (60.0, 2.0)] {
        let (_subject, port) = server(&two_guards(""), both, "").await;
        let (status, answer, mut tcp) = ask(&port, "/", &for_both(ends.0, ends.1)).await;
        assert_eq!(status, 101, "{answer}");
        let mut close = [0; 17];
        within(tcp.read_exact(&mut close)).await.unwrap();
        assert_eq!(&close, b"\x88\x0f\x03\xf0token expired");
    }
    for ends in [(90.0, 7200.0), (7200.0, 90.0)] {
        let guards = two_guards(r#", "challenge": 3600"#);
        let port = Port::reserve();
        let config = format!(
            r#", "guards": {{{guards}}}, "routes": [{{"guarded": {both}, "exit": "staff"}}], "renew": {{"message": "token"}}"#
        );
        let linked = Linked::With(&["staff", "control"]);
        let mut subject = Subject::started_with(&server_definition(&port, &config), linked).await;
        let (_, _, mut tcp) = ask(&port, "/", &for_both(ends.0, ends.1)).await;
        assert_eq!(member(&next_told(&mut subject).await, "kind"), "reauth_due".into());
        // Either of them is renewed by a token of its own.
        for name in ["one", "two"] {
            let fresh = token(name, &format!(r#"{{"sub":"ann","exp":{:.3}}}"#, in_seconds(9000.0)));
            tcp.write_all(&frame(&format!(r#"{{"token":"{fresh}"}}"#))).await.unwrap();
            let told = next_told(&mut subject).await;
            assert_eq!(
                (member(&told, "kind"), member(&told, "guard")),
                ("reauthenticated".into(), name.into())
            );
        }
    }
}

/// Of two guards that go by tokens the one where a token comes nearest to renewing something says why it does not; and one
/// that says nothing of who somebody is does not say it then, either.
#[tokio::test]
async fn of_several_guards_the_one_that_knows_a_token_best_says_why_it_renews_nothing() {
    let person = format!(r#""options": {{"keys": [{}], "audience": "us"}}"#, jwk("one"));
    let machine = format!(r#""options": {{"keys": [{}]}}, "gives_identity": false"#, jwk("two"));
    let credentials =
        |name: &str| format!(r#""credentials": {{"headers": {{"x-{name}": "{{credentials}}"}}}}"#);
    let (one, two) = (credentials("one"), credentials("two"));
    let guards = [
        format!(r#""a": {{"type": "jwt", {one}, {person}}}, "b": {{"type": "jwt", {two}, {machine}}}"#),
        format!(r#""b": {{"type": "jwt", {two}, {machine}}}, "a": {{"type": "jwt", {one}, {person}}}"#),
    ];
    let of = |kid: &str, claims: &str| token(kid, &format!(r#"{{"exp":{:.3},{claims}}}"#, in_seconds(600.0)));
    for guards in guards {
        let port = Port::reserve();
        let config = format!(
            r#", "guards": {{{guards}}}, "routes": [{{"guarded": {{"a": ["r"], "b": []}}, "exit": "staff"}}], "renew": {{"message": "token"}}"#
        );
        let linked = Linked::With(&["staff", "control"]);
        let mut subject = Subject::started_with(&server_definition(&port, &config), linked).await;
        let person =
            |who: &str, roles: &str| of("one", &format!(r#""sub":"{who}","scope":"{roles}","aud":"us""#));
        let machine = of("two", r#""sub":"press-7""#);
        let shown = format!("X-One: {}\r\nX-Two: {machine}\r\n", person("ann", "r"));
        let (status, answer, mut tcp) = ask(&port, "/", &shown).await;
        assert_eq!(status, 101, "{answer}");
        for (token, expected) in [
            (person("bob", "r"), "other_identity"),
            (person("ann", "s"), "missing_role"),
            (of("one", r#""sub":"ann","aud":"them""#), "audience"),
            (token("one", r#"{"exp":1}"#), "expired"),
            (of("two", r#""sub":"press-8""#), "other_identity"),
            (of("three", r#""sub":"ann""#), "unknown_key"),
            ("x".to_owned(), "malformed"),
        ] {
            tcp.write_all(&frame(&format!(r#"{{"token":"{token}"}}"#))).await.unwrap();
            let told = next_told(&mut subject).await;
            assert_eq!(
                (member(&told, "kind"), member(&told, "reason")),
                ("reauth_refused".into(), expected.into())
            );
        }
        for (token, guard, identity) in
            [(machine, "b", Value::Null), (person("ann", "r"), "a", Value::from("ann"))]
        {
            tcp.write_all(&frame(&format!(r#"{{"token":"{token}"}}"#))).await.unwrap();
            let told = next_told(&mut subject).await;
            assert_eq!(member(&told, "guard"), guard.into());
            assert_eq!(member(&told, "identity"), identity, "{guard}");
            assert_eq!(of_server(&told).get("identity"), Some(&"ann".into()));
        }
    }
}

#[tokio::test]
async fn sessions_that_are_not_shared_are_extended_by_their_own_connection_alone() {
    let more = r#", "share_session": false, "renew": {"message": "token"}"#;
    let (mut subject, port) = telling_server("", more).await;
    let (_, _, mut first) = ask(&port, "/", &bearer(&ends_in(600.0, "ann"))).await;
    let (_, _, _second) = ask(&port, "/", &bearer(&ends_in(700.0, "ann"))).await;
    for _ in 0..2 {
        assert_eq!(member(&subject.next_told().await, "kind"), "opened".into());
    }
    let fresh = ends_in(800.0, "ann");
    assert!(port.ask(&renewal(&bearer(&fresh))).await.starts_with("HTTP/1.1 401 "));
    let told = next_told(&mut subject).await;
    assert_eq!((member(&told, "kind"), member(&told, "reason")), ("rejected".into(), "no_session".into()));
    first.write_all(&frame(&format!(r#"{{"token":"{fresh}"}}"#))).await.unwrap();
    assert_eq!(member(&next_told(&mut subject).await, "kind"), "reauthenticated".into());
    assert!(subject.is_silent(), "of the other one nothing is told");
}

/// A renewal that cannot be checked is not one that is no good.
#[tokio::test]
async fn fresh_credentials_that_nobody_can_check_are_told_so() {
    // The second guard has no keys yet, and never gets any.
    let (url, _) = key_server(Arc::new(Mutex::new(answer("404 Not Found", "")))).await;
    let credentials = r#""credentials": {"headers": {"x-late": "{credentials}"}}"#;
    let guards = format!(
        r#"{}, "late": {{"type": "jwt", {credentials}, "options": {{"keys": "{url}"}}}}"#,
        jwt_guard("")
    );
    let (_subject, port) = server(&guards, r#"{"staff": []}"#, "").await;
    let late = format!("X-Late: {}\r\n", token("one", r#"{"sub":"ann"}"#));
    let answer = port.ask(&renewal(&late)).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After: "), "{answer}");
}

#[tokio::test]
async fn a_guard_looks_at_its_own_places_and_not_at_those_of_others() {
    let own = jwt_guard("").replacen('{', r#"{"credentials": {"headers": {"x-own": "{credentials}"}}, "#, 1);
    let guards =
        format!(r#"{own}, "machines": {{"type": "apikey", "options": {{"tokens": {{"key-7": {{}}}}}}}}"#);
    let common = r#", "credentials": {"headers": {"x-common": "{credentials}"}}"#;
    let routes =
        r#"{"staff": []}, "when": [{"path": "/own"}], "exit": "staff"}, {"guarded": {"machines": []}"#;
    let (_subject, port) = server(&guards, routes, common).await;
    let token = token("one", "{}");
    for (path, more, status) in [
        ("/own", format!("X-Own: {token}\r\n"), 101),
        ("/own", format!("X-Common: {token}\r\n"), 401),
        ("/own", bearer(&token), 401),
        ("/", "X-Common: key-7\r\n".to_owned(), 101),
        ("/", "X-Own: key-7\r\n".to_owned(), 401),
        ("/", bearer("key-7"), 401),
    ] {
        assert_eq!(ask(&port, path, &more).await.0, status, "{path} {more}");
    }
}

/// Tokens have to name it as the configuration does, letter by letter.
#[tokio::test]
async fn the_keys_of_an_issuer_are_found_whether_its_name_ends_in_a_slash_or_not() {
    for path in ["", "/realms/plant"] {
        let keys = answer("200 OK", &format!(r#"{{"keys":[{}]}}"#, jwk("one")));
        let place = format!("{path}/.well-known/jwks.json");
        let (url, _) = key_server_at(&place, Arc::new(Mutex::new(keys))).await;
        let names = [format!("{url}{path}"), format!("{url}{path}/")];
        for issuer in &names {
            let guard = format!(r#""staff": {{"type": "jwt", "options": {{"issuer": "{issuer}"}}}}"#);
            let (_subject, port) = server(&guard, r#"{"staff": []}"#, "").await;
            for name in &names {
                let token = token("one", &format!(r#"{{"iss":"{name}"}}"#));
                let expected = if name == issuer { 101 } else { 401 };
                assert_eq!(status(&port, &bearer(&token)).await, expected, "{name} for {issuer}");
            }
        }
    }
}

#[tokio::test]
async fn keys_of_a_file_may_be_named_by_its_url() {
    let folder = tempfile::tempdir().unwrap();
    let keys = folder.path().join("keys.json");
    std::fs::write(&keys, format!(r#"{{"keys":[{}]}}"#, jwk("one"))).unwrap();
    let guard = format!(r#""staff": {{"type": "jwt", "options": {{"keys": "file://{}"}}}}"#, keys.display());
    let (_subject, port) = server(&guard, r#"{"staff": []}"#, "").await;
    assert_eq!(status(&port, &bearer(&token("one", "{}"))).await, 101);
}
