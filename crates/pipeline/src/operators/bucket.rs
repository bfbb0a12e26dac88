//! `grouper::bucket`

use super::{ConfigUse, Emitter, Field, Operator, Spec, lru::Lru};
use crate::counts::Classes;
use std::{collections::VecDeque, sync::Arc};
use tremor_event::Event;
use tremor_value::{Value, json};

/// Classes that are kept, least recently used ones dropped first: events may name any number of them.
const MAX_CLASSES: usize = 10_000;

/// Slices of a range that are kept apart. More make nothing more exact that anybody could see.
const MAX_SLICES: u64 = 1_000;

pub(super) const SPEC: Spec = Spec {
    name: "grouper::bucket",
    summary: "Limits the rate of events, by class and by what tells events of a class apart. The limits stand in the \
              metadata of the events. 10 000 classes are kept; the least recently used one is dropped.",
    config: ConfigUse::Refused,
    fields: &[],
    meta: &[
        Field { name: "class", kind: "string", default: "", text: "The class that the limits belong to." },
        Field {
            name: "rate",
            kind: "integer",
            default: "",
            text: "Events that may pass in each time range. Needed by the event that opens a bucket.",
        },
        Field {
            name: "dimensions",
            kind: "any",
            default: "null",
            text: "The bucket within the class: events with the same value share one.",
        },
        Field {
            name: "cardinality",
            kind: "integer",
            default: "1000",
            text: "Buckets of the class; the least recently used one is dropped.",
        },
        Field {
            name: "time_range",
            kind: "integer",
            default: "1000",
            text: "Milliseconds of the time range.",
        },
        Field {
            name: "windows",
            kind: "integer",
            default: "100",
            text: "Number of steps in which the range slides on; more than 1000 count as 1000.",
        },
    ],
    ports: &[
        ("out", "what is within its rate"),
        ("overflow", "what is beyond its rate"),
        ("err", "events without a class, and those that would open a bucket without usable limits"),
    ],
    named_ports: None,
    example: "define operator limit from grouper::bucket;
create operator limit;
define script classify script
  let $class = \"all\";
  let $rate = 100;
  let $dimensions = event.user;
  event
end;
create script classify;
select event from in into classify;
select event from classify into limit;
select event from limit into out;
select {\"too many\": event} from limit/overflow into err;",
    renamed: None,
    prepare: |_settings| Ok(Box::new(|_around| Box::new(Limiter::default()))),
};

#[derive(Default)]
struct Limiter {
    /// Buckets of each class, by their dimensions.
    classes: Lru<Lru<Bucket>>,
    /// Kept for its memory.
    name: Vec<u8>,
    /// There if somebody wants to know.
    counts: Option<Arc<Classes>>,
}

impl Limiter {
    /// The port that the event leaves by.
    fn judge(&mut self, event: &Event) -> &'static str {
        let meta = |key: &str| event.meta.get(key).filter(|value| !value.is_null());
        let Some(class) = meta("class").and_then(Value::as_str) else { return "err" };
        self.name.clear();
        json::write_sorted(meta("dimensions").unwrap_or(&Value::Null), &mut self.name);
        let buckets = self.classes.get(class.as_bytes());
        if let Some(bucket) = buckets.and_then(|buckets| buckets.get(&self.name)) {
            return bucket.port(event.ingest_ns);
        }
        let Some((mut bucket, max)) = Bucket::open(meta) else { return "err" };
        let port = bucket.port(event.ingest_ns);
        if self.classes.get(class.as_bytes()).is_none() {
            self.classes.add(class.as_bytes(), Lru::default(), MAX_CLASSES);
        }
        if let Some(buckets) = self.classes.get(class.as_bytes()) {
            buckets.add(&self.name, bucket, max);
        }
        port
    }
}

impl Operator for Limiter {
    fn event(&mut self, event: Event, out: &mut Emitter<'_>) {
        let port = self.judge(&event);
        if let Some(counts) = self.counts.as_ref().filter(|_| port != "err")
            && let Some(class) = event.meta.get("class").and_then(Value::as_str)
        {
            counts.count(class, port == "out");
        }
        out.emit(port, event);
    }

    fn count_by(&mut self, classes: Arc<Classes>) {
        self.counts = Some(classes);
    }

    fn renewed(&self) -> Box<dyn Operator> {
        Box::new(Self { counts: self.counts.clone(), ..Self::default() })
    }
}

/// Counts what passed in the last time range.
#[derive(Debug)]
struct Bucket {
    rate: u64,
    slices: u64,
    slice_ns: u64,
    /// Slices in which something passed, with how much that was; never more than there are slices.
    passed: VecDeque<(u64, u64)>,
    /// Sum of all that.
    total: u64,
}

