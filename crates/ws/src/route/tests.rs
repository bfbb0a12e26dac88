//! The tables of `spec/websocket.md` 5 and 6.

use super::*;
use crate::handshake::headers_of;

/// A condition from `field=pattern` words.
fn condition(text: &str) -> Condition {
    let mut made = Condition::default();
    for word in text.split_whitespace() {
        let (field, pattern) = word.split_once('=').unwrap();
        match field.split_once('.') {
            Some(("query", name)) => made.add_query(name, pattern),
            Some(("headers", name)) => made.add_header(name, pattern),
            _ => match field {
                "protocol" => made.set_protocol(pattern).unwrap(),
                "scheme" => made.set_scheme(pattern).unwrap(),
                "authority" => made.set_authority(pattern).unwrap(),
                "path" => made.set_path(pattern).unwrap(),
                _ => panic!("{field}"),
            },
        }
    }
    made
}

/// Routes, each a list of conditions.
fn routes(all: &[&[&str]]) -> Routes {
    let route = |when: &&[&str]| Route {
        when: when.iter().map(|text| condition(text)).collect(),
        ..Route::default()
    };
    Routes(all.iter().map(route).collect())
}

struct Request {
    authority: Authority,
    target: &'static str,
    headers: Headers,
    protocols: Vec<String>,
}

fn request(host: &str, target: &'static str, protocols: &[&str], headers: &str) -> Request {
    Request {
        authority: Authority::parse(host).unwrap(),
        target,
        headers: headers_of(headers),
        protocols: protocols.iter().map(|name| (*name).to_owned()).collect(),
    }
}

fn asked(request: &Request) -> Asked<'_> {
    let (path, query) =
        request.target.split_once('?').map_or((request.target, None), |(path, query)| (path, Some(query)));
    Asked::new((true, &request.authority), (path, query), &request.headers, &request.protocols)
}

fn path(target: &'static str) -> Request {
    request("gate.example", target, &[], "")
}

/// The numbers of the candidates with their subprotocols, such as `0:a 2:-`.
fn found(routes: &Routes, request: &Request) -> String {
    let asked = asked(request);
    let all = routes.candidates(&asked);
    let all = all.map(|found| format!("{}:{}", found.route, found.protocol.unwrap_or("-")));
    all.collect::<Vec<_>>().join(" ")
}

#[test]
fn routes_are_tried_in_order_and_all_that_match_are_candidates() {
    let routes = routes(&[&["path=/a/*"], &["path=/a/b"], &[], &["path=/a/b"]]);
    assert_eq!(found(&routes, &path("/a/b")), "0:- 1:- 2:- 3:-");
    assert_eq!(found(&routes, &path("/c")), "2:-");
}

#[test]
fn of_conditions_any_suffices_and_of_a_condition_all() {
    let routes = routes(&[&["path=/a authority=*.example", "path=/b", "authority=x"]]);
    assert_eq!(found(&routes, &path("/a")), "0:-");
    assert_eq!(found(&routes, &path("/b")), "0:-");
    assert_eq!(found(&routes, &path("/c")), "");
    assert_eq!(found(&routes, &request("x", "/c", &[], "")), "0:-");
    assert_eq!(found(&routes, &request("other", "/a", &[], "")), "");
}

#[test]
fn what_the_request_does_not_have_does_not_match() {
    for (conditions, target, headers, fits) in [
        ("query.a=*", "/", "", false),
        ("query.a=*", "/?b=1", "", false),
        ("query.a=*", "/?a", "", true),
        ("query.a=1*", "/?a=2&a=10", "", true),
        ("query.a=x", "/?%61=%78", "", true),
        ("query.a=1 query.b=2", "/?a=1", "", false),
        ("headers.x-kind=pl*", "/", "X-Kind: plain\r\n", true),
        ("headers.x-kind=pl*", "/", "X-Kind: other\r\nx-kind: plain\r\n", true),
        ("headers.X-KIND=*", "/", "Other: 1\r\n", false),
        ("protocol=*", "/", "", false),
        ("scheme=https", "/", "", true),
        ("scheme=WSS", "/", "", true),
        ("scheme=ws*", "/", "", true),
        ("scheme=http", "/", "", false),
        ("scheme=ws", "/", "", false),
        ("authority=gate.example:443", "/", "", true),
        ("authority=gate.example:80", "/", "", false),
    ] {
        let request = request("gate.example", target, &[], headers);
        assert_eq!(!found(&routes(&[&[conditions]]), &request).is_empty(), fits, "{conditions} {target}");
    }
}

