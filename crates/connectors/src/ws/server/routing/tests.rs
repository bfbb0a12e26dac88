use super::*;
use crate::ws::testing::environment;
use tremor_ws::ServerHandshake;

fn read(config: &str) -> Result<(Routing, Vec<String>), String> {
    let config = Value::from_json_str(config).unwrap();
    let environment = environment();
    let mut settings = Settings::alone(Reader::new(&config, "config").unwrap(), &environment);
    let wire = Wire::default();
    let guards = Guards::read(&mut settings).map_err(|error| error.to_string())?;
    let queues = Queues::read(&mut settings).map_err(|error| error.to_string())?;
    let replays = Replays::read(&mut settings).map_err(|error| error.to_string())?;
    let exits = Vec::new();
    let mut reading = Reading {
        settings: &mut settings,
        environment: &environment,
        guards: &guards,
        wire: &wire,
        replays,
        queues,
        schemas: &mut Schemas::default(),
        exits,
    };
    let routing = reading.routing();
    let exits = reading.exits.into_iter().map(|exit| exit.name).collect();
    routing
        .and_then(|routing| settings.finish().map(|()| (routing, exits)))
        .map_err(|error| error.to_string())
}

fn request(path: &str, protocols: &str) -> Request {
    let offer =
        if protocols.is_empty() { String::new() } else { format!("Sec-WebSocket-Protocol: {protocols}\r\n") };
    let text = format!(
        "GET {path} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: upgrade\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: AAECAwQFBgcICQoLDA0ODw==\r\n{offer}\r\n"
    );
    ServerHandshake::new(Arc::default()).advance(&mut text.as_bytes().into()).unwrap().unwrap()
}

/// Routes that guards refuse, with the status of the answer.
struct Refused<'r>(&'r [(usize, u16)]);

impl Admission for Refused<'_> {
    async fn admits(&mut self, route: usize, _: &[Demand]) -> Result<(), Reject> {
        match self.0.iter().find(|(own, _)| *own == route) {
            Some((_, status)) => Err(Reject::new(*status, "guard", "no")),
            None => Ok(()),
        }
    }
}

/// `exit:protocol`, or the status.
async fn decided(routing: &Routing, request: &Request, refused: &[(usize, u16)]) -> String {
    match routing.decide(request, &mut Refused(refused)).await {
        Ok(chosen) => {
            format!("{}:{}", chosen.way.exit.as_deref().unwrap_or("out"), chosen.protocol.unwrap_or("-"))
        }
        Err(reject) => reject.status.to_string(),
    }
}

const TABLE: &str = r#"{"routes": [
    {"when": [{"path": "/orders/{site}", "protocol": "orders.v2"}], "exit": "orders"},
    {"when": [{"path": "/orders/{site}"}], "exit": "orders_readonly"},
    {"when": [{"path": "/only", "protocol": "p"}, {"path": "/only", "protocol": "q.*"}], "exit": "orders"}]"#;

