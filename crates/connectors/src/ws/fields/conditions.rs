//! What conditions of routes look at.

use tremor_connector::Field;

/// The members of a condition under `when`.
pub const CONDITIONS: &[Field] = &[
    Field {
        name: "path",
        kind: "pattern",
        default: "any",
        text: "The whole path, with case: `/orders` does not take `/orders/`. `{name}` is a whole segment that is not empty; what it is, decoded, is in `params` of the metadata. `:name` stands for itself. It begins with `/` or `*`. The query is no matter, unless the pattern has a `?`: then path and query are compared as one text, so `/rooms?x=1` does not take `/rooms?x=1&y=2`; better use `query`.",
    },
    Field {
        name: "query",
        kind: "record of patterns",
        default: "any",
        text: "By the names of parameters of the query, both decoded and with case: `{\"v\": \"2*\"}`. Of several parameters with a name one suffices. `*` takes one without a value, too, but not one that is not there.",
    },
    Field {
        name: "headers",
        kind: "record of patterns",
        default: "any",
        text: "By the names of headers, which have no case; the values do. Of several lines with a name one suffices, as a whole: `a` does not take `a, b`. `*` takes each, but not one that is not there.",
    },
    Field {
        name: "authority",
        kind: "pattern",
        default: "any",
        text: "The host that is asked for, without case, and its port if the pattern has one: where none is asked for that is 80, with TLS 443. `*.example.com` takes `a.b.example.com`, but not `example.com`.",
    },
    Field {
        name: "scheme",
        kind: "pattern",
        default: "any",
        text: "`https` (or `wss`) if the client came over TLS, else `http` (or `ws`).",
    },
    Field {
        name: "protocol",
        kind: "pattern",
        default: "any",
        text: "A subprotocol that is offered, with case; it is the one that is spoken then. A request that matches but for that is answered 400, with those that would do.",
    },
];
