//! What unit tests of settings need.

use std::sync::Arc;
use tremor_connector::{Dials, Environment, ExitSwitch, metrics::Metrics};

/// What surrounds a connector that nobody measures.
pub(super) fn environment() -> Environment {
    Environment {
        alias: "flow::gate".to_owned(),
        hostname: "here".into(),
        ids: Arc::default(),
        exit: ExitSwitch::new().0,
        dials: Dials::default(),
        metrics: Metrics::default(),
        is_measured: false,
    }
}
