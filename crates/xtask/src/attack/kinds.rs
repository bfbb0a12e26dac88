//! The attacks: how many take part, what of the server, and until when they must be gone.

use std::{fmt, time::Duration};

/// The names of the attacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Name {
    /// Connections that say nothing, or half of a request
    HalfOpen,
    /// Requests that come one byte at a time
    SlowHeader,
    /// Messages of one byte
    OneByteFrames,
    /// Frames that announce 2^62 or 2^63 bytes
    HugeLength,
    /// Messages that have a beginning and no end
    EndlessFragments,
    /// Pings without a pause
    PingFlood,
    /// Little that inflates to much
    DeflateBomb,
    /// Text that is none, cut everywhere
    BadUtf8,
    /// Peers that send and do not read
    StoppedReader,
    /// Requests without a good token
    #[value(name = "flood-401")]
    Flood401,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let value = clap::ValueEnum::to_possible_value(self);
        f.pad(value.as_ref().map_or("", |value| value.get_name()))
    }
}

/// One attack.
pub(crate) struct Attack {
    pub(crate) name: Name,
    pub(crate) about: &'static str,
    /// Members of the configuration besides `url`.
    pub(crate) config: &'static str,
    /// What quiet clients send as credentials, a header line.
    pub(crate) authorization: &'static str,
    /// Connections of attackers.
    pub(crate) attackers: u32,
    /// How many of them are there at once.
    pub(crate) at_once: usize,
    /// How long an attacker stays where nobody answers: about as long as at the server.
    pub(crate) stay: Duration,
    /// How long after it connected the last attacker may be there: the limits that the server has by default, and time
    /// for a machine that has two processors for all of this.
    pub(crate) deadline: Duration,
    /// How much more memory the server may have, at its peak.
    pub(crate) memory_mib: u64,
}

const PLAIN: Attack = Attack {
    name: Name::HalfOpen,
    about: "",
    config: "",
    authorization: "",
    attackers: 1_000,
    at_once: 50,
    stay: Duration::ZERO,
    deadline: Duration::from_secs(20),
    memory_mib: 128,
};

/// Twice what a server has by default for a handshake, and for the rest of what such a client still sends.
const HANDSHAKE: Duration = Duration::from_secs(12);

/// All of them.
pub(crate) const ALL: &[Attack] = &[
    Attack {
        name: Name::HalfOpen,
        about: "10 000 connections at once of which every other one sends half a request",
        attackers: 10_000,
        at_once: 10_000,
        stay: Duration::from_secs(6),
        deadline: HANDSHAKE,
        ..PLAIN
    },
    Attack {
        name: Name::SlowHeader,
        about: "requests that come one byte every 50 ms",
        attackers: 1_000,
        at_once: 1_000,
        stay: Duration::from_secs(6),
        deadline: HANDSHAKE,
        ..PLAIN
    },
    Attack {
        name: Name::OneByteFrames,
        about: "40 times 50 000 messages of one byte",
        attackers: 40,
        at_once: 20,
        deadline: Duration::from_secs(120),
        ..PLAIN
    },
    Attack { name: Name::HugeLength, about: "frames of 2^63 and of 2^62 bytes", attackers: 4_000, ..PLAIN },
    Attack {
        name: Name::EndlessFragments,
        about: "40 messages of 100 000 fragments and no end",
        attackers: 40,
        at_once: 20,
        deadline: Duration::from_secs(60),
        ..PLAIN
    },
    Attack { name: Name::PingFlood, about: "200 times 10 000 pings", attackers: 200, at_once: 20, ..PLAIN },
    // Each may have a message of 64 MiB, once: what grows is not moved. A quarter more is for what is given back but not
    // yet with the system; the rest is as for the others.
    Attack {
        name: Name::DeflateBomb,
        about: "40 messages that inflate to 128 MiB, 8 at once",
        config: r#", "compression": {"deflate": {}}"#,
        attackers: 40,
        at_once: 8,
        deadline: Duration::from_secs(60),
        memory_mib: 8 * 64 * 5 / 4 + PLAIN.memory_mib,
        ..PLAIN
    },
    Attack {
        name: Name::BadUtf8,
        about: "every kind of broken text, cut at every place, in two fragments",
        attackers: 2_000,
        ..PLAIN
    },
    // A peer may have 1 MiB that waits for it, which has been read once.
    Attack {
        name: Name::StoppedReader,
        about: "40 clients that send 20 MB each and read nothing",
        attackers: 40,
        at_once: 40,
        stay: Duration::from_secs(6),
        deadline: Duration::from_secs(60),
        memory_mib: 256,
        ..PLAIN
    },
    Attack {
        name: Name::Flood401,
        about: "requests with a token of somebody else",
        config: r#", "guards": {"staff": {"type": "jwt", "options": {"keys": [{"kty": "oct", "kid": "one",
            "k": "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY"}]}}},
            "routes": [{"guarded": {"staff": []}, "exit": "out"}]"#,
        authorization: "Authorization: Bearer eyJhbGciOiJIUzI1NiIsImtpZCI6Im9uZSJ9.eyJzdWIiOiJxdWlldCJ9.-2NZRVPR_lgTIjJabRpleKdyMdy8e-7ND-vhtcRppeE\r\n",
        attackers: 5_000,
        at_once: 64,
        ..PLAIN
    },
];

/// The attack of that name.
pub(crate) fn named(name: Name) -> Option<&'static Attack> {
    ALL.iter().find(|attack| attack.name == name)
}
