//! Sessions of those who were let in: how they end, and how they are extended.

use super::{
    super::metrics::{expect, measured, stopped},
    *,
};

/// A connection ends with its token, unless another one of the same person brings a later one; a message asks for that.
#[tokio::test]
async fn connections_end_with_their_sessions() {
    let more = r#", "challenge_message": "again", "expiry_close": {"code": 4001, "reason": "over"}"#;
    let (_subject, port) = server(&jwt_guard(r#", "challenge": 3600"#), r#"{"staff": []}"#, more).await;
    let (_, _, mut bob) = ask(&port, "/", &bearer(&ends_in(3.0, "bob"))).await;
    let mut asked = [0; 7];
    within(bob.read_exact(&mut asked)).await.unwrap();
    assert_eq!(&asked, b"\x81\x05again");
    let (_, _, _later) = ask(&port, "/", &bearer(&ends_in(3600.0 * 24.0, "bob"))).await;
    let (_, _, mut ann) = ask(&port, "/", &bearer(&ends_in(3.0, "ann"))).await;
    let mut frames = [0; 7 + 8];
    within(ann.read_exact(&mut frames)).await.unwrap();
    assert_eq!(&frames, b"\x81\x05again\x88\x06\x0f\xa1over");
    // The other one, whose token was older, stays.
    expect_pong(&mut bob).await;
}

#[tokio::test]
async fn sessions_may_be_let_run_out() {
    let (mut subject, port) = telling_server(r#", "challenge": 1"#, r#", "on_expiry": "ignore""#).await;
    let (_, _, mut ann) = ask(&port, "/", &bearer(&ends_in(2.0, "ann"))).await;
    // His challenge comes when her session is over.
    let (_, _, mut ben) = ask(&port, "/", &bearer(&ends_in(3.5, "ben"))).await;
    for who in ["ann", "ben"] {
        let told = next_told(&mut subject).await;
        assert_eq!(
            (member(&told, "kind"), of_server(&told).get("identity")),
            ("reauth_due".into(), Some(&who.into()))
        );
    }
    for tcp in [&mut ann, &mut ben] {
        expect_pong(tcp).await;
    }
    assert!(subject.is_silent(), "of an end that is ignored nothing is told");
}

/// A connection is open: it answers pings.
pub(super) async fn expect_pong(tcp: &mut TcpStream) {
    tcp.write_all(b"\x89\x80\0\0\0\0").await.unwrap();
    let mut pong = [0; 2];
    within(tcp.read_exact(&mut pong)).await.unwrap();
    assert_eq!(&pong, b"\x8a\x00");
}

/// Seconds since 1970, from now on.
pub(super) fn in_seconds(seconds: f64) -> f64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    now.as_secs_f64() + seconds
}

/// A token of somebody that ends so many seconds from now.
pub(super) fn ends_in(seconds: f64, who: &str) -> String {
    token("one", &format!(r#"{{"sub":"{who}","exp":{:.3}}}"#, in_seconds(seconds)))
}

/// A server with a guard `staff` whose port `control` leads somewhere.
pub(super) async fn telling_server(options: &str, more: &str) -> (Subject, Port) {
    let port = Port::reserve();
    let config = format!(
        r#", "guards": {{{}}}, "routes": [{{"guarded": {{"staff": []}}, "exit": "staff"}}]{more}"#,
        jwt_guard(options)
    );
    let linked = Linked::With(&["staff", "control"]);
    (Subject::started_with(&server_definition(&port, &config), linked).await, port)
}

/// The next event on port `control`, but for those of connections that open and end.
pub(super) async fn next_told(subject: &mut Subject) -> Event {
    loop {
        let told = subject.next_told().await;
        if !["opened", "closed"].map(Value::from).contains(&member(&told, "kind")) {
            return told;
        }
    }
}

#[tokio::test]
async fn the_flow_is_told_of_sessions_that_are_about_to_end_and_that_have() {
    let more = r#", "on_expiry": "notify""#;
    let (mut subject, port) = telling_server(r#", "challenge": 3600"#, more).await;
    let (_, _, mut tcp) = ask(&port, "/", &bearer(&ends_in(1.5, "ann"))).await;
    let mut ends = Vec::new();
    for kind in ["reauth_due", "expired"] {
        let told = next_told(&mut subject).await;
        assert_eq!(
            (member(&told, "kind"), member(&told, "conn")),
            (kind.into(), of_server(&told).get("conn").unwrap().clone())
        );
        ends.push(member(&told, "expires_at").as_u64().unwrap());
        assert_eq!(of_server(&told).get("identity"), Some(&"ann".into()));
    }
    assert!(ends[0] == ends[1] && ends[0] > 1_000_000_000_000, "milliseconds: {ends:?}");
    // It stays, and neither is told again, however often the connection wakes.
    for _ in 0..20 {
        expect_pong(&mut tcp).await;
    }
    assert!(subject.is_silent());
    // Another session that ends is told of again.
    let later = bearer(&ends_in(1.5, "ann"));
    assert!(port.ask(&renewal(&later)).await.starts_with("HTTP/1.1 204 "));
    for kind in ["reauthenticated", "reauth_due", "expired"] {
        let told = next_told(&mut subject).await;
        assert_eq!(member(&told, "kind"), kind.into());
        assert!(member(&told, "expires_at").as_u64() > Some(ends[0]));
    }
    assert!(subject.is_silent());
}

/// A request with fresh credentials, as a page would send it.
pub(super) fn renewal(more: &str) -> String {
    format!(
        "POST /any HTTP/1.1\r\nHost: gate.example\r\nContent-Type: application/x-challenge-response; v=1\r\n\
         Content-Length: 0\r\n{more}\r\n"
    )
}

#[tokio::test]
async fn a_request_with_a_fresh_token_extends_the_sessions_of_its_identity() {
    let (mut subject, port) = telling_server("", "").await;
    assert!(port.ask(&renewal("")).await.starts_with("HTTP/1.1 401 "), "no credentials");
    let answer = port.ask(&renewal(&bearer(&ends_in(60.0, "ann")))).await;
    assert!(answer.starts_with("HTTP/1.1 401 ") && answer.contains("no open connection"), "{answer}");
    for _ in 0..2 {
        assert_eq!(member(&next_told(&mut subject).await, "kind"), "rejected".into());
    }
    let (_, _, mut ann) = ask(&port, "/", &bearer(&ends_in(3.0, "ann"))).await;
    let (_, _, mut bob) = ask(&port, "/", &bearer(&ends_in(3.5, "bob"))).await;
    let body = renewal("").replace("Content-Length: 0", "Content-Length: 1") + "x";
    assert!(port.ask(&body).await.starts_with("HTTP/1.1 400 "));
    assert!(port.ask(&renewal(&bearer("bad"))).await.starts_with("HTTP/1.1 401 "));
    let answer = port.ask(&renewal(&bearer(&ends_in(60.0, "ann")))).await;
    assert_eq!(answer, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n");
    for _ in 0..2 {
        assert_eq!(member(&next_told(&mut subject).await, "kind"), "rejected".into());
    }
    let told = next_told(&mut subject).await;
    for (name, expected) in
        [("kind", "reauthenticated".into()), ("guard", "staff".into()), ("identity", "ann".into())]
    {
        assert_eq!(member(&told, name), expected, "{name}");
    }
    assert_eq!(of_server(&told).get("conn"), Some(&member(&told, "conn")));
    let mut close = [0; 17];
    within(bob.read_exact(&mut close)).await.unwrap();
    assert_eq!(&close, b"\x88\x0f\x03\xf0token expired");
    // Hers was to end earlier.
    expect_pong(&mut ann).await;
}

#[tokio::test]
async fn a_request_that_renews_nothing_is_told_why_as_far_as_its_sender_may_know() {
    let guards = jwt_guard("");
    let port = Port::reserve();
    let config = format!(
        r#", "guards": {{{guards}}}, "routes": [{{"guarded": {{"staff": ["read"]}}, "exit": "staff"}}]"#
    );
    let linked = Linked::With(&["staff", "control"]);
    let mut subject = Subject::started_with(&server_definition(&port, &config), linked).await;
    let token = |who: &str, scope: &str| {
        bearer(&token("one", &format!(r#"{{"sub":"{who}","scope":"{scope}","exp":32503680000}}"#)))
    };
    let (_, _, _ann) = ask(&port, "/", &token("ann", "read")).await;
    assert_eq!(member(&subject.next_told().await, "kind"), "opened".into());
    for (who, scope, reason) in [
        ("ann", "write", "missing_role"),
        // That somebody else has connections is nobody's business.
        ("ben", "read", "no_session"),
        ("ben", "write", "no_session"),
    ] {
        let answer = port.ask(&renewal(&token(who, scope))).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        assert!(answer.contains("\r\nWWW-Authenticate: Bearer realm=\"staff\"\r\n"), "{answer}");
        assert!(!answer.contains("read"), "{answer}");
        let told = next_told(&mut subject).await;
        assert_eq!(
            (member(&told, "kind"), member(&told, "reason")),
            ("rejected".into(), reason.into()),
            "{who} {scope}"
        );
    }
    assert!(port.ask(&renewal(&token("ann", "write read"))).await.starts_with("HTTP/1.1 204 "));
}

/// A text frame of a client.
pub(super) fn frame(text: &str) -> Vec<u8> {
    let mut frame = Vec::new();
    let mut client = tremor_ws::Encoder::new(tremor_ws::Role::Client, tremor_ws::Options::default());
    client.text(text, &mut frame).unwrap();
    frame
}

#[tokio::test]
async fn a_message_with_a_fresh_token_extends_the_session_and_is_not_passed_on() {
    let (mut subject, port) = telling_server("", r#", "renew": {"message": "auth.token"}"#).await;
    let (_, _, mut ann) = ask(&port, "/", &bearer(&ends_in(3.0, "ann"))).await;
    let (_, _, mut bob) = ask(&port, "/", &bearer(&ends_in(3.5, "bob"))).await;
    let fresh = ends_in(60.0, "ann");
    for (token, kind, reason) in [
        ("bad", "reauth_refused", Value::from("malformed")),
        (&ends_in(60.0, "bob"), "reauth_refused", "other_identity".into()),
        (&fresh, "reauthenticated", Value::Null),
    ] {
        // What stands around it keeps its order.
        for text in ["1", &format!(r#"{{"auth":{{"token":"{token}"}}}}"#), r#"{"auth":{"token":2}}"#] {
            ann.write_all(&frame(text)).await.unwrap();
        }
        let mut seen = Vec::new();
        let mut told = None;
        while seen.len() < 2 || told.is_none() {
            match subject.next().await {
                Seen::Event("staff", event) => seen.push(event.payload.value().to_string()),
                Seen::Event("control", event) if member(&event, "kind") != "opened".into() => {
                    told = Some(event);
                }
                _ => {}
            }
        }
        assert_eq!(seen, ["1", r#"{"auth":{"token":2}}"#]);
        let told = told.unwrap();
        assert_eq!((member(&told, "kind"), member(&told, "reason")), (kind.into(), reason));
        assert_eq!(Some(&member(&told, "conn")), of_server(&told).get("conn"));
        assert!(!told.payload.value().to_string().contains(token), "secrets are not told");
    }
    let mut close = [0; 17];
    within(bob.read_exact(&mut close)).await.unwrap();
    assert_eq!(&close, b"\x88\x0f\x03\xf0token expired", "whose token came from somebody else");
    expect_pong(&mut ann).await;
}

/// A schema says what the flow gets, and this is not for the flow.
#[tokio::test]
async fn a_message_with_a_fresh_token_is_not_judged_by_a_schema() {
    for on_invalid in ["err", "drop", "close"] {
        let more = format!(
            r#", "renew": {{"message": "auth.token"}}, "schema": {{
                "catalogs": {{"here": {{"type": "inline", "subjects": {{"s": {{"schema": {{"required": ["n"]}}}}}}}}}},
                "in": {{"model": "json", "catalog": "here", "subject": "s", "on_invalid": "{on_invalid}"}}}}"#
        );
        let (mut subject, port) = telling_server("", &more).await;
        let (_, _, mut ann) = ask(&port, "/", &bearer(&ends_in(3.0, "ann"))).await;
        let fresh = ends_in(60.0, "ann");
        // What stands around it does not reach the flow either.
        for text in [&*format!(r#"{{"auth": {{"token": "{fresh}"}}, "more": 1}}"#), r#"{"n":1}"#] {
            ann.write_all(&frame(text)).await.unwrap();
        }
        let told = next_told(&mut subject).await;
        assert_eq!(member(&told, "kind"), "reauthenticated".into(), "{on_invalid}");
        match subject.next().await {
            Seen::Event("staff", event) => assert_eq!(event.payload.value().to_string(), r#"{"n":1}"#),
            other => panic!("{on_invalid}: {other:?}"),
        }
        // A token in another place is none.
        ann.write_all(&frame(r#"{"token": "x"}"#)).await.unwrap();
        if on_invalid == "close" {
            assert_eq!(member(&subject.next_told().await, "code"), 1007.into());
        }
    }
}

/// What never ends is extended all the same: a client that renews on a timer is not told that it has no session.
#[tokio::test]
async fn a_session_without_an_end_takes_fresh_credentials_and_stays_without_one() {
    let (mut subject, port) = telling_server("", r#", "renew": {"message": "token"}"#).await;
    let endless = |who: &str| token("one", &format!(r#"{{"sub":"{who}"}}"#));
    let (_, _, mut ann) = ask(&port, "/", &bearer(&endless("ann"))).await;
    for (fresh, kind, reason) in [
        (endless("ann"), "reauthenticated", Value::Null),
        (ends_in(60.0, "ann"), "reauthenticated", Value::Null),
        (endless("ben"), "reauth_refused", "other_identity".into()),
    ] {
        ann.write_all(&frame(&format!(r#"{{"token":"{fresh}"}}"#))).await.unwrap();
        let told = next_told(&mut subject).await;
        assert_eq!((member(&told, "kind"), member(&told, "reason")), (kind.into(), reason));
        assert_eq!(member(&told, "expires_at"), Value::Null);
    }
    assert!(port.ask(&renewal(&bearer(&ends_in(60.0, "ann")))).await.starts_with("HTTP/1.1 204 "));
}

/// Whoever has read the first byte of a 101 is let in, and may say so elsewhere.
#[tokio::test]
async fn fresh_credentials_that_come_while_the_101_is_written_extend_its_session() {
    // More than the buffers of both sides take, so that the server is still writing.
    let long = "x".repeat(8 << 20);
    let more = format!(r#", "response_headers": {{"X-Long": "{long}"}}, "open_handshake_timeout": 60000"#);
    let (mut subject, port) = telling_server("", &more).await;
    let mut tcp = port.slow_tcp().await;
    let of_ann = |seconds: f64, role: &str| {
        let end = in_seconds(seconds);
        bearer(&token("one", &format!(r#"{{"sub":"ann","exp":{end:.3},"scope":"{role}"}}"#)))
    };
    let request = upgrade("gate.example", &of_ann(20.0, "read"));
    tcp.write_all(request.as_bytes()).await.unwrap();
    let mut start = [0; 12];
    within(tcp.read_exact(&mut start)).await.unwrap();
    assert_eq!(&start, b"HTTP/1.1 101");
    let answer = port.ask(&renewal(&of_ann(60.0, "write"))).await;
    assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");

    let (mut buffer, mut end) = (vec![0; 1 << 16], Vec::new());
    while !end.ends_with(b"\r\n\r\n") {
        let count = within(tcp.read(&mut buffer)).await.unwrap();
        assert_ne!(count, 0);
        end.extend_from_slice(&buffer[..count]);
        end.drain(..end.len().saturating_sub(4));
    }
    for kind in ["opened", "reauthenticated"] {
        let told = subject.next_told().await;
        let shown = of_server(&told);
        assert_eq!((member(&told, "kind"), shown.get("identity")), (kind.into(), Some(&"ann".into())));
        assert!(kind == "opened" || shown.get("roles") == Some(&json(r#"["write"]"#)), "{shown}");
    }
}

#[tokio::test]
async fn nothing_stays_of_one_who_went_away_while_the_101_was_written() {
    let long = "x".repeat(8 << 20);
    let more = format!(r#", "response_headers": {{"X-Long": "{long}"}}, "open_handshake_timeout": 60000"#);
    let (_subject, port) = telling_server("", &more).await;
    let mut tcp = port.tcp().await;
    let request = upgrade("gate.example", &bearer(&ends_in(20.0, "ann")));
    tcp.write_all(request.as_bytes()).await.unwrap();
    within(tcp.read_exact(&mut [0; 12])).await.unwrap();
    let fresh = renewal(&bearer(&ends_in(60.0, "ann")));
    assert!(port.ask(&fresh).await.starts_with("HTTP/1.1 204 "));
    drop(tcp);
    within(async { while !port.ask(&fresh).await.starts_with("HTTP/1.1 401 ") {} }).await;
}

/// A guard that does not say who the client is knows whom it is about all the same.
#[tokio::test]
async fn a_session_that_names_nobody_is_renewed_for_the_same_one_only() {
    let guards = jwt_guard("").replacen("{", r#"{"gives_identity": false, "#, 1);
    let more = r#", "renew": {"message": "token"}"#;
    let port = Port::reserve();
    let routes = r#""routes": [{"guarded": {"staff": []}, "exit": "staff"}]"#;
    let definition = server_definition(&port, &format!(r#", "guards": {{{guards}}}, {routes}{more}"#));
    let mut subject = Subject::started_with(&definition, Linked::With(&["staff", "control"])).await;
    let (_, _, mut press) = ask(&port, "/", &bearer(&ends_in(60.0, "press"))).await;
    for (who, kind) in [("other", "reauth_refused"), ("press", "reauthenticated")] {
        press.write_all(&frame(&format!(r#"{{"token":"{}"}}"#, ends_in(90.0, who)))).await.unwrap();
        let told = next_told(&mut subject).await;
        assert_eq!((member(&told, "kind"), of_server(&told).get("identity")), (kind.into(), None));
    }
    assert!(port.ask(&renewal(&bearer(&ends_in(120.0, "press")))).await.starts_with("HTTP/1.1 204 "));
    assert!(port.ask(&renewal(&bearer(&ends_in(120.0, "other")))).await.starts_with("HTTP/1.1 401 "));
}

#[tokio::test]
async fn each_of_the_tokens_that_come_together_is_checked_and_of_very_many_the_last() {
    let (mut subject, port) = telling_server("", r#", "renew": {"message": "token"}"#).await;
    let (_, _, mut ann) = ask(&port, "/", &bearer(&ends_in(60.0, "ann"))).await;
    let brings = |token: &str| frame(&format!(r#"{{"token":"{token}"}}"#));
    let (later, earlier) = (ends_in(90.0, "ann"), ends_in(30.0, "ann"));
    ann.write_all(&[brings("x"), brings(&later), brings("y"), brings(&earlier)].concat()).await.unwrap();
    let mut ends = Vec::new();
    for kind in ["reauth_refused", "reauthenticated", "reauth_refused", "reauthenticated"] {
        let told = next_told(&mut subject).await;
        assert_eq!(member(&told, "kind"), kind.into());
        ends.extend(member(&told, "expires_at").as_u64());
    }
    assert_eq!(ends[0], ends[1], "what ends earlier takes nothing away, and nothing else is said");

    let mut many = brings("x").repeat(100);
    many.extend(brings(&ends_in(120.0, "ann")));
    ann.write_all(&many).await.unwrap();
    let mut reasons = Vec::new();
    let renewed = loop {
        let told = next_told(&mut subject).await;
        if member(&told, "kind") == "reauthenticated".into() {
            break told;
        }
        reasons.push(member(&told, "reason"));
    };
    assert!(member(&renewed, "expires_at").as_u64() > Some(ends[0]));
    assert!(reasons.len() < 100 && reasons.contains(&"too_many".into()), "{reasons:?}");
}

/// Bad tokens count whichever way they come.
#[tokio::test]
async fn what_is_no_good_counts_in_requests_and_messages_too() {
    let port = Port::reserve();
    let config = format!(
        r#", "guards": {{{}}}, "routes": [{{"guarded": {{"staff": []}}, "exit": "staff"}}], "renew": {{"message": "token"}}"#,
        jwt_guard("")
    );
    let definition = measured(server_definition(&port, &config));
    let mut subject = Subject::started_with(&definition, Linked::With(&["staff"])).await;
    let (_, _, mut tcp) = ask(&port, "/", &bearer(&ends_in(600.0, "ann"))).await;
    for bad in ["x".to_owned(), ends_in(-60.0, "ann")] {
        let answer = port.ask(&renewal(&bearer(&bad))).await;
        assert!(answer.starts_with("HTTP/1.1 401 "), "{answer}");
        tcp.write_all(&frame(&format!(r#"{{"token":"{bad}"}}"#))).await.unwrap();
    }
    tcp.write_all(&frame(&format!(r#"{{"token":"{}"}}"#, token("nobody", "{}")))).await.unwrap();
    // What is good, or of others, is not counted; what comes behind it has waited for it.
    tcp.write_all(&frame(&format!(r#"{{"token":"{}"}}"#, ends_in(60.0, "bob")))).await.unwrap();
    within(metadata(&mut subject, &mut tcp)).await;
    let seen = stopped(subject).await;
    let failed = |reason: &str| format!("ws.guard.failed -|-|in|staff|{reason}");
    let reasons = ["malformed", "expired", "unknown_key"].map(failed);
    expect(&seen, &[(&reasons[0], "2"), (&reasons[1], "2"), (&reasons[2], "1")]);
    assert_eq!(seen.keys().filter(|name| name.starts_with("ws.guard.failed")).count(), 3, "{seen:#?}");
}

#[tokio::test]
async fn each_connection_that_others_have_extended_is_told_of_once() {
    let (mut subject, port) = telling_server("", r#", "renew": {"message": "token"}"#).await;
    let mut opened = Vec::new();
    let mut open_ones = Vec::new();
    let mut conns = Vec::new();
    for (who, end) in [("ann", 600.0), ("ann", 700.0), ("bob", 600.0)] {
        let (_, _, tcp) = ask(&port, "/", &bearer(&ends_in(end, who))).await;
        open_ones.push(tcp);
        loop {
            let told = subject.next_told().await;
            if member(&told, "kind") == "opened".into() {
                conns.push(member(&told, "conn").as_u64().unwrap());
                break;
            }
            // The second one of ann ends a little later than the first.
            opened.push(member(&told, "conn").as_u64().unwrap());
        }
    }
    let mut told_of = async |count: usize| {
        let mut seen = std::mem::take(&mut opened);
        while seen.len() < count {
            let told = next_told(&mut subject).await;
            assert_eq!(member(&told, "kind"), "reauthenticated".into());
            assert_eq!(member(&told, "identity"), "ann".into());
            assert_eq!(of_server(&told).get("conn"), Some(&member(&told, "conn")));
            assert!(member(&told, "expires_at").as_u64().is_some());
            seen.push(member(&told, "conn").as_u64().unwrap());
        }
        seen.sort_unstable();
        seen
    };
    assert_eq!(told_of(1).await, conns[..1], "the second one of ann extends the first");
    // By a request.
    let fresh = bearer(&ends_in(1200.0, "ann"));
    assert!(port.ask(&renewal(&fresh)).await.starts_with("HTTP/1.1 204 "));
    assert_eq!(told_of(2).await, conns[..2]);
    assert!(port.ask(&renewal(&fresh)).await.starts_with("HTTP/1.1 204 "), "which changes nothing");
    // By a message of one of them: in its place among the events.
    let message = format!(r#"{{"token":"{}"}}"#, ends_in(1800.0, "ann"));
    open_ones[1].write_all(&frame(&message)).await.unwrap();
    assert_eq!(told_of(2).await, conns[..2]);
    // By a new connection, which knows.
    let (_, _, _third) = ask(&port, "/", &bearer(&ends_in(2400.0, "ann"))).await;
    assert_eq!(told_of(2).await, conns[..2]);
    // Nothing was told twice.
    assert!(port.ask(&renewal(&bearer(&ends_in(3000.0, "ann")))).await.starts_with("HTTP/1.1 204 "));
    let all = told_of(3).await;
    assert!(all[..2] == conns[..2] && all[2] > conns[2], "{all:?}");
}
