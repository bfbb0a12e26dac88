//! Mistakes in what guards are configured with, which are found when a flow is loaded.

use super::{super::tls::Authority, *};

/// What is said about a configuration with `more` members.
pub(super) fn refusal(more: &str) -> String {
    let definition = server_definition(&Port::reserve(), more);
    match Subject::new(&definition, Linked::Fully) {
        Ok(_) => panic!("{more} is taken"),
        Err(error) => format!("{error:?} {error}"),
    }
}

/// Each of these members is refused, at this place below `config` and for this reason, and no secret is shown.
fn expect_refused(cases: &[(String, &str, &str)]) {
    for (more, place, problem) in cases {
        let error = refusal(&format!(", {more}"));
        assert!(error.contains(&format!("config.{place}: ")) && error.contains(problem), "{more}\n{error}");
        assert!(!error.contains("hunter2") && !error.contains("c2hvcnQ"), "{error}");
    }
}

/// A guard `a` with these options.
fn guard(kind: &str, options: &str) -> String {
    format!(r#""guards": {{"a": {{"type": "{kind}", "options": {{{options}}}}}}}"#)
}

/// The same, which goes by tokens of a good key.
fn jwt(options: &str) -> String {
    guard("jwt", &format!(r#""keys": [{}], {options}"#, jwk("one")))
}

/// The same, which goes by what a proxy says.
fn behind_proxy(options: &str) -> String {
    format!(r#"{}, "trusted_proxies": "::1""#, guard("identity", options))
}

/// A guard that nothing is wrong with, beside `more`.
fn good(more: &str) -> String {
    format!(r#""guards": {{{}}}, {more}"#, jwt_guard(""))
}

/// The same, of which no session ends.
fn endless(more: &str) -> String {
    format!("{}, {more}", guard("basic", r#""users": {"ann": {"password": "hunter2"}}"#))
}

#[tokio::test]
async fn mistakes_in_guards_that_go_by_tokens_are_refused() {
    expect_refused(&[
        (r#""guards": {"a": {}}"#.into(), "guards.a.type", "one of `jwt`, `basic`"),
        (r#""guards": {"a": {"type": "jwtt"}}"#.into(), "guards.a.type", "did you mean `jwt`"),
        (r#""guards": {"a": {"type": "jwt"}}"#.into(), "guards.a.options.keys", "issuer"),
        (
            r#""guards": {"a": {"type": "jwt", "option": {}}}"#.into(),
            "guards.a.option",
            "did you mean `options`",
        ),
        (jwt(r#""algorithms": ["none"]"#), "guards.a.options.algorithms[0]", "anybody could make"),
        (jwt(r#""algorithms": ["RS256"]"#), "guards.a.options.algorithms", "no key goes with"),
        (jwt(r#""audience": []"#), "guards.a.options.audience", "an empty list admits nobody"),
        (jwt(r#""audience": """#), "guards.a.options.audience", "is empty"),
        (jwt(r#""audience": ["b", ""]"#), "guards.a.options.audience[1]", "is empty"),
        (jwt(r#""issuer": """#), "guards.a.options.issuer", "is empty"),
        (jwt(r#""identity": """#), "guards.a.options.identity", "is empty"),
        (jwt(r#""roles": "a..b""#), "guards.a.options.roles", "is no path of a claim"),
        (jwt(r#""attributes": {"x": "a."}"#), "guards.a.options.attributes.x", "is no path of a claim"),
        (jwt(r#""rolls": "x""#), "guards.a.options.rolls", "did you mean `roles`"),
        (jwt(r#""challenge": 0"#), "guards.a.options.challenge", "seconds before"),
        (
            format!(r#"{}, "on_expiry": "close""#, jwt(r#""challenge": 0"#)),
            "guards.a.options.challenge",
            "seconds before",
        ),
        (jwt(r#""realm": "\u0000""#), "guards.a.options.realm", "no control characters"),
        (
            format!(
                r#""guards": {{"a": {{"type": "jwt", "options": {{"keys": [{}]}}, "gives_identity": 0}}}}"#,
                jwk("one")
            ),
            "guards.a.gives_identity",
            "expected bool",
        ),
    ]);
}

#[tokio::test]
async fn mistakes_in_keys_are_refused() {
    let (one, two) = (jwk("one"), jwk("two"));
    let short = r#"{"kty":"oct","kid":"s","k":"c2hvcnQtc2VjcmV0"}"#;
    let keys = |keys: &str| guard("jwt", &format!(r#""keys": {keys}"#));
    expect_refused(&[
        (guard("jwt", r#""issuer": "me""#), "guards.a.options.issuer", "`keys`"),
        (keys(&format!("[{short}]")), "guards.a.options.keys", "at least 32 bytes"),
        (
            keys(&format!("[{one}, {two}, {one}]")),
            "guards.a.options.keys",
            "keys 0 and 2 have the same `kid`",
        ),
        (keys(r#""foo://bar""#), "guards.a.options.keys", "`foo` is no way to keys"),
        (keys(r#""file://bar""#), "guards.a.options.keys", "`file:///` and the path"),
        (jwt(r#""tls": true"#), "guards.a.options.tls", "`https` URL"),
    ]);
}

#[tokio::test]
async fn mistakes_in_users_and_tokens_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let empty = folder.path().join("users");
    std::fs::write(&empty, "# NAME:HASH:ROLES\n\n").unwrap();
    let empty = empty.display();
    expect_refused(&[
        (guard("basic", ""), "guards.a.options.users", "or `file`"),
        (guard("basic", r#""users": {}"#), "guards.a.options.users", "there are no users"),
        (
            guard("basic", &format!(r#""file": "{empty}""#)),
            "guards.a.options.file",
            &format!("`{empty}`: there are no users"),
        ),
        (
            guard("basic", &format!(r#""users": {{"b": {{"password": "c"}}}}, "file": "{empty}""#)),
            "guards.a.options.file",
            "write one of them",
        ),
        (
            guard("basic", r#""users": {"b:c": {"password": "d"}}"#),
            r#"guards.a.options.users."b:c""#,
            "has a colon",
        ),
        (
            guard("basic", r#""users": {"ann": {"password": "hunter2", "hash": "x"}}"#),
            "guards.a.options.users.ann.hash",
            "write one of them",
        ),
        (
            guard("basic", r#""users": {"ann": {"password": ["hunter2"]}}"#),
            "guards.a.options.users.ann.password",
            "expected string",
        ),
        (
            guard("basic", r#""users": {"b": {"password": "c"}}, "realm": "a\r\nX-B: c""#),
            "guards.a.options.realm",
            "no control characters",
        ),
        (guard("bearer", r#""tokens": {}"#), "guards.a.options.tokens", "there are no tokens"),
        (guard("apikey", r#""tokens": {}"#), "guards.a.options.tokens", "there are no tokens"),
        (
            guard("apikey", r#""tokens": {"hunter2": {"rolls": []}}"#),
            "guards.a.options.tokens[0].rolls",
            "did you mean `roles`",
        ),
        (
            guard("bearer", r#""tokens": {"b": {}}, "realm": "a\u0007""#),
            "guards.a.options.realm",
            "no control characters",
        ),
    ]);
}

#[tokio::test]
async fn mistakes_in_guards_that_go_by_what_others_say_are_refused() {
    let authority = Authority::new();
    let own = authority.issue("own", "localhost");
    let ca = authority.path("ca.crt");
    let certificates = guard("tls", r#""subjects": {"*": []}"#);
    expect_refused(&[
        (guard("identity", r#""header": "x""#), "trusted_proxies", "missing"),
        (behind_proxy(r#""header": "Host""#), "guards.a.options.header", "is in every request"),
        (behind_proxy(r#""header": "a b""#), "guards.a.options.header", "is no name of a header"),
        (
            behind_proxy(r#""header": "x-a", "roles_header": "x b""#),
            "guards.a.options.roles_header",
            "is no name of a header",
        ),
        (
            behind_proxy(r#""header": "x-a", "roles_header": "X-A""#),
            "guards.a.options.roles_header",
            "is `header`",
        ),
        (certificates.clone(), "tls", "missing"),
        (format!(r#"{certificates}, "tls": {{{own}}}"#), "tls", "needs `client_ca`"),
        (
            format!(r#"{certificates}, "tls": {{{own}, "client_ca": "{ca}", "mutual": "none"}}"#),
            "tls",
            "`mutual` of `none`",
        ),
        (
            r#""guards": {"a": {"type": "flow", "options": {"port": "door"}, "gives_identity": false}}"#
                .into(),
            "guards.a.gives_identity",
            "names nobody without `identity`",
        ),
        (
            r#""guards": {"a": {"type": "cookie", "gives_identity": false}}, "cookie": {"bind_identity": true}"#
                .into(),
            "guards.a.gives_identity",
            "who it is that a cookie stands for",
        ),
    ]);
}

#[tokio::test]
async fn what_needs_guards_is_refused_without_them() {
    let missing = "without `guards`";
    expect_refused(&[
        (r#""renew": {"message": "token"}"#.into(), "renew", missing),
        (r#""challenge_message": "x""#.into(), "challenge_message", missing),
        (r#""on_expiry": "notify""#.into(), "on_expiry", missing),
        (r#""expiry_close": {"code": 4001}"#.into(), "expiry_close", missing),
        (r#""guard_fallthrough": false"#.into(), "guard_fallthrough", missing),
        (r#""revalidate": true"#.into(), "revalidate", missing),
        (r#""share_session": false, "guards": {}"#.into(), "share_session", missing),
        (r#""invalid_credentials_status": 403"#.into(), "invalid_credentials_status", missing),
        (r#""credentials": {"query": {"t": "{credentials}"}}"#.into(), "credentials", missing),
        (
            r#""routes": [{"exit": "a", "guarded": {"staff": []}}]"#.into(),
            "routes[0].guarded.staff",
            "there are no `guards`",
        ),
        (
            good(r#""routes": [{"exit": "a", "guarded": {"stuff": []}}]"#),
            "routes[0].guarded.stuff",
            "`staff`",
        ),
        (r#""routes": [{"exit": "a", "conceal": true}]"#.into(), "routes[0].conceal", "not `guarded`"),
        (r#""max_connections_per_identity": 1"#.into(), "max_connections_per_identity", "who clients are"),
        (
            r#""options": {"max_connections_per_identity": 1}"#.into(),
            "options.max_connections_per_identity",
            "who clients are",
        ),
        (endless(r#""renew": {"message": "token"}"#), "renew", "a guard of type `jwt`"),
        (endless(r#""revalidate": true"#), "revalidate", "a guard of type `jwt`"),
        (endless(r#""on_expiry": "ignore""#), "on_expiry", "no session ends"),
        (
            good(r#""challenge_message": "again""#),
            "challenge_message",
            "no guard of type `jwt` has `challenge`",
        ),
    ]);
}

#[tokio::test]
async fn mistakes_beside_guards_are_refused() {
    expect_refused(&[
        (
            good(r#""credentials": {"headers": {"authorization": "Basic {username}:{password}"}}"#),
            "credentials",
            "needs a place with `{credentials}`",
        ),
        (
            good(r#""credentials": {"protocols": "{credentials}"}"#),
            "credentials.protocols",
            "bearer.{credentials}",
        ),
        (
            good(r#""credentials": {"headers": {"a": "Bearer"}}"#),
            "credentials.headers.a",
            "has to hold `{credentials}`",
        ),
        (r#""expiry_close": {"code": 1005}"#.into(), "expiry_close.code", "no code"),
        (r#""expiry_close": {}, "on_expiry": "ignore""#.into(), "expiry_close", "no meaning"),
        (r#""renew": {}"#.into(), "renew.message", "missing"),
        (r#""renew": {"message": "a..b"}"#.into(), "renew.message", "no path"),
        (r#""revalidate": true, "on_expiry": "notify""#.into(), "revalidate", "no meaning"),
        (endless(r#""max_connections_per_identity": -1"#), "max_connections_per_identity", "expected"),
        (r#""invalid_credentials_status": 200"#.into(), "invalid_credentials_status", "between 400 and 499"),
    ]);
}
