//! The parts: a line each. A crate's bench documents what its cases do.

/// A case of a bench.
pub(super) struct Part {
    pub(super) name: &'static str,
    /// What one item is.
    pub(super) what: &'static str,
    pub(super) package: &'static str,
    pub(super) bench: &'static str,
    pub(super) arguments: &'static [&'static str],
    /// The function around what is counted.
    pub(super) function: &'static str,
}

/// In the order of the table: along the path of an event.
pub(super) const PARTS: &[Part] = &[
    Part {
        name: "ws decode",
        what: "one masked frame of 100 bytes to a message, 64 per read",
        package: "tremor-ws",
        bench: "frames",
        arguments: &["decode 100", "20"],
        function: "counted",
    },
    Part {
        name: "ws decode 4096",
        what: "one masked frame of 4 096 bytes to a message, 64 per read",
        package: "tremor-ws",
        bench: "frames",
        arguments: &["decode 4096", "4"],
        function: "counted",
    },
    Part {
        name: "ws encode",
        what: "one message of 100 bytes to a frame, 64 per write",
        package: "tremor-ws",
        bench: "frames",
        arguments: &["encode 100", "20"],
        function: "counted",
    },
    Part {
        name: "separate",
        what: "one line of 630 bytes out of a block of 64 KiB, to a string",
        package: "tremor-codec",
        bench: "lines",
        arguments: &["separate 630", "10"],
        function: "counted",
    },
    Part {
        name: "separate 100",
        what: "one line of 100 bytes out of a block of 64 KiB, to a string",
        package: "tremor-codec",
        bench: "lines",
        arguments: &["separate 100", "3"],
        function: "counted",
    },
    Part {
        name: "join",
        what: "one string of 630 bytes to a line",
        package: "tremor-codec",
        bench: "lines",
        arguments: &["join 630", "10"],
        function: "counted",
    },
    Part {
        name: "json parse",
        what: "one record of 630 bytes to a payload",
        package: "tremor-value",
        bench: "payload",
        arguments: &["records", "payload", "1"],
        function: "counted",
    },
    Part {
        name: "json pass",
        what: "one record of 630 bytes to a payload and back",
        package: "tremor-value",
        bench: "payload",
        arguments: &["records", "payload and back", "1"],
        function: "counted",
    },
    Part {
        name: "json read",
        what: "one record of 630 bytes to a payload of which one member is read",
        package: "tremor-value",
        bench: "payload",
        arguments: &["records", "payload, one read", "1"],
        function: "counted",
    },
    Part {
        name: "json writes",
        what: "one record of 630 bytes to a payload, ten members written, and back",
        package: "tremor-value",
        bench: "payload",
        arguments: &["records", "payload, ten writes and back", "1"],
        function: "counted",
    },
    Part {
        name: "json tree",
        what: "one record of 630 bytes to a tree and back",
        package: "tremor-value",
        bench: "payload",
        arguments: &["records", "tree and back", "1"],
        function: "counted",
    },
    Part {
        name: "script filter",
        what: "`event.request.method == \"GET\" and event.keep`, without parsing",
        package: "tremor-lang",
        bench: "scripts",
        arguments: &["filter", "--once"],
        function: "measured",
    },
    Part {
        name: "script writes",
        what: "the script of the case `script`, without parsing",
        package: "tremor-lang",
        bench: "scripts",
        arguments: &["match_writes", "--once"],
        function: "measured",
    },
    Part {
        name: "script interpolate",
        what: "a string with four interpolations, without parsing",
        package: "tremor-lang",
        bench: "scripts",
        arguments: &["interpolate", "--once"],
        function: "measured",
    },
];
