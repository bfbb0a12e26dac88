//! The connector kinds, one module each.
//!
//! A kind is a [`Spec`]: its name, its settings for the reference pages and a function that makes an
//! instance. Whoever deploys flows takes the table [`ALL`], usually through [`registry`].

mod bench;
mod cb;
mod clock;
mod echo;
mod exit;
mod file;
mod metrics;
mod metronome;
mod null;
mod output;
mod pieces;
mod stdio;
mod wal;
mod ws;

use tremor_connector::{Registry, Spec};

pub use ws::{
    COMMON_TAGS as WS_METRIC_TAGS, CONDITIONS as WS_CONDITIONS, GUARDS as WS_GUARDS, ROWS as WS_METRICS,
    Row as MetricRow,
};

/// All kinds.
pub const ALL: &[Spec] = &[
    file::SPEC,
    stdio::SPEC,
    exit::SPEC,
    metronome::SPEC,
    metrics::SPEC,
    null::SPEC,
    echo::SPEC,
    wal::SPEC,
    ws::client::SPEC,
    ws::server::SPEC,
    cb::SPEC,
    bench::SPEC,
];

/// The kinds that a process knows; debug kinds only if wanted.
#[must_use]
pub fn registry(with_debug: bool) -> Registry {
    Registry::new(ALL, with_debug)
}
