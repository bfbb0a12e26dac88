//! Publishes what a part of a flow has counted.

use super::{Metric, Metrics};
use crate::{Handed, Route, clock::now_ns};
use async_trait::async_trait;
use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{Instant, sleep_until, timeout_at},
};
use tremor_event::{EventBatch, Signal};

/// Longer intervals are as good as this one, and no clock can count beyond its end.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 3600);

/// What has something to publish. It counts by itself; a [`Meter`] asks it now and then.
pub trait Measured: Send + Sync {
    /// A number that is another one whenever something was counted that [`Measured::changed`] tells of.
    fn turn(&self) -> u64;

    /// Adds what is published after something was counted.
    fn changed(&self, now_ns: u64, out: &mut Vec<Metric>);

    /// Adds what is published at each interval, whether anything was counted or not.
    fn always(&self, now_ns: u64, out: &mut Vec<Metric>) {
        let _ = (now_ns, out);
    }
}

/// Publishes what one part counts: at once when something passes after a time of silence, then at every interval while
/// something was counted. So the last counts are published too. Nothing is asked for while nobody reads.
///
/// Dropping it ends that.
pub struct Meter {
    shared: Arc<Shared>,
    task: OnceLock<AbortHandle>,
}

struct Shared {
    metrics: Metrics,
    interval: Duration,
    measured: Box<dyn Measured>,
    /// Nothing has passed since that was asked.
    is_silent: AtomicBool,
    passed: Notify,
    /// The turn of what was published last.
    last: Mutex<u64>,
}

impl Meter {
    /// Publishes on `metrics` what `measured` counts, from [`Meter::begin`] on.
    #[must_use]
    pub fn new(metrics: Metrics, interval: Duration, measured: impl Measured + 'static) -> Self {
        let shared = Shared {
            metrics,
            interval: interval.min(LONGEST),
            measured: Box::new(measured),
            is_silent: AtomicBool::new(true),
            passed: Notify::new(),
            last: Mutex::new(0),
        };
        Self { shared: Arc::new(shared), task: OnceLock::new() }
    }

    /// Begins, within a runtime; further calls do nothing.
    pub fn begin(&self) {
        self.task.get_or_init(|| tokio::spawn(self.shared.clone().run()).abort_handle());
    }

    /// Something passed.
    pub fn passed(&self) {
        let Shared { is_silent, passed, .. } = &*self.shared;
        if is_silent.load(Relaxed) && is_silent.swap(false, Relaxed) {
            passed.notify_one();
        }
    }

    /// Publishes what there is now: for the end.
    pub fn flush(&self) {
        self.shared.publish();
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.task.get().iter().for_each(|task| task.abort());
    }
}

impl Shared {
    async fn run(self: Arc<Self>) {
        loop {
            // In silence the end of the interval is waited for, too: not all that is counted says so.
            let has_passed = self.has_passed(self.end()).await;
            let mut goes_on = self.publish() || has_passed;
            while goes_on {
                let end = self.end();
                goes_on = self.has_passed(end).await;
                sleep_until(end).await;
                goes_on |= self.publish();
            }
        }
    }

    /// Whether something says before `end` that it passes.
    async fn has_passed(&self, end: Instant) -> bool {
        self.is_silent.store(true, Relaxed);
        timeout_at(end, self.passed.notified()).await.is_ok()
    }

    fn end(&self) -> Instant {
        Instant::now() + self.interval
    }

    /// Whether anything had been counted.
    fn publish(&self) -> bool {
        if !self.metrics.is_read() {
            return false;
        }
        // Held, so that older counts are never published behind newer ones.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let turn = self.measured.turn();
        let has_changed = std::mem::replace(&mut *last, turn) != turn;
        let (mut metrics, now_ns) = (Vec::new(), now_ns());
        if has_changed {
            self.measured.changed(now_ns, &mut metrics);
        }
        self.measured.always(now_ns, &mut metrics);
        self.metrics.publish(metrics);
        has_changed
    }
}

