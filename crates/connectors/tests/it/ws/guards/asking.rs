//! Guards that go by what others say: by a cookie that is bound to somebody, and by the flow.

use super::{mistakes::refusal, *};
use std::time::Duration;

/// Where input port `control` is.
const CONTROL: usize = 2;

/// The value of `Set-Cookie`, without its attributes.
fn cookie(answer: &str) -> Option<String> {
    let set = answer.lines().find_map(|line| line.strip_prefix("Set-Cookie: "))?;
    Some(set.split(';').next().unwrap().to_owned())
}

/// A server where a token opens `/in`, and a cookie `/again`.
async fn server_with_cookies(more: &str) -> (Subject, Port) {
    let port = Port::reserve();
    let config = format!(
        r#", "guards": {{{}, "browser": {{"type": "cookie"}}}}, "cookie": {{"bind_identity": true}}, "routes": [
            {{"when": [{{"path": "/in"}}], "guarded": {{"staff": []}}, "exit": "staff"}},
            {{"when": [{{"path": "/again"}}], "guarded": {{"browser": ["read"]}}, "exit": "again"}},
            {{"when": [{{"path": "/open"}}], "exit": "open"}}]{more}"#,
        jwt_guard(r#", "attributes": {"site": "site"}"#)
    );
    let linked = Linked::With(&["staff", "again", "open", "control"]);
    (Subject::started_with(&server_definition(&port, &config), linked).await, port)
}

