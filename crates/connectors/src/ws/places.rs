//! Which keys stand below those of a configuration, for who writes one of them in another place.

use super::fields;
use tremor_connector::{Below, Keys};

/// Of `ws_server`.
pub(super) const SERVER: &[Below] = &[
    Below::named("compression", COMPRESSION),
    Below::named("compression.deflate", DEFLATE),
    Below::named("send_queue", SEND_QUEUE),
    Below::named("replay", &["age", "bytes", "messages"]),
    Below::named(
        "cookie",
        &["bind_identity", "http_strict", "length", "max_age", "same_site", "secure", "store"],
    ),
    Below::named("cookie.store", &["filename", "purge_on_startup"]),
    Below::named("credentials", &["cookies", "headers", "protocols", "query"]),
    Below::named("guards.NAME", &["credentials", "gives_identity"]),
    Below { place: "guards.NAME.options", keys: Keys::OfTypes(fields::GUARDS) },
    Below::named("routes[]", &["conceal", "guarded", "when"]),
    Below { place: "routes[].options", keys: Keys::Own(OF_ROUTES) },
    Below { place: "routes[].when", keys: Keys::Described(fields::CONDITIONS) },
    Below::named("schema", SCHEMA),
    Below::named("schema.in", MESSAGES_IN),
    Below::named("schema.out", MESSAGES_OUT),
    Below::named("schema.catalogs.NAME", CATALOG),
    Below::named("socket_options", SOCKET),
    Below::named(
        "tls",
        &["ca_certificates", "chain_certificates", "ciphers", "max_version", "reload", "sni", "strict_sni"],
    ),
];

/// Of `ws_client`.
pub(super) const CLIENT: &[Below] = &[
    Below::named("auth", &["basic", "bearer", "header", "protocol"]),
    Below::named("auth.basic", &["on_challenge", "password", "username"]),
    Below::named("auth.bearer", &["token"]),
    Below::named("compression", COMPRESSION),
    Below::named("compression.deflate", DEFLATE),
    Below::named("send_queue", SEND_QUEUE),
    Below::named("heartbeat", &["interval", "message", "reply_contains"]),
    Below::named("defaults", &["authority", "path", "protocol", "scheme"]),
    Below::named("routes[]", &["when"]),
    Below { place: "routes[].options", keys: Keys::Own(&["schema"]) },
    Below::named("schema", SCHEMA),
    Below::named("schema.in", MESSAGES_IN),
    Below::named("schema.out", MESSAGES_OUT),
    Below::named("schema.catalogs.NAME", CATALOG),
    Below::named("socket_options", SOCKET),
    Below::named("tls", &["add_system_roots", "ca_certificates", "domain", "hostname", "max_version"]),
];

const COMPRESSION: &[&str] = &["deflate"];
const DEFLATE: &[&str] = &[
    "level",
    "max_inflated_size",
    "max_window_bits",
    "memory_level",
    "min_size",
    "no_context_takeover",
    "request_max_window_bits",
    "request_no_context_takeover",
];
const SEND_QUEUE: &[&str] = &["block_timeout", "bytes", "messages", "policy"];
const SCHEMA: &[&str] = &["catalogs"];
const MESSAGES_IN: &[&str] =
    &["catalog", "close_code", "id_from", "model", "on_invalid", "strategy", "subject"];
const MESSAGES_OUT: &[&str] = &["catalog", "id_from", "model", "on_invalid", "strategy", "subject"];
const CATALOG: &[&str] = &["group_id", "id_encoding", "lazy", "max_age", "use_id"];
const SOCKET: &[&str] = &["SO_REUSEADDR", "SO_REUSEPORT", "TCP_NODELAY"];
const OF_ROUTES: &[&str] = &[
    "accept",
    "apply_mask",
    "auto_fragment_size",
    "auto_ping_interval",
    "auto_ping_restart_on_any_traffic",
    "auto_ping_size",
    "auto_ping_timeout",
    "byte_rate",
    "close_handshake_timeout",
    "compression",
    "echo_close_codereason",
    "fail_by_drop",
    "idle_timeout",
    "mask_server_frames",
    "max_control_rate",
    "max_fragments",
    "max_frame_size",
    "max_lifetime",
    "max_message_size",
    "message_rate",
    "message_timeout",
    "on_rate",
    "replay",
    "require_masked_client_frames",
    "require_websocket_subprotocol",
    "schema",
    "send_queue",
    "subprotocol_preference",
    "subprotocols",
    "validate_utf8",
    "write_timeout",
];
