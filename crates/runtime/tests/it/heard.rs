//! A source that listens, and a sink that takes its time.

use async_trait::async_trait;
use std::{
    collections::BTreeMap,
    sync::{Arc, LazyLock, Mutex},
};
use tokio::sync::Semaphore;
use tremor_connector::{
    Built, Connected, Environment, EventSink, Intake, Made as Pull, Pulled, Sink, SinkControl, SinkError,
    SinkUse, Source, SourceError, Spec,
    config::{ConfigError, Reader},
};
use tremor_event::{Event, Listener, OriginUri, Outcome, Receipt, Settlement};
use tremor_value::Value;

use crate::world::{COLLECT, Made, NUMBERS, note};

/// What a source knows of its pulls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ledger {
    /// Pulls so far.
    pub(crate) sent: usize,
    /// What became of them.
    pub(crate) settled: BTreeMap<u64, &'static str>,
    /// Pulls that were told of again.
    pub(crate) twice: usize,
}

impl Ledger {
    pub(crate) fn count(&self, outcome: &str) -> usize {
        self.settled.values().filter(|settled| **settled == outcome).count()
    }
}

static LEDGERS: Mutex<BTreeMap<String, Ledger>> = Mutex::new(BTreeMap::new());
static CONTROLS: Mutex<BTreeMap<String, SinkControl>> = Mutex::new(BTreeMap::new());
/// Pulls that sources may still make.
static ALLOWED: LazyLock<Mutex<BTreeMap<String, Arc<Semaphore>>>> = LazyLock::new(Mutex::default);

pub(crate) fn ledger(name: &str) -> Ledger {
    LEDGERS.lock().unwrap().get(name).cloned().unwrap_or_default()
}

/// The sink called `name` is connected and at work.
pub(crate) fn has_begun(name: &str) -> bool {
    CONTROLS.lock().unwrap().contains_key(name)
}

/// The control of the sink called `name`, which has begun.
pub(crate) fn control(name: &str) -> SinkControl {
    CONTROLS.lock().unwrap().get(name).cloned().unwrap()
}

fn allowed(name: &str) -> Arc<Semaphore> {
    let mut allowed = ALLOWED.lock().unwrap();
    allowed.entry(name.to_owned()).or_insert_with(|| Arc::new(Semaphore::new(0))).clone()
}

/// The source called `name`, which is worked by hand, may pull more.
pub(crate) fn allow(name: &str, pulls: usize) {
    allowed(name).add_permits(pulls);
}

/// Gives `count` numbers, each a pull of its own and ten at a time, or one at a time when they are allowed with `by_hand`.
/// Then it is finished, or waits with `endless` and `by_hand`. It notes under `name` what it hears.
pub(crate) const LISTENING: Spec = Spec {
    name: "listening",
    build: |mut config, _| {
        let name: String = config.required("name")?;
        let by_hand = config.or("by_hand", false)?;
        let numbers = Listening {
            heard: Arc::new(Heard(name.clone())),
            next: 0,
            count: config.required("count")?,
            endless: config.or("endless", false)? || by_hand,
            allowed: by_hand.then(|| allowed(&name)),
        };
        config.finish()?;
        let source = Some((Box::new(numbers) as Box<dyn Source>, Arc::new(OriginUri::default())));
        let connected = Connected::Halves { source, sink: None };
        Ok(Built { is_sink: false, ..Built::new(Made(Some(connected))) })
    },
    ..NUMBERS
};

struct Listening {
    heard: Arc<Heard>,
    next: u64,
    count: u64,
    endless: bool,
    allowed: Option<Arc<Semaphore>>,
}

struct Heard(String);

impl Listener for Heard {
    fn settled(&self, settlement: Settlement<'_>) {
        let outcome = match settlement.outcome {
            Outcome::Delivered { .. } => "delivered",
            Outcome::Discarded => "discarded",
            Outcome::Failed => "failed",
            Outcome::Withheld => "withheld",
        };
        let mut ledgers = LEDGERS.lock().unwrap();
        let ledger = ledgers.entry(self.0.clone()).or_default();
        for pull in settlement.pulls.iter().flat_map(|range| range.first..=range.last) {
            ledger.twice += usize::from(ledger.settled.insert(pull, outcome).is_some());
        }
    }
}

#[async_trait]
impl Source for Listening {
    fn listener(&self) -> Option<Arc<dyn Listener>> {
        Some(self.heard.clone())
    }

    async fn pull(&mut self, intake: &mut Intake) -> Result<Pulled, SourceError> {
        if self.next == self.count {
            if self.endless {
                std::future::pending::<()>().await;
            }
            return Ok(Pulled::Finished);
        }
        let size = match &self.allowed {
            Some(allowed) => {
                allowed.acquire().await.unwrap().forget();
                1
            }
            None => 10.min(self.count - self.next),
        };
        for _ in 0..size {
            let made =
                Pull { pull: Some(self.next), ingest_ns: Some(0), ..Pull::from(Value::from(self.next)) };
            intake.value(made, None);
            self.next += 1;
        }
        LEDGERS.lock().unwrap().entry(self.heard.0.clone()).or_default().sent =
            usize::try_from(self.next).unwrap();
        Ok(Pulled::More)
    }
}

/// Notes what it gets under `name`. With `fails_every` it fails those events whose number can be divided by that. With a
/// `seed` it answers late and in a random order.
pub(crate) const SETTLING: Spec = Spec {
    name: "settling",
    is_source: false,
    sink: SinkUse::Queued,
    inputs: &["in"],
    build: settling,
    ..COLLECT
};

fn settling(mut config: Reader<'_>, _: &Environment) -> Result<Built, ConfigError> {
    let sink = Settling {
        name: config.required("name")?,
        fails_every: config.optional("fails_every")?,
        random: config.optional("seed")?,
        held: Vec::new(),
    };
    config.finish()?;
    let connected = Connected::Halves { source: None, sink: Some(Sink::Events(Box::new(sink))) };
    Ok(Built { is_source: false, ..Built::new(Made(Some(connected))) })
}

struct Settling {
    name: String,
    fails_every: Option<u64>,
    random: Option<u64>,
    held: Vec<(Receipt, Outcome)>,
}

impl Settling {
    /// The next number of a simple sequence.
    fn random(&mut self) -> usize {
        let Some(state) = &mut self.random else { return 0 };
        *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(*state >> 33).unwrap()
    }

    fn settle_down_to(&mut self, left: usize) {
        while self.held.len() > left {
            let index = self.random() % self.held.len();
            let (receipt, outcome) = self.held.swap_remove(index);
            receipt.settle(outcome);
        }
    }
}

#[async_trait]
impl EventSink for Settling {
    fn begin(&mut self, control: SinkControl) {
        CONTROLS.lock().unwrap().insert(self.name.clone(), control);
    }

    fn settles(&self) -> bool {
        true
    }

    async fn event(&mut self, mut event: Event) -> Result<(), SinkError> {
        let number = event.payload.value().as_u64();
        note(&self.name, event.payload.value().to_string());
        let fails = self.fails_every.is_some_and(|every| number.is_some_and(|number| number % every == 0));
        let outcome = if fails { Outcome::Failed } else { Outcome::Delivered { took_ns: 1 } };
        self.held.extend(event.receipt.take().map(|receipt| (receipt, outcome)));
        let left = if self.random.is_some() { self.random() % 20 } else { 0 };
        self.settle_down_to(left);
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), SinkError> {
        self.settle_down_to(0);
        Ok(())
    }
}