#[test]
fn parameters_come_from_the_condition_that_matched() {
    let routes = routes(&[&["path=/x/{a} protocol=p", "path=/x/{b}", "path=/{c}/y"]]);
    let params = |protocols: &[&str]| {
        let request = request("h", "/x/y", protocols, "");
        routes.candidates(&asked(&request)).next().unwrap().params.unwrap()
    };
    assert_eq!(params(&["p"]), [("a".to_owned(), "y".to_owned())]);
    assert_eq!(params(&["q"]), [("b".to_owned(), "y".to_owned())]);
}

#[test]
fn the_earliest_route_decides_then_the_earliest_offer() {
    let routes = routes(&[&["protocol=v2"], &["protocol=v1", "protocol=v0"], &[]]);
    for (offers, expected) in [
        (&["v1", "v2"][..], "0:v2 1:v1 2:-"),
        (&["v0", "v1"], "1:v0 2:-"),
        (&["v1", "v0"], "1:v1 2:-"),
        (&["V2"], "2:-"),
        (&["v2x"], "2:-"),
        (&[], "2:-"),
    ] {
        assert_eq!(found(&routes, &request("h", "/", offers, "")), expected, "{offers:?}");
    }
}

#[test]
fn an_offer_that_no_condition_names_is_spoken_only_if_it_is_listed() {
    let mut routes = routes(&[&["path=/a"]]);
    let offers = request("h", "/a", &["x", "y"], "");
    assert_eq!(found(&routes, &offers), "0:-");
    routes.0[0].protocols.list = vec!["y".to_owned()];
    assert_eq!(found(&routes, &offers), "0:y");
    // A name beats being let in, also for a later offer.
    routes.0[0].when.push(condition("path=/a protocol=x"));
    assert_eq!(found(&routes, &offers), "0:x");
}

#[test]
fn a_route_that_requires_a_subprotocol_does_not_match_without() {
    let mut routes = routes(&[&["path=/a"], &["path=/b protocol=p"]]);
    routes.0[0].protocols = Protocols { list: vec!["y".to_owned()], required: true, ..Protocols::default() };
    let why = |target, offers: &[&str]| {
        let request = request("h", target, offers, "");
        assert_eq!(found(&routes, &request), "", "{target}");
        routes.unmatched(&asked(&request)).map(|none| none.accepted.join(" "))
    };
    assert_eq!(why("/a", &["x"]).as_deref(), Some("y"));
    assert_eq!(why("/a", &[]).as_deref(), Some("y"));
    assert_eq!(why("/b", &["y"]).as_deref(), Some("p"));
    assert_eq!(why("/c", &["y"]), None);
    assert_eq!(found(&routes, &request("h", "/a", &["y"], "")), "0:y");
}

#[test]
fn only_subprotocols_that_would_make_a_route_match_are_named() {
    let mut routes = routes(&[&["path=/a protocol=v1", "path=/b"], &["path=/a protocol=w*"], &[]]);
    let list = ["v3", "v2", "v1"].map(str::to_owned).to_vec();
    for route in &mut routes.0 {
        route.protocols = Protocols { list: list.clone(), required: true, ..Protocols::default() };
    }
    let why = |routes: &Routes, target| {
        routes.unmatched(&asked(&request("h", target, &["x"], ""))).map(|none| none.accepted.join(" "))
    };
    assert_eq!(why(&routes, "/c").as_deref(), Some("v3 v2 v1"));
    routes.0.pop();
    assert_eq!(why(&routes, "/a").as_deref(), Some("v1 w*"));
    assert_eq!(why(&routes, "/b").as_deref(), Some("v3 v2 v1"));
    assert_eq!(why(&routes, "/c"), None);
}

