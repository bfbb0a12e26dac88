//! `generic::counter`

use super::{ConfigUse, Emitter, Operator, Spec};
use tremor_event::Event;
use tremor_value::{Payload, Record, Value};

pub(super) const SPEC: Spec = Spec {
    name: "generic::counter",
    summary: "Numbers the events: the payload becomes `{\"count\": n, \"event\": payload}`, with `n` from 1.",
    config: ConfigUse::Ignored,
    fields: &[],
    meta: &[],
    ports: &[("out", "every event")],
    named_ports: None,
    example: "define operator numbered from generic::counter;
create operator numbered;
select event from in into numbered;
select event from numbered into out;",
    renamed: None,
    prepare: |_settings| Ok(Box::new(|_around| Box::new(Counter { count: 0 }))),
};

struct Counter {
    count: u64,
}

impl Operator for Counter {
    fn event(&mut self, mut event: Event, out: &mut Emitter<'_>) {
        self.count = self.count.saturating_add(1);
        let payload = std::mem::take(&mut event.payload).into_value();
        let numbered: Record = [("count", Value::from(self.count)), ("event", payload)].into_iter().collect();
        event.payload = Payload::from(Value::from(numbered));
        out.emit("out", event);
    }

    fn renewed(&self) -> Box<dyn Operator> {
        Box::new(Self { count: 0 })
    }
}

#[cfg(test)]
mod tests {
    use crate::operators::testing::{Bench, event};

    #[test]
    fn counts_from_one() {
        let mut bench = Bench::new("generic::counter", None);
        bench.event(event("7"));
        bench.event(event("\"x\""));
        assert_eq!(bench.left(), [r#"out: {"count":1,"event":7}"#, r#"out: {"count":2,"event":"x"}"#]);
    }
}
