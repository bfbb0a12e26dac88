//! The settings of `ws_client` alone.

use tremor_connector::Field;

/// Their table.
pub(super) const FIELDS: &[Field] = &[
    Field {
        name: "url",
        kind: "string",
        default: "",
        text: "`ws://host:port/path` or `wss://...`, without a scheme the latter where there is `tls`, else the former; the port defaults to 80 or 443, the host to `localhost`, which is warned of. It has no fragment. Name and password in it are `auth.basic`. May be left out with `defaults.authority`, where the first event opens the connection, and with `endpoint`.",
    },
    Field {
        name: "defaults",
        kind: "record",
        default: "{}",
        text: "`protocol`, `scheme`, `authority`, `path`: what `url` does not say; nothing stands in both. Without `url` the connection is opened by the first event that comes, which waits for it and may say these in `$ws_client.open`; the same values open it again when it is lost, unless an event says others meanwhile. Once there is a connection, it has no effect what events say, nor at any time with `url` or `endpoint` (of which the log warns once). An event whose `open` cannot be right fails alone, and nothing is tried for it. Where the server cannot be reached, `reconnect` decides: without it the connector has failed, and with it all events that wait or come. Credentials go to the server of the defaults only.",
    },
    Field {
        name: "routes",
        kind: "list of records",
        default: "[]",
        text: "Tried in order; the first that matches what is opened decides by which port the events leave. Of each: `exit` (a port of your own naming), `when` ([conditions](#conditions-of-when) of which one suffices: `protocol`, `scheme`, `authority`, `path`, `query`; without any the route always matches), `options` (`schema`, where the connector's does not suit this route).",
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
        text: "The way to the server: `http://user:password@host:port`, `https://...`, `socks5://...`, `socks5h://...` (which looks names up at the proxy); `env` reads `http_proxy`, `https_proxy`, `all_proxy` and `no_proxy`. Nothing is said without its scheme. A record has `url`, and the `tls` that is spoken with an `https` proxy.",
    },
    Field {
        name: "no_proxy",
        kind: "string or list of strings",
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
        kind: "integer or list of integers",
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
               `certificate`, `ca_certificates`. Lists of files, protocols and pins may be one string. Files that have changed are read again for a new connection; such that cannot be used leave in use what was read before.",
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
        default: "all but those",
        text: "Headers of the server's answer in the metadata: names, `all` or `none`. Unless it says so, those that hold credentials or cookies are not among them, nor those of the handshake itself (`upgrade`, `connection`, `sec-websocket-*`).",
    },
    Field { name: "origin", kind: "string", default: "none", text: "`Origin` to send." },
    Field {
        name: "subprotocols",
        kind: "string or list of strings",
        default: "[]",
        text: "Offered in this order.",
    },
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
        text: "One connection for each origin of events instead of one for all: the first event from a connection of a `ws_server` opens one, by `$ws_client.open` if it says how (an event whose `open` cannot be right fails alone, and the next one may open it); answers have `$ws_server.conn`; when one of the two ends, so does the other, with the same code and reason.",
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
        text: "A connection that lasts this long resets the growth of the reconnect wait, unless the server ends it with 1012, 1013 or 1014, which say that it has no room for now.",
    },
    Field {
        name: "send_queue",
        kind: "record",
        default: "{}",
        text: "What may wait to be sent, what is being written included. It waits over a reconnect, too, but while there is no connection the sources in front of the client stop, whatever the policy: that acts where the server reads more slowly than events come, and for what is on its way when a connection breaks. `messages` (1024), `bytes` (1048576; one larger message passes alone); `policy`: `block` lets those who send wait for room, for `block_timeout` (5000 ms; 0: any time) while there is a connection, which is closed with 1008 then; `close` closes the connection at once; `drop_newest` and `drop_oldest` leave messages out, the latter never the newest; `conflate` leaves out what waits under the same key, which is the member `key` of `$ws_client`, or the one that `key` names. All but `block` act only where the socket takes no more: what it takes at once is written first, however large the batch. However large a message is that is being written, with `drop_oldest` and `conflate` half of `bytes` is for what waits.",
    },
];