#[test]
fn what_a_concealed_route_would_take_is_not_told() {
    let mut routes = routes(&[&["path=/a protocol=p"], &["path=/a protocol=q"]]);
    routes.0[0].conceals = true;
    let why =
        |routes: &Routes| routes.unmatched(&asked(&request("h", "/a", &[], ""))).map(|none| none.accepted);
    assert_eq!(why(&routes), Some(vec!["q".to_owned()]));
    routes.0.pop();
    assert_eq!(why(&routes), None);
    assert_eq!(found(&routes, &request("h", "/a", &["p"], "")), "0:p");
}

#[test]
fn a_route_may_have_an_order_of_its_own() {
    let mut routes = routes(&[&["path=/a", "path=/a protocol=z*"]]);
    let offers = request("h", "/a", &["zz", "x", "y"], "");
    let list = ["y", "x"].map(str::to_owned).to_vec();
    routes.0[0].protocols = Protocols { list, ..Protocols::default() };
    assert_eq!(found(&routes, &offers), "0:zz");
    routes.0[0].protocols.prefers_own = true;
    assert_eq!(found(&routes, &offers), "0:y");
}

#[test]
fn without_routes_the_list_decides() {
    let offers = ["b", "a"].map(str::to_owned);
    let list = |prefers_own, required, list: &[&str]| {
        let list = list.iter().map(|name| (*name).to_owned()).collect();
        Protocols { list, prefers_own, required }.choose(&offers).map(|name| name.map(str::to_owned))
    };
    assert_eq!(list(false, false, &[]), Ok(None));
    assert_eq!(list(false, false, &["a", "b"]), Ok(Some("b".to_owned())));
    assert_eq!(list(true, false, &["a", "b"]), Ok(Some("a".to_owned())));
    assert_eq!(list(true, false, &["c"]), Ok(None));
    assert_eq!(list(true, true, &["c"]), Err(NoProtocol { accepted: vec!["c".to_owned()] }));
}

#[test]
fn conditions_that_can_never_match_are_refused() {
    let mut one = Condition::default();
    assert!(one.set_scheme("ftp").is_err() && one.set_scheme("").is_err());
    assert!(one.set_protocol("").is_err() && one.set_protocol("a b").is_err());
    assert!(one.set_path("x").is_err() && one.set_authority("a/b").is_err());
    assert_eq!(one, Condition::default());
}

#[test]
fn what_is_certain_of_a_path_is_known_without_a_request() {
    let all = routes(&[
        &["path=/a"],
        &["path=/a headers.x=y"],
        &["path=/b/{id}", "path=/c/*/{x}/{y}"],
        &["path=/q?x=*"],
        &["protocol=v*"],
        &[],
    ]);
    for (number, path, may, always) in [
        (0, "/a", true, true),
        (0, "/%61", true, true),
        (0, "/b", false, false),
        (1, "/a", true, false),
        (1, "/b", false, false),
        (2, "/b/7", true, true),
        (2, "/c/d/1/2", true, true),
        (2, "/b/", false, false),
        (3, "/q", true, false),
        (4, "/a", true, false),
        (5, "/any", true, true),
    ] {
        let route = &all.0[number];
        assert_eq!((route.may_take(path), route.always_takes(path)), (may, always), "{number} {path}");
    }
    let mut asks = all.0[0].clone();
    asks.protocols.required = true;
    assert!(asks.may_take("/a") && !asks.always_takes("/a"));
    assert_eq!(all.0[2].params(), [vec!["id"], vec!["x", "y"]]);
    assert_eq!([all.0[4].params(), all.0[5].params()], [vec![Vec::<String>::new()], vec![Vec::new()]]);
}

