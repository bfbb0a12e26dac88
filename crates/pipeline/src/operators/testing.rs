//! An operator alone, with a clock, sources and sinks made by hand.

use super::{Emitter, Environment, Mediator, Operator, Problem, Settings, find, watch};
use crate::graph::{OutPort, Target};
use std::sync::{
    Arc, Mutex,
    atomic::{AtomicU64, Ordering},
};
use tremor_event::{Breaker, Event, EventId, IdGenerator, Issuer, Listener, Settlement};
use tremor_lang::Host;
use tremor_value::{Meta, Record, Value};

pub(crate) fn json(text: &str) -> Value {
    Value::from_json_str(text).unwrap()
}

pub(crate) fn event(payload: &str) -> Event {
    at(payload, 7)
}

/// An event of a time.
pub(crate) fn at(payload: &str, ingest_ns: u64) -> Event {
    Event {
        id: EventId::new(1, 0, 0, 0),
        payload: json(payload).into(),
        meta: Meta::record(),
        ingest_ns,
        origin: None,
        is_batch: false,
        receipt: None,
    }
}

struct Clock(AtomicU64);

impl Host for Clock {
    fn now_ns(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
    fn hostname(&self) -> &str {
        "here"
    }
    fn instance(&self) -> &str {
        "test"
    }
}

/// An operator under test, behind all ports of which something reads.
pub(crate) struct Bench {
    operator: Box<dyn Operator>,
    ports: Vec<OutPort>,
    clock: Arc<Clock>,
    left: Vec<(String, Event)>,
}

impl Bench {
    pub(crate) fn new(kind: &str, config: Option<&str>) -> Self {
        let made = Self::make(kind, config);
        made.unwrap_or_else(|problem| panic!("{problem}"))
    }

    /// What is said of a configuration that must be refused.
    pub(crate) fn refused(kind: &str, config: Option<&str>) -> String {
        Self::make(kind, config).err().unwrap_or_else(|| panic!("{config:?} must be refused"))
    }

    fn make(kind: &str, config: Option<&str>) -> Result<Self, String> {
        let spec = find(kind)?;
        let config = config.map(json);
        let none = Record::default();
        let given = config.as_ref().map(|config| config.as_record().unwrap());
        let told = |problems: Vec<Problem>| {
            problems.into_iter().map(|problem| problem.message).collect::<Vec<_>>().join("\n")
        };
        let checked = Settings::check(spec, given, &none).map_err(|problem| problem.message)?;
        let maker = checked.prepare(spec).map_err(told)?;
        let clock = Arc::new(Clock(AtomicU64::new(1 << 40)));
        let ids = Arc::new(IdGenerator::default());
        // Number 1 is the source of the events.
        ids.next_id();
        let operator = maker(&Environment { ids, host: clock.clone() });
        let names = ["out", "err", "overflow", "a", "b"];
        let target = || vec![Target { node: 0, port: "in".into() }];
        let ports = names.iter().map(|name| OutPort { name: (*name).into(), targets: target() }).collect();
        Ok(Self { operator, ports, clock, left: Vec::new() })
    }

    fn run(&mut self, run: impl FnOnce(&mut dyn Operator, &mut Emitter<'_>)) {
        let mut out = Emitter::new(&self.ports, 10);
        run(&mut *self.operator, &mut out);
        for (port, mut batch) in self.ports.iter().zip(out.into_batches()) {
            if let Some(listener) = self.operator.listener(&port.name) {
                watch(&mut batch.events, listener);
            }
            self.left.extend(batch.events.into_iter().map(|event| (port.name.to_string(), event)));
        }
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.batch(vec![event]);
    }

    pub(crate) fn batch(&mut self, events: Vec<Event>) {
        self.run(|operator, out| events.into_iter().for_each(|event| operator.event(event, out)));
    }

    pub(crate) fn tick(&mut self, now_ns: u64) {
        self.run(|operator, out| operator.tick(now_ns, out));
    }

    pub(crate) fn drain(&mut self) {
        self.run(|operator, out| operator.drain(out));
    }

    pub(crate) fn now(&self) -> u64 {
        self.clock.now_ns()
    }

    pub(crate) fn advance(&self, ns: u64) {
        self.clock.0.fetch_add(ns, Ordering::Relaxed);
    }

    /// What left since the last call.
    pub(crate) fn take(&mut self) -> Vec<(String, Event)> {
        std::mem::take(&mut self.left)
    }

    /// The same as text.
    pub(crate) fn left(&mut self) -> Vec<String> {
        let left = self.take().into_iter();
        left.map(|(port, event)| format!("{port}: {}", event.payload.value())).collect()
    }

    pub(crate) fn mediator(&self) -> Arc<dyn Mediator> {
        self.operator.mediator().unwrap()
    }

    pub(crate) fn behind(&self, port: &str) -> Arc<dyn Breaker> {
        let mediator = self.mediator();
        assert!(mediator.mediates(port));
        mediator.behind(port)
    }

    /// A source in front of the operator.
    pub(crate) fn upstream(&self) -> Arc<Gate> {
        let gate = Arc::new(Gate::default());
        self.mediator().add_upstream(gate.clone());
        self.mediator().begin();
        gate
    }
}

/// A source that notes what it hears of the one part behind it.
#[derive(Default)]
pub(crate) struct Gate(Mutex<(bool, Vec<&'static str>)>);

impl Gate {
    pub(crate) fn is_open(&self) -> bool {
        self.0.lock().unwrap().0
    }

    /// Changes since the last call.
    pub(crate) fn changes(&self) -> Vec<&'static str> {
        std::mem::take(&mut self.0.lock().unwrap().1)
    }

    fn set(&self, is_open: bool, name: &'static str) {
        let mut state = self.0.lock().unwrap();
        assert_ne!(state.0, is_open, "no change");
        state.0 = is_open;
        state.1.push(name);
    }
}

impl Breaker for Gate {
    fn add(&self, _part: u64) {}

    fn open(&self, _part: u64) {
        self.set(true, "open");
    }

    fn close(&self, _part: u64) {
        self.set(false, "close");
    }

    fn lose(&self, _part: u64) {
        self.0.lock().unwrap().1.push("lose");
    }
}

/// A source that notes what it hears of its events.
#[derive(Clone, Default)]
pub(crate) struct Heard(Arc<Lines>);

#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl Listener for Lines {
    fn settled(&self, settlement: Settlement<'_>) {
        let ranges = settlement.pulls.iter().map(|range| format!("{}-{} ", range.first, range.last));
        self.0.lock().unwrap().push(ranges.collect::<String>() + &format!("{:?}", settlement.outcome));
    }
}

impl Heard {
    pub(crate) fn listener(&self) -> Arc<dyn Listener> {
        self.0.clone()
    }

    /// Events of one pull each.
    pub(crate) fn events(&self, count: usize) -> Vec<Event> {
        let issuer = Issuer::new(self.listener(), 0, 0, count);
        (0..count).map(|index| Event { receipt: issuer.receipt(index), ..event("1") }).collect()
    }

    /// What was heard since the last call.
    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.0.lock().unwrap())
    }
}