#[tokio::test]
async fn the_first_route_that_matches_and_lets_pass_decides() {
    for (more, path, protocols, refused, expected) in [
        ("", "/orders/x", "orders.v2", &[][..], "orders:orders.v2"),
        ("", "/orders/x", "orders.v1", &[], "orders_readonly:-"),
        ("", "/orders/x", "", &[], "orders_readonly:-"),
        ("", "/orders/x", "orders.v2", &[(0, 401)], "orders_readonly:-"),
        ("", "/orders/x", "orders.v2", &[(0, 401), (1, 403)], "401"),
        ("", "/orders/x", "orders.v1", &[(0, 401), (1, 403)], "403"),
        ("", "/only", "x", &[], "400"),
        ("", "/only", "", &[], "400"),
        ("", "/only", "q.1", &[], "orders:q.1"),
        ("", "/only", "p", &[(2, 403)], "403"),
        ("", "/other", "", &[], "404"),
        (r#", "exit": "rest""#, "/other", "", &[], "rest:-"),
        (r#", "exit": "rest""#, "/only", "x", &[], "rest:-"),
        (r#", "exit": "rest""#, "/only", "p", &[(2, 403)], "rest:-"),
        (r#", "exit": "rest", "subprotocols": "x""#, "/other", "y, x", &[], "rest:x"),
        (r#", "exit": "rest", "subprotocols": "x""#, "/orders/a", "x", &[], "orders_readonly:x"),
        (r#", "require_websocket_subprotocol": true"#, "/orders/a", "z", &[], "400"),
        (r#", "no_match": {"status": 410}"#, "/other", "", &[], "410"),
    ] {
        let (routing, _) = read(&format!("{TABLE}{more}}}")).unwrap();
        let got = decided(&routing, &request(path, protocols), refused).await;
        assert_eq!(got, expected, "{path} {protocols} {more} {refused:?}");
    }
}

/// A guard that refuses may end the search, and may be kept secret.
#[tokio::test]
async fn refusals_of_guards_end_the_search_or_are_concealed_where_that_is_wanted() {
    let (mut routing, _) = read(&format!("{TABLE}, \"exit\": \"rest\"}}")).unwrap();
    let asks = request("/orders/x", "orders.v2");
    routing.falls_through = false;
    assert_eq!(decided(&routing, &asks, &[(0, 403)]).await, "403");
    assert_eq!(decided(&routing, &request("/orders/x", ""), &[(0, 403)]).await, "orders_readonly:-");
    routing.ways[0].conceals = true;
    assert_eq!(decided(&routing, &asks, &[(0, 403)]).await, "404");
    routing.falls_through = true;
    routing.fallback = None;
    assert_eq!(decided(&routing, &asks, &[(0, 401), (1, 403)]).await, "404");
}

#[tokio::test]
async fn parameters_and_the_route_are_known() {
    let (routing, exits) = read(&format!("{TABLE}}}")).unwrap();
    assert_eq!(exits, ["orders", "orders_readonly"]);
    let asks = request("/orders/n%C3%ADm", "");
    let chosen = routing.decide(&asks, &mut Refused(&[])).await.ok().unwrap();
    assert_eq!(chosen.params, [("site".to_owned(), "n\u{ed}m".to_owned())]);
    let shown = chosen.way.shown.as_ref().unwrap().to_string();
    assert_eq!(shown, r#"{"index":1,"exit":"orders_readonly"}"#);
    let (routing, exits) = read("{}").unwrap();
    let chosen = routing.decide(&asks, &mut Refused(&[])).await.ok().unwrap();
    assert!(exits.is_empty() && chosen.way.exit.is_none() && chosen.way.shown.is_none());
}

/// What is no text would be told of in metadata, and get into subjects and paths.
#[tokio::test]
async fn a_parameter_that_is_no_text_is_refused_and_nobody_learns_of_hidden_routes_by_that() {
    let (mut routing, _) = read(&format!("{TABLE}, \"exit\": \"rest\"}}")).unwrap();
    for path in ["/orders/%ff", "/orders/%00", "/orders/%0d%0aX"] {
        let refused = routing.decide(&request(path, ""), &mut Refused(&[])).await.err().unwrap();
        assert_eq!((refused.status, refused.label), (400, "target"), "{path}");
    }
    assert_eq!(decided(&routing, &request("/other/%ff", ""), &[]).await, "rest:-", "nobody decodes it");
    for way in &mut routing.ways {
        way.conceals = true;
    }
    let asks = request("/orders/%ff", "orders.v2");
    assert_eq!(decided(&routing, &asks, &[(0, 403), (1, 401)]).await, "rest:-");
    assert_eq!(decided(&routing, &asks, &[(1, 401)]).await, "400", "who may know of it is told");
    routing.fallback = None;
    assert_eq!(decided(&routing, &asks, &[(0, 403), (1, 401)]).await, "404");
}

#[tokio::test]
async fn what_would_be_acceptable_is_listed_and_nothing_else() {
    let (routing, _) = read(&format!("{TABLE}, \"subprotocols\": [\"p\", \"x\"]}}")).unwrap();
    let refused = routing.decide(&request("/only", "x"), &mut Refused(&[])).await.err().unwrap();
    assert_eq!(refused.reason, "a subprotocol is needed: p, q.*");
}

#[test]
fn routes_have_settings_of_their_own() {
    let (routing, exits) = read(
        r#"{"routes": [{"exit": "A", "options": {"max_message_size": 7, "accept": "text"}}, {"exit": "A"}, {"exit": "out"}],
            "exit": "A"}"#,
    )
    .unwrap();
    assert_eq!(exits, ["A"], "several lead to one port");
    let ways: Vec<_> = routing.ways.iter().map(|way| way.exit.as_deref().unwrap()).collect();
    assert_eq!(ways, ["A", "A", "out"]);
    let most: Vec<_> = routing.ways.iter().map(|way| way.wire.limits.max_message_bytes).collect();
    assert_eq!(most, [7, 64 << 20, 64 << 20]);
}

#[test]
fn routes_that_cannot_work_are_refused_with_their_place() {
    for (config, expected) in [
        (r#"{"routes": {}}"#, "config.routes: expected list"),
        (r#"{"routes": [{}]}"#, "config.routes[0].exit: missing"),
        (
            r#"{"routes": [{"exit": "a"}, {"exit": "Control"}]}"#,
            "config.routes[1].exit: `Control` can not be",
        ),
        (r#"{"exit": "err"}"#, "config.exit: `err` can not be an exit"),
        (r#"{"exit": "in"}"#, "config.exit: `in` can not be an exit"),
        (r#"{"routes": [{"exit": "broadcast"}]}"#, "config.routes[0].exit: `broadcast` can not be"),
        (r#"{"exit": "a b"}"#, "config.exit: `a b` is no name of a port"),
        (r#"{"exit": ""}"#, "config.exit: `` is no name"),
        (
            r#"{"routes": [{"exit": "A"}, {"exit": "a"}]}"#,
            "config.routes[1].exit: differs from `A` in case only, which is the same port; write it like that",
        ),
        (r#"{"exit": "OUT"}"#, "config.exit: differs from `out` in case only"),
        (
            r#"{"routes": [{"exit": "a", "when": {"path": "/a#b"}}]}"#,
            "config.routes[0].when.path: no request has a `#`",
        ),
        (
            r#"{"routes": [{"exit": "a", "when": {"path": "/%zz"}}]}"#,
            "config.routes[0].when.path: `%` begins an escape",
        ),
        (
            r#"{"routes": [{"exit": "a", "when": {"path": "/a b"}}]}"#,
            "config.routes[0].when.path: no request has spaces",
        ),
        (
            r#"{"routes": [{"exit": "a", "when": {"authority": "http://x/y"}}]}"#,
            "config.routes[0].when.authority: is a host, maybe with a port: write `x` (the scheme",
        ),
        (r#"{"exit": "1a"}"#, "config.exit: `1a` is no name"),
        (
            r#"{"routes": [{"exit": "a", "wen": []}]}"#,
            "config.routes[0].wen: unknown key; did you mean `when`",
        ),
        (
            r#"{"routes": [{"exit": "a", "when": [{"path": "/{a"}]}]}"#,
            "config.routes[0].when[0].path: `{name}` stands",
        ),
        (r#"{"routes": [{"exit": "a", "when": [{"pth": "/"}]}]}"#, "did you mean `path`?"),
        (
            r#"{"routes": [{"exit": "a", "when": [{"query": {"a": 1}}]}]}"#,
            "config.routes[0].when[0].query.a: expected string but got integer",
        ),
        (
            r#"{"routes": [{"exit": "a", "when": [{"scheme": "ftp"}]}]}"#,
            "config.routes[0].when[0].scheme: no request has the scheme",
        ),
        (
            r#"{"routes": [{"exit": "a", "options": {"open_handshake_timeout": 1}}]}"#,
            "config.routes[0].options.open_handshake_timeout: is of all connections",
        ),
        (r#"{"no_match": {}}"#, "config.no_match: has no meaning without `routes`"),
        (r#"{"routes": [], "no_match": {}}"#, "config.no_match: has no meaning without `routes`"),
        (
            r#"{"routes": [{"exit": "a", "when": {"path": "/a"}}], "exit": "b", "no_match": {}}"#,
            "config.no_match: has no effect: `exit` takes",
        ),
        (r#"{"no_match": {"status": 500}}"#, "config.no_match.status: must be between 400 and 499"),
        (r#"{"no_match": {"body": "a\nb"}}"#, "config.no_match.body: is one line"),
        (r#"{"require_websocket_subprotocol": true}"#, "config.require_websocket_subprotocol: needs"),
    ] {
        let refused = read(config).err().unwrap_or_else(|| panic!("not refused: {config}"));
        assert!(refused.contains(expected), "{refused}\ninstead of\n{expected}");
    }
}

#[test]
fn every_documented_member_of_a_condition_is_read() {
    for field in fields::CONDITIONS {
        let value = if field.kind == "pattern" { r#""*""# } else { r#"{"a": "*"}"# };
        let routes = format!(r#"{{"routes": [{{"exit": "o", "when": {{"{}": {value}}}}}]}}"#, field.name);
        assert_eq!(read(&routes).map(|(_, exits)| exits), Ok(vec!["o".to_owned()]), "{}", field.name);
        let wrong = routes.replace(value, "1");
        assert!(read(&wrong).is_err_and(|error| error.contains(field.name)), "{}", field.name);
    }
}
