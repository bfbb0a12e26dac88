//! What the options of guards do, through the whole server.

use super::{
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
