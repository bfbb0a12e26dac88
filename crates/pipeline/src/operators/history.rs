//! `debug::history`

use super::{ConfigUse, Emitter, Field, Operator, Spec, settings::all};
use tremor_event::Event;
use tremor_value::{Str, Value};

pub(super) const SPEC: Spec = Spec {
    name: "debug::history",
    summary: "Notes in the metadata that an event came by: appends `evt: <op>(<event id>)` to the list `$<name>`, which is made if it is not there.",
    config: ConfigUse::Needed,
    fields: &[
        Field { name: "op", kind: "string", default: "", text: "What the note calls this place." },
        Field { name: "name", kind: "string", default: "", text: "The metadata field that holds the list." },
    ],
    meta: &[],
    ports: &[("out", "every event")],
    named_ports: None,
    example: "define operator trace from debug::history with op = \"enriched\", name = \"history\" end;
create operator trace;
select event from in into trace;
select {\"event\": event, \"trace\": $history} from trace into out;",
    renamed: None,
    prepare: |settings| {
        let (op, name, ()) = all(settings.text("op"), settings.text("name"), Ok(()))?;
        let (op, name) = (op.to_owned(), Str::from(name));
        Ok(Box::new(move |_around| Box::new(History { op: op.clone(), name: name.clone() })))
    },
};

#[derive(Clone)]
struct History {
    op: String,
    name: Str,
}

impl Operator for History {
    fn event(&mut self, mut event: Event, out: &mut Emitter<'_>) {
        let note = Value::from(format!("evt: {}({})", self.op, event.id));
        if let Some(list) = event.meta.member_or_null(&self.name) {
            match list.as_array_mut() {
                Some(notes) => notes.push(note),
                // Something else of that name makes way: this operator looks for mistakes, and hides none.
                None => *list = Value::from(vec![note]),
            }
        }
        out.emit("out", event);
    }

    fn renewed(&self) -> Box<dyn Operator> {
        Box::new(self.clone())
    }
}

#[cfg(test)]
mod tests {
    use crate::operators::testing::{Bench, event};

    #[test]
    fn notes_pile_up_behind_what_is_there() {
        let mut bench = Bench::new("debug::history", Some(r#"{"op": "here", "name": "trace"}"#));
        bench.event(event("1"));
        let first = bench.take().remove(0).1;
        assert_eq!(first.meta.to_string(), r#"{"trace":["evt: here(1:0:0:0)"]}"#);
        bench.event(first);
        let second = bench.take().remove(0).1;
        assert_eq!(second.meta.to_string(), r#"{"trace":["evt: here(1:0:0:0)","evt: here(1:0:0:0)"]}"#);
    }
}
