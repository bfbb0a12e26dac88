//! Guards: who is let in, what is answered to others, and what of it all is told.

mod asking;
mod ends;
mod keys;
mod mistakes;
mod options;
mod pages;
mod renewed;
mod sessions;
mod users;
mod withdrawn;

use super::control::member;
use super::peers::{Port, head, of_server, server_definition, upgrade};
use crate::harness::{Linked, Seen, Subject, at_once, json, within};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use tremor_event::Event;
use tremor_value::Value;

const SECRET: &[u8; 32] = b"0123456789abcdef0123456789abcdef";

/// The key of `SECRET`, as a JWK.
pub(super) fn jwk(kid: &str) -> String {
    format!(r#"{{"kty":"oct","kid":"{kid}","k":"{}"}}"#, URL_SAFE_NO_PAD.encode(SECRET))
}

/// A token with these claims, signed with `SECRET`.
pub(super) fn token(kid: &str, claims: &str) -> String {
    let header = URL_SAFE_NO_PAD.encode(format!(r#"{{"alg":"HS256","kid":"{kid}"}}"#));
    let signed = format!("{header}.{}", URL_SAFE_NO_PAD.encode(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET);
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(ring::hmac::sign(&key, signed.as_bytes())))
}

pub(super) fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn basic(name: &str, password: &str) -> String {
    format!("Authorization: Basic {}\r\n", STANDARD.encode(format!("{name}:{password}")))
}

/// A guard `staff` that takes tokens of `SECRET`, with `more` options.
fn jwt_guard(more: &str) -> String {
    format!(r#""staff": {{"type": "jwt", "options": {{"keys": [{}]{more}}}}}"#, jwk("one"))
}

/// A server with these guards, a route for those who pass them, and `more` members of its configuration.
pub(super) async fn server(guards: &str, guarded: &str, more: &str) -> (Subject, Port) {
    let port = Port::reserve();
    let config = format!(
        r#", "guards": {{{guards}}}, "routes": [{{"guarded": {guarded}, "exit": "staff"}}], "expose_headers": "all"{more}"#
    );
    let definition = server_definition(&port, &config);
    let subject = Subject::started_with(&definition, Linked::With(&["staff", "open"])).await;
    (subject, port)
}

/// The answer to a request for `target` with `more` header lines; granted ones stay open.
async fn ask(port: &Port, target: &str, more: &str) -> (u16, String, TcpStream) {
    let request = upgrade("gate.example", more).replacen("GET /", &format!("GET {target}"), 1);
    let (answer, tcp) = at_once(async {
        let mut tcp = port.tcp().await;
        tcp.write_all(request.as_bytes()).await.unwrap();
        (head(&mut tcp).await, tcp)
    })
    .await;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap();
    (status, answer, tcp)
}

pub(super) async fn status(port: &Port, more: &str) -> u16 {
    ask(port, "/", more).await.0
}

/// The port and the metadata of an event on a connection that was granted.
pub(super) async fn metadata(subject: &mut Subject, tcp: &mut TcpStream) -> (&'static str, Value) {
    tcp.write_all(b"\x81\x81\0\0\0\x007").await.unwrap();
    match subject.next().await {
        Seen::Event(port, event) => (port, of_server(&event)),
        other @ Seen::Drained(_) => panic!("no event but {other:?}"),
    }
}

#[tokio::test]
async fn tokens_open_routes_and_are_told_of_without_secrets() {
    let options = r#", "attributes": {"site": "plant.site"}, "audience": "edge""#;
    let credentials = r#", "credentials": {"headers": {"authorization": "Bearer {credentials}"},
        "query": {"access_token": "{credentials}"}, "cookies": {"sid": "{credentials}"}, "protocols": "bearer.{credentials}"}"#;
    let (mut subject, port) = server(&jwt_guard(options), r#"{"staff": ["read"]}"#, credentials).await;
    let claims =
        r#"{"sub":"ann","scope":"read write","aud":["edge"],"plant":{"site":"north"},"exp":32503680000}"#;
    let token = token("one", claims);
    // One that goes without a goodbye would be told of.
    let mut open_ones = Vec::new();
    for (target, more) in [
        ("/".to_owned(), bearer(&token)),
        (format!("/?a=1&access_token={token}"), String::new()),
        ("/".to_owned(), format!("Cookie: a=b; sid={token}\r\n")),
        ("/".to_owned(), format!("Sec-WebSocket-Protocol: bearer.{token}, chat\r\n")),
    ] {
        let (status, answer, mut tcp) = ask(&port, &target, &more).await;
        assert_eq!(status, 101, "{answer}");
        assert!(!answer.contains("Sec-WebSocket-Protocol"), "{answer}");
        let (exit, shown) = metadata(&mut subject, &mut tcp).await;
        assert_eq!(exit, "staff");
        for (key, value) in [
            ("guard", json(r#""staff""#)),
            ("identity", json(r#""ann""#)),
            ("roles", json(r#"["read", "write"]"#)),
            ("attributes", json(r#"{"site": "north"}"#)),
        ] {
            assert_eq!(shown.get(key), Some(&value), "{key}");
        }
        let shown = shown.to_string();
        let (_, signature) = token.rsplit_once('.').unwrap();
        assert!(!shown.contains(signature), "{shown}");
        if target.len() > 1 {
            assert!(shown.contains(r#""query":{"a":"1","access_token":"***"}"#), "{shown}");
        }
        open_ones.push(tcp);
    }
    let only_credentials = format!("Sec-WebSocket-Protocol: bearer.{token}\r\n");
    assert_eq!(status(&port, &only_credentials).await, 400);
}

#[tokio::test]
async fn others_are_told_what_is_missing() {
    let options = r#", "issuer": "id", "realm": "the \"plant\"""#;
    let (_subject, port) = server(&jwt_guard(options), r#"{"staff": ["write"]}"#, "").await;
    let challenge = |more: &str| format!(r#"WWW-Authenticate: Bearer realm="the \"plant\""{more}"#);
    let none = token("one", r#"{"iss":"id","scope":"read"}"#);
    for (more, expected, line) in [
        (String::new(), 401, challenge("")),
        (basic("a", "b"), 401, challenge("")),
        (
            bearer("x"),
            401,
            challenge(r#", error="invalid_token", error_description="the token is malformed""#),
        ),
        (
            bearer(&token("one", r#"{"iss":"id","exp":1}"#)),
            401,
            challenge(r#", error="invalid_token", error_description="the token has expired""#),
        ),
        (
            bearer(&token("one", r#"{"iss":"other"}"#)),
            401,
            challenge(r#", error="invalid_token", error_description="the token is of another issuer""#),
        ),
        (
            bearer(&token("two", r#"{"iss":"id"}"#)),
            401,
            challenge(r#", error="invalid_token", error_description="the key of the token is not known""#),
        ),
        (bearer(&none), 403, challenge(r#", error="insufficient_scope", scope="write""#)),
        (
            bearer(&none).repeat(2),
            401,
            challenge(
                r#", error="invalid_token", error_description="the credentials are malformed, or there twice""#,
            ),
        ),
    ] {
        let (status, answer, _) = ask(&port, "/", &more).await;
        assert_eq!(status, expected, "{answer}");
        assert!(answer.lines().any(|own| own == line), "{answer}");
    }
}

/// `alg: none`, and a token that a public key would have signed: through the whole server.
#[tokio::test]
async fn forged_tokens_open_nothing() {
    let (_subject, port) = server(&jwt_guard(""), r#"{"staff": []}"#, "").await;
    let good = token("one", r#"{"sub":"ann"}"#);
    let claims = good.split('.').nth(1).unwrap();
    for header in [r#"{"alg":"none"}"#, r#"{"alg":"None","kid":"one"}"#, r#"{"alg":"RS256","kid":"one"}"#] {
        let forged = format!("{}.{claims}.", URL_SAFE_NO_PAD.encode(header));
        assert_eq!(status(&port, &bearer(&forged)).await, 401, "{header}");
    }
    assert_eq!(status(&port, &bearer(&good)).await, 101);
}

#[tokio::test]
async fn guards_filter_or_stop_the_search() {
    let guards = jwt_guard("");
    let good = bearer(&token("one", "{}"));
    for (more, without, with_bad, with_good) in [
        (r#", "exit": "open""#, 101, 101, 101),
        (r#", "exit": "open", "guard_fallthrough": false"#, 401, 401, 101),
        (r#", "invalid_credentials_status": 403"#, 401, 403, 101),
    ] {
        let (_subject, port) = server(&guards, r#"{"staff": []}"#, more).await;
        assert_eq!(status(&port, "").await, without, "{more}");
        assert_eq!(status(&port, &bearer("bad")).await, with_bad, "{more}");
        assert_eq!(status(&port, &good).await, with_good, "{more}");
    }
    let (_subject, port) = server(&guards, r#"{"staff": []}, "conceal": true"#, "").await;
    assert_eq!(status(&port, "").await, 404);
    assert_eq!(status(&port, &good).await, 101);
}

#[tokio::test]
async fn all_guards_of_a_route_have_to_let_pass() {
    let guards = format!(
        r#"{}, "machines": {{"type": "apikey", "options": {{"tokens": {{"key-7": {{"roles": ["press"]}}}}}},
            "credentials": {{"headers": {{"x-api-key": "{{credentials}}"}}}}}}"#,
        jwt_guard("")
    );
    let (mut subject, port) = server(&guards, r#"{"machines": ["press"], "staff": []}"#, "").await;
    let token = bearer(&token("one", r#"{"sub":"ann"}"#));
    assert_eq!(status(&port, &token).await, 401);
    assert_eq!(status(&port, "X-Api-Key: key-7\r\n").await, 401);
    let (status, answer, mut tcp) = ask(&port, "/", &format!("{token}X-Api-Key: key-7\r\n")).await;
    assert_eq!(status, 101, "{answer}");
    let (_, shown) = metadata(&mut subject, &mut tcp).await;
    assert_eq!(
        (shown.get("guard"), shown.get("identity"), shown.get("roles")),
        (Some(&json(r#""machines""#)), Some(&json(r#""ann""#)), Some(&json(r#"["press"]"#)))
    );
    assert!(!shown.to_string().contains("key-7"), "{shown}");
}

#[tokio::test]
async fn whoever_brings_credentials_of_different_people_is_refused() {
    let keys = |more: &str| {
        format!(
            r#"{}, "machines": {{"type": "apikey", "options": {{"tokens": {{"of-press": {{"identity": "press", "roles": ["press"]}},
                "of-ann": {{"identity": "ann"}}}}}}, "credentials": {{"headers": {{"x-api-key": "{{credentials}}"}}}}{more}}}"#,
            jwt_guard("")
        )
    };
    let mixed = bearer(&token("one", r#"{"sub":"ann"}"#)) + "X-Api-Key: of-press\r\n";
    let whole = bearer(&token("one", r#"{"sub":"ann"}"#)) + "X-Api-Key: of-ann\r\n";
    let both = r#"{"machines": [], "staff": []}"#;
    let port = Port::reserve();
    let more = format!(r#", "guards": {{{}}}, "routes": [{{"guarded": {both}, "exit": "staff"}}]"#, keys(""));
    let linked = Linked::With(&["staff", "control"]);
    let mut subject = Subject::started_with(&server_definition(&port, &more), linked).await;
    let (status, answer, _) = ask(&port, "/", &mixed).await;
    assert!(status == 403 && answer.contains("\r\nContent-Length: "), "{answer}");
    let told = subject.next_told().await;
    assert_eq!(
        (member(&told, "kind"), member(&told, "reason")),
        ("rejected".into(), "other_identity".into())
    );
    assert_eq!(self::status(&port, &whole).await, 101);

    // Guards filter: a later route takes them by one of the two, with what that one says alone.
    let later = r#"{"staff": []}, "exit": "open"}, {"guarded": {"machines": []}"#;
    for (rest, expected) in [("", 101), (r#", "guard_fallthrough": false"#, 403)] {
        let routes = format!(r#"{both}, "exit": "open"}}, {{"guarded": {later}"#);
        let (mut subject, port) = server(&keys(""), &routes, rest).await;
        let (status, answer, mut tcp) = ask(&port, "/", &mixed).await;
        assert_eq!(status, expected, "{answer}");
        if status == 101 {
            let (exit, shown) = metadata(&mut subject, &mut tcp).await;
            assert_eq!((exit, shown.get("identity")), ("open", Some(&json(r#""ann""#))));
            assert_eq!(shown.get("roles"), Some(&json("[]")));
        }
    }

    // One that does not say who it is goes with any.
    let (mut subject, port) = server(&keys(r#", "gives_identity": false"#), both, "").await;
    let (status, answer, mut tcp) = ask(&port, "/", &mixed).await;
    assert_eq!(status, 101, "{answer}");
    let (_, shown) = metadata(&mut subject, &mut tcp).await;
    assert_eq!(
        (shown.get("guard"), shown.get("identity"), shown.get("roles")),
        (Some(&json(r#""machines""#)), Some(&json(r#""ann""#)), Some(&json(r#"["press"]"#)))
    );
}

/// Slow hashes are compared beside the rest: others are let in meanwhile.
#[tokio::test]
async fn names_and_passwords() {
    let hash = "$2b$04$nBqnqi9B1rnzVQDq0sPiqOfLPI5O7b8pllF7SjTobczlea57L.9va";
    let guard = format!(
        r#""staff": {{"type": "basic", "options": {{"realm": "plant", "users": {{
            "ann": {{"hash": "{hash}", "roles": ["operator"]}}, "bob": {{"password": "plain"}}}}}}}}"#
    );
    let (mut subject, port) = server(&guard, r#"{"staff": []}"#, "").await;
    let (refused, answer, _) = ask(&port, "/", "").await;
    assert_eq!(refused, 401);
    assert!(answer.contains("WWW-Authenticate: Basic realm=\"plant\", charset=\"UTF-8\"\r\n"), "{answer}");
    for (name, password, expected) in [
        ("ann", "correct horse", 101),
        ("ann", "correct", 401),
        ("bob", "plain", 101),
        ("bob", "plaiN", 401),
        ("eve", "plain", 401),
    ] {
        assert_eq!(status(&port, &basic(name, password)).await, expected, "{name}");
    }
    let (_, _, mut tcp) = ask(&port, "/", &basic("ann", "correct horse")).await;
    let (_, shown) = metadata(&mut subject, &mut tcp).await;
    assert_eq!(shown.get("roles"), Some(&json(r#"["operator"]"#)));
    let secret = STANDARD.encode("ann:correct horse");
    assert!(!shown.to_string().contains(&secret), "{shown}");
}

#[tokio::test]
async fn identities_are_believed_from_named_proxies_only() {
    let guard =
        r#""proxy": {"type": "identity", "options": {"header": "X-User", "roles_header": "X-Roles"}}"#;
    for (trusted, expected) in [("127.0.0.0/8", 101), ("10.0.0.1", 401)] {
        let more = format!(r#", "trusted_proxies": ["{trusted}"]"#);
        let (_subject, port) = server(guard, r#"{"proxy": ["a"]}"#, &more).await;
        assert_eq!(status(&port, "X-User: ann\r\nX-Roles: a b\r\n").await, expected, "{trusted}");
        assert_eq!(status(&port, "X-Roles: a b\r\n").await, 401);
    }
}

#[tokio::test]
async fn an_identity_has_so_many_connections() {
    let (_subject, port) = sessions::telling_server("", r#", "max_connections_per_identity": 2"#).await;
    let ann = bearer(&token("one", r#"{"sub":"ann"}"#));
    let (_, _, first) = ask(&port, "/", &ann).await;
    let (_, _, _second) = ask(&port, "/", &ann).await;
    let (status, answer, _) = ask(&port, "/", &ann).await;
    assert!(status == 429 && answer.contains("Retry-After: "), "{answer}");
    let mut open_ones = Vec::new();
    for others in [r#"{"sub":"bob"}"#, "{}", "{}", "{}"] {
        let (status, answer, tcp) = ask(&port, "/", &bearer(&token("one", others))).await;
        assert_eq!(status, 101, "{answer}");
        open_ones.push(tcp);
    }
    drop(first);
    within(async { while self::status(&port, &ann).await == 429 {} }).await;
}
