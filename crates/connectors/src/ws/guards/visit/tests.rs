use super::*;
use crate::ws::{guards::LOGINS_AT_ONCE, options::Settings, testing::environment};
use futures_util::{
    future::{join, join_all},
    poll,
};
use std::pin::pin;
use tremor_connector::config::Reader;
use tremor_ws::{Head, ServerHandshake};

fn guards() -> Guards {
    // `ann:pw`, hashed with as little as there can be.
    let hash = "$2b$04$5xSPVmyOrzRi3IOS/vCiGue01.ggcitecBw6MKNS4NoQsDS28sRie";
    let config = format!(
        r#"{{"renew": {{"message": "token"}}, "guards": {{
            "people": {{"type": "basic", "options": {{"users": {{"ann": {{"hash": "{hash}"}}}}}}}},
            "staff": {{"type": "jwt", "options": {{"keys": [{{"kty": "oct", "kid": "k", "k": "{}"}}]}}}}}}}}"#,
        "A".repeat(43)
    );
    read(&config)
}

/// The guards of a configuration.
fn read(config: &str) -> Guards {
    let config = Value::from_json_str(config).unwrap();
    let environment = environment();
    let mut settings = Settings::alone(Reader::new(&config, "config").unwrap(), &environment);
    Guards::read(&mut settings).unwrap()
}

fn login() -> Head {
    let text = "GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Basic YW5uOng=\r\n\r\n";
    ServerHandshake::new(Arc::default()).advance_head(&mut text.as_bytes().into()).unwrap().unwrap()
}

#[tokio::test]
async fn logins_of_one_address_do_not_take_the_turns_of_all_others() {
    let (guards, head) = (guards(), login());
    let mut busy = Vec::new();
    while let Some(turn) = futures_util::FutureExt::now_or_never(guards.turns.turn(None)) {
        busy.push(turn);
    }
    let carrier = Carrier { headers: &head.headers, query: None, protocols: &[] };
    let ask = async |address: &str| {
        let brought = Brought { address: Some(address.parse().unwrap()), ..Brought::default() };
        let demand = Demand { guard: 0, roles: Vec::new() };
        guards.visit(carrier, brought).admits(&[demand]).await.map_err(|reject| reject.status)
    };
    let mut waiting: Vec<_> = (0..LOGINS_AT_ONCE).map(|_| Box::pin(ask("10.0.0.1"))).collect();
    for login in &mut waiting {
        assert!(poll!(login).is_pending());
    }
    for same in ["10.0.0.1", "::ffff:10.0.0.1"] {
        assert_eq!(ask(same).await, Err(503));
    }
    let mut other = pin!(ask("10.0.0.2"));
    assert!(poll!(&mut other).is_pending(), "it has its turn");
    // Whoever gives up makes room.
    drop(waiting.pop());
    waiting.push(Box::pin(ask("10.0.0.1")));
    assert!(waiting.last_mut().is_some_and(|last| futures_util::FutureExt::now_or_never(last).is_none()));
    drop(busy);
    let (other, waiting) = join(other, join_all(waiting)).await;
    assert_eq!(other, Err(401));
    assert!(waiting.iter().all(|answer| *answer == Err(401)));
    assert_eq!(ask("10.0.0.1").await, Err(401), "all is as before");
}

#[tokio::test]
async fn a_cookie_stands_for_a_session_of_the_guard_that_is_asked_and_only_until_it_ends() {
    let guards = guards();
    let text = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let head =
        ServerHandshake::new(Arc::default()).advance_head(&mut text.as_bytes().into()).unwrap().unwrap();
    let carrier = Carrier { headers: &head.headers, query: None, protocols: &[] };
    let session = |guard: &str, ends: Option<u64>| {
        let session = Session::unlimited(guard.into(), Some("ann".to_owned()), Vec::new());
        Session { expires_at_ms: ends, ..session }
    };
    for (bound, lets) in [
        (session("people", None), true),
        (session("people", Some(u64::MAX)), true),
        (session("people", Some(1)), false),
        (session("staff", None), false),
    ] {
        let mut visit = guards.visit(carrier, Brought::default()).bound_by(std::slice::from_ref(&bound));
        let demand = Demand { guard: 0, roles: Vec::new() };
        assert_eq!(visit.admits(&[demand]).await.is_ok(), lets);
    }
}

