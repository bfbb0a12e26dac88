//! The settings of both kinds.

use tremor_connector::Field;

/// Their table.
pub(super) const FIELDS: &[Field] = &[
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
        text: "Largest incoming frame; 0: any, as far as `max_message_size` allows.",
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
        text: "Drop the connection when a ping is not answered so long, while it is read; 0: never, so pings only keep the way open.",
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
        text: "Pings and pongs that a peer may send in a second; more close with 1008. What piled up while the flow itself did not read is not too much. 0: any number.",
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
        text: "What happens to more than that: `pause` reads on later, `close` closes with 1008. What piled up while the flow itself did not read is not too much.",
    },
    Field {
        name: "compression",
        kind: "record",
        default: "none",
        text: "`{\"deflate\": {}}` compresses messages where the peer does, too. In `deflate`: `request_no_context_takeover` (false), `request_max_window_bits` (15; 8 to 15, 0: do not ask) ask the peer; `no_context_takeover` (false), `max_window_bits` (15; 9 to 15, 0: 15), `memory_level` (8; 1 to 9), `level` (6; 0 to 9), `min_size` (0 bytes) are for what is sent; `max_inflated_size` (`max_message_size`) limits what a message may become. Beside it, at `ws_client`: `required` (false), true leaves a server that does not agree, with 1010, and counts as an attempt that failed.",
    },
    Field {
        name: "schema",
        kind: "record",
        default: "none",
        text: "What messages are like, in one or both directions. `catalogs`: by name, where schemas come from: `type` \
               `inline` (`subjects.<name>` with `schema`, `version`), `filesystem` (`subjects.<name>` with `path`), `schema-registry` \
               (`url`, with its scheme; `context`; `confluent-schema-registry` and `karapace-schema-registry` are other names of it) or `apicurio-registry` (`url`; `group_id`, `use_id` `globalId` or `contentId`, `id_encoding` \
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
        text: "How long to wait for the peer's part of a closing handshake, from when it last said something or took something of what it was sent; 0: any time.",
    },
];
