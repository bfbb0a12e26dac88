//! What one test logs, while others run beside it in the same process.

use std::sync::LazyLock;
use tracing::{
    Dispatch, Event, Metadata, Subscriber,
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::{DefaultGuard, Interest, set_default},
};

/// What this thread logs from now on goes to `subscriber`, until the guard is dropped.
///
/// Every test that listens has to do it this way. Whether anybody wants the lines of one place in the code is kept for
/// the whole process, and as long as there is one subscriber only, the thread that comes there first is asked: another
/// test's thread has none, and the place would be silent for ever.
pub fn listen(subscriber: impl Subscriber + Send + Sync) -> DefaultGuard {
    static UNDECIDED: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Undecided));
    LazyLock::force(&UNDECIDED);
    set_default(subscriber)
}

/// Keeps nothing, and has every thread ask its own subscriber each time.
struct Undecided;

impl Subscriber for Undecided {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    /// Nothing is logged, and so no place is decided on, before there is somebody else.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::OFF)
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[cfg(test)]
mod tests {
    use crate::tests::Log;
    use std::thread;

    #[test]
    fn a_line_is_heard_though_a_thread_that_does_not_listen_was_there_before() {
        let (log, _listening) = Log::listen();
        let say = |who| tracing::warn!("{who} is here");
        thread::spawn(move || say("somebody else")).join().unwrap();
        say("this test");
        let heard = log.text();
        assert!(heard.contains("this test") && !heard.contains("somebody else"), "{heard}");
    }
}
