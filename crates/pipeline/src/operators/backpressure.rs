//! `qos::backpressure`

use super::{
    ConfigUse, Emitter, Environment, Field, Maker, Operator, Problem, Settings, Spec,
    breakers::{Behind, Downstream, Hears, Mediator, News, Upstream, lock},
    settings::all,
};
use std::sync::{Arc, Mutex};
use tremor_event::{Breaker, Event, Listener, Outcome, Settlement};
use tremor_lang::Host;
use tremor_value::Value;

const DEFAULT_STEPS_MS: [u64; 7] = [50, 100, 250, 500, 1000, 5000, 10_000];

const METHODS: [&str; 2] = ["discard", "pause"];

const FIELDS: &[Field] = &[
    Field {
        name: "timeout",
        kind: "integer",
        default: "",
        text: "Nanoseconds that a sink may take for an event before that counts as bad.",
    },
    Field {
        name: "steps",
        kind: "list of integers",
        default: "[50, 100, 250, 500, 1000, 5000, 10000]",
        text: "Milliseconds of the back-offs, from the first to the one that is kept: above 0, ascending.",
    },
    Field {
        name: "method",
        kind: "string",
        default: "\"discard\"",
        text: "What a back-off does. `discard`: one event passes in each interval, the others go to `overflow`. `pause`: \
               all events pass, and the sources in front stop reading.",
    },
];

pub(super) const SPEC: Spec = Spec {
    name: "qos::backpressure",
    summary: "Backs off while what is behind it fails or is slow. A failed delivery, one that took longer than `timeout`, and a \
              sink that closes move the back-off to its next step; what one sink says at once counts once. A delivery in \
              time ends the back-off, and so does the first tick behind its interval. Sources do not hear of \
              sinks behind `out` that close.",
    config: ConfigUse::Needed,
    fields: FIELDS,
    meta: &[],
    ports: &[("out", "what passes"), ("overflow", "what does not pass during a back-off")],
    named_ports: None,
    example: "define operator careful from qos::backpressure with timeout = 100000000 end;
create operator careful;
select event from in into careful;
select event from careful into out;
select {\"dropped\": event} from careful/overflow into err;",
    renamed: None,
    prepare,
};

pub(super) const OLD_SPEC: Spec = Spec {
    name: "generic::backpressure",
    summary: "An older name of `qos::backpressure`.",
    fields: FIELDS,
    example: "define operator careful from generic::backpressure with timeout = 100000000 end;
create operator careful;
select event from in into careful;
select event from careful into out;",
    renamed: Some("qos::backpressure"),
    ..SPEC
};

fn prepare(settings: &Settings<'_>) -> Result<Maker, Vec<Problem>> {
    let step = |step: &Value, before: &[u64]| match (step.as_u64(), before.last()) {
        (None | Some(0), _) => Err("an integer above 0 is needed, a time in milliseconds".to_owned()),
        (Some(ms), Some(last)) if ms <= *last => Err(format!("steps ascend, so above {last} is needed")),
        (Some(ms), _) => Ok(ms),
    };
    let steps = settings.list("steps", "a list of integers that is not empty, times in milliseconds,", step);
    let (timeout_ns, steps, method) = all(settings.ns("timeout"), steps, settings.word("method", &METHODS))?;
    let steps = steps.unwrap_or_else(|| DEFAULT_STEPS_MS.to_vec());
    let steps_ns: Arc<[u64]> = steps.iter().map(|ms| ms.saturating_mul(1_000_000)).collect();
    let pauses = method == Some(1);
    Ok(Box::new(move |around| {
        Box::new(Backpressure(Arc::new(Shared::new(timeout_ns, steps_ns.clone(), pauses, around))))
    }))
}

#[derive(Clone)]
struct Backpressure(Arc<Shared>);

/// What the operator shares with the sinks behind it: they tell it from their own tasks.
struct Shared {
    timeout_ns: u64,
    steps_ns: Arc<[u64]>,
    pauses: bool,
    host: Arc<dyn Host>,
    state: Mutex<State>,
}

struct State {
    upstream: Upstream,
    downstream: Downstream,
    back_off: Option<BackOff>,
}

#[derive(Clone, Copy)]
struct BackOff {
    /// Which of the steps.
    step: usize,
    until_ns: u64,
}

impl Shared {
    fn new(timeout_ns: u64, steps_ns: Arc<[u64]>, pauses: bool, around: &Environment) -> Self {
        let upstream = Upstream::new(&around.ids);
        let state = Mutex::new(State { upstream, downstream: Downstream::default(), back_off: None });
        Self { timeout_ns, steps_ns, pauses, host: around.host.clone(), state }
    }

    /// Changes the state, then tells upstream what follows from it.
    fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let mut state = lock(&self.state);
        let changed = change(&mut state);
        let pauses = self.pauses && state.back_off.is_some();
        // Nothing is read before all sinks were open once. What closes later is dealt with here.
        let is_open = state.downstream.has_opened() && !pauses;
        state.upstream.set(is_open);
        let is_lost = state.downstream.is_lost() && !state.downstream.has_opened();
        state.upstream.lose_if(is_lost);
        changed
    }

    fn bad(&self, state: &mut State) {
        let last = self.steps_ns.len().saturating_sub(1);
        let step = state.back_off.map_or(0, |back_off| back_off.step.saturating_add(1).min(last));
        state.back_off = Some(self.begin(step));
    }

    fn begin(&self, step: usize) -> BackOff {
        let interval_ns = self.steps_ns.get(step).copied().unwrap_or_default();
        BackOff { step, until_ns: self.host.now_ns().saturating_add(interval_ns) }
    }

    /// Whether the next event passes.
    fn passes(&self) -> bool {
        if self.pauses {
            return true;
        }
        let mut state = lock(&self.state);
        let Some(back_off) = state.back_off else { return true };
        let passes = self.host.now_ns() >= back_off.until_ns;
        if passes {
            state.back_off = Some(self.begin(back_off.step));
        }
        passes
    }
}

