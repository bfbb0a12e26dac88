//! `qos::percentile`

use super::{
    ConfigUse, Emitter, Environment, Field, Operator, Spec,
    breakers::{Behind, Downstream, Hears, Mediator, News, Upstream, lock},
    settings::all,
    watched::count,
};
use std::sync::{Arc, Mutex};
use tremor_event::{Breaker, Event, Listener, Outcome, Settlement};

pub(super) const SPEC: Spec = Spec {
    name: "qos::percentile",
    summary: "Lets a share of the events pass that sinks with each bad delivery and grows with each good one. It begins with all. A \
              failed delivery, one that took longer than `timeout`, and a sink that closes are bad. Sources hear of sinks \
              that close, too. Only deliveries let the share grow, so at 0 it stays as good as closed: about one event in \
              65535 passes. Small steps down keep some flowing.",
    config: ConfigUse::Needed,
    fields: &[
        Field {
            name: "timeout",
            kind: "integer",
            default: "",
            text: "Nanoseconds that a sink may take for an event before that counts as bad.",
        },
        Field {
            name: "step_down",
            kind: "number",
            default: "0.05",
            text: "What a bad delivery takes from the share, which is from 0 to 1.",
        },
        Field {
            name: "step_up",
            kind: "number",
            default: "0.001",
            text: "What a good delivery adds to the share.",
        },
    ],
    meta: &[],
    ports: &[
        ("out", "the share; the ingest time of an event decides whether it belongs to it"),
        ("overflow", "the rest"),
    ],
    named_ports: None,
    example: "define operator share from qos::percentile with timeout = 100000000, step_up = 0.01 end;
create operator share;
select event from in into share;
select event from share into out;
select {\"dropped\": event} from share/overflow into err;",
    renamed: None,
    prepare: |settings| {
        let (timeout_ns, down, up) =
            all(settings.ns("timeout"), settings.share("step_down", 0.05), settings.share("step_up", 0.001))?;
        let steps = Steps { timeout_ns, down, up };
        Ok(Box::new(move |around| Box::new(Percentile(Arc::new(Shared::new(steps, around))))))
    },
};

#[derive(Clone)]
struct Percentile(Arc<Shared>);

#[derive(Clone, Copy)]
struct Steps {
    timeout_ns: u64,
    down: f64,
    up: f64,
}

/// What the operator shares with the sinks behind it: they tell it from their own tasks.
struct Shared {
    steps: Steps,
    state: Mutex<State>,
}

struct State {
    upstream: Upstream,
    downstream: Downstream,
    /// From 0 to 1.
    share: f64,
}

impl State {
    /// `times` more deliveries, of which each changes the share by `step`.
    fn change(&mut self, step: f64, times: u64) {
        // Far fewer than a double can count, and more than enough to reach either end.
        let times = f64::from(u32::try_from(times).unwrap_or(u32::MAX));
        self.share = step.mul_add(times, self.share).clamp(0.0, 1.0);
    }
}

impl Shared {
    fn new(steps: Steps, around: &Environment) -> Self {
        let upstream = Upstream::new(&around.ids);
        Self { steps, state: Mutex::new(State { upstream, downstream: Downstream::default(), share: 1.0 }) }
    }

    fn passes(&self, ingest_ns: u64) -> bool {
        // Below 65535, which 16 bits hold.
        let place = f64::from(u16::try_from(ingest_ns % 65_535).unwrap_or_default()) / 65_535.0;
        place <= lock(&self.state).share
    }
}

impl Listener for Shared {
    fn settled(&self, settlement: Settlement<'_>) {
        let step = match settlement.outcome {
            Outcome::Delivered { took_ns } if took_ns <= self.steps.timeout_ns => self.steps.up,
            Outcome::Delivered { .. } | Outcome::Failed => -self.steps.down,
            // Neither says anything about a sink.
            Outcome::Discarded | Outcome::Withheld => return,
        };
        lock(&self.state).change(step, count(&settlement));
    }
}

impl Hears for Shared {
    fn hear(&self, _output: usize, part: u64, news: News) {
        let mut state = lock(&self.state);
        if state.downstream.note(part, news) {
            state.change(-self.steps.down, 1);
        }
        let (is_open, is_lost) = (state.downstream.is_open(), state.downstream.is_lost());
        state.upstream.set(is_open);
        state.upstream.lose_if(is_lost);
    }
}

impl Mediator for Shared {
    fn mediates(&self, port: &str) -> bool {
        port == "out"
    }

    fn behind(self: Arc<Self>, _port: &str) -> Arc<dyn Breaker> {
        Arc::new(Behind { operator: self, output: 0 })
    }

    fn add_upstream(&self, breaker: Arc<dyn Breaker>) {
        lock(&self.state).upstream.add(breaker);
    }

    fn begin(&self) {
        let mut state = lock(&self.state);
        let is_open = state.downstream.is_open();
        state.upstream.set(is_open);
    }
}

impl Operator for Percentile {
    fn event(&mut self, event: Event, out: &mut Emitter<'_>) {
        out.emit(if self.0.passes(event.ingest_ns) { "out" } else { "overflow" }, event);
    }

    fn listener(&self, port: &str) -> Option<Arc<dyn Listener>> {
        (port == "out").then(|| self.0.clone() as Arc<dyn Listener>)
    }

    fn mediator(&self) -> Option<Arc<dyn Mediator>> {
        Some(self.0.clone())
    }

    fn renewed(&self) -> Box<dyn Operator> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use crate::operators::testing::{Bench, at};
    use tremor_event::Outcome;

    /// Sends an event that has its place at this share.
    fn send(bench: &mut Bench, place: f64, outcome: Outcome) -> String {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "small numbers of a test"
        )]
        let ingest_ns = 65_535 * 1000 + (place * 65_535.0) as u64;
        bench.event(at("1", ingest_ns));
        let (port, event) = bench.take().remove(0);
        event.settle(outcome);
        port
    }

    #[test]
    fn the_share_sinks_and_grows_within_its_bounds() {
        let config = r#"{"timeout": 10, "step_down": 0.25, "step_up": 0.5}"#;
        let mut bench = Bench::new("qos::percentile", Some(config));
        assert_eq!(send(&mut bench, 0.99, Outcome::Delivered { took_ns: 10 }), "out");
        assert_eq!(send(&mut bench, 0.99, Outcome::Failed), "out");
        assert_eq!(send(&mut bench, 0.80, Outcome::Failed), "overflow");
        assert_eq!(send(&mut bench, 0.70, Outcome::Delivered { took_ns: 11 }), "out");
        assert_eq!(send(&mut bench, 0.55, Outcome::Discarded), "overflow");
        assert_eq!(send(&mut bench, 0.45, Outcome::Discarded), "out");
        assert_eq!(send(&mut bench, 0.45, Outcome::Delivered { took_ns: 1 }), "out");
        assert_eq!(send(&mut bench, 0.99, Outcome::Failed), "out", "half and half is all");
        for _ in 0..5 {
            bench.batch(vec![at("1", 0), at("2", 0)]);
            let events = bench.take();
            tremor_event::settle_all(events.into_iter().filter_map(|left| left.1.receipt), Outcome::Failed);
        }
        assert_eq!(send(&mut bench, 0.01, Outcome::Discarded), "overflow", "nothing is left");
    }

    #[test]
    fn a_sink_that_closes_is_told_upstream_and_is_a_bad_sign() {
        let mut bench = Bench::new("qos::percentile", Some(r#"{"timeout": 10, "step_down": 1}"#));
        let (upstream, behind) = (bench.upstream(), bench.behind("out"));
        behind.add(1);
        assert_eq!(
            upstream.changes(),
            ["open", "close"],
            "with nothing behind it there is nothing to wait for"
        );
        behind.close(1);
        assert_eq!(send(&mut bench, 0.99, Outcome::Discarded), "out", "it was never open");
        behind.open(1);
        behind.close(1);
        assert_eq!(upstream.changes(), ["open", "close"]);
        assert_eq!(send(&mut bench, 0.99, Outcome::Discarded), "overflow");
    }
}
