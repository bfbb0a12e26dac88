//! The settings of both kinds, for the reference pages.

use tremor_connector::Field;

/// Of `ws_server`.
pub(super) const SERVER: &[Field] = &join::<{ SERVER_ONLY.len() + COMMON.len() }>(SERVER_ONLY, COMMON);

/// Of `ws_client`.
pub(super) const CLIENT: &[Field] = &join::<{ CLIENT_ONLY.len() + COMMON.len() }>(CLIENT_ONLY, COMMON);

/// `own`, then `common`; `N` is the number of both.
#[expect(clippy::indexing_slicing, reason = "evaluated by the compiler, which refuses an index out of range")]
const fn join<const N: usize>(own: &[Field], common: &[Field]) -> [Field; N] {
    let mut all = [common[0]; N];
    let mut index = 0;
    while index < N {
        all[index] = if index < own.len() { own[index] } else { common[index - own.len()] };
        index += 1;
    }
    all
}

const SERVER_ONLY: &[Field] = &[
    Field {
        name: "url",
        kind: "string",
        default: "",
        text: "`host:port`, `ws://host:port` or `wss://host:port`; the port defaults to 80 or 443. `endpoint` or `listen` may stand there instead.",
    },
    Field {
        name: "endpoint",
        kind: "record",
        default: "none",
        text: "Instead of `url`: where to listen, part by part. `type` is `tcp`, with `port` (0: any free one) or `portrange` (the first and the last port, of which the first free one is taken), `interface` (all), `version` of IP (4; or 6), `backlog`, `shared` (others may listen there too: `SO_REUSEPORT`), `user_timeout` (ms that what was sent may stay unacknowledged; 0: as the system has it), `tls`; or `unix`, with `path` of the socket, `backlog`, `mode` (permissions of the file in octal, such as \"0660\"), `abstract` (`path` is a name and no file).",
    },
    Field {
        name: "listen",
        kind: "list of strings or records",
        default: "none",
        text: "Instead of `url`: several places to listen, each as in `url` or as in `endpoint`. What is written as `ws://` is plain even if there is `tls`, and so are unix sockets.",
    },
    Field {
        name: "tls",
        kind: "record",
        default: "none",
        text: "Serve TLS. `cert`, `key` (required), `chain`: PEM files; or `certs`: a list of such records, each for its `names` \
               (those in the certificate), the first for everybody else. `client_ca`: files with whose clients are let in; \
               `mutual`: whether they show a certificate, `required` (default with `client_ca`), `requested` or `none`. \
               `sni`: names that may be asked for; `strict_sni`: refuse all others (true with `sni`, else false). \
               `min_version` (1.2), `max_version` (1.3), `ciphers` (all), `alpn` ([\"http/1.1\"], with `http2` [\"h2\", \"http/1.1\"]). `reload`: read the files \
               again on changes (`watch`) or only when told to (`control`, the default). Also under Crossbar's names \
               `certificate`, `chain_certificates`, `ca_certificates`; `dhparam` has no effect.",
    },
    Field {
        name: "http2",
        kind: "bool",
        default: "false",
        text: "Speak HTTP/2, too (RFC 8441): offered with TLS, known by its first bytes without. Each stream is a connection of its own.",
    },
    Field { name: "backlog", kind: "integer", default: "128", text: "Length of the accept queue." },
    Field {
        name: "require_masked_client_frames",
        kind: "bool",
        default: "true",
        text: "Whether an unmasked frame fails the connection.",
    },
    Field {
        name: "mask_server_frames",
        kind: "bool",
        default: "false",
        text: "Mask what is sent, which breaks the protocol.",
    },
    Field {
        name: "open_handshake_timeout",
        kind: "integer (ms)",
        default: "5000",
        text: "From accepting a connection to the 101; 0: any time.",
    },
    Field {
        name: "max_target_size",
        kind: "integer (bytes)",
        default: "8192",
        text: "Longest request target.",
    },
    Field {
        name: "max_header_size",
        kind: "integer (bytes)",
        default: "16384",
        text: "Largest header block.",
    },
    Field { name: "max_headers", kind: "integer", default: "100", text: "Most header lines." },
    Field {
        name: "allowed_hosts",
        kind: "list of strings",
        default: "all",
        text: "Values of `Host` that are served: `host` or `host:port`.",
    },
    Field {
        name: "external_port",
        kind: "integer",
        default: "none",
        text: "The port that `Host` has to name: the one clients see.",
    },
    Field { name: "enable_rfc6455", kind: "bool", default: "true", text: "Speak version 13." },
    Field { name: "enable_hybi10", kind: "bool", default: "false", text: "Speak version 8, a draft." },
    Field {
        name: "subprotocols",
        kind: "list of strings",
        default: "[]",
        text: "Subprotocols that may be agreed on.",
    },
    Field {
        name: "subprotocol_preference",
        kind: "string",
        default: "client",
        text: "Whose order decides between several that fit: `client` or `server`.",
    },
    Field {
        name: "require_websocket_subprotocol",
        kind: "bool",
        default: "false",
        text: "Refuse requests that offer none of `subprotocols`.",
    },
    Field {
        name: "routes",
        kind: "list of records",
        default: "[]",
        text: "Tried in order; the first that matches decides by which port the events of a connection leave. Of each: `exit` (a port of your own naming), `when` (conditions of which one suffices: `protocol`, `scheme`, `authority`, `path`, `query`, `headers`; without any the route always matches), `guarded` (a record from guards, all of which have to let pass, to lists of roles, all of which they have to vouch for), `conceal` (answer those that they refuse as if there was no such route), `options` (limits, `subprotocols`, `send_queue` and other settings of its connections).",
    },
    Field {
        name: "exit",
        kind: "string",
        default: "out without routes",
        text: "The port by which the events of connections leave that no route takes; without it they are refused.",
    },
    Field {
        name: "guards",
        kind: "record",
        default: "{}",
        text: "Who may use routes, by a name that `guarded` of routes uses. Of each: `type`, `options`, and `credentials` if they are in other places than those of the others. `jwt`: `issuer`, `audience`, `keys` (a list of JWKs, or a file or URL of a JWK set; without, that of the issuer), `roles` (the claim; `scope`), `identity` (`sub`), `attributes` (from names to claims), `algorithms`, `leeway` (0 s), `challenge` (s), `require_exp` (false), `max_token_size` (8192), `refresh` (3600 s), `tls` (whom to trust for an `https` URL of keys: `cafile`, `domain`, `cert`, `key`), `realm`. `basic`: `users` (from names to `password` or `hash`, and `roles`) or `file` (lines `NAME:HASH:ROLES`), `realm`. `bearer` and `apikey`: `tokens` (from tokens or `$sha256$SALT$HEX` to `identity` and `roles`), `realm`. `identity`: `header` and `roles_header`, which one of `trusted_proxies` writes. `tls`: `certificates` (`fingerprint`, `subject`, `host`, `email` or `uri`, with `identity` and `roles`), `subjects` (from subjects to roles). `cookie`: whom another guard has let in with the cookie that the client brings; it takes `bind_identity` of `cookie`, and no options. `flow`: the flow is asked, as by `authorize`, but only about routes that it guards, and behind their other guards: `port`, `timeout` (1000 ms); the event says the guard's name in `guard`, and roles are those of the answer.",
    },
    Field {
        name: "credentials",
        kind: "record",
        default: "header `authorization`",
        text: "Where guards look, in this order: `headers`, `query`, `cookies` (from names to `{credentials}` with what stands around it; for `basic` it is `Basic {username}:{password}`), `protocols` (an offered subprotocol such as `bearer.{credentials}`). What is there is shown to nobody.",
    },
    Field {
        name: "guard_fallthrough",
        kind: "bool",
        default: "true",
        text: "Whether one whom the guards of a route refuse may go by a later route, or by `exit`.",
    },
    Field {
        name: "invalid_credentials_status",
        kind: "integer",
        default: "401",
        text: "The answer to credentials that are no good: 400 to 499.",
    },
    Field {
        name: "authorize",
        kind: "record",
        default: "none",
        text: "The flow decides about each handshake, behind the guards: `port` gives an event with `kind` `authorize`, `conn` and what metadata tell of the handshake. The answer is an event on port `control` with `kind` `authorize`, that `conn`, and `accept`: true with `identity`, `roles`, `attributes` and `headers`, false with `status` (403), `body` and `headers`. Without one within `timeout` ms (1000) the client is answered 503.",
    },
    Field {
        name: "on_expiry",
        kind: "string",
        default: "close",
        text: "What becomes of a connection when its session ends: `close`, `notify` to let it stay and tell so on port `control` (`expired`), or `ignore`.",
    },
    Field {
        name: "expiry_close",
        kind: "record",
        default: "{}",
        text: "What it is closed with then: `code` (1008), `reason` (token expired).",
    },
    Field {
        name: "challenge_message",
        kind: "string",
        default: "none",
        text: "A text message for clients whose token ends soon: `challenge` seconds before it does, which is an option of `jwt` guards. Port `control` is told then, too (`reauth_due`).",
    },
    Field {
        name: "renew",
        kind: "record",
        default: "none",
        text: "`message`: the path of a token in messages (`auth.token`). A message with a string there does not reach the flow: if the token is good, of the same identity, and has the roles of the route, it extends the session. Port `control` is told (`reauthenticated`, `reauth_refused`).",
    },
    Field {
        name: "revalidate",
        kind: "bool",
        default: "false",
        text: "Whether a connection ends when the keys of its `jwt` guard no longer have the one that vouched for it; it is looked for every 5 s.",
    },
    Field {
        name: "share_session",
        kind: "bool",
        default: "true",
        text: "Whether a new connection, or a `POST` of type `application/x-challenge-response` with fresh credentials, extends the sessions of others of the same identity, whose token ends earlier. Pages of `allowed_origins` may send such a `POST`: browsers that ask are told so.",
    },
    Field {
        name: "no_match",
        kind: "record",
        default: "{}",
        text: "The answer where no route matches: `status` (404; 400 to 499), `body`.",
    },
    Field {
        name: "allowed_origins",
        kind: "list of strings",
        default: "all",
        text: "Pages that may connect, such as `https://*.plant.example`; without a port the scheme's own is meant, `:*` is any.",
    },
    Field {
        name: "same_origin",
        kind: "bool",
        default: "false",
        text: "Pages from the address that is asked for may connect; with `allowed_origins` these too.",
    },
    Field {
        name: "allow_null_origin",
        kind: "bool",
        default: "true",
        text: "Take requests with `Origin: null`.",
    },
    Field {
        name: "require_origin",
        kind: "bool",
        default: "false",
        text: "Refuse requests without `Origin`, which most programs other than browsers send.",
    },
    Field {
        name: "public_url",
        kind: "string",
        default: "none",
        text: "Where clients see the server if a proxy is in front of it: the default of `allowed_hosts` and `external_port`, and whether it is over TLS.",
    },
    Field {
        name: "trusted_proxies",
        kind: "list of strings",
        default: "[]",
        text: "Addresses and ranges such as `10.0.0.0/8` whose `Forwarded` and `X-Forwarded-...` headers are believed. Where both sorts are there, they have to agree: requests of which they do not are answered 400.",
    },
    Field {
        name: "trust_xff",
        kind: "integer",
        default: "0",
        text: "Instead of `trusted_proxies`: so many proxies are in front, whatever their addresses.",
    },
    Field {
        name: "proxy_protocol",
        kind: "string",
        default: "off",
        text: "Which header of the PROXY protocol connections begin with, in front of TLS: `off`, `v1`, `v2` or `any`. Without it they are dropped.",
    },
    Field {
        name: "proxy_protocol_from",
        kind: "list of strings",
        default: "all",
        text: "Addresses and ranges that may send that header; others are dropped.",
    },
    Field {
        name: "allow_from",
        kind: "list of strings",
        default: "all",
        text: "Addresses and ranges that may connect; others are dropped before TLS.",
    },
    Field {
        name: "deny_from",
        kind: "list of strings",
        default: "[]",
        text: "Addresses and ranges that may not connect.",
    },
    Field {
        name: "expose_headers",
        kind: "string or list of strings",
        default: "all without secrets",
        text: "Headers of the request in the metadata: names, `all` or `none`. Unless it says so, those that hold credentials or cookies are not among them.",
    },
    Field {
        name: "cookie",
        kind: "record",
        default: "none",
        text: "Know browsers again by a cookie, which metadata tell as `cookie`, and as `identity` where no guard knows who it is. `name` (wsid), `length` (24 characters; 6 to 64), `max_age` (86400 s), `secure` (true with TLS), `http_strict` (true), `same_site` (`Lax`; `Strict`, or `None`), `path` (/), `domain`; `bind_identity` (false): whom a guard has let in with it may come again with nothing else, until its session ends or the server starts anew; `store`: `type` (`memory`; or `file`), `filename`, `purge_on_startup` (false). The command `forget_cookie` (with `cookie`) on port `control` closes the connections that carry it.",
    },
    Field {
        name: "health",
        kind: "string",
        default: "none",
        text: "A path that is answered with 200 while connections are taken, with 503 while the flow drains.",
    },
    Field {
        name: "enable_webstatus",
        kind: "bool",
        default: "false",
        text: "Answer requests for a page, where a route leads, with a small one.",
    },
    Field {
        name: "reject",
        kind: "string",
        default: "answer",
        text: "Whether one that comes when there is no room gets an `answer` (503) or is cut off: `drop`.",
    },
    Field {
        name: "response_headers",
        kind: "record",
        default: "{}",
        text: "Extra headers of the 101; a list repeats one.",
    },
    Field { name: "error_bodies", kind: "bool", default: "true", text: "Say in the body of a refusal why." },
    Field { name: "show_server_version", kind: "bool", default: "false", text: "Send a `Server` header." },
    Field {
        name: "send_queue",
        kind: "record",
        default: "{}",
        text: "What may wait for one connection, what is being written included: `messages` (1024), `bytes` (1048576; one larger message passes alone); `policy`: `block` waits `block_timeout` (5000 ms; 0: any time) for room, then closes with 1008; `close` closes at once; `drop_newest` and `drop_oldest` leave messages out; `conflate` leaves out what waits under the same key, which is the member `key` of `$ws_server`, or the one that `key` names.",
    },
    Field {
        name: "drain_spread",
        kind: "integer (ms)",
        default: "0",
        text: "Connections that a drain closes are closed one after the other, in this time.",
    },
    Field {
        name: "drain_timeout",
        kind: "integer (ms)",
        default: "5000",
        text: "How long a drain waits for the peers' part of the closes; a flow that drains has 5 s for all of it.",
    },
    Field {
        name: "max_connections",
        kind: "integer",
        default: "65536",
        text: "Connections at once; 0: no cap.",
    },
    Field {
        name: "max_connections_per_ip",
        kind: "integer",
        default: "0",
        text: "Connections at once from one client (of IPv6 addresses, one /64), behind trusted proxies by the address that they name; 0: no cap.",
    },
    Field {
        name: "max_connections_per_identity",
        kind: "integer",
        default: "0",
        text: "Connections at once of one identity that a guard knows; more are answered 429. 0: no cap.",
    },
    Field {
        name: "accept_rate",
        kind: "integer",
        default: "0",
        text: "Connections that are taken in a second, and at once after a pause; others are told to come back. 0: any number.",
    },
    Field {
        name: "max_pending_handshakes",
        kind: "integer",
        default: "1024",
        text: "Handshakes under way at once; 0: no cap.",
    },
];

