//! Names that other systems have for what stands elsewhere here, or is not there (`spec/websocket.md` 19, 20). Whoever brings
//! a configuration along is told what to write instead.

use super::{fields, options::Settings};
use tremor_connector::{
    Field,
    config::{ConfigError, Key, Problem, Reader},
};

/// A name, and what to do about it.
type Name = (&'static str, &'static str);

/// Refuses what is known from elsewhere in the configuration of a server.
pub(super) fn refuse_at_server(config: &Reader<'_>) -> Result<(), ConfigError> {
    config.refuse(SERVER)?;
    config.refuse(BOTH)?;
    refuse_of(config, (fields::CLIENT, fields::SERVER), "is a setting of `ws_client`; leave it out")
}

/// The same of a client.
pub(super) fn refuse_at_client(config: &Reader<'_>) -> Result<(), ConfigError> {
    config.refuse(CLIENT)?;
    config.refuse(BOTH)?;
    refuse_of(config, (fields::SERVER, fields::CLIENT), "is a setting of `ws_server`; leave it out")
}

/// Refuses what only the other side has.
fn refuse_of(
    config: &Reader<'_>,
    (theirs, ours): (&[Field], &[Field]),
    problem: &str,
) -> Result<(), ConfigError> {
    let is_in = |fields: &[Field], key: &str| fields.iter().any(|field| field.name == key);
    match config.members().iter().find(|(key, _)| is_in(theirs, key) && !is_in(ours, key)) {
        Some((key, _)) => Err(config.invalid(key, problem)),
        None => Ok(()),
    }
}

const BOTH: &[Name] = &[
    ("id", "is the name of the connector here: `create connector NAME`"),
    ("type", "is the kind of the connector here: what stands behind `from`"),
    ("kind", "is the kind of the connector here: `ws_server` or `ws_client` behind `from`"),
    ("serializers", "belongs to WAMP, which is not spoken here; `codec` says how messages are written"),
    ("debug", "is no setting of a connector here: `RUST_LOG=debug` shows more in the log"),
    ("enable_flash_policy", OBSOLETE),
    ("flash_policy", OBSOLETE),
    (
        "access_log",
        "is no setting: port `control` tells of every connection, `RUST_LOG=debug` shows them in the log",
    ),
    ("host", ADDRESS),
    ("port", ADDRESS),
    ("interface", ADDRESS),
    ("vault", "is not there: `tls` names files"),
    ("telemetry", "is written as `metrics_interval_s`, beside `config`"),
    ("metrics", "is written as `metrics_interval_s`, beside `config`"),
    ("guarded", "stands in `routes[]`, beside `when`"),
    ("when", "stands in `routes[]`, beside `exit`"),
    ("codec", BESIDE),
    ("preprocessors", BESIDE),
    ("postprocessors", BESIDE),
    ("reconnect", BESIDE),
    ("metrics_interval_s", BESIDE),
    ("cert", IN_TLS),
    ("certificate", IN_TLS),
    ("key", IN_TLS),
    ("min_version", IN_TLS),
    ("alpn", IN_TLS),
];

/// Settings that stand in `config` and not in its `options`: where connections lead, whom they trust, who may come, and
/// where events leave.
const ALONE: &[Name] = &[
    ("url", IN_CONFIG),
    ("endpoint", IN_CONFIG),
    ("listen", IN_CONFIG),
    ("http2", IN_CONFIG),
    ("tls", IN_CONFIG),
    ("backlog", IN_CONFIG),
    ("socket_options", IN_CONFIG),
    ("no_delay", "stands in `config` alone; here it is `tcp_nodelay`"),
    ("public_url", IN_CONFIG),
    ("trusted_proxies", IN_CONFIG),
    ("trust_xff", IN_CONFIG),
    ("proxy_protocol", IN_CONFIG),
    ("proxy_protocol_from", IN_CONFIG),
    ("send_proxy_protocol", IN_CONFIG),
    ("allow_from", IN_CONFIG),
    ("deny_from", IN_CONFIG),
    ("routes", IN_CONFIG),
    ("exit", IN_CONFIG),
    ("no_match", IN_CONFIG),
    ("guards", IN_CONFIG),
    ("credentials", IN_CONFIG),
    ("guard_fallthrough", IN_CONFIG),
    ("authorize", IN_CONFIG),
    ("cookie", IN_CONFIG),
    ("expose_headers", IN_CONFIG),
    ("invalid_credentials_status", IN_CONFIG),
    ("on_expiry", IN_CONFIG),
    ("expiry_close", IN_CONFIG),
    ("challenge_message", IN_CONFIG),
    ("renew", IN_CONFIG),
    ("revalidate", IN_CONFIG),
    ("share_session", IN_CONFIG),
    ("options", IN_CONFIG),
];

