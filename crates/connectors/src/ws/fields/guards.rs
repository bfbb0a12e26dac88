//! The `options` of each type of guards.

use tremor_connector::Field;

const REALM: Field = Field {
    name: "realm",
    kind: "string",
    default: "the name of the guard",
    text: "What a 401 calls it in `WWW-Authenticate`.",
};

const TOKENS: &[Field] = &[
    Field {
        name: "tokens",
        kind: "record",
        default: "",
        text: "From tokens, or `$sha256$SALT$HEX` of one, to `identity` and `roles`.",
    },
    REALM,
];

/// By type.
pub const GUARDS: &[(&str, &[Field])] = &[
    ("jwt", JWT),
    ("basic", BASIC),
    ("bearer", TOKENS),
    ("apikey", TOKENS),
    ("identity", IDENTITY),
    ("tls", CERTIFICATES),
    ("cookie", &[]),
    ("flow", FLOW),
];

const JWT: &[Field] = &[
    Field { name: "issuer", kind: "string", default: "any", text: "The `iss` that tokens have to have." },
    Field {
        name: "audience",
        kind: "string or list of strings",
        default: "any",
        text: "Of which `aud` of tokens has to have one.",
    },
    Field {
        name: "keys",
        kind: "list of JWKs, or string",
        default: "those of issuer",
        text: "Keys, or where a set of them is: a URL with `https`, `http` or `file`, or a path. Without, `/.well-known/jwks.json` of `issuer`. Each key has to have a `kid`; one without it is left out.",
    },
    Field {
        name: "refresh",
        kind: "integer (s)",
        default: "3600",
        text: "How often keys of a URL are asked for again: 30 to 31536000.",
    },
    Field {
        name: "tls",
        kind: "bool or record",
        default: "none",
        text: "Whom to trust for an `https` URL of keys: `cafile`, `domain`, `cert`, `key`.",
    },
    Field {
        name: "algorithms",
        kind: "string or list of strings",
        default: "those of the keys",
        text: "What tokens may be signed with.",
    },
    Field {
        name: "roles",
        kind: "string",
        default: "\"scope\"",
        text: "The claim with the roles. A dot leads to a member: `realm.roles`.",
    },
    Field {
        name: "identity",
        kind: "string",
        default: "\"sub\"",
        text: "The claim that says who it is. A token without it is good, too, and its connection has no `$ws_server.identity`.",
    },
    Field {
        name: "attributes",
        kind: "record",
        default: "{}",
        text: "From names in `$ws_server.attributes` to claims.",
    },
    Field { name: "require_exp", kind: "bool", default: "false", text: "Refuse tokens without an end." },
    Field {
        name: "leeway",
        kind: "integer (s)",
        default: "0",
        text: "For how long tokens are good behind their end and before their beginning: clocks differ.",
    },
    Field {
        name: "challenge",
        kind: "integer (s)",
        default: "none",
        text: "How long before the end of a session its client is asked for a fresh token (`challenge_message`), and the flow told (`reauth_due`).",
    },
    Field {
        name: "max_token_size",
        kind: "integer (bytes)",
        default: "8192",
        text: "Longer tokens are refused: 1 to 1048576.",
    },
    REALM,
];

const BASIC: &[Field] = &[
    Field {
        name: "users",
        kind: "record",
        default: "required, or file",
        text: "From names to `password` or `hash`, and `roles`.",
    },
    Field {
        name: "file",
        kind: "path",
        default: "required, or users",
        text: "A file with lines `NAME:HASH:ROLES`. It is read again when it changes: who is no longer in it is refused from then on, and open connections stay.",
    },
    REALM,
];

const IDENTITY: &[Field] = &[
    Field {
        name: "header",
        kind: "string",
        default: "",
        text: "In which one of `trusted_proxies` writes who it is.",
    },
    Field { name: "roles_header", kind: "string", default: "none", text: "In which it writes the roles." },
];

const CERTIFICATES: &[Field] = &[
    Field {
        name: "subjects",
        kind: "record",
        default: "required, or certificates",
        text: "From patterns to roles. A pattern is compared with the whole subject, the most specific part first \
               (`CN=client one,O=Plant`), part by part: `*` stands for any characters of one part, and a part that is `*` alone for any \
               number of parts, so `CN=press-*` fits no subject that has an `O`, and `CN=press-*,*` does.",
    },
    Field {
        name: "certificates",
        kind: "list of records",
        default: "[]",
        text: "Of each: `fingerprint` or `certificate-sha1`, `subject`, `host`, `email` or `uri`, with `identity` and `roles`. They are looked at before `subjects`.",
    },
];

const FLOW: &[Field] = &[
    Field {
        name: "port",
        kind: "string",
        default: "",
        text: "By which the flow is asked, as by `authorize`, but only about routes that it guards, and behind their other guards: the event says the guard's name in `guard`, which the answer has to repeat where several ask, and roles are those of the answer.",
    },
    Field {
        name: "timeout",
        kind: "integer (ms)",
        default: "1000",
        text: "How long it may take: 1 to 600000.",
    },
];