const CLIENT_ONLY: &[Field] = &[
    Field {
        name: "url",
        kind: "string",
        default: "",
        text: "`ws://host:port/path` or `wss://...`; the port defaults to 80 or 443. Name and password in it are `auth.basic`. May be left out with `defaults.authority`, where the first event opens the connection, and with `endpoint`.",
    },
    Field {
        name: "defaults",
        kind: "record",
        default: "{}",
        text: "`protocol`, `scheme`, `authority`, `path`: instead of what `url` says. Without `url` the connection is opened by the first event that comes, which waits for it and may say these in `$ws_client.open`; the same values open it again when it is lost, unless an event says others meanwhile. Credentials go to the server of the defaults only.",
    },
    Field {
        name: "routes",
        kind: "list of records",
        default: "[]",
        text: "Tried in order; the first that matches what is opened decides by which port the events leave. Of each: `exit` (a port of your own naming), `when` (conditions of which one suffices: `protocol`, `scheme`, `authority`, `path`, `query`; without any the route always matches).",
    },
    Field {
        name: "exit",
        kind: "string",
        default: "out without routes",
        text: "The port by which the events of connections leave that no route takes; without it they are not opened.",
    },
    Field {
        name: "endpoint",
        kind: "record",
        default: "by the URL",
        text: "What to connect to instead of host and port of `url`, which then say only what is asked for: `{\"type\": \"tcp\"}` with `host`, `port`, `version` of IP (4, 6; either), `timeout` (10 s; up to 600, 0: any time), `tls`; or `{\"type\": \"unix\"}` with `path`, `timeout`.",
    },
    Field {
        name: "proxy",
        kind: "string or record",
        default: "none",
        text: "The way to the server: `http://user:password@host:port`, `https://...`, `socks5://...`, `socks5h://...` (which looks names up at the proxy); `env` reads `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`. A record has `url`, and the `tls` that is spoken with an `https` proxy.",
    },
    Field {
        name: "no_proxy",
        kind: "list of strings",
        default: "[]",
        text: "Servers that are reached without the proxy: `host`, `.domain`, addresses, ranges such as `10.0.0.0/8`, each maybe with a port, or `*`.",
    },
    Field {
        name: "auth",
        kind: "record",
        default: "none",
        text: "Who we are, one of: `basic` (`username`, `password`; with `on_challenge` of true only when a 401 asks for it), `bearer` (`token`, or `file`, which is read for each attempt), `header` (`name`, `value`), `query` (`name`, `value`), `protocol` (`prefix`, `token`, offered as one subprotocol; a token that is no JWT in base64url). Secrets may be `{\"env\": \"NAME\"}`. They go to this one server only, never to another by a redirect.",
    },
    Field {
        name: "query",
        kind: "record",
        default: "{}",
        text: "Added to the query of the URL; a list repeats its name.",
    },
    Field {
        name: "max_redirects",
        kind: "integer",
        default: "0",
        text: "Redirects that are followed in one attempt, up to 100; never from TLS to none. To another server go no credentials, and no headers that look like some.",
    },
    Field {
        name: "give_up_on",
        kind: "list of integers",
        default: "[]",
        text: "Statuses behind which no further attempt is made.",
    },
    Field {
        name: "max_retry_after",
        kind: "integer (ms)",
        default: "0",
        text: "A server that answers 429 or 503 may say with `Retry-After` when to come back; waits of `reconnect` are not shorter then. This is the longest time that it gets; 0: any.",
    },
    Field {
        name: "open_message",
        kind: "string, record or list",
        default: "none",
        text: "Sent before any event: a text, `{\"binary\": \"<base64>\"}`, or a list of these.",
    },
    Field {
        name: "expect",
        kind: "record",
        default: "none",
        text: "A message that has to come before the connection counts as one: `{\"contains\": \"text\"}`, or members with values that it has as JSON. It gives an event as all others do.",
    },
    Field {
        name: "expect_timeout",
        kind: "integer (ms)",
        default: "5000",
        text: "How long that may take; 0: any time.",
    },
    Field {
        name: "tls",
        kind: "bool or record",
        default: "by the scheme",
        text: "Use TLS. `cafile`: PEM files with whom to trust instead of the system's roots, or besides them with \
               `add_system_roots`; `domain`: name to verify instead of the host; `cert` and `key`: our certificate; `alpn` ([]), \
               `min_version` (1.2), `max_version` (1.3); `pins`: SHA-256 of the server's public key, in base64 or hex, one \
               of which has to fit; `insecure` (false): verify nothing but `pins`. Also under Crossbar's names `hostname`, \
               `certificate`, `ca_certificates`.",
    },
    Field {
        name: "http2",
        kind: "bool or `prior_knowledge`",
        default: "false",
        text: "Offer HTTP/2 with TLS (RFC 8441); a server that does not take it, or takes no WebSockets that way, is spoken to with HTTP/1.1. `prior_knowledge` speaks it without TLS, too, to a server that is known to do so. Each connection has one WebSocket.",
    },
    Field {
        name: "accept_masked_server_frames",
        kind: "bool",
        default: "false",
        text: "Take masked frames instead of failing the connection.",
    },
    Field {
        name: "mask_client_frames",
        kind: "bool",
        default: "true",
        text: "Mask what is sent; `false` breaks the protocol.",
    },
    Field {
        name: "open_handshake_timeout",
        kind: "integer (ms)",
        default: "5000",
        text: "From the TCP connection to the 101; 0: any time.",
    },
    Field {
        name: "server_connection_drop_timeout",
        kind: "integer (ms)",
        default: "1000",
        text: "How long to leave it to the server to end TCP after the closing handshake.",
    },
    Field {
        name: "headers",
        kind: "record",
        default: "{}",
        text: "Extra headers of the upgrade request; a list repeats one.",
    },
    Field {
        name: "expose_headers",
        kind: "string or list of strings",
        default: "all without secrets",
        text: "Headers of the server's answer in the metadata: names, `all` or `none`. Unless it says so, those that hold credentials or cookies are not among them.",
    },
    Field { name: "origin", kind: "string", default: "none", text: "`Origin` to send." },
    Field { name: "subprotocols", kind: "list of strings", default: "[]", text: "Offered in this order." },
    Field {
        name: "require_websocket_subprotocol",
        kind: "bool",
        default: "false",
        text: "Fail if the server picks none.",
    },
    Field {
        name: "heartbeat",
        kind: "record",
        default: "none",
        text: "Messages that the service expects now and then: `interval` (ms) and `message` (a text, or a record or list that is sent as JSON); text messages that contain `reply_contains` are replies and give no event; `timeout` (0: none): the connection is dropped when no reply has come so many ms after a heartbeat.",
    },
    Field {
        name: "send_proxy_protocol",
        kind: "string",
        default: "none",
        text: "Begin the connection with a header of the PROXY protocol: `v1` or `v2`.",
    },
    Field {
        name: "per_origin",
        kind: "bool",
        default: "false",
        text: "One connection for each origin of events instead of one for all: the first event from a connection of a `ws_server` opens one, by `$ws_client.open` if it says how; answers have `$ws_server.conn`; when one of the two ends, so does the other, with the same code and reason.",
    },
    Field {
        name: "max_connections",
        kind: "int",
        default: "65536",
        text: "With `per_origin`: most connections at once; 0 is any number. Beyond, whoever is in front is closed with 1013.",
    },
    Field {
        name: "stable_after",
        kind: "integer (ms)",
        default: "10000",
        text: "A connection that lasts this long resets the growth of the reconnect wait.",
    },
    Field {
        name: "send_queue",
        kind: "record",
        default: "{}",
        text: "What may wait to be sent, also over a reconnect, what is being written included: `messages` (1024), `bytes` (1048576; one larger message passes alone); `policy`: `block` lets those who send wait for room (for `block_timeout` ms, then the connection is closed; 0, the default: any time); `close` closes the connection at once; `drop_newest` and `drop_oldest` leave messages out; `conflate` leaves out what waits under the same key, which is the member `key` of `$ws_client`, or the one that `key` names.",
    },
];