impl Listener for Shared {
    fn settled(&self, settlement: Settlement<'_>) {
        match settlement.outcome {
            Outcome::Delivered { took_ns } if took_ns <= self.timeout_ns => {
                self.change(|state| state.back_off = None);
            }
            Outcome::Delivered { .. } | Outcome::Failed => self.change(|state| self.bad(state)),
            // Neither says anything about a sink.
            Outcome::Discarded | Outcome::Withheld => {}
        }
    }
}

impl Hears for Shared {
    fn hear(&self, _output: usize, part: u64, news: News) {
        self.change(|state| {
            if state.downstream.note(part, news) {
                self.bad(state);
            }
        });
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
        self.change(|_as_it_is| ());
    }
}

impl Operator for Backpressure {
    fn event(&mut self, event: Event, out: &mut Emitter<'_>) {
        out.emit(if self.0.passes() { "out" } else { "overflow" }, event);
    }

    fn tick(&mut self, now_ns: u64, _out: &mut Emitter<'_>) {
        self.0.change(|state| {
            if state.back_off.is_some_and(|back_off| now_ns >= back_off.until_ns) {
                state.back_off = None;
            }
        });
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
    use crate::operators::testing::{Bench, Heard, event};
    use tremor_event::Outcome;

    const MS: u64 = 1_000_000;
    const GOOD: Outcome = Outcome::Delivered { took_ns: 10 };
    const SLOW: Outcome = Outcome::Delivered { took_ns: 11 };

    fn bench(rest: &str) -> Bench {
        Bench::new("qos::backpressure", Some(&format!(r#"{{"timeout": 10, "steps": [50, 100]{rest}}}"#)))
    }

    /// Sends one event and settles it, if it passes.
    fn send(bench: &mut Bench, outcome: Outcome) -> String {
        bench.event(event("1"));
        let (port, event) = bench.take().remove(0);
        event.settle(outcome);
        port
    }

    #[test]
    fn back_offs_grow_and_let_one_event_pass_in_each_interval() {
        let mut bench = bench("");
        assert_eq!(send(&mut bench, SLOW), "out");
        assert_eq!(send(&mut bench, GOOD), "overflow");
        bench.advance(50 * MS - 1);
        assert_eq!(send(&mut bench, GOOD), "overflow");
        bench.advance(1);
        assert_eq!(send(&mut bench, Outcome::Failed), "out", "one passes");
        bench.advance(99 * MS);
        assert_eq!(send(&mut bench, GOOD), "overflow", "the second step");
        bench.advance(MS);
        assert_eq!(send(&mut bench, Outcome::Discarded), "out");
        assert_eq!(send(&mut bench, GOOD), "overflow", "which is kept, and says nothing of a sink");
        bench.advance(100 * MS);
        assert_eq!(send(&mut bench, GOOD), "out");
        assert_eq!(send(&mut bench, GOOD), "out", "a good one ends the back-off");
    }

    #[test]
    fn a_tick_behind_the_interval_ends_the_back_off_altogether() {
        let mut bench = bench("");
        send(&mut bench, Outcome::Failed);
        let now = bench.now();
        bench.tick(now + 50 * MS - 1);
        assert_eq!(send(&mut bench, GOOD), "overflow");
        bench.tick(now + 50 * MS);
        assert_eq!(send(&mut bench, Outcome::Failed), "out");
        bench.advance(50 * MS);
        assert_eq!(send(&mut bench, GOOD), "out", "it began with the first step again");
    }

    #[test]
    fn what_a_sink_says_of_many_events_at_once_counts_once() {
        let mut bench = bench("");
        bench.batch(vec![event("1"), event("2"), event("3")]);
        let events = bench.take().into_iter().filter_map(|(_, event)| event.receipt);
        tremor_event::settle_all(events, Outcome::Failed);
        bench.advance(50 * MS);
        assert_eq!(send(&mut bench, GOOD), "out");
    }

    #[test]
    fn receipts_of_the_source_are_settled_too() {
        let heard = Heard::default();
        let mut bench = bench("");
        bench.batch(heard.events(3));
        for (event, outcome) in bench.take().into_iter().zip([GOOD, Outcome::Failed, Outcome::Discarded]) {
            event.1.settle(outcome);
        }
        assert_eq!(heard.take(), ["0-0 Delivered { took_ns: 10 }", "1-1 Failed", "2-2 Discarded"]);
        bench.batch(heard.events(1));
        let (port, event) = bench.take().remove(0);
        assert_eq!(port, "overflow");
        event.settle(GOOD);
        assert_eq!(heard.take(), ["0-0 Delivered { took_ns: 10 }"], "untouched on its way to `overflow`");
    }

    #[test]
    fn a_sink_that_closes_is_a_bad_sign_of_which_sources_do_not_hear() {
        let mut bench = bench("");
        let (upstream, behind) = (bench.upstream(), bench.behind("out"));
        behind.add(1);
        behind.add(2);
        behind.open(1);
        assert!(!upstream.is_open(), "one was never open");
        behind.close(1);
        assert_eq!(send(&mut bench, GOOD), "overflow");
        behind.close(2);
        behind.open(2);
        behind.open(1);
        assert!(upstream.is_open());
        bench.advance(50 * MS);
        send(&mut bench, GOOD);
        behind.close(2);
        assert!(upstream.is_open());
        assert_eq!(send(&mut bench, GOOD), "overflow");
        assert!(!bench.mediator().mediates("overflow"));
    }

    #[test]
    fn pause_lets_all_pass_and_stops_the_sources() {
        let mut bench = bench(r#", "method": "pause""#);
        let (upstream, behind) = (bench.upstream(), bench.behind("out"));
        behind.add(1);
        behind.open(1);
        assert!(upstream.is_open());
        upstream.changes();
        assert_eq!(send(&mut bench, Outcome::Failed), "out");
        assert!(!upstream.is_open());
        assert_eq!(send(&mut bench, Outcome::Discarded), "out");
        let now = bench.now();
        bench.tick(now + 49 * MS);
        assert!(!upstream.is_open());
        bench.tick(now + 50 * MS);
        assert!(upstream.is_open());
        assert_eq!(upstream.changes(), ["close", "open"]);
        send(&mut bench, SLOW);
        send(&mut bench, GOOD);
        assert_eq!(upstream.changes(), ["close", "open"]);
    }

    #[test]
    fn mistakes_are_named() {
        for (config, expected) in [
            (None, "the configuration is missing"),
            (
                Some(r#"{"timeout": "1"}"#),
                "`timeout`: expected a time in nanoseconds, an integer of 0 or more, but got string \"1\"",
            ),
            (
                Some(r#"{"steps": [1]}"#),
                "`timeout` is missing (a time in nanoseconds, an integer of 0 or more)",
            ),
            (
                Some(r#"{"timeout": 1, "steps": []}"#),
                "`steps`: expected a list of integers that is not empty, times in milliseconds, but got an empty array",
            ),
            (
                Some(r#"{"timeout": 1, "steps": [0]}"#),
                "`steps`: element 1 cannot be integer 0: an integer above 0 is needed, a time in milliseconds",
            ),
            (
                Some(r#"{"timeout": 1, "steps": [50, 1000, 100]}"#),
                "`steps`: element 3 cannot be integer 100: steps ascend, so above 1000 is needed",
            ),
            (
                Some(r#"{"steps": [-1]}"#),
                "`timeout` is missing (a time in nanoseconds, an integer of 0 or more)\n`steps`: element 1 cannot be integer -1: ",
            ),
            (
                Some(r#"{"steps": [-1], "tiemout": 1}"#),
                "The operator has no setting `tiemout`\n`steps`: element 1 cannot be integer -1: ",
            ),
            (
                Some(r#"{"timeout": 1, "method": "drop"}"#),
                "`method`: expected `discard` or `pause` but got string \"drop\"",
            ),
            (Some(r#"{"timeout": 1, "step": [1]}"#), "The operator has no setting `step`"),
        ] {
            let message = Bench::refused("qos::backpressure", config);
            assert!(message.contains(expected), "{message}");
        }
    }
}
