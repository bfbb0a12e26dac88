//! What is wrong in a configuration is told once, with its whole path, and all of it at the first try.

use super::tls::files;
use crate::harness::{definition, environment};
use tremor_connector::{Dials, Instance};

/// All that is told of a configuration that is refused, without what all messages have in common.
fn refused(kind: &str, config: &str) -> Vec<String> {
    let (environment, _exits) = environment(Dials::default());
    let registry = tremor_connectors::registry(true);
    let codecs = tremor_codec::Registry::standard();
    let definition = definition(kind, config, r#""json""#, "");
    let made = Instance::checked(&definition, &environment, &registry, &codecs, &std::sync::Arc::default());
    let prefix = format!("[{}] Invalid definition: config.", environment.alias);
    let told = made.map(|_| ()).err().unwrap_or_default();
    told.iter().map(|error| error.message.replace(&prefix, "")).collect()
}

/// Each of `expected` is the beginning of one message, in order, and there are no others.
#[track_caller]
fn assert_told(kind: &str, config: &str, expected: &[&str]) {
    let told = refused(kind, config);
    let is_right = told.len() == expected.len()
        && told.iter().zip(expected).all(|(told, expected)| told.starts_with(expected));
    assert!(is_right, "{kind} {config}: {told:#?}");
    assert!(told.iter().all(|message| !message.contains('\n')), "in one line each: {told:#?}");
}

fn of_client(more: &str, expected: &[&str]) {
    assert_told("ws_client", &format!(r#"{{"url": "ws://127.0.0.1:1"{more}}}"#), expected);
}

fn of_server(more: &str, expected: &[&str]) {
    assert_told("ws_server", &format!(r#"{{"url": "127.0.0.1:1"{more}}}"#), expected);
}

#[tokio::test]
async fn addresses_that_cannot_be_meant() {
    let fragment = "url: has a fragment, which is never sent";
    let unix =
        r#"is for TCP; for a unix socket write `"endpoint": {"type": "unix", "path": "/a/b"}` instead"#;
    for (kind, url, expected) in [
        ("ws_client", "ws://h/#f", fragment.to_owned()),
        ("ws_server", "ws://h/#f", fragment.to_owned()),
        ("ws_client", "unix:/a/b", format!("url: {unix}")),
        ("ws_client", "UNIX:///a/b", format!("url: {unix}")),
        ("ws_client", "ws+unix:///a/b", format!("url: {unix}")),
        ("ws_server", "unix:/a/b", format!("url: {unix}")),
        (
            "ws_server",
            "/a/b",
            r#"url: is no address; a unix socket is written as `"endpoint": {"type""#.into(),
        ),
    ] {
        assert_told(kind, &format!(r#"{{"url": "{url}"}}"#), &[&expected]);
    }
    assert_told("ws_server", r#"{"listen": ["127.0.0.1:0", "unix:/a/b"]}"#, &[&format!("listen[1]: {unix}")]);
    assert_told("ws_server", r#"{"listen": ["127.0.0.1:0", "a b"]}"#, &["listen[1]: `a b` is no host name"]);
    assert_eq!(refused("ws_client", r#"{"url": "unix:80"}"#), [""; 0], "a host of that name");
    of_server(r#", "public_url": "wss://h/#f""#, &["public_url: has a fragment"]);
}

#[tokio::test]
async fn what_is_said_twice_in_different_ways() {
    let url = "`url` says";
    for (url_and_more, expected) in [
        (
            r#""url": "ws://h", "defaults": {"authority": "g"}"#,
            format!("defaults.authority: {url} which server"),
        ),
        (
            r#""url": "ws://h", "per_origin": true, "options": {"defaults": {"authority": "g"}}"#,
            format!("options.defaults.authority: {url} which server"),
        ),
        (r#""url": "ws://h/a", "defaults": {"path": "/b"}"#, format!("defaults.path: {url} a path")),
        (
            r#""url": "ws://h", "defaults": {"scheme": "wss"}"#,
            format!("defaults.scheme: {url} another scheme"),
        ),
        (r#""url": "ws://h", "defaults": {"path": "/b#c"}"#, "defaults.path: has a fragment".to_owned()),
    ] {
        assert_told("ws_client", &format!("{{{url_and_more}}}"), &[&expected]);
    }
    for fits in [
        r#""url": "ws://h/", "defaults": {"path": "/b"}"#,
        r#""url": "h/a", "defaults": {"scheme": "wss"}"#,
        r#""url": "wss://h/a", "defaults": {"scheme": "https"}"#,
    ] {
        assert_eq!(refused("ws_client", &format!("{{{fits}}}")), [""; 0], "{fits}");
    }
}

#[tokio::test]
async fn schemes_are_said_where_several_could_be_meant() {
    of_client(r#", "proxy": "x""#, &["proxy: has no scheme"]);
    of_client(r#", "proxy": {"url": "x:3128"}"#, &["proxy.url: has no scheme"]);
    of_client(r#", "proxy": {"url": "http://"}"#, &["proxy.url: the URL names no host"]);
    of_client(r#", "proxy": {}"#, &[r#"proxy.url: missing (a string such as "http://127.0.0.1:3128")"#]);
    let catalog = r#", "schema": {"catalogs": {"c": {"type": "schema-registry", "url": "foo:81"}},
        "in": {"model": "json", "catalog": "c", "subject": "s"}}"#;
    of_server(catalog, &["schema.catalogs.c.url: has no scheme; write `https://foo:81`"]);
}

#[tokio::test]
async fn a_reply_is_described_in_one_way() {
    of_client(r#", "expect": {"contains": 5}"#, &["expect.contains: expected string but got integer 5"]);
    of_client(r#", "expect": {"contains": "a", "b": 1}"#, &["expect.contains: is a text that the reply has"]);
    of_client(r#", "expect": {"contains": ""}"#, &["expect.contains: is empty"]);
}

/// What a guard of an unknown type needs nobody knows, nor what an unknown key was to say; other mistakes are told.
#[tokio::test]
async fn what_is_missing_since_another_key_or_word_is_wrong_is_not_told() {
    let guard = |guard: &str| format!(r#", "guards": {{"g": {guard}}}"#);
    let kind = "guards.g.type: expected one of `jwt`, `basic`,";
    of_server(&guard(r#"{"type": "x"}"#), &[kind]);
    of_server(&guard(r#"{"type": "x", "options": {"tokens": {"a": {}}}}"#), &[kind]);
    of_server(&guard(r#"{"options": {}}"#), &["guards.g.type: missing"]);
    of_server(&format!(r#"{}, "bogus": 1"#, guard(r#"{"type": "x"}"#)), &[kind, "bogus: unknown key"]);
    of_server(
        r#", "guards": {"g": {"type": "x"}, "h": {"type": "basic"}}"#,
        &[kind, "guards.h.options.users: missing"],
    );
    of_server(
        &guard(r#"{"type": "basic", "options": {"people": {}}}"#),
        &["guards.g.options.people: unknown key"],
    );
    for kind in ["jwt", "apikey", "flow"] {
        let options = format!(r#"{{"type": "{kind}", "options": {{"zzz": 1}}}}"#);
        of_server(&guard(&options), &["guards.g.options.zzz: unknown key"]);
    }
    of_server(
        &format!(r#"{}, "trusted_proxies": "::1""#, guard(r#"{"type": "identity", "options": {"zzz": 1}}"#)),
        &["guards.g.options.zzz: unknown key"],
    );
    of_server(&guard(r#"{"type": "flow", "options": {"timeout": 5}}"#), &["guards.g.options.port: missing"]);
    let files = files();
    let (cert, key) = (files.cert.display(), files.key.display());
    let known = guard(r#"{"type": "tls", "options": {"certificates": [{"certificat": "x"}]}}"#);
    of_server(
        &format!(r#"{known}, "tls": {{"cert": "{cert}", "key": "{key}", "client_ca": "{cert}"}}"#),
        &["guards.g.options.certificates[0].certificat: unknown key"],
    );
}

#[tokio::test]
async fn every_mistake_is_told_once_and_none_hides_another() {
    of_client(r#", "auth": {"foo": 1}"#, &["auth.foo: unknown key"]);
    of_client(r#", "auth": {}"#, &["auth: says nothing"]);
    of_client(
        r#", "auth": {"baerer": {"token": "a b"}}"#,
        &["auth.baerer: unknown key; did you mean `bearer`?"],
    );
    let flow = |options: &str| format!(r#", "guards": {{"g": {{"type": "flow"{options}}}}}"#);
    of_server(
        &flow(r#", "options": {"prot": "x"}"#),
        &["guards.g.options.prot: unknown key; did you mean `port`?"],
    );
    of_server(&flow(""), &["guards.g.options.port: missing (the name of the port"]);
    of_server(&flow(r#", "options": {}"#), &["guards.g.options.port: missing (the name of the port"]);
    of_server(
        r#", "guards": {"g": {"type": "cookie", "options": {"x": 1}}}, "cookie": {"max_aeg": 1}"#,
        &["guards.g.options.x: unknown key", "cookie: needs `bind_identity`"],
    );
    of_server(
        r#", "guards": {"g": {"type": "cookie", "options": {"x": 1}}}"#,
        &["guards.g.options.x: unknown key", "cookie: missing (a record with `bind_identity`"],
    );
    let basic = r#", "guards": {"g": {"type": "basic", "options": {"users": {"a": {"password": "b"}}}}}"#;
    of_server(&format!(r#"{basic}, "credentials": {{"foo": {{}}}}"#), &["credentials.foo: unknown key"]);
    of_server(&format!(r#"{basic}, "credentials": {{}}"#), &["credentials: names no place"]);
    of_server(
        r#", "guards": {}, "credentials": {"query": {"t": "{credentials}"}}"#,
        &["credentials: has no meaning without `guards`"],
    );
    let files = files();
    let (cert, key) = (files.cert.display(), files.key.display());
    let tls = format!(r#"{{"cert": "{cert}", "key": "{key}", "client_ca": "{cert}"}}"#);
    let certificates = |options: &str| {
        format!(r#", "tls": {tls}, "guards": {{"g": {{"type": "tls", "options": {options}}}}}"#)
    };
    of_server(
        &certificates(r#"{"certificat": [{"host": "a"}]}"#),
        &["guards.g.options.certificat: unknown key; did you mean `certificates`?"],
    );
    of_server(&certificates("{}"), &["guards.g.options.subjects: missing"]);
    of_server(
        r#", "routes": [{"exit": "a", "wenn": []}, {"exti": "b"}, {"exit": 5}]"#,
        &[
            "routes[0].wenn: unknown key",
            "routes[1].exti: unknown key; did you mean `exit`?",
            "routes[2].exit: expected string but got integer 5",
        ],
    );
}

#[tokio::test]
async fn values_out_of_range_and_names_of_others_are_told_at_once() {
    of_server(
        r#", "max_headers": 1, "hsts": true, "auto_ping_size": 3, "backlog": 0, "max_conections": 3, "proxy": "x",
        "options": {"tls": {}, "max_header_size": 3}, "max_frame_size": "1MB", "trusted_proxies": ["x", "::1", "y"]"#,
        &[
            "hsts: is written as",
            "proxy: is a setting of `ws_client`",
            "options.tls: stands in `config` alone",
            "backlog: must be between",
            "max_frame_size: expected integer",
            "auto_ping_size: must be between",
            "options.max_header_size: must be between",
            "max_headers: must be between",
            "trusted_proxies[0]: `x` is no address",
            "trusted_proxies[2]: `y` is no address",
            "max_conections: unknown key; did you mean `max_connections`?",
        ],
    );
    of_client(
        r#", "guards": {}, "max_redirects": 1000, "give_up_on": [99, 401, 600], "headers": {"Upgrade": "x", "a b": "y"},
        "subprotocols": "a b""#,
        &[
            "guards: is a setting of `ws_server`",
            "subprotocols: `a b` is no subprotocol",
            "headers.Upgrade: header `Upgrade` belongs to the handshake",
            r#"headers."a b": `a b` is not a header name"#,
            "max_redirects: must be between 0 and 100",
            "give_up_on[0]: 99 is no status",
            "give_up_on[2]: 600 is no status",
        ],
    );
    of_server(
        r#", "routes": [{"exit": "in", "when": {"pth": "/"}}, {"when": {"path": "/", "x": 1}}, {"exit": "b c"}]"#,
        &[
            "routes[0].exit: `in` can not be an exit",
            "routes[0].when.pth: unknown key",
            "routes[1].exit: missing",
            "routes[1].when.x: unknown key",
            "routes[2].exit: `b c` is no name of a port",
        ],
    );
}

#[tokio::test]
async fn what_stands_a_level_too_high_is_told_where_it_belongs() {
    of_server(
        r#", "cert": "a", "key": "b", "client_ca": "c""#,
        &["client_ca: stands in `tls`", "cert: stands in `tls`", "key: stands in `tls`"],
    );
    of_client(r#", "cafile": "a""#, &["cafile: stands in `tls`"]);
    of_server(
        r#", "guards": {"g": {"type": "jwt", "issuer": "https://a", "leeway": 1}}"#,
        &[
            "guards.g.issuer: stands in `options` of the guard",
            "guards.g.leeway: stands in `options` of the guard",
        ],
    );
}

#[tokio::test]
async fn files_of_cookies_that_cannot_be_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let store = |path: &std::path::Path| {
        format!(r#", "cookie": {{"store": {{"type": "file", "filename": "{}"}}}}"#, path.display())
    };
    let (missing, is) = (folder.path().join("none/cookies"), "cookie.store.filename: ");
    let told = format!("{is}the directory `{}`, where the file", missing.parent().unwrap().display());
    of_server(&store(&missing), &[&told]);
    of_server(&store(folder.path()), &[&format!("{is}`{}` is a directory", folder.path().display())]);
    let file = folder.path().join("cookies");
    std::fs::write(&file, "").unwrap();
    let told = format!("{is}`{}`, where the file is to be, is no directory", file.display());
    of_server(&store(&file.join("deeper")), &[&told]);
    of_server(&store(&file), &[]);
    of_server(&store(&folder.path().join("new")), &[]);
    of_server(&store(std::path::Path::new("here")), &[]);
}

#[tokio::test]
async fn one_value_may_stand_for_a_list_of_it() {
    let users = r#"{"type": "basic", "options": {"users": {"a": {"password": "b", "roles": "r"}}}}"#;
    let keys = super::guards::jwk("k");
    let tokens = format!(
        r#"{{"type": "jwt", "options": {{"keys": [{keys}], "algorithms": "HS256", "audience": "a"}}}}"#
    );
    of_server(
        &format!(
            r#", "guards": {{"g": {users}, "j": {tokens}}}, "allowed_hosts": "a", "allow_from": "::1", "subprotocols": "a",
            "allowed_origins": "https://a", "routes": [{{"exit": "a", "guarded": {{"g": "r", "j": "s"}}}}]"#
        ),
        &[],
    );
    assert_told("ws_server", r#"{"listen": "127.0.0.1:1"}"#, &[]);
    assert_told("ws_server", r#"{"listen": "a b"}"#, &["listen: `a b` is no host name"]);
    of_client(
        r#", "give_up_on": 401, "open_message": "a", "tls": {"insecure": true, "alpn": "http/1.1"}"#,
        &[],
    );
}

#[tokio::test]
async fn what_no_connection_could_be_made_with() {
    of_client(r#", "subprotocols": ["a", "a"]"#, &["subprotocols[1]: `a` is there twice"]);
    of_client(r#", "subprotocols": "a b""#, &["subprotocols: `a b` is no subprotocol"]);
    of_client(r#", "headers": {"Host": "a b"}"#, &["headers: `a b` is not a host"]);
    of_client(r#", "auth": {"bearer": {"token": ""}}"#, &["auth.bearer.token: is empty"]);
    let anywhere = |authority: &str, expected: &str| {
        let config = format!(r#"{{"defaults": {{"authority": "{authority}"}}}}"#);
        assert_told("ws_client", &config, &[&format!("defaults.authority: {expected}")]);
    };
    anywhere("h:0", "nobody can connect to port 0");
    anywhere("1.2.3", "`1.2.3` is no host name");
    for (host, expected) in
        [("", "is no host name"), ("a b", "`a b` is no host name"), ("a/b", "is no host name")]
    {
        let config = format!(r#"{{"endpoint": {{"type": "tcp", "host": "{host}", "port": 5}}}}"#);
        assert_told("ws_client", &config, &[&format!("endpoint.host: {expected}")]);
    }
    for host in ["h", "::1", "[::1]", "10.0.0.1"] {
        let config = format!(r#"{{"endpoint": {{"type": "tcp", "host": "{host}", "port": 5}}}}"#);
        assert_eq!(refused("ws_client", &config), [""; 0], "{host}");
    }
    assert_told(
        "ws_server",
        r#"{"endpoint": {"path": "/a"}}"#,
        &["endpoint.type: missing (one of `tcp`, `unix`)"],
    );
    for (listen, is_right) in [
        (r#"["127.0.0.1:5", "127.0.0.1:5"]"#, false),
        (r#"[{"type": "unix", "path": "/a"}, {"type": "unix", "path": "/a"}]"#, false),
        (r#"["127.0.0.1:5", "127.0.0.2:5"]"#, true),
        (r#"["127.0.0.1:0", "127.0.0.1:0"]"#, true),
        (r#"[{"type": "tcp", "port": 0}, {"type": "tcp", "port": 0}]"#, true),
    ] {
        let expected: &[_] =
            if is_right { &[] } else { &["listen[1]: is the same place as `config.listen[0]`"] };
        assert_told("ws_server", &format!(r#"{{"listen": {listen}}}"#), expected);
    }
    of_server(
        r#", "proxy_protocol": "v2", "proxy_protocol_from": []"#,
        &["proxy_protocol_from: an empty list lets nobody send the header"],
    );
    of_server(
        r#", "public_url": "edge.example:81""#,
        &["public_url: has no scheme, which says whether clients"],
    );
    of_server(
        r#", "allowed_origins": [], "require_origin": true, "allow_null_origin": false"#,
        &["allowed_origins: an empty list admits no page"],
    );
    of_server(r#", "allowed_origins": ["https://*:*:*"]"#, &["allowed_origins[0]: `*:*` "]);
}

#[tokio::test]
async fn what_no_request_could_meet() {
    let basic = r#", "guards": {"g": {"type": "basic", "options": {"users": {"a": {"password": "b"}}}}}"#;
    of_server(
        &format!(r#"{basic}, "credentials": {{"headers": {{"a b": "Basic {{username}}:{{password}}"}}}}"#),
        &[r#"credentials.headers."a b": is no name of a header: no request can have it"#],
    );
    let bearer = r#", "guards": {"g": {"type": "bearer", "options": {"tokens": {"x": {}}}}}"#;
    of_server(
        &format!(r#"{bearer}, "credentials": {{"cookies": {{"a=b": "{{credentials}}"}}}}"#),
        &[r#"credentials.cookies."a=b": is no name of a cookie"#],
    );
    of_server(
        r#", "deny_from": ["0.0.0.0/0", "::/0"]"#,
        &["deny_from: has every address in it: nobody could"],
    );
    of_server(
        r#", "allow_from": ["10.0.0.0/8"], "deny_from": ["10.0.0.0/9", "10.128.0.0/9"]"#,
        &["deny_from: has all of `allow_from` in it: nobody could connect"],
    );
    of_server(
        r#", "external_port": 8443, "allowed_hosts": ["a", "b:443"]"#,
        &[
            "allowed_hosts[1]: has port 443, but requests are for 8443 (`external_port`): none could match; write `b`",
        ],
    );
    of_server(
        r#", "public_url": "wss://a:8443", "allowed_hosts": ["a:443"]"#,
        &["allowed_hosts[0]: has port 443, but requests are for 8443 (that of `public_url`)"],
    );
    of_server(r#", "allowed_hosts": ["a:0"]"#, &["allowed_hosts[0]: has port 0"]);
    of_server(r#", "public_url": "wss://h:0""#, &["public_url: has port 0, which nobody can connect to"]);
    for domain in [".", "..", "a..b", "a.", "a b", "a/b"] {
        of_server(&format!(r#", "cookie": {{"domain": "{domain}"}}"#), &["cookie.domain: "]);
    }
    for fits in [
        r#", "deny_from": ["0.0.0.0/0"]"#,
        r#", "allow_from": ["10.0.0.0/8"], "deny_from": ["10.0.0.0/9"]"#,
        r#", "external_port": 8443, "allowed_hosts": ["a", "b:8443"]"#,
        r#", "public_url": "wss://a", "allowed_hosts": ["a:443"]"#,
        r#", "cookie": {"domain": ".plant.example"}"#,
    ] {
        of_server(fits, &[]);
    }
    assert_told(
        "ws_server",
        r#"{"listen": ["127.0.0.1:1", {"type": "unix", "path": "/x"}], "deny_from": ["0.0.0.0/0", "::/0"]}"#,
        &[],
    );
    for interface in ["lo", "eth99", "", "a b", "127.0.0.1:80", "gate.example"] {
        assert_told(
            "ws_server",
            &format!(r#"{{"endpoint": {{"type": "tcp", "port": 5, "interface": "{interface}"}}}}"#),
            &["endpoint.interface: is no address of this machine: write one, such as `127.0.0.1`"],
        );
    }
    for endpoint in [r#""interface": "localhost""#, r#""interface": "[::1]", "version": 6"#] {
        assert_told(
            "ws_server",
            &format!(r#"{{"endpoint": {{"type": "tcp", "port": 5, {endpoint}}}}}"#),
            &[],
        );
    }
}

#[tokio::test]
async fn what_says_nothing_or_cannot_be_sent() {
    for origin in ["https://h:99999", "https://h:", "https://h/x", "https://", "h", "https://a b"] {
        of_client(&format!(r#", "origin": "{origin}""#), &["origin: is no origin"]);
    }
    for origin in ["https://h:99", "null", "https://[::1]", "app+x://h"] {
        of_client(&format!(r#", "origin": "{origin}""#), &[]);
    }
    of_client(r#", "query": {"a": []}"#, &["query.a: an empty list says nothing"]);
    of_client(r#", "headers": {"X-A": []}"#, &["headers.X-A: an empty list says nothing"]);
    of_client(r#", "open_message": []"#, &["open_message: an empty list sends nothing"]);
    of_client(
        r#", "open_message": ["a", {"type": "hello"}]"#,
        &[
            r#"open_message[1]: expected a text (JSON is written as one: `"{\"a\": 1}"`) or `{"binary": "<base64>"}`"#,
        ],
    );
    of_client(
        r#", "options": {"open_message": []}"#,
        &["options.open_message: an empty list sends nothing; leave it out"],
    );
    of_client(
        r#", "tls": {"add_system_roots": true}"#,
        &["tls.add_system_roots: has no meaning without `cafile`"],
    );
    let files = files();
    let cert = files.cert.display();
    of_client(
        &format!(r#", "tls": {{"insecure": true, "cafile": "{cert}"}}"#),
        &["tls.insecure: lets everybody pass, whatever `cafile` says"],
    );
}

#[tokio::test]
async fn options_of_a_route_that_stand_elsewhere_are_told_where() {
    let of_all = "is of all connections: it stands in `config`, or in its `options`";
    for (key, value, expected) in [
        ("tls", "{}", "stands in `config` alone"),
        ("guards", "{}", "stands in `config` alone"),
        ("cookie", "{}", "stands in `config` alone"),
        ("max_connections", "5", of_all),
        ("health", r#""/h""#, of_all),
        ("allowed_origins", "[]", of_all),
        ("drain_timeout", "5", of_all),
        ("exit", r#""b""#, "stands in the route itself, beside `options`"),
        ("guarded", "{}", "stands in `routes[]`, beside `when`"),
        ("codec", r#""json""#, "stands beside `config`"),
        ("max_mesage_size", "5", "unknown key; did you mean `max_message_size`?"),
        ("foo", "5", "unknown key"),
    ] {
        let routes = format!(r#", "routes": [{{"exit": "a", "options": {{"{key}": {value}}}}}]"#);
        of_server(&routes, &[&format!("routes[0].options.{key}: {expected}")]);
    }
    for (key, expected) in [("max_message_size", of_all), ("tls", "stands in `config` alone")] {
        let routes = format!(r#", "routes": [{{"exit": "a", "options": {{"{key}": {{}}}}}}]"#);
        of_client(&routes, &[&format!("routes[0].options.{key}: {expected}")]);
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_schema_and_where_is_told() {
    for (model, schema, expected) in [
        ("json", r#"{"type": "objekt"}"#, "(at `/type`)"),
        ("json", r#"{"properties": {"a": {"pattern": "("}}}"#, "(at `/properties/a/pattern`)"),
        ("avro", r#""{""#, "at line 1 column 1"),
        ("protobuf", r#""syntax = \"proto3\";\n message {""#, "schema.proto:2:10: expected an identifier"),
    ] {
        let told = refused(
            "ws_server",
            &format!(
                r#"{{"url": "127.0.0.1:1", "schema": {{
                    "catalogs": {{"c": {{"type": "inline", "subjects": {{"s": {{"schema": {schema}}}}}}}}},
                    "in": {{"model": "{model}", "catalog": "c", "subject": "s"}}}}}}"#
            ),
        );
        assert!(matches!(told.as_slice(), [only] if only.contains(expected)), "{model} {schema}: {told:#?}");
    }
}

#[tokio::test]
async fn what_is_wrong_with_a_pattern_and_where_is_told_in_one_line() {
    of_server(
        r#", "schema": {"in": {"model": "string", "pattern": "día(b"}}"#,
        &["schema.in.pattern: `día(b` is no pattern: unclosed group at character 4"],
    );
}

/// What the reference tells of the options of guards is understood.
#[tokio::test]
async fn options_of_guards_that_the_reference_tells_of_are_known() {
    let files = files();
    let (cert, key) = (files.cert.display(), files.key.display());
    let around = format!(
        r#""trusted_proxies": "::1", "cookie": {{"bind_identity": true}},
           "tls": {{"cert": "{cert}", "key": "{key}", "client_ca": "{cert}"}}"#
    );
    for (kind, options) in tremor_connectors::WS_GUARDS {
        for option in *options {
            let guard = format!(r#"{{"type": "{kind}", "options": {{"{}": null, "zzz": 1}}}}"#, option.name);
            let config = format!(r#"{{"url": "127.0.0.1:1", {around}, "guards": {{"g": {guard}}}}}"#);
            let told = refused("ws_server", &config);
            let unknown: Vec<_> = told.iter().filter(|error| error.contains("unknown key")).collect();
            let is_known = unknown.len() == 1 && unknown[0].starts_with("guards.g.options.zzz: ");
            assert!(is_known, "{kind} {}: {told:#?}", option.name);
        }
    }
}

#[tokio::test]
async fn what_stands_in_options_is_told_of_there() {
    of_server(
        r#", "options": {"enable_rfc6455": false}"#,
        &["options.enable_rfc6455: without it no version of the protocol is left"],
    );
    let required = r#", "options": {"require_websocket_subprotocol": true}"#;
    of_server(required, &["options.require_websocket_subprotocol: needs `subprotocols`"]);
    of_client(required, &["options.require_websocket_subprotocol: needs `subprotocols`"]);
}

#[tokio::test]
async fn a_path_that_no_route_takes_is_a_mistake_unless_events_say_which() {
    let routes = r#", "routes": [{"when": [{"path": "/a/*"}], "exit": "a"}]"#;
    of_client(
        routes,
        &["routes: no route takes a connection to 127.0.0.1:1 with path /, and there is no `exit`"],
    );
    of_client(&format!(r#"{routes}, "per_origin": true"#), &[]);
}