/// The next event that is not on port `control`.
async fn next_message(subject: &mut Subject, tcp: &mut TcpStream) -> (&'static str, Value) {
    tcp.write_all(b"\x81\x81\0\0\0\x007").await.unwrap();
    loop {
        match subject.next().await {
            Seen::Event("control" | "err", _) => {}
            Seen::Event(port, event) => return (port, of_server(&event)),
            other @ Seen::Drained(_) => panic!("no event but {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_cookie_that_another_guard_has_bound_opens_a_route() {
    let (mut subject, port) = server_with_cookies("").await;
    let brings = |cookie: &str| format!("Cookie: {cookie}\r\n");
    let token =
        |scope: &str| bearer(&token("one", &format!(r#"{{"sub":"ann","scope":"{scope}","site":"north"}}"#)));
    // Nobody has a cookie, a token alone does not help, and a cookie for nobody does not either.
    let (refused, answer, _) = ask(&port, "/again", "").await;
    assert!(
        refused == 401 && answer.contains("\r\nWWW-Authenticate: Cookie realm=\"browser\"\r\n"),
        "{answer}"
    );
    assert_eq!(ask(&port, "/again", &token("read")).await.0, 401);
    let (opened, answer, _nobody) = ask(&port, "/open", "").await;
    let unbound = cookie(&answer).unwrap();
    assert_eq!(opened, 101);
    assert_eq!(ask(&port, "/again", &brings(&unbound)).await.0, 401);
    assert_eq!(ask(&port, "/again", &brings("wsid=made-up")).await.0, 401);

    let (opened, answer, _first) = ask(&port, "/in", &token("read")).await;
    let own = cookie(&answer).unwrap();
    assert_eq!(opened, 101);
    // It is found behind one that stands for nobody, and stays as it is, however often it is used.
    for more in [brings(&own), brings(&format!("{unbound}; {own}")), brings(&own)] {
        let (opened, answer, mut tcp) = ask(&port, "/again", &more).await;
        assert!(opened == 101 && cookie(&answer).is_none(), "{answer}");
        let (exit, shown) = next_message(&mut subject, &mut tcp).await;
        assert_eq!(exit, "again");
        for (key, value) in [
            ("guard", json(r#""browser""#)),
            ("identity", json(r#""ann""#)),
            ("roles", json(r#"["read"]"#)),
            ("attributes", json(r#"{"site": "north"}"#)),
            ("cookie", own.strip_prefix("wsid=").unwrap().into()),
        ] {
            assert_eq!(shown.get(key), Some(&value), "{key}");
        }
    }
    // Roles are those that the other guard has vouched for.
    let (_, answer, _other) = ask(&port, "/in", &token("write")).await;
    assert_eq!(ask(&port, "/again", &brings(&cookie(&answer).unwrap())).await.0, 403);

    let (_, _, mut again) = ask(&port, "/again", &brings(&own)).await;
    let forget =
        format!(r#"{{"kind": "forget_cookie", "cookie": "{}"}}"#, own.strip_prefix("wsid=").unwrap());
    subject.give_to(CONTROL, json(&forget)).await;
    let mut close = [0; 4];
    within(again.read_exact(&mut close)).await.unwrap();
    assert_eq!((close[0], u16::from_be_bytes([close[2], close[3]])), (0x88, 1008));
    assert_eq!(ask(&port, "/again", &brings(&own)).await.0, 401);
}

/// Of one who is known by a cookie as well as by something else.
#[tokio::test]
async fn a_cookie_of_somebody_goes_with_no_credentials_of_somebody_else() {
    let port = Port::reserve();
    let config = format!(
        r#", "guards": {{{}, "browser": {{"type": "cookie"}}, "people": {{"type": "basic", "options": {{"users": {{
            "ann": {{"password": "a"}}, "ben": {{"password": "b", "roles": ["admin"]}}}}}}}}}}, "cookie": {{"bind_identity": true}}, "routes": [
            {{"when": [{{"path": "/in"}}], "guarded": {{"staff": []}}, "exit": "staff"}},
            {{"when": [{{"path": "/both"}}], "guarded": {{"browser": [], "people": []}}, "exit": "again"}},
            {{"when": [{{"path": "/also"}}], "guarded": {{"staff": [], "people": []}}, "exit": "again"}}]"#,
        jwt_guard("")
    );
    let linked = Linked::With(&["staff", "again", "control"]);
    let _subject = Subject::started_with(&server_definition(&port, &config), linked).await;
    let (_, answer, _first) = ask(&port, "/in", &bearer(&token("one", r#"{"sub":"ann"}"#))).await;
    let own = format!("Cookie: {}\r\n", cookie(&answer).unwrap());
    // By the guard `cookie`, and by the cookie in place of the token that has bound it.
    for path in ["/both", "/also"] {
        assert_eq!(ask(&port, path, &(own.clone() + &basic("ann", "a"))).await.0, 101, "{path}");
        let (status, answer, _) = ask(&port, path, &(own.clone() + &basic("ben", "b"))).await;
        assert!(status == 403 && cookie(&answer).is_none(), "{path} {answer}");
    }
}

#[tokio::test]
async fn a_cookie_stands_for_what_its_owner_has_proven_last() {
    let (_subject, port) = server_with_cookies("").await;
    let token = |scope: &str| bearer(&token("one", &format!(r#"{{"sub":"ann","scope":"{scope}"}}"#)));
    let (_, answer, _first) = ask(&port, "/in", &token("read")).await;
    let own = format!("Cookie: {}\r\n", cookie(&answer).unwrap());
    for (scope, expected) in [("write", 403), ("read", 101)] {
        let (opened, answer, _) = ask(&port, "/in", &(own.clone() + &token(scope))).await;
        assert!(opened == 101 && cookie(&answer).is_none(), "{answer}");
        assert_eq!(ask(&port, "/again", &own).await.0, expected, "{scope}");
    }
}

#[tokio::test]
async fn whom_a_cookie_has_let_in_stays_as_long_as_the_session_that_it_is_bound_to() {
    let (_subject, port) = server_with_cookies("").await;
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
    let token = token("one", &format!(r#"{{"sub":"ann","scope":"read","exp":{:.3}}}"#, now + 3.0));
    let (_, answer, _first) = ask(&port, "/in", &bearer(&token)).await;
    let brings = format!("Cookie: {}\r\n", cookie(&answer).unwrap());
    let (opened, _, mut again) = ask(&port, "/again", &brings).await;
    assert_eq!(opened, 101);
    let mut close = [0; 17];
    within(again.read_exact(&mut close)).await.unwrap();
    assert_eq!(&close, b"\x88\x0f\x03\xf0token expired");
    assert_eq!(ask(&port, "/again", &brings).await.0, 401);
    assert_eq!(ask(&port, "/in", &brings).await.0, 401);
}

/// What a cookie stands for goes with the key that has vouched for it, where that is wanted.
#[tokio::test(start_paused = true)]
async fn whom_a_cookie_has_let_in_goes_with_the_key_of_its_session_where_that_is_wanted() {
    for (revalidates, more) in [(true, r#", "revalidate": true"#), (false, "")] {
        let folder = tempfile::tempdir().unwrap();
        let keys = folder.path().join("keys.json");
        let set = |kid: &str| std::fs::write(&keys, format!(r#"{{"keys":[{}]}}"#, jwk(kid))).unwrap();
        set("one");
        let port = Port::reserve();
        let config = format!(
            r#", "guards": {{"staff": {{"type": "jwt", "options": {{"keys": "{}"}}}}, "browser": {{"type": "cookie"}}}},
                "cookie": {{"bind_identity": true}}, "routes": [
                {{"when": [{{"path": "/in"}}], "guarded": {{"staff": []}}, "exit": "staff"}},
                {{"guarded": {{"browser": []}}, "exit": "again"}}]{more}"#,
            keys.display()
        );
        let linked = Linked::With(&["staff", "again"]);
        let _subject = Subject::started_with(&server_definition(&port, &config), linked).await;
        let (old, new) = (token("one", r#"{"sub":"ann"}"#), token("second", r#"{"sub":"ann"}"#));
        let (_, answer, _first) = ask(&port, "/in", &bearer(&old)).await;
        let own = format!("Cookie: {}\r\n", cookie(&answer).unwrap());
        let (opened, _, mut again) = ask(&port, "/again", &own).await;
        assert_eq!(opened, 101);
        set("second");
        while ask(&port, "/in", &bearer(&new)).await.0 == 401 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let expected = if revalidates { 401 } else { 101 };
        for path in ["/again", "/in"] {
            assert_eq!(ask(&port, path, &own).await.0, expected, "{path} {more}");
        }
        tokio::time::sleep(Duration::from_secs(20)).await;
        again.write_all(b"\x89\x80\0\0\0\0").await.unwrap();
        let mut seen = [0; 2];
        within(again.read_exact(&mut seen)).await.unwrap();
        assert_eq!(seen, if revalidates { *b"\x88\x0f" } else { *b"\x8a\0" });
    }
}

/// A server with a route that the flow guards, behind another guard, and one that only the flow guards.
async fn server_that_asks(more: &str) -> (Subject, Port) {
    let port = Port::reserve();
    let config = format!(
        r#", "guards": {{{}, "gate": {{"type": "flow", "options": {{"port": "door", "timeout": 60000}}}}}}, "routes": [
            {{"when": [{{"path": "/staff"}}], "guarded": {{"gate": ["press"], "staff": []}}, "exit": "staff"}},
            {{"when": [{{"path": "/{{*}}"}}], "guarded": {{"gate": []}}, "exit": "other"}},
            {{"when": [{{"path": "/open"}}], "exit": "open"}}]{more}"#,
        jwt_guard("")
    )
    .replace("/{*}", "/any");
    let linked = Linked::With(&["staff", "other", "open", "door", "control"]);
    (Subject::started_with(&server_definition(&port, &config), linked).await, port)
}

/// Sends a request, and gives what the flow is asked about it.
async fn petition(subject: &mut Subject, port: &Port, target: &str, more: &str) -> (TcpStream, Event) {
    let mut tcp = port.tcp().await;
    let request = upgrade("gate.example", more).replacen("GET /", &format!("GET {target}"), 1);
    tcp.write_all(request.as_bytes()).await.unwrap();
    loop {
        match subject.next().await {
            Seen::Event("door", event) => return (tcp, event),
            Seen::Event("control" | "err", _) => {}
            other => panic!("not asked but {other:?}"),
        }
    }
}

/// Gives a command `authorize` with `more` members for the handshake that `asked` is about.
async fn say(subject: &mut Subject, asked: &Event, more: &str) {
    let conn = member(asked, "conn");
    subject.give_to(CONTROL, json(&format!(r#"{{"kind": "authorize", "conn": {conn}{more}}}"#))).await;
}

async fn answered(tcp: &mut TcpStream) -> (u16, String) {
    let answer = head(tcp).await;
    (answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap(), answer)
}

#[tokio::test]
async fn the_flow_guards_the_routes_that_say_so_and_is_asked_behind_the_others() {
    let (mut subject, port) = server_that_asks("").await;
    let token = bearer(&token("one", r#"{"sub":"ann","scope":"read"}"#));
    // It is not asked about routes that it does not guard, nor about those whom others refuse.
    assert_eq!(ask(&port, "/open", "").await.0, 101);
    assert_eq!(ask(&port, "/staff", "").await.0, 401);
    assert_eq!(ask(&port, "/staff", &bearer("bad")).await.0, 401);

    let (mut tcp, asked) = petition(&mut subject, &port, "/staff?a=1", &token).await;
    for (name, expected) in [
        ("kind", r#""authorize""#),
        ("guard", r#""gate""#),
        ("method", r#""GET""#),
        ("path", r#""/staff""#),
        ("query", r#"{"a":"1"}"#),
        ("identity", r#""ann""#),
        ("roles", r#"["read"]"#),
    ] {
        assert_eq!(member(&asked, name).to_string(), expected, "{name}");
    }
    say(&mut subject, &asked, r#", "guard": "other", "accept": false"#).await;
    assert_eq!(subject.handle.taken().failed, 1, "no such guard asks");
    let yes = r#", "guard": "gate", "accept": true, "identity": "ann", "roles": ["press"], "attributes": {"site": 1}, "headers": {"X-Told": "1"}"#;
    say(&mut subject, &asked, yes).await;
    let (status, answer) = answered(&mut tcp).await;
    assert!(status == 101 && answer.contains("X-Told: 1\r\n"), "{answer}");
    let (exit, shown) = next_message(&mut subject, &mut tcp).await;
    assert_eq!((exit, shown.get("conn")), ("staff", Some(&member(&asked, "conn"))));
    for (key, value) in [
        ("guard", r#""gate""#),
        ("identity", r#""ann""#),
        ("roles", r#"["press","read"]"#),
        ("attributes", r#"{"site":1}"#),
    ] {
        assert_eq!(shown.get(key).unwrap().to_string(), value, "{key}");
    }
    // A role that the route asks for and that the flow does not vouch for.
    let (mut tcp, asked) = petition(&mut subject, &port, "/staff", &token).await;
    say(&mut subject, &asked, r#", "accept": true, "roles": ["other"]"#).await;
    assert_eq!(answered(&mut tcp).await.0, 403);
    // Whom it names has to be the one whom the others know; it may name nobody.
    for (identity, status) in [(r#""identity": "ben", "#, 403), ("", 101)] {
        let (mut tcp, asked) = petition(&mut subject, &port, "/staff", &token).await;
        say(&mut subject, &asked, &format!(r#", "accept": true, {identity}"roles": ["press"]"#)).await;
        assert_eq!(answered(&mut tcp).await.0, status, "{identity}");
    }
}

#[tokio::test]
async fn what_the_flow_says_as_a_guard_is_what_the_client_hears() {
    let (mut subject, port) = server_that_asks("").await;
    let (mut tcp, asked) = petition(&mut subject, &port, "/any", "").await;
    say(
        &mut subject,
        &asked,
        r#", "accept": false, "status": 451, "body": "no", "headers": {"X-Why": "law"}"#,
    )
    .await;
    let (status, answer) = answered(&mut tcp).await;
    assert!(status == 451 && answer.contains("X-Why: law\r\n"), "{answer}");
    // Each 401 says how to do better: as the flow says, or that the flow would know.
    for (headers, expected) in [
        ("", "WWW-Authenticate: Flow\r\n"),
        (
            r#", "headers": {"www-authenticate": "Basic realm=\"a\""}"#,
            "www-authenticate: Basic realm=\"a\"\r\n",
        ),
    ] {
        let (mut tcp, asked) = petition(&mut subject, &port, "/any", "").await;
        say(&mut subject, &asked, &format!(r#", "accept": false, "status": 401{headers}"#)).await;
        let (status, answer) = answered(&mut tcp).await;
        let challenges = answer.to_ascii_lowercase().matches("www-authenticate").count();
        assert!(status == 401 && answer.contains(expected) && challenges == 1, "{answer}");
    }
    let (mut tcp, asked) = petition(&mut subject, &port, "/any", "").await;
    say(&mut subject, &asked, r#", "accept": true"#).await;
    assert_eq!(answered(&mut tcp).await.0, 101);
    let (exit, shown) = next_message(&mut subject, &mut tcp).await;
    assert_eq!((exit, shown.get("identity")), ("other", None));
}

/// A guard `flow` that has let pass, on a route that was not taken in the end, has no say in the answer.
#[tokio::test]
async fn what_the_flow_says_for_a_route_that_is_not_taken_is_not_said() {
    let port = Port::reserve();
    let flow = |name: &str| {
        format!(r#""{name}": {{"type": "flow", "options": {{"port": "door", "timeout": 60000}}}}"#)
    };
    let config = format!(
        r#", "guards": {{{}, {}}}, "routes": [{{"guarded": {{"first": ["admin"]}}, "exit": "staff"}},
            {{"guarded": {{"second": []}}, "exit": "other"}}]"#,
        flow("first"),
        flow("second")
    );
    let linked = Linked::With(&["staff", "other", "door", "control"]);
    let mut subject = Subject::started_with(&server_definition(&port, &config), linked).await;
    let (mut tcp, asked) = petition(&mut subject, &port, "/", "").await;
    say(&mut subject, &asked, r#", "guard": "first", "accept": true, "headers": {"X-First": "1"}"#).await;
    let Seen::Event("door", asked) = subject.next().await else { panic!("nobody else asks") };
    assert_eq!(member(&asked, "guard"), "second".into());
    say(&mut subject, &asked, r#", "guard": "second", "accept": true, "headers": {"X-Second": "1"}"#).await;
    let (status, answer) = answered(&mut tcp).await;
    assert!(status == 101 && answer.contains("X-Second: 1\r\n") && !answer.contains("X-First"), "{answer}");
}

#[tokio::test]
async fn a_flow_that_is_asked_by_a_guard_may_say_nothing_and_is_asked_once() {
    let port = Port::reserve();
    let config = r#", "guards": {"gate": {"type": "flow", "options": {"port": "door", "timeout": 1}},
            "slow": {"type": "flow", "options": {"port": "door", "timeout": 60000}}},
        "routes": [{"guarded": {"gate": []}, "exit": "staff"}, {"guarded": {"gate": []}, "exit": "staff"},
                   {"when": [{"path": "/slow"}], "guarded": {"slow": []}, "exit": "staff"}]"#;
    let linked = Linked::With(&["staff", "door", "control"]);
    let mut subject = Subject::started_with(&server_definition(&port, config), linked).await;
    let (mut tcp, asked) = petition(&mut subject, &port, "/", "").await;
    let (status, answer) = answered(&mut tcp).await;
    assert!(status == 503 && answer.contains("Retry-After: "), "{answer}");
    say(&mut subject, &asked, r#", "guard": "gate", "accept": true"#).await;
    assert_eq!(subject.handle.taken().failed, 1, "too late");
    let told = subject.next_told().await;
    assert_eq!(
        (member(&told, "kind"), member(&told, "reason")),
        ("rejected".into(), "authorize_timeout".into())
    );
    // Another guard may know it: guards filter, and the same one is not asked again.
    let (mut tcp, first) = petition(&mut subject, &port, "/slow", "").await;
    assert_eq!(member(&first, "guard"), "gate".into());
    let Seen::Event("door", second) = subject.next().await else { panic!("nobody else asks") };
    assert_eq!((member(&second, "guard"), member(&second, "conn")), ("slow".into(), member(&first, "conn")));
    say(&mut subject, &second, r#", "guard": "slow", "accept": true"#).await;
    assert_eq!(answered(&mut tcp).await.0, 101);
}

/// What is meant for one question opens nothing that another one guards, be it late, a second time, or without a name.
#[tokio::test]
async fn an_answer_counts_for_the_question_that_it_names() {
    let flow = |name: &str, timeout: u32| {
        format!(r#""{name}": {{"type": "flow", "options": {{"port": "door", "timeout": {timeout}}}}}"#)
    };
    let of_guard = format!(r#""guards": {{{}, "#, flow("adm", 60000));
    let of_all = r#""authorize": {"port": "door", "timeout": 60000}, "guards": {"#;
    // The first question gets no answer in time, or one that does not open its route.
    for (config, guarded, asker, timeout) in [
        (of_guard.as_str(), r#"{"adm": []}"#, "adm", 1),
        (&of_guard, r#"{"adm": []}"#, "adm", 60000),
        (of_all, "{}", "", 1),
        (of_all, "{}", "", 60000),
    ] {
        let config = format!("{config}{}}}", flow("low", timeout));
        let routes = format!(
            r#"{{"guarded": {{"low": ["x"]}}, "exit": "staff"}}, {{"guarded": {guarded}, "exit": "other"}}"#
        );
        let port = Port::reserve();
        let more = format!(r#", {config}, "open_handshake_timeout": 60000, "routes": [{routes}]"#);
        let linked = Linked::With(&["staff", "other", "door"]);
        let mut subject = Subject::started_with(&server_definition(&port, &more), linked).await;
        let (mut tcp, first) = petition(&mut subject, &port, "/", "").await;
        assert_eq!(member(&first, "guard"), "low".into());
        let for_low = r#", "guard": "low", "accept": true, "identity": "guest""#;
        if timeout > 1 {
            say(&mut subject, &first, for_low).await;
        }
        let Seen::Event("door", second) = subject.next().await else { panic!("nobody else asks") };
        assert_eq!(
            (member(&second, "guard"), member(&second, "conn")),
            (asker.into(), member(&first, "conn"))
        );
        for wrong in [
            for_low,
            r#", "accept": true, "identity": "guest""#,
            r#", "guard": null, "accept": true"#,
            r#", "guard": "other", "accept": true"#,
            r#", "guard": ["low"], "accept": true"#,
        ] {
            let failed = subject.handle.taken().failed;
            say(&mut subject, &second, wrong).await;
            assert_eq!(subject.handle.taken().failed, failed + 1, "{wrong}");
        }
        let right = format!(r#", "guard": "{asker}", "accept": true, "identity": "ann""#);
        say(&mut subject, &second, &right).await;
        assert_eq!(answered(&mut tcp).await.0, 101);
        let (exit, shown) = next_message(&mut subject, &mut tcp).await;
        assert_eq!((exit, shown.get("identity")), ("other", Some(&"ann".into())));
    }
}

/// What a guard has said of a request counts for all of its routes, however long others take in between.
#[tokio::test]
async fn a_token_that_is_good_a_moment_later_is_good_for_the_next_request() {
    let port = Port::reserve();
    let config = format!(
        r#", "guards": {{{}, "gate": {{"type": "flow", "options": {{"port": "door", "timeout": 60000}}}}}},
        "open_handshake_timeout": 60000, "routes": [
            {{"when": [{{"path": "/door"}}], "guarded": {{"staff": []}}, "exit": "staff"}},
            {{"when": [{{"path": "/door"}}], "guarded": {{"gate": []}}, "exit": "other"}},
            {{"guarded": {{"staff": []}}, "exit": "staff"}}]"#,
        jwt_guard("")
    );
    let linked = Linked::With(&["staff", "other", "door"]);
    let mut subject = Subject::started_with(&server_definition(&port, &config), linked).await;
    let token = bearer(&token("one", &format!(r#"{{"nbf":{:.3}}}"#, sessions::in_seconds(2.0))));
    let (mut tcp, asked) = petition(&mut subject, &port, "/door", &token).await;
    assert_eq!(member(&asked, "guard"), "gate".into());
    within(async { while ask(&port, "/", &token).await.0 == 401 {} }).await;
    say(&mut subject, &asked, r#", "accept": false"#).await;
    let (status, answer) = answered(&mut tcp).await;
    assert!(status == 401 || status == 403, "{answer}");
}

#[tokio::test]
async fn a_session_that_ends_while_the_flow_decides_opens_nothing() {
    for (who_asks, also) in [("authorize", ""), ("guard", r#", "gate": []"#)] {
        let port = Port::reserve();
        let door = r#"{"port": "door", "timeout": 60000}"#;
        let asking = match who_asks {
            "authorize" => format!(r#"}}, "authorize": {door}"#),
            _ => format!(r#", "gate": {{"type": "flow", "options": {door}}}}}"#),
        };
        let config = format!(
            r#", "guards": {{{}{asking}, "open_handshake_timeout": 60000, "cookie": {{"bind_identity": true}},
            "routes": [{{"guarded": {{"staff": []{also}}}, "exit": "staff"}}]"#,
            jwt_guard("")
        );
        let linked = Linked::With(&["staff", "door"]);
        let mut subject = Subject::started_with(&server_definition(&port, &config), linked).await;
        let end = sessions::in_seconds(3.0);
        let token = bearer(&token("one", &format!(r#"{{"sub":"ann","exp":{end:.3}}}"#)));
        let (mut tcp, asked) = petition(&mut subject, &port, "/", &token).await;
        let left = end - sessions::in_seconds(0.0);
        tokio::time::sleep(Duration::from_secs_f64(left.max(0.0))).await;
        say(&mut subject, &asked, r#", "accept": true, "identity": "ann""#).await;
        let (status, answer) = answered(&mut tcp).await;
        assert_eq!(status, 401, "{who_asks}: {answer}");
        assert!(answer.contains("error_description=\"the credentials have expired\""), "{answer}");
        assert!(!answer.contains("Set-Cookie"), "{answer}");
    }
}

#[tokio::test]
async fn mistakes_of_such_guards_are_found_when_a_flow_is_loaded() {
    let flow = |options: &str| format!(r#""guards": {{"a": {{"type": "flow", "options": {options}}}}}"#);
    for (more, place, problem) in [
        (r#""guards": {"a": {"type": "cookie"}}"#.to_owned(), "config.cookie", "missing"),
        (r#""guards": {"a": {"type": "cookie"}}, "cookie": {}"#.into(), "config.cookie", "needs `bind_identity`"),
        (
            r#""guards": {"a": {"type": "cookie", "options": {"name": "b"}}}, "cookie": {"bind_identity": true}"#.into(),
            "config.guards.a.options.name",
            "unknown",
        ),
        (
            r#""guards": {"a": {"type": "cookie", "credentials": {"cookies": {"b": "{credentials}"}}}},
                "cookie": {"bind_identity": true}"#.into(),
            "config.guards.a.credentials",
            "no meaning",
        ),
        (r#""guards": {"a": {"type": "flow"}}"#.into(), "config.guards.a.options.port", "missing"),
        (flow("{}"), "config.guards.a.options.port", "missing"),
        (flow(r#"{"port": "control"}"#), "config.guards.a.options.port", "its own use"),
        (flow(r#"{"port": "OUT"}"#), "config.guards.a.options.port", "another name"),
        (flow(r#"{"port": "door", "timeout": 0}"#), "config.guards.a.options.timeout", "between 1 and"),
        (flow(r#"{"port": "door", "wait": 1}"#), "config.guards.a.options.wait", "unknown"),
        (
            flow(r#"{"port": "staff"}"#) + r#", "routes": [{"exit": "Staff"}]"#,
            "config.guards.a.options.port",
            "another name",
        ),
        (
            flow(r#"{"port": "Door"}"#) + r#", "authorize": {"port": "door"}"#,
            "config.guards.a.options.port",
            "in case only",
        ),
    ] {
        let error = refusal(&format!(", {more}"));
        assert!(error.contains(&format!("{place}: ")) && error.contains(problem), "{more}\n{error}");
    }
}
