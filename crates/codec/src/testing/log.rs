//! What one test logs, while others run beside it in the same process.

use std::{
    fmt::Debug,
    sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError},
};
use tracing::{
    Dispatch, Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    level_filters::LevelFilter,
    span::{Attributes, Id, Record},
    subscriber::{DefaultGuard, Interest, set_default},
};

/// What the thread of a test logs, line by line.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<Vec<(Level, String)>>>);

impl Log {
    /// Keeps what this thread logs from now on, until the guard is dropped.
    #[must_use]
    pub fn listen() -> (Self, DefaultGuard) {
        let log = Self::default();
        (log.clone(), listen(Listener(Some(log))))
    }

    /// All of it so far; a line is `LEVEL target: message name=value` with all fields of the event.
    #[must_use]
    pub fn text(&self) -> String {
        self.lines().iter().map(|(_, line)| line.as_str()).collect()
    }

    /// How loud each of the lines was in which this is.
    #[must_use]
    pub fn levels(&self, part: &str) -> Vec<Level> {
        self.lines().iter().filter(|(_, line)| line.contains(part)).map(|(level, _)| *level).collect()
    }

    fn lines(&self) -> MutexGuard<'_, Vec<(Level, String)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What this thread logs from now on goes to `subscriber`, until the guard is dropped.
///
/// Every test that listens has to do it this way. Whether anybody wants the lines of one place in the code is kept for
/// the whole process, and as long as there is one subscriber only, the thread that comes there first is asked: another
/// test's thread has none, and the place would be silent for ever.
pub fn listen(subscriber: impl Subscriber + Send + Sync) -> DefaultGuard {
    static UNDECIDED: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Listener(None)));
    LazyLock::force(&UNDECIDED);
    set_default(subscriber)
}

/// Keeps every line in its log, or none, and has every thread ask its own subscriber each time.
struct Listener(Option<Log>);

impl Subscriber for Listener {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    /// Nothing is logged, and so no place is decided on, before there is somebody who keeps it.
    fn max_level_hint(&self) -> Option<LevelFilter> {
        self.0.is_none().then_some(LevelFilter::OFF)
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        self.0.is_some()
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let Some(log) = &self.0 else { return };
        let level = *event.metadata().level();
        let mut line = Line(format!("{level} {}:", event.metadata().target()));
        event.record(&mut line);
        log.lines().push((level, line.0 + "\n"));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

/// The level and the target of an event, and its fields that came so far: `tracing` gives the message first.
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.0 += &match field.name() {
            "message" => format!(" {value:?}"),
            name => format!(" {name}={value:?}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::Log;
    use std::thread;
    use tracing::Level;

    #[test]
    fn a_line_is_heard_though_a_thread_that_does_not_listen_was_there_before() {
        let (log, _listening) = Log::listen();
        let say = |who| tracing::warn!("{who} is here");
        thread::spawn(move || say("somebody else")).join().unwrap();
        say("this test");
        let heard = log.text();
        assert!(heard.contains("this test") && !heard.contains("somebody else"), "{heard}");
    }

    #[test]
    fn a_line_tells_its_level_its_target_and_all_its_fields() {
        let (log, _listening) = Log::listen();
        tracing::info!(target: "here", number = 1, word = "two", "said {}", "so");
        tracing::trace!(target: "there", "said, too");
        assert_eq!(log.text(), "INFO here: said so number=1 word=\"two\"\nTRACE there: said, too\n");
        assert_eq!(log.levels("said"), [Level::INFO, Level::TRACE]);
        assert_eq!(log.levels("here: said so"), [Level::INFO]);
        assert!(log.levels("nobody").is_empty());
    }

    #[test]
    fn nothing_is_kept_once_the_guard_is_dropped() {
        let (log, listening) = Log::listen();
        drop(listening);
        tracing::error!("too late");
        assert_eq!(log.text(), "");
    }
}
