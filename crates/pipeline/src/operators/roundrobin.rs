//! `qos::roundrobin`

use super::{
    ConfigUse, Emitter, Environment, Field, Operator, Spec,
    breakers::{Behind, Downstream, Hears, Mediator, News, Upstream, lock},
};
use std::sync::{Arc, Mutex};
use tremor_event::{Breaker, Event};
use tremor_value::{Str, Value};

pub(super) const SPEC: Spec = Spec {
    name: "qos::roundrobin",
    summary: "Spreads events over its outputs in turn, leaving out those behind which a sink is closed. Sources hear only when the \
              last output closes and when the first one opens.",
    config: ConfigUse::Needed,
    fields: &[Field {
        name: "outputs",
        kind: "list of strings",
        default: "",
        text: "Names of the ports, in the order of the turns: different from each other and from `overflow`, without \
               line breaks and backticks.",
    }],
    meta: &[],
    ports: &[
        (
            "those in `outputs`",
            "what has its turn there. One that is ready later than the others has its turns from then on: sources do not wait for it",
        ),
        ("overflow", "what comes while all outputs are closed"),
    ],
    named_ports: Some("outputs"),
    example: "define operator spread from qos::roundrobin with outputs = [\"left\", \"right\"] end;
create operator spread;
select event from in into spread;
select {\"left\": event} from spread/left into out;
select {\"right\": event} from spread/right into out;",
    renamed: None,
    prepare: |settings| {
        let name = |value: &Value, before: &[Str]| match value.as_str() {
            None | Some("") => Err("the name of a port is needed".to_owned()),
            Some("overflow") => Err("that is the port for what has no turn".to_owned()),
            Some(name) if name.contains(['`', '\n']) => {
                Err("no query can read it: a name has no backticks and line breaks".to_owned())
            }
            Some(name) if before.iter().any(|other| other == name) => {
                Err("each port is named once".to_owned())
            }
            Some(name) => Ok(Str::from(name)),
        };
        let outputs = settings.needed_list("outputs", "a list of port names", name)?;
        let outputs: Arc<[Str]> = outputs.into();
        Ok(Box::new(move |around| {
            Box::new(RoundRobin { shared: Arc::new(Shared::new(outputs.clone(), around)), next: 0 })
        }))
    },
};

struct RoundRobin {
    shared: Arc<Shared>,
    next: usize,
}

/// What the operator shares with the sinks behind it.
struct Shared {
    /// In turn.
    outputs: Arc<[Str]>,
    state: Mutex<State>,
}

struct State {
    upstream: Upstream,
    /// By output.
    downstream: Vec<Downstream>,
}

impl State {
    /// An output behind which there is nothing is no reason to begin, unless it is so with all of them.
    fn tell(&mut self) {
        let mut linked = self.downstream.iter().filter(|output| output.has_parts()).peekable();
        let leads_nowhere = linked.peek().is_none();
        let is_lost = !leads_nowhere && linked.clone().all(Downstream::is_lost);
        self.upstream.set(leads_nowhere || linked.any(Downstream::is_open));
        self.upstream.lose_if(is_lost);
    }
}

impl Shared {
    fn new(outputs: Arc<[Str]>, around: &Environment) -> Self {
        let downstream = outputs.iter().map(|_| Downstream::default()).collect();
        let state = Mutex::new(State { upstream: Upstream::new(&around.ids), downstream });
        Self { outputs, state }
    }

    /// The output whose turn it is, beginning with number `next`, and the number behind that.
    fn turn(&self, next: usize) -> Option<(&str, usize)> {
        let state = lock(&self.state);
        let outputs = self.outputs.iter().enumerate();
        let mut in_turn = outputs.clone().skip(next).chain(outputs.take(next));
        let is_open = |output: usize| state.downstream.get(output).is_some_and(Downstream::is_open);
        let (turn, output) = in_turn.find(|(output, _)| is_open(*output))?;
        Some((output, if turn + 1 < self.outputs.len() { turn + 1 } else { 0 }))
    }
}

impl Hears for Shared {
    fn hear(&self, output: usize, part: u64, news: News) {
        let mut state = lock(&self.state);
        if let Some(downstream) = state.downstream.get_mut(output) {
            downstream.note(part, news);
        }
        state.tell();
    }
}

impl Mediator for Shared {
    fn mediates(&self, port: &str) -> bool {
        self.outputs.iter().any(|output| output == port)
    }

    fn behind(self: Arc<Self>, port: &str) -> Arc<dyn Breaker> {
        // Asked only for ports that it mediates.
        let output = self.outputs.iter().position(|output| output == port).unwrap_or_default();
        Arc::new(Behind { operator: self, output })
    }

    fn add_upstream(&self, breaker: Arc<dyn Breaker>) {
        lock(&self.state).upstream.add(breaker);
    }

    fn begin(&self) {
        lock(&self.state).tell();
    }
}

impl Operator for RoundRobin {
    fn event(&mut self, event: Event, out: &mut Emitter<'_>) {
        match self.shared.turn(self.next) {
            Some((output, next)) => {
                self.next = next;
                out.emit(output, event);
            }
            None => out.emit("overflow", event),
        }
    }

    fn mediator(&self) -> Option<Arc<dyn Mediator>> {
        Some(self.shared.clone())
    }

    fn renewed(&self) -> Box<dyn Operator> {
        Box::new(Self { shared: self.shared.clone(), next: 0 })
    }
}

#[cfg(test)]
mod tests {
    use crate::operators::testing::{Bench, event};

    fn send(bench: &mut Bench, count: usize) -> Vec<String> {
        (0..count).for_each(|_| bench.event(event("1")));
        bench.take().into_iter().map(|(port, _)| port).collect()
    }

    #[test]
    fn outputs_take_turns() {
        let mut bench = Bench::new("qos::roundrobin", Some(r#"{"outputs": ["a", "b"]}"#));
        assert_eq!(send(&mut bench, 3), ["a", "b", "a"]);
    }

    #[test]
    fn closed_outputs_lose_their_turns_and_the_last_one_is_told_upstream() {
        let mut bench = Bench::new("qos::roundrobin", Some(r#"{"outputs": ["a", "b"]}"#));
        let (upstream, a, b) = (bench.upstream(), bench.behind("a"), bench.behind("b"));
        a.add(1);
        b.add(2);
        b.add(3);
        assert!(!upstream.is_open());
        upstream.changes();
        assert_eq!(send(&mut bench, 1), ["overflow"]);
        b.open(2);
        assert!(!upstream.is_open(), "the other sink behind `b` is still closed");
        a.open(1);
        assert!(upstream.is_open());
        assert_eq!(send(&mut bench, 2), ["a", "a"]);
        b.open(3);
        assert_eq!(send(&mut bench, 3), ["b", "a", "b"]);
        a.close(1);
        assert!(upstream.is_open());
        b.close(2);
        assert!(!upstream.is_open());
        assert_eq!(send(&mut bench, 1), ["overflow"]);
        b.open(2);
        assert_eq!(upstream.changes(), ["open", "close", "open"]);
        b.close(2);
        b.lose(2);
        assert_eq!(upstream.changes(), ["close"], "`a` may come back");
        a.lose(1);
        assert_eq!(upstream.changes(), ["lose"]);
    }

    #[test]
    fn an_output_that_leads_nowhere_lets_no_source_begin() {
        let bench = Bench::new("qos::roundrobin", Some(r#"{"outputs": ["a", "b"]}"#));
        let (upstream, a) = (bench.upstream(), bench.behind("a"));
        assert!(upstream.is_open(), "nothing to wait for");
        a.add(1);
        assert!(!upstream.is_open());
        a.open(1);
        assert!(upstream.is_open());
    }

    #[test]
    fn outputs_have_to_be_named_so_that_a_query_can_read_each() {
        for config in [None, Some("{}"), Some(r#"{"outputs": []}"#)] {
            Bench::refused("qos::roundrobin", config);
        }
        for (outputs, expected) in [
            (r#"["a", 1]"#, "`outputs`: element 2 cannot be integer 1: the name of a port is needed"),
            (r#"[""]"#, "`outputs`: element 1 cannot be string \"\": the name of a port is needed"),
            (
                r#"["overflow"]"#,
                "element 1 cannot be string \"overflow\": that is the port for what has no turn",
            ),
            (r#"["a`b"]"#, "no query can read it: a name has no backticks and line breaks"),
            (r#"["a", "b", "a"]"#, "element 3 cannot be string \"a\": each port is named once"),
        ] {
            let message = Bench::refused("qos::roundrobin", Some(&format!(r#"{{"outputs": {outputs}}}"#)));
            assert!(message.contains(expected), "{message}");
        }
        Bench::new("qos::roundrobin", Some(r#"{"outputs": ["the left one", "end"]}"#));
    }
}