impl Bucket {
    /// As the event asks that opens it, with the number of buckets that its class may have.
    fn open<'m>(meta: impl Fn(&str) -> Option<&'m Value>) -> Option<(Self, usize)> {
        let number = |key: &str, default: u64| match meta(key) {
            None => Some(default),
            Some(value) => value.as_u64(),
        };
        let rate = meta("rate")?.as_u64()?;
        let slices = number("windows", 100)?.clamp(1, MAX_SLICES);
        let range_ns = number("time_range", 1000)?.saturating_mul(1_000_000);
        let slice_ns = (range_ns / slices).max(1);
        let max = usize::try_from(number("cardinality", 1000)?).unwrap_or(usize::MAX);
        Some((Self { rate, slices, slice_ns, passed: VecDeque::new(), total: 0 }, max))
    }

    /// Counts an event of time `now_ns`, if it is within the rate.
    fn port(&mut self, now_ns: u64) -> &'static str {
        // An event that is older than one before it belongs to the slice of that one.
        let last = self.passed.back().map_or(0, |(slice, _)| *slice);
        let now = (now_ns / self.slice_ns).max(last);
        while let Some((slice, count)) = self.passed.front().copied()
            && now - slice >= self.slices
        {
            self.total = self.total.saturating_sub(count);
            self.passed.pop_front();
        }
        if self.total >= self.rate {
            return "overflow";
        }
        self.total += 1;
        match self.passed.back_mut() {
            Some((slice, count)) if *slice == now => *count += 1,
            _ => self.passed.push_back((now, 1)),
        }
        "out"
    }
}

#[cfg(test)]
mod tests {
    use crate::operators::testing::{Bench, at, json};

    const MS: u64 = 1_000_000;

    fn send(bench: &mut Bench, meta: &str, ms: u64) -> String {
        let mut event = at("1", ms * MS);
        event.meta = json(meta).into();
        bench.event(event);
        bench.take().remove(0).0
    }

    fn bench() -> Bench {
        Bench::new("grouper::bucket", None)
    }

    #[test]
    fn the_range_slides_in_steps() {
        let mut bench = bench();
        let meta = r#"{"class": "c", "rate": 2, "time_range": 100, "windows": 10}"#;
        assert_eq!(send(&mut bench, meta, 1000), "out");
        assert_eq!(send(&mut bench, meta, 1055), "out");
        assert_eq!(send(&mut bench, meta, 1099), "overflow");
        assert_eq!(send(&mut bench, meta, 1100), "out", "the first one is out of the range");
        assert_eq!(send(&mut bench, meta, 1149), "overflow");
        assert_eq!(send(&mut bench, meta, 1155), "out");
        assert_eq!(send(&mut bench, meta, 0), "overflow", "time does not run back");
        assert_eq!(send(&mut bench, meta, 9999), "out");
    }

    #[test]
    fn buckets_are_apart_and_keep_the_settings_that_they_were_opened_with() {
        let mut bench = bench();
        let one = r#"{"class": "c", "rate": 1, "dimensions": {"a": 1, "b": 2}}"#;
        assert_eq!(send(&mut bench, one, 1), "out");
        assert_eq!(send(&mut bench, r#"{"class": "c", "dimensions": {"b": 2, "a": 1}}"#, 1), "overflow");
        assert_eq!(
            send(&mut bench, r#"{"class": "c", "dimensions": {"b": 2, "a": 1}, "rate": 9}"#, 1),
            "overflow"
        );
        assert_eq!(send(&mut bench, r#"{"class": "c", "rate": 1}"#, 1), "out");
        assert_eq!(send(&mut bench, r#"{"class": "d", "rate": 1}"#, 1), "out");
        assert_eq!(send(&mut bench, r#"{"class": "d", "rate": 0, "dimensions": 1}"#, 1), "overflow");
    }

    #[test]
    fn the_least_recently_used_bucket_is_dropped() {
        let mut bench = bench();
        let meta =
            |name: u32| format!(r#"{{"class": "c", "rate": 1, "cardinality": 2, "dimensions": {name}}}"#);
        let passes = [(1, "out"), (2, "out"), (1, "overflow"), (3, "out"), (1, "overflow"), (2, "out")];
        for (name, expected) in passes {
            assert_eq!(send(&mut bench, &meta(name), 1), expected, "{name}");
        }
    }

    #[test]
    fn events_without_usable_limits_leave_by_err() {
        for meta in [
            "{}",
            r#"{"class": 1, "rate": 1}"#,
            r#"{"class": "c"}"#,
            r#"{"class": "c", "rate": -1}"#,
            r#"{"class": "c", "rate": 1.5}"#,
            r#"{"class": "c", "rate": 1, "windows": "x"}"#,
        ] {
            assert_eq!(send(&mut bench(), meta, 1), "err", "{meta}");
        }
    }

    #[test]
    fn extreme_settings_do_no_harm() {
        let max = u64::MAX;
        for (range, windows) in [(0, 0), (max, 1), (1, max), (max, max)] {
            let meta = format!(
                r#"{{"class": "c", "rate": 1, "time_range": {range}, "windows": {windows}, "cardinality": {max}}}"#
            );
            assert_eq!(send(&mut bench(), &meta, 1), "out");
        }
    }

    #[test]
    fn it_takes_no_configuration() {
        let message = Bench::refused("grouper::bucket", Some(r#"{"rate": 1}"#));
        assert!(message.contains("takes no configuration"), "{message}");
    }
}
