//! Sessions that web pages renew: whom they may be of, and what they can read of the answer.

use super::{
    keys::silent_key_server,
    sessions::{ends_in, next_told, renewal, telling_server},
    *,
};

/// The header lines of an answer, in small letters.
fn lines(answer: &str) -> Vec<String> {
    answer.lines().skip(1).filter(|line| !line.is_empty()).map(str::to_ascii_lowercase).collect()
}

#[tokio::test]
async fn pages_of_allowed_origins_may_renew_and_others_may_not() {
    let more = r#", "allowed_origins": ["https://*.plant.example"], "allow_null_origin": false"#;
    let (mut subject, port) = telling_server("", more).await;
    let asks = |origin: &str, method: &str| {
        format!(
            "OPTIONS /any HTTP/1.1\r\nHost: gate.example\r\nOrigin: {origin}\r\n\
             Access-Control-Request-Method: {method}\r\nAccess-Control-Request-Headers: authorization,content-type\r\n\r\n"
        )
    };
    let own = "https://a.plant.example";
    let answer = port.ask(&asks(own, "POST")).await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    assert_eq!(
        lines(&answer),
        [
            "access-control-allow-origin: https://a.plant.example",
            "vary: origin, access-control-request-method, access-control-request-headers",
            "access-control-allow-methods: post",
            "access-control-allow-headers: content-type, authorization",
            "access-control-max-age: 600",
            "connection: close",
        ]
    );
    // Others, and other requests, are not helped by it.
    for (request, status) in [
        (asks("https://evil.example", "POST"), 403),
        (asks("null", "POST"), 403),
        (asks("no origin", "POST"), 403),
        (asks(own, "PUT"), 426),
        (asks(own, "POST").replace("Access-Control-Request-Method", "X-Method"), 426),
        (asks(own, "POST").replace("Origin", "X-Origin"), 426),
        (asks(own, "POST").replace("OPTIONS", "GET"), 426),
    ] {
        let answer = port.ask(&request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}\n{answer}");
        assert!(!answer.to_ascii_lowercase().contains("access-control"), "{answer}");
        let told = next_told(&mut subject).await;
        assert_eq!(member(&told, "kind"), "rejected".into());
        if status == 403 {
            assert_eq!(member(&told, "reason"), "origin".into());
        }
    }
    let (_, _, _ann) = ask(&port, "/", &bearer(&ends_in(60.0, "ann"))).await;
    let fresh = bearer(&ends_in(600.0, "ann"));
    let answer = port.ask(&renewal(&(format!("Origin: {own}\r\n") + &fresh))).await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    let readable = [
        "access-control-allow-origin: https://a.plant.example",
        "vary: origin",
        "access-control-expose-headers: retry-after, www-authenticate",
    ];
    assert_eq!(lines(&answer)[..3], readable);
    // What is wrong can be read there, too.
    let answer = port.ask(&renewal(&format!("Origin: {own}\r\n"))).await;
    assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
    assert!(readable.iter().all(|line| lines(&answer).contains(&(*line).to_owned())), "{answer}");
    let answer = port.ask(&renewal(&("Origin: https://evil.example\r\n".to_owned() + &fresh))).await;
    assert!(answer.starts_with("HTTP/1.1 403 ") && !answer.contains("Access-Control"), "{answer}");
}

/// Also what is answered because nobody can decide in time.
#[tokio::test]
async fn a_page_can_read_that_its_renewal_came_to_nothing_in_time() {
    let (_listener, url) = silent_key_server().await;
    let guard = format!(r#""staff": {{"type": "jwt", "options": {{"keys": "{url}"}}}}"#);
    let (_subject, port) = server(&guard, r#"{"staff": []}"#, r#", "open_handshake_timeout": 100"#).await;
    let answer =
        port.ask(&renewal(&("Origin: http://a\r\n".to_owned() + &bearer(&token("one", "{}"))))).await;
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("Retry-After: "), "{answer}");
    assert!(lines(&answer).contains(&"access-control-allow-origin: http://a".to_owned()), "{answer}");
}

#[tokio::test]
async fn browsers_may_add_cookies_to_a_renewal_where_those_hold_tokens() {
    let credentials =
        r#", "credentials": {"headers": {"x-token": "{credentials}"}, "cookies": {"sid": "{credentials}"}}"#;
    let (_subject, port) = telling_server("", credentials).await;
    let answer = port
        .ask("OPTIONS / HTTP/1.1\r\nHost: a\r\nOrigin: http://b\r\nAccess-Control-Request-Method: POST\r\n\r\n")
        .await;
    for line in [
        "access-control-allow-origin: http://b",
        "access-control-allow-credentials: true",
        "access-control-allow-headers: content-type, x-token",
    ] {
        assert!(lines(&answer).contains(&line.to_owned()), "{answer}");
    }
}