#[test]
fn which_subprotocols_a_route_may_speak_is_known() {
    let all = routes(&[&["path=/a", "path=/b protocol=v*"], &["protocol=v*"], &[]]);
    let speaks = |number: usize, names: [Option<&str>; 3]| names.map(|name| all.0[number].may_speak(name));
    let names = [None, Some("v1"), Some("x")];
    assert_eq!(speaks(0, names), [true, true, false]);
    assert_eq!(speaks(1, names), [false, true, false]);
    assert_eq!(speaks(2, names), [true, false, false]);
    let mut listed = all.0[2].clone();
    listed.protocols = Protocols { list: vec!["x".to_owned()], required: true, ..Protocols::default() };
    assert_eq!(names.map(|name| listed.may_speak(name)), [false, false, true]);
}

/// A route with these conditions; none always matches.
fn written(conditions: &[&str]) -> Route {
    routes(&[conditions]).0.remove(0)
}

#[test]
fn a_route_covers_what_its_conditions_leave_to_no_other() {
    let cases: [(&[&str], &[&str], bool); 27] = [
        (&[], &["path=/a"], true),
        (&[], &[], true),
        (&["path=/a"], &[], false),
        (&["path=/*"], &[], true),
        (&["path=/*"], &["scheme=https"], true),
        (&["path=/a"], &["path=/a"], true),
        (&["path=/a"], &["path=/a protocol=v1"], true),
        (&["path=/a protocol=v1"], &["path=/a"], false),
        (&["path=/a protocol=v*"], &["path=/a protocol=v1"], true),
        (&["path=/a protocol=v1"], &["path=/a protocol=v2"], false),
        (&["path=/a headers.x-a=1"], &["path=/a"], false),
        (&["path=/a headers.X-A=*"], &["path=/a headers.x-a=1"], true),
        (&["path=/a headers.x-a=1"], &["path=/a headers.x-a=2"], false),
        (&["path=/a query.k=1"], &["path=/a"], false),
        (&["path=/a query.k=*"], &["path=/a query.k=1 query.l=2"], true),
        (&["path=/a query.k=1"], &["path=/a query.K=1"], false),
        (&["path=/a scheme=https"], &["path=/a"], false),
        (&["path=/a scheme=https"], &["path=/a scheme=wss"], true),
        (&["path=/a scheme=*"], &["path=/a"], true),
        (&["path=/a scheme=http"], &["path=/a scheme=*"], false),
        (&["path=/a authority=*.b"], &["path=/a authority=a.b"], true),
        (&["path=/a authority=a.b"], &["path=/a"], false),
        (&["path=/a", "path=/b"], &["path=/b", "path=/a"], true),
        (&["path=/a"], &["path=/a", "path=/b"], false),
        (&["path=/a headers.x-a=1", "path=/*"], &["path=/b"], true),
        (&["path=/{x}"], &["path=/a?k=1"], true),
        (&["path=/a/*"], &["path=/a"], false),
    ];
    for (wide, narrow, expected) in cases {
        assert_eq!(written(wide).covers(&written(narrow)), expected, "{wide:?} {narrow:?}");
    }
    let demanding = |conditions| Route {
        protocols: Protocols { required: true, list: vec!["v1".to_owned()], ..Protocols::default() },
        ..written(conditions)
    };
    assert!(!demanding(&["path=/a"]).covers(&written(&["path=/a"])), "others may come without a subprotocol");
    assert!(demanding(&["path=/a protocol=v*"]).covers(&written(&["path=/a protocol=v1"])));
}

#[test]
fn a_parameter_that_is_no_text_leaves_the_route_a_candidate() {
    let routes = Routes(vec![written(&["path=/{site}"]), written(&["path=/*"])]);
    let request = path("/%ff");
    let all: Vec<_> = routes.candidates(&asked(&request)).map(|one| one.params).collect();
    assert_eq!(all, [Err(NoText), Ok(Vec::new())]);
}
