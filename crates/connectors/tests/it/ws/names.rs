//! Every name of a setting that `spec/websocket.md` 19 and 20 know: what it does here, in both of its places, or what is said
//! to those who bring it along.

use super::{
    peers::{Port, client_definition, server_definition},
    tls::files,
};
use crate::harness::{Linked, Subject, definition, environment, json};
use std::collections::BTreeSet;
use tremor_connector::{Definition, Dials, Spec, config::Reader};

/// Settings that say where a connection leads, what is trusted, and who may come: they stand in `config` alone.
const ONE_PLACE: &[&str] = &[
    "url",
    "endpoint",
    "listen",
    "http2",
    "tls",
    "backlog",
    "socket_options",
    "no_delay",
    "public_url",
    "trusted_proxies",
    "trust_xff",
    "proxy_protocol",
    "proxy_protocol_from",
    "send_proxy_protocol",
    "allow_from",
    "deny_from",
    "routes",
    "exit",
    "no_match",
    "guards",
    "credentials",
    "guard_fallthrough",
    "authorize",
    "cookie",
    "expose_headers",
    "invalid_credentials_status",
    "on_expiry",
    "expiry_close",
    "challenge_message",
    "renew",
    "revalidate",
    "share_session",
    "options",
];

/// A value for each of the others that differs from the default, and what has to stand beside it.
const SAMPLES: &[(&str, &str, &str)] = &[
    ("accept", r#""text""#, ""),
    ("accept_masked_server_frames", "true", ""),
    ("accept_rate", "5", ""),
    ("allow_null_origin", "false", ""),
    ("allowed_hosts", r#"["a.example"]"#, ""),
    ("allowed_origins", r#"["https://a.example"]"#, ""),
    ("apply_mask", "false", ""),
    ("auth", r#"{"bearer": {"token": "t"}}"#, ""),
    ("auto_fragment_size", "1000", ""),
    ("frame_type", r#""auto""#, ""),
    ("auto_ping_interval", "10000", ""),
    ("auto_ping_restart_on_any_traffic", "false", ""),
    ("auto_ping_size", "125", ""),
    ("auto_ping_timeout", "5000", r#""auto_ping_interval": 10000"#),
    ("byte_rate", "1000", ""),
    ("close_handshake_timeout", "2000", ""),
    ("compression", r#"{"deflate": {}}"#, ""),
    ("defaults", r#"{"path": "/a"}"#, ""),
    ("drain_spread", "100", ""),
    ("drain_timeout", "100", ""),
    ("echo_close_codereason", "true", ""),
    ("enable_hybi10", "true", ""),
    ("enable_rfc6455", "false", r#""enable_hybi10": true"#),
    ("enable_webstatus", "true", ""),
    ("error_bodies", "false", ""),
    ("expect", r#"{"contains": "x"}"#, ""),
    ("expect_timeout", "100", r#""expect": {"contains": "x"}"#),
    ("external_port", "443", ""),
    ("fail_by_drop", "true", ""),
    ("give_up_on", "[403]", ""),
    ("headers", r#"{"X-A": "b"}"#, ""),
    ("health", r#""/healthz""#, ""),
    ("heartbeat", r#"{"interval": 1000, "message": "x"}"#, ""),
    ("idle_timeout", "1000", ""),
    ("mask_client_frames", "false", ""),
    ("mask_server_frames", "true", ""),
    ("max_connections", "5", ""),
    // More than none takes somebody who says who clients are, and there is one place for that.
    ("max_connections_per_identity", "0", ""),
    ("max_connections_per_ip", "5", ""),
    ("max_control_rate", "5", ""),
    ("max_fragments", "5", ""),
    ("max_frame_size", "1048576", ""),
    ("max_header_size", "1000", ""),
    ("max_headers", "10", ""),
    ("max_large_messages_size", "100000000", ""),
    ("max_lifetime", "1000", ""),
    ("max_message_size", "1048576", ""),
    ("max_pending_handshakes", "5", ""),
    ("max_redirects", "5", ""),
    ("max_retry_after", "1000", ""),
    ("max_target_size", "100", ""),
    ("message_rate", "5", ""),
    ("message_timeout", "1000", ""),
    ("no_proxy", r#"["b.example"]"#, r#""proxy": "http://a""#),
    ("on_rate", r#""close""#, ""),
    ("open_handshake_timeout", "2500", ""),
    ("open_message", r#""hello""#, ""),
    ("origin", r#""https://a.example""#, ""),
    ("per_origin", "true", ""),
    ("proxy", r#""http://a""#, ""),
    ("query", r#"{"a": "b"}"#, ""),
    ("reject", r#""drop""#, ""),
    ("replay", r#"{"messages": 5}"#, ""),
    ("require_masked_client_frames", "false", ""),
    ("require_origin", "true", ""),
    ("require_websocket_subprotocol", "true", r#""subprotocols": ["a"]"#),
    ("response_headers", r#"{"X-A": "b"}"#, ""),
    ("same_origin", "true", ""),
    ("schema", r#"{"in": {"model": "boolean"}}"#, ""),
    ("send_queue", r#"{"messages": 5}"#, ""),
    ("server_connection_drop_timeout", "100", ""),
    ("show_server_version", "true", ""),
    ("stable_after", "100", ""),
    ("subprotocol_preference", r#""server""#, ""),
    ("subprotocols", r#"["a"]"#, ""),
    ("tcp_nodelay", "false", ""),
    ("validate_utf8", "false", ""),
    ("write_timeout", "1000", ""),
];

fn kinds() -> [&'static Spec; 2] {
    ["ws_server", "ws_client"]
        .map(|kind| tremor_connectors::ALL.iter().find(|spec| spec.name == kind).unwrap())
}

/// Why a connector cannot be made of this, if it cannot.
fn refusal(spec: &Spec, config: &str) -> Option<String> {
    let (environment, _exits) = environment(Dials::default());
    let config = json(config);
    (spec.build)(Reader::new(&config, "config").unwrap(), &environment).err().map(|error| error.to_string())
}

#[test]
fn a_setting_may_stand_in_either_place_but_not_in_both() {
    let mut unused: BTreeSet<_> = SAMPLES.iter().map(|(key, ..)| *key).collect();
    for spec in kinds() {
        let kind = spec.name;
        let url = r#"{"url": "ws://localhost:1""#;
        for key in spec.fields.iter().map(|field| field.name).filter(|key| !ONE_PLACE.contains(key)) {
            let sample = SAMPLES.iter().find(|(own, ..)| *own == key);
            let (_, value, beside) =
                sample.unwrap_or_else(|| panic!("give `{key}` of {kind} a sample, or one place"));
            // A client has one connection otherwise.
            let is_per_origin = (kind, key) == ("ws_client", "max_connections");
            let beside = if is_per_origin { r#""per_origin": true"# } else { beside };
            let beside = if beside.is_empty() { String::new() } else { format!(", {beside}") };
            unused.remove(key);
            let here = refusal(spec, &format!(r#"{url}, "{key}": {value}{beside}}}"#));
            assert_eq!(here, None, "{kind} {key}");
            let there = refusal(spec, &format!(r#"{url}, "options": {{"{key}": {value}{beside}}}}}"#));
            assert_eq!(there, None, "{kind} options.{key}");
            let both = refusal(
                spec,
                &format!(r#"{url}, "{key}": {value}{beside}, "options": {{"{key}": {value}}}}}"#),
            );
            let expected = format!("config.options.{key}: stands in `config` too; say it once");
            assert_eq!(both, Some(expected), "{kind}");
        }
        for key in spec.fields.iter().map(|field| field.name).filter(|key| ONE_PLACE.contains(key)) {
            let there = refusal(spec, &format!(r#"{url}, "options": {{"{key}": 1}}}}"#)).unwrap();
            assert!(
                there.starts_with(&format!("config.options.{key}: stands in `config` alone")),
                "{kind} {key}: {there}"
            );
        }
    }
    assert!(unused.is_empty(), "no connector has {unused:?}");
    let options = kinds()[0].fields.iter().find(|field| field.name == "options").unwrap();
    for key in ONE_PLACE.iter().filter(|key| **key != "options") {
        assert!(
            options.text.contains(&format!("`{key}`")),
            "`options` does not say that `{key}` is not for it"
        );
    }
}

/// A definition, and what it brings along from elsewhere.
type Brought = (Definition, String);

fn at_server(more: &str) -> Brought {
    (server_definition(&Port::reserve(), &format!(", {more}")), more.to_owned())
}

fn at_client(more: &str) -> Brought {
    (client_definition(&Port::reserve(), &format!(", {more}"), r#""none""#), more.to_owned())
}

fn listening(endpoint: &str) -> Brought {
    let config = format!(r#"{{"endpoint": {endpoint}}}"#);
    (definition("ws_server", &config, r#""json""#, ""), endpoint.to_owned())
}

/// What is said to those who bring a name along that means something elsewhere.
fn expect_refused(cases: &[(Brought, &str)]) {
    for ((definition, brought), expected) in cases {
        let refused = Subject::new(definition, Linked::Fully).err();
        let refused = refused.unwrap_or_else(|| panic!("not refused: {brought}")).message;
        assert!(refused.contains(expected), "{brought}: {refused}\ninstead of\n{expected}");
    }
}

#[test]
fn options_of_crossbar_are_refused_with_what_to_write_instead() {
    expect_refused(&[
        (
            at_server(r#""options": {"enable_flash_policy": true}"#),
            "config.options.enable_flash_policy: is obsolete",
        ),
        (at_server(r#""flash_policy": "<x/>""#), "config.flash_policy: is obsolete"),
        (
            at_server(r#""options": {"enable_rfc6455": false}"#),
            "no version of the protocol is left (see `enable_hybi10`)",
        ),
        (
            at_server(r#""mask_client_frames": false"#),
            "config.mask_client_frames: is a setting of `ws_client`",
        ),
        (
            at_client(r#""options": {"mask_server_frames": true}"#),
            "config.options.mask_server_frames: is a setting of `ws_server`",
        ),
        (at_client(r#""enable_hybi10": true"#), "config.enable_hybi10: is a setting of `ws_server`"),
        (
            at_server(r#""options": {"access_log": true}"#),
            "config.options.access_log: is no setting: port `control` tells",
        ),
        (
            at_server(r#""options": {"display_tracebacks": true}"#),
            "config.options.display_tracebacks: has no meaning",
        ),
        (at_server(r#""options": {"hsts": true}"#), "config.options.hsts: is written as `response_headers`"),
        (
            at_server(r#""options": {"hsts_max_age": 1}"#),
            "config.options.hsts_max_age: is written as `response_headers`",
        ),
        (
            at_server(r#""options": {"client_timeout": 1}"#),
            "config.options.client_timeout: is `open_handshake_timeout`",
        ),
    ]);
}

#[test]
fn transports_of_crossbar_are_refused_with_what_to_write_instead() {
    expect_refused(&[
        // Listening ones.
        (
            at_server(r#""id": "transport001""#),
            "config.id: is the name of the connector here: `create connector NAME`",
        ),
        (
            at_server(r#""type": "websocket""#),
            "config.type: is the kind of the connector here: what stands behind `from`",
        ),
        (at_server(r#""serializers": ["json"]"#), "config.serializers: belongs to WAMP"),
        (at_server(r#""auth": {"anonymous": {}}"#), "config.auth: is written as `guards`"),
        (at_server(r#""debug": true"#), "config.debug: is no setting of a connector here: `RUST_LOG=debug`"),
        (
            at_server(r#""endpoint": {"type": "tcp", "port": 0}"#),
            "config.endpoint: is another way to say `url`; write one of them (what clients see is `public_url`)",
        ),
        (listening(r#"{"type": "onion", "port": 1}"#), "config.endpoint.type: is a matter of Tor"),
        (listening(r#"{"type": "universal"}"#), "config.endpoint.type: is several protocols on one port"),
        (at_server(r#""paths": {"ws": {"type": "websocket"}}"#), "config.paths: is written as `routes`"),
        (
            at_server(r#""backend": {"type": "websocket"}"#),
            "config.backend: is a connector of its own: a proxy is",
        ),
        (at_server(r#""share": "edge""#), "config.share: is not there"),
        (
            at_server(r#""cookie": {"store": {"type": "database"}}"#),
            "config.cookie.store.type: expected one of `memory`, `file`",
        ),
        // Connecting ones.
        (at_client(r#""id": "one""#), "config.id: is the name of the connector"),
        (at_client(r#""type": "websocket""#), "config.type: is the kind of the connector"),
        (at_client(r#""serializers": ["json"]"#), "config.serializers: belongs to WAMP"),
        (at_client(r#""debug": true"#), "config.debug: is no setting"),
        (at_client(r#""paths": {}"#), "config.paths: is a setting of servers"),
        (at_client(r#""options": {"hsts": true}"#), "config.options.hsts: is a setting of servers"),
        (at_client(r#""client_timeout": 1"#), "config.client_timeout: is a setting of servers; here it is"),
        (
            at_client(r#""endpoint": {"type": "tor", "host": "a", "port": 1}"#),
            "config.endpoint.type: is reached by a proxy: `proxy` of `socks5h://127.0.0.1:9050`",
        ),
    ]);
}

#[test]
fn members_of_zilla_are_refused_with_what_to_write_instead() {
    expect_refused(&[
        (
            at_server(r#""kind": "server""#),
            "config.kind: is the kind of the connector here: `ws_server` or `ws_client` behind `from`",
        ),
        (
            at_server(r#""authorization": {"jwt": {"credentials": {}}}"#),
            "config.authorization: is written as `guards`, with `credentials`",
        ),
        (at_client(r#""authorization": {}"#), "config.authorization: is written as `auth`"),
        (
            at_server(r#""options": {"access-control": {"policy": "cross-origin"}}"#),
            r#"access-control: is written as `allowed_origins`"#,
        ),
        (at_server(r#""vault": "my_vault""#), "config.vault: is not there: `tls` names files"),
        (at_server(r#""host": "0.0.0.0""#), "config.host: stands in `url`, or in `endpoint`"),
        (at_client(r#""port": 7000"#), "config.port: stands in `url`, or in `endpoint`"),
        (
            listening(r#"{"type": "tcp", "host": "0.0.0.0", "port": 1}"#),
            "config.endpoint.host: is `interface` here",
        ),
        (at_server(r#""codec": "json""#), "config.codec: stands beside `config`"),
        (at_client(r#""reconnect": {}"#), "config.reconnect: stands beside `config`"),
        (at_server(r#""metrics_interval_s": 1"#), "config.metrics_interval_s: stands beside `config`"),
        (at_server(r#""options": {"no_delay": true}"#), "alone; here it is `tcp_nodelay`"),
        (at_server(r#""telemetry": {}"#), "config.telemetry: is written as `metrics_interval_s`"),
        (at_server(r#""guarded": {"jwt": []}"#), "config.guarded: stands in `routes[]`"),
    ]);
}

#[test]
fn names_of_certificates_of_zilla_are_refused_with_what_to_write_instead() {
    let files = files();
    let pair = format!(r#""cert": "{}", "key": "{}""#, files.cert.display(), files.key.display());
    let in_tls = |name: &str| at_server(&format!(r#""tls": {{{pair}, {name}: "x"}}"#));
    let in_client_tls = |name: &str| at_client(&format!(r#""tls": {{"{name}": "x"}}"#));
    expect_refused(&[
        (in_tls(r#""keys""#), "config.tls.keys: is written as `cert` and `key`"),
        (in_tls(r#""signers""#), "config.tls.signers: is written as `cert` and `key`"),
        (in_tls(r#""trust""#), "config.tls.trust: is written as `client_ca`"),
        (in_tls(r#""trustcacerts""#), "config.tls.trustcacerts: is not for a server"),
        (in_tls(r#""version""#), "config.tls.version: is written as `min_version` and `max_version`"),
        (in_client_tls("keys"), "config.tls.keys: is written as `cert` and `key`"),
        (in_client_tls("trust"), "config.tls.trust: is written as `cafile`"),
        (in_client_tls("trustcacerts"), "config.tls.trustcacerts: is written as `add_system_roots`"),
        (in_client_tls("signers"), "config.tls.signers: is written as"),
        (in_client_tls("sni"), "config.tls.sni: is written as `domain`"),
        (in_client_tls("mutual"), "config.tls.mutual: is for a server"),
        (in_client_tls("version"), "config.tls.version: is written as"),
    ]);
}

/// Where it is shown what a name does: `file::test` below `tests/it/ws`, or in a file of another folder.
type Shown = (&'static str, &'static str);

/// Every row of section 19 that is understood, and every key of transports; for those of section 20 that have the same
/// name here the tests of what they do.
const SHOWN: &[Shown] = &[
    ("allowed_origins", "opening::each_row_has_its_answer"),
    ("allow_null_origin", "opening::each_row_has_its_answer"),
    ("external_port", "effects::requests_may_be_so_long_and_come_from_so_far"),
    ("enable_hybi10", "effects::versions_of_the_protocol_are_those_that_are_enabled"),
    ("enable_rfc6455", "effects::versions_of_the_protocol_are_those_that_are_enabled"),
    ("enable_webstatus", "opening::pages_are_shown_where_they_are_wanted"),
    ("show_server_version", "options::answers_carry_the_headers_that_are_configured"),
    ("validate_utf8", "effects::a_server_does_what_its_options_say"),
    ("mask_server_frames", "effects::masks_of_a_server_are_for_those_who_ask_for_the_impossible"),
    ("require_masked_client_frames", "effects::a_server_does_what_its_options_say"),
    ("apply_mask", "effects::a_client_does_what_its_options_say"),
    ("mask_client_frames", "effects::a_client_does_what_its_options_say"),
    ("accept_masked_server_frames", "effects::a_client_does_what_its_options_say"),
    ("max_frame_size", "effects::a_server_does_what_its_options_say"),
    ("max_message_size", "effects::a_server_does_what_its_options_say"),
    ("auto_fragment_size", "effects::a_server_does_what_its_options_say"),
    ("fail_by_drop", "effects::a_server_does_what_its_options_say"),
    ("echo_close_codereason", "effects::a_server_does_what_its_options_say"),
    ("open_handshake_timeout", "listener::a_stalled_handshake_is_cut_when_its_time_is_over"),
    (
        "close_handshake_timeout",
        "effects::a_close_that_is_not_answered_is_waited_for_no_longer_than_it_may_take",
    ),
    ("tcp_nodelay", "../../../src/ws/options::small_writes_leave_at_once_unless_that_is_switched_off"),
    ("auto_ping_interval", "pace::who_answers_pings_stays_and_who_does_not_is_dropped"),
    ("auto_ping_timeout", "pace::who_answers_pings_stays_and_who_does_not_is_dropped"),
    ("auto_ping_size", "pace::who_answers_pings_stays_and_who_does_not_is_dropped"),
    ("auto_ping_restart_on_any_traffic", "pace::any_traffic_is_as_good_as_a_pong"),
    ("compression", "compression::messages_are_compressed_both_ways_and_metadata_tells_what_was_agreed"),
    ("require_websocket_subprotocol", "options::a_required_subprotocol_is_named_in_the_refusal"),
    // Transports.
    ("endpoint", "endpoints::one_server_listens_in_several_places"),
    ("public_url", "opening::a_public_address_says_host_port_and_scheme"),
    ("options", "effects::the_conservative_set_works"),
    ("cookie", "cookies::the_cookie_is_as_it_was_configured"),
    ("tls", "tls::of_several_places_each_is_plain_or_encrypted_as_it_says"),
    // Zilla.
    ("defaults", "client_ways::the_first_event_opens_the_connection_and_waits_for_it"),
    ("routes", "routes::events_leave_by_the_exit_of_their_route"),
    ("exit", "client_ways::the_first_event_opens_the_connection_and_waits_for_it"),
    ("guards", "guards::tokens_open_routes_and_are_told_of_without_secrets"),
    ("credentials", "guards::tokens_open_routes_and_are_told_of_without_secrets"),
    ("allow_from", "opening::addresses_that_may_not_connect_hear_nothing"),
    ("deny_from", "opening::addresses_that_may_not_connect_hear_nothing"),
    ("proxy_protocol", "opening::a_header_of_the_proxy_protocol_names_the_client"),
];

#[test]
fn what_every_name_does_is_shown_by_a_test_that_is_there() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/ws");
    for (name, test) in SHOWN {
        let known = kinds().iter().any(|spec| spec.fields.iter().any(|field| field.name == *name));
        assert!(known, "no connector has `{name}`");
        let (file, function) = test.split_once("::").unwrap();
        let source = std::fs::read_to_string(folder.join(format!("{file}.rs"))).unwrap();
        let start = source.find(&format!("fn {function}(")).unwrap_or_else(|| panic!("no test {test}"));
        let body = &source[start..];
        let end = body.find("\n}\n").unwrap_or(body.len());
        // Some stand in a helper or a constant of the same file.
        assert!(
            body[..end].contains(name) || source.contains(&format!("\"{name}\"")),
            "{test} has no `{name}`"
        );
    }
}