/// A way on which what passes is told to a meter.
pub struct CountedRoute<R> {
    route: R,
    meter: Arc<Meter>,
}

impl<R: Route> CountedRoute<R> {
    /// `route`, with its meter.
    pub fn new(route: R, meter: Arc<Meter>) -> Self {
        Self { route, meter }
    }
}

#[async_trait]
impl<R: Route> Route for CountedRoute<R> {
    fn send(&mut self, batch: EventBatch) -> Handed<'_> {
        let handed = self.route.send(batch);
        self.meter.passed();
        handed
    }

    async fn signal(&mut self, signal: Signal) {
        self.route.signal(signal).await;
    }
}

#[async_trait]
impl Route for Box<dyn Route> {
    fn send(&mut self, batch: EventBatch) -> Handed<'_> {
        (**self).send(batch)
    }

    async fn signal(&mut self, signal: Signal) {
        (**self).signal(signal).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU64;
    use tremor_value::{Record, Value};

    struct Count(Arc<AtomicU64>);

    impl Measured for Count {
        fn turn(&self) -> u64 {
            self.0.load(Relaxed)
        }

        fn changed(&self, now_ns: u64, out: &mut Vec<Metric>) {
            let fields = Record::from_iter([("count", Value::from(self.turn()))]);
            out.push(Metric::new("counted", Record::default(), fields, now_ns));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_is_published_at_once_the_last_within_an_interval_and_then_nothing() {
        let (metrics, count) = (Metrics::default(), Arc::new(AtomicU64::new(0)));
        let mut reader = metrics.subscribe();
        let meter = Meter::new(metrics, Duration::from_secs(10), Count(count.clone()));
        meter.begin();
        let (start, mut seen) = (Instant::now(), Vec::new());
        let mut published = async |until: u64| {
            let until = start + Duration::from_secs(until);
            while let Ok(Some(next)) = timeout_at(until, reader.next()).await {
                let count = next[0].value.get("fields").unwrap().get("count").unwrap().as_u64().unwrap();
                seen.push((start.elapsed().as_secs(), count));
            }
            std::mem::take(&mut seen)
        };
        let pass = || {
            count.fetch_add(1, Relaxed);
            meter.passed();
        };
        assert_eq!(published(25).await, [], "nothing was counted");
        pass();
        assert_eq!(published(26).await, [(25, 1)]);
        pass();
        pass();
        assert_eq!(published(34).await, []);
        pass();
        assert_eq!(published(90).await, [(35, 4)]);
        pass();
        assert_eq!(published(91).await, [(90, 5)], "after silence again at once");
        pass();
        meter.flush();
        assert_eq!(published(92).await, [(91, 6)]);
        // Not all that is counted says so.
        count.fetch_add(1, Relaxed);
        assert_eq!(published(130).await.iter().map(|(_, count)| *count).collect::<Vec<_>>(), [7]);
    }

    /// Publishes at each interval, and knows of nothing that is counted.
    struct Present;

    impl Measured for Present {
        fn turn(&self) -> u64 {
            0
        }

        fn changed(&self, _now_ns: u64, _out: &mut Vec<Metric>) {}

        fn always(&self, now_ns: u64, out: &mut Vec<Metric>) {
            out.push(Metric::new("present", Record::default(), Record::default(), now_ns));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_passes_without_being_counted_makes_nobody_publish_more_often() {
        let metrics = Metrics::default();
        let mut reader = metrics.subscribe();
        let meter = Meter::new(metrics, Duration::from_secs(10), Present);
        meter.begin();
        let (start, mut seen) = (Instant::now(), Vec::new());
        for tenth in 0..350_u64 {
            let until = start + Duration::from_millis(100 * tenth);
            while timeout_at(until, reader.next()).await.is_ok() {
                seen.push(start.elapsed().as_secs());
            }
            meter.passed();
        }
        assert_eq!(seen, [0, 10, 20, 30]);
    }
}