/// Of both.
const COMMON: &[Field] = &[
    Field {
        name: "socket_options",
        kind: "record",
        default: "{}",
        text: "`TCP_NODELAY` (true), `SO_REUSEADDR` (true), `SO_REUSEPORT` (false).",
    },
    Field {
        name: "no_delay",
        kind: "bool",
        default: "true",
        text: "The same as `socket_options.TCP_NODELAY`.",
    },
    Field { name: "tcp_nodelay", kind: "bool", default: "true", text: "The same as `no_delay`." },
    Field {
        name: "options",
        kind: "record",
        default: "{}",
        text: "Another place for settings, which is Crossbar's. What says where connections lead, whom they trust, who may come and where events leave stands in `config` alone: `url`, `endpoint`, `listen`, `http2`, `tls`, `backlog`, `socket_options`, `no_delay`, `public_url`, `trusted_proxies`, `trust_xff`, `proxy_protocol`, `proxy_protocol_from`, `send_proxy_protocol`, `allow_from`, `deny_from`, `routes`, `exit`, `no_match`, `guards`, `credentials`, `guard_fallthrough`, `invalid_credentials_status`, `on_expiry`, `expiry_close`, `challenge_message`, `renew`, `revalidate`, `share_session`, `authorize`, `cookie`, `expose_headers`.",
    },
    Field {
        name: "max_frame_size",
        kind: "integer (bytes)",
        default: "16777216",
        text: "Largest incoming frame; 0: any.",
    },
    Field {
        name: "max_message_size",
        kind: "integer (bytes)",
        default: "67108864",
        text: "Largest incoming message; 0: any.",
    },
    Field {
        name: "max_fragments",
        kind: "integer",
        default: "65536",
        text: "Most frames of an incoming message, not counting an empty one that ends it; 0: any number.",
    },
    Field {
        name: "validate_utf8",
        kind: "bool",
        default: "true",
        text: "Whether text messages have to be UTF-8.",
    },
    Field {
        name: "apply_mask",
        kind: "bool",
        default: "true",
        text: "For tests: with `false` frames say that they are masked, but are not.",
    },
    Field {
        name: "fail_by_drop",
        kind: "bool",
        default: "false",
        text: "Drop a connection that breaks the protocol without a Close.",
    },
    Field {
        name: "echo_close_codereason",
        kind: "bool",
        default: "false",
        text: "Answer a Close with its own code and reason instead of 1000.",
    },
    Field {
        name: "auto_fragment_size",
        kind: "integer (bytes)",
        default: "0",
        text: "Split longer outgoing messages into frames of this size; 0: never.",
    },
    Field {
        name: "frame_type",
        kind: "string",
        default: "text",
        text: "How messages go out whose metadata have no `binary`: as `text`, as `binary`, or `auto`, as binary exactly if they are not UTF-8.",
    },
    Field {
        name: "accept",
        kind: "string",
        default: "any",
        text: "Which messages are taken: `any`, `text` or `binary`.",
    },
    Field {
        name: "auto_ping_interval",
        kind: "integer (ms)",
        default: "0",
        text: "From one ping to the next; 0: never. The first one comes at a random time within the interval.",
    },
    Field {
        name: "auto_ping_timeout",
        kind: "integer (ms)",
        default: "0",
        text: "Drop the connection when a ping is not answered so long, while it is read; 0: never.",
    },
    Field {
        name: "auto_ping_size",
        kind: "integer (bytes)",
        default: "12",
        text: "Length of a ping: 12 to 125.",
    },
    Field {
        name: "auto_ping_restart_on_any_traffic",
        kind: "bool",
        default: "true",
        text: "Whatever the peer sends counts as answer to a ping.",
    },
    Field {
        name: "idle_timeout",
        kind: "integer (ms)",
        default: "0",
        text: "Close with 1001 when no data has come or gone so long; 0: never.",
    },
    Field {
        name: "max_lifetime",
        kind: "integer (ms)",
        default: "0",
        text: "Close with 1001 at this age, a tenth more or less; 0: never.",
    },
    Field {
        name: "message_timeout",
        kind: "integer (ms)",
        default: "0",
        text: "Close with 1008 when a message takes longer from its first byte to its last; 0: any time.",
    },
    Field {
        name: "max_control_rate",
        kind: "integer",
        default: "100",
        text: "Pings and pongs that a peer may send in a second; more close with 1008. 0: any number.",
    },
    Field {
        name: "message_rate",
        kind: "integer",
        default: "0",
        text: "Messages that are taken in a second, and at once after a pause; 0: any number.",
    },
    Field {
        name: "byte_rate",
        kind: "integer",
        default: "0",
        text: "The same for bytes, those of frame headers included; 0: any number.",
    },
    Field {
        name: "on_rate",
        kind: "string",
        default: "pause",
        text: "What happens to more than that: `pause` reads on later, `close` closes with 1008.",
    },
    Field {
        name: "compression",
        kind: "record",
        default: "none",
        text: "`{\"deflate\": {}}` compresses messages where the peer does, too. In `deflate`: `request_no_context_takeover` (false), `request_max_window_bits` (15; 8 to 15, 0: do not ask) ask the peer; `no_context_takeover` (false), `max_window_bits` (15; 9 to 15, 0: 15), `memory_level` (8; 1 to 9), `level` (6; 0 to 9), `min_size` (0 bytes) are for what is sent; `max_inflated_size` (`max_message_size`) limits what a message may become.",
    },
    Field {
        name: "schema",
        kind: "record",
        default: "none",
        text: "What messages are like, in one or both directions. `catalogs`: by name, where schemas come from: `type` \
               `inline` (`subjects.<name>` with `schema`, `version`), `filesystem` (`subjects.<name>` with `path`), `schema-registry` \
               (`url`; `context`) or `apicurio-registry` (`url`; `group_id`, `use_id` `globalId` or `contentId`, `id_encoding` \
               `default` of 8 bytes or `legacy` of 4); both with `max_age` (300 s, behind which a subject is asked for again while \
               what is known is used), `lazy` (false: it has to be reached at the start), `tls`, `credentials.headers.authorization`. \
               `in`, `out`: `model` `json`, `avro` or `protobuf`, with `catalog` and `id`, or `subject` (`{name}` is what the path has \
               there) and `version` (`latest`), or `strategy` `topic` (the subject is that of the path of the route: \
               `/orders/{site}` is `orders.site-value`); `id_from` `none`, `prefix` (a zero byte and the id stand in front) or \
               `metadata` (in: `schema` in `tags`, `params` or `query`; out: `schema` of the event's metadata); `view` `json` \
               converts avro and protobuf from and to JSON; `record`: the message type of protobuf. Or `model` `string` \
               (`encoding` `utf_8` or `utf_16`, `minLength`, `maxLength`, `pattern`), `int32`, `int64`, `float`, `double` (`range` such \
               as `[0,100)`), `boolean`. `on_invalid`: in `err` (an event on that port), `drop`, `close` (1007, or `close_code`); out \
               `fail`, `drop`, `pass`. It is the message as it is sent that is looked at: in front of preprocessors, behind postprocessors.",
    },
    Field {
        name: "write_timeout",
        kind: "integer (ms)",
        default: "30000",
        text: "How long a write may make no progress; 0: any time.",
    },
    Field {
        name: "close_handshake_timeout",
        kind: "integer (ms)",
        default: "1000",
        text: "How long to wait for the peer's part of a closing handshake; 0: any time.",
    },
];