/// Refuses what stands in `options` and belongs beside it.
pub(super) fn refuse_in_options(options: &Reader<'_>) -> Result<(), ConfigError> {
    options.refuse(ALONE)
}

/// Ends the reading of `options` of a route: what nobody has asked for there may be right elsewhere.
///
/// # Errors
/// As of [`Settings::finish`].
pub(super) fn finish_in_route(options: Settings<'_>, of_kind: &[Field]) -> Result<(), ConfigError> {
    options.config.refuse(OF_ROUTES)?;
    options.config.refuse(BOTH)?;
    options.finish().map_err(|error| match (&error.problem, error.path.last()) {
        (Problem::UnknownKey { .. }, Some(Key::Field(key)))
            if of_kind.iter().any(|field| field.name == key.as_str()) =>
        {
            let stands_alone = ALONE.iter().any(|(name, _)| *name == key.as_str());
            let place = if stands_alone { IN_CONFIG } else { OF_ALL };
            ConfigError { problem: Problem::Invalid(place.to_owned()), ..error }
        }
        _ => error,
    })
}

/// Names that are right beside `options` of a route.
const OF_ROUTES: &[Name] = &[("exit", BESIDE_OPTIONS), ("conceal", BESIDE_OPTIONS)];

const BESIDE_OPTIONS: &str = "stands in the route itself, beside `options`";
const OF_ALL: &str = "is of all connections: it stands in `config`, or in its `options`";
const IN_CONFIG: &str = "stands in `config` alone";
const BESIDE: &str = "stands beside `config`, in the definition of the connector";

const SERVER: &[Name] = &[
    ("auth", "is written as `guards`, and as `guarded` of `routes`"),
    ("authorization", "is written as `guards`, with `credentials` for where they look"),
    (
        "backend",
        "is a connector of its own: a proxy is a `ws_server`, a `ws_client` and pipelines between them",
    ),
    ("paths", "is written as `routes`, with a `path` in `when`"),
    ("share", "is not there: one connector has a port to itself; what differs by path are `routes`"),
    ("access-control", CORS),
    ("access_control", CORS),
    ("display_tracebacks", "has no meaning: no answer tells what went on inside; leave it out"),
    ("hsts", HSTS),
    ("hsts_max_age", HSTS),
    ("client_timeout", "is `open_handshake_timeout` here, in milliseconds"),
    ("certs", IN_TLS),
    ("chain", IN_TLS),
    ("client_ca", IN_TLS),
    ("mutual", IN_TLS),
];

const CLIENT: &[Name] = &[
    ("authorization", "is written as `auth`"),
    ("backend", "is what this connector is: `url` says where it leads"),
    ("cafile", IN_TLS),
    ("insecure", IN_TLS),
    ("pins", IN_TLS),
    ("paths", OF_SERVERS),
    ("share", OF_SERVERS),
    ("display_tracebacks", OF_SERVERS),
    ("hsts", OF_SERVERS),
    ("hsts_max_age", OF_SERVERS),
    ("client_timeout", "is a setting of servers; here it is `open_handshake_timeout`, in milliseconds"),
];

const OF_SERVERS: &str = "is a setting of servers; leave it out";

/// Refuses what stands beside `options` of a guard of type `kind` and belongs there.
pub(super) fn refuse_beside_options(guard: &Reader<'_>, kind: &str) -> Result<(), ConfigError> {
    let options = fields::GUARDS.iter().filter(|(of, _)| *of == kind).flat_map(|(_, options)| options.iter());
    guard.refuse(&options.map(|option| (option.name, "stands in `options` of the guard")).collect::<Vec<_>>())
}

const IN_TLS: &str = "stands in `tls`";
const OBSOLETE: &str = "is obsolete, since no browser has Flash any more; leave it out";
const ADDRESS: &str = "stands in `url`, or in `endpoint`";
const CORS: &str = "is written as `allowed_origins` and `same_origin`";
const HSTS: &str =
    r#"is written as `response_headers` of `{"Strict-Transport-Security": "max-age=31536000"}`"#;
