//! WebSocket echo on connections of which each is replaced by a new one now and then.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

use super::{Soaked, Span, growth, wrong};
use crate::{
    bench::{Bench, cases::echo_flow::Echoes, ws_load},
    error::Result,
};

/// Sends messages until `span` is over; every answer has to be one.
pub(super) fn run(bench: &Bench, span: Span) -> Result<Soaked> {
    let (mut server, target) = Echoes::plain(bench)?.ours(bench)?;
    let (events, over) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let load = scope.spawn(|| ws_load::endless(&target, &events, &over));
        let watched = growth::watch(
            "ws",
            &mut server,
            span,
            || events.load(Ordering::Relaxed),
            || load.is_finished().then(|| "the load ended too early".to_owned()),
        );
        over.store(true, Ordering::Relaxed);
        if watched.is_err() {
            // Whatever the load waits for will not come any more.
            drop(server);
        }
        let loaded = load.join().map_err(|_| wrong("the load panicked"))?;
        // What the load says is the reason for what was seen from outside.
        loaded?;
        watched
    })
}