#[tokio::test]
async fn one_who_is_two_people_is_refused_and_the_guard_that_knows_the_other_one_is_told_of() {
    let guards = guards();
    let text = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let head =
        ServerHandshake::new(Arc::default()).advance_head(&mut text.as_bytes().into()).unwrap().unwrap();
    let carrier = Carrier { headers: &head.headers, query: None, protocols: &[] };
    let session = |guard: &str, who: &str| Session::unlimited(guard.into(), Some(who.to_owned()), Vec::new());
    let demands = [0, 1].map(|guard| Demand { guard, roles: Vec::new() });
    for (other, status) in [("ann", None), ("ben", Some(403))] {
        let bound = [session("people", "ann"), session("staff", other)];
        let mut visit = guards.visit(carrier, Brought::default()).bound_by(&bound);
        assert_eq!(visit.admits(&demands).await.err().map(|reject| reject.status), status);
        let failures: Vec<_> = visit.failures().collect();
        assert_eq!(failures, status.map(|_| ("staff", "other_identity")).as_slice());
        assert_eq!(visit.sessions(&demands).len(), if status.is_none() { 2 } else { 0 });
    }
}

#[tokio::test]
async fn messages_with_tokens_are_taken_only_where_a_token_has_opened_the_connection() {
    let guards = Arc::new(guards());
    let session = |guard: &str| Session::unlimited(guard.into(), Some("ann".to_owned()), Vec::new());
    assert!(guards.renewals(1, &[&session("people")], None).is_none());
    assert!(guards.renewals(1, &[&session("people"), &session("staff")], None).is_some());
}

#[test]
fn pages_may_send_what_renews_a_session_and_nothing_else() {
    let jwt = |header: &str| {
        format!(
            r#"{{"type": "jwt", "options": {{"keys": [{{"kty": "oct", "kid": "k", "k": "{}"}}]}}, "credentials": {{"headers": {{"{header}": "{{credentials}}"}}}}}}"#,
            "A".repeat(43)
        )
    };
    let apikey = r#"{"type": "apikey", "options": {"tokens": {"t": {}}}, "credentials": {"headers": {"x-key": "{credentials}"}, "cookies": {"key": "{credentials}"}}}"#;
    let guards = format!(r#""a": {}, "b": {}, "c": {apikey}"#, jwt("X-Token"), jwt("x-token"));
    let plain = read(&format!(r#"{{"guards": {{{guards}}}}}"#));
    assert_eq!(plain.renewing_headers(), (vec!["X-Token"], false), "what has no end is not renewed");
    let machines = r#""m": {"type": "tls", "options": {"subjects": {"*": []}}}"#;
    let with_tls =
        read(&format!(r#"{{"tls": {{"client_ca": "ca.pem"}}, "guards": {{{guards}, {machines}}}}}"#));
    assert_eq!(with_tls.renewing_headers(), (vec!["X-Token"], true), "a browser adds its certificate");
}

#[test]
fn metadata_are_of_all_who_vouch_for_a_client() {
    let session = |guard: &str, who: Option<&str>, roles: &[&str], attribute: &str| Session {
        attributes: vec![(attribute.to_owned(), Json::Text(guard.to_owned()))],
        ..Session::unlimited(
            guard.into(),
            who.map(str::to_owned),
            roles.iter().map(|role| (*role).to_owned()).collect(),
        )
    };
    let first = session("a", None, &["r", "s"], "x");
    let second = session("b", Some("ann"), &["s", "t"], "y");
    let mut shown = Record::default();
    describe(&[&first, &second], &mut shown);
    let expected = r#"{"guard":"a","identity":"ann","roles":["r","s","t"],"attributes":{"x":"a","y":"b"}}"#;
    assert_eq!(Value::from(shown), Value::from_json_str(expected).unwrap());
}

#[tokio::test]
async fn an_address_from_which_a_right_password_has_come_is_known() {
    let guards = guards();
    let demand = [Demand { guard: 0, roles: Vec::new() }];
    for (login, is_known) in [("YW5uOng=", false), ("YW5uOnB3", true)] {
        let text = format!("GET / HTTP/1.1\r\nHost: h\r\nAuthorization: Basic {login}\r\n\r\n");
        let head =
            ServerHandshake::new(Arc::default()).advance_head(&mut text.as_bytes().into()).unwrap().unwrap();
        let carrier = Carrier { headers: &head.headers, query: None, protocols: &[] };
        let address: IpAddr = [10, 0, 0, 1].into();
        let brought = Brought { address: Some(address), ..Brought::default() };
        let _answer = guards.visit(carrier, brought).admits(&demand).await;
        assert_eq!(guards.turns.knows(address), is_known);
    }
}
