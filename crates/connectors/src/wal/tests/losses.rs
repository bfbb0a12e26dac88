//! Random use of a log, with ends of the process and losses of power at any moment.

use super::disk::{Chance, Disk, Sync};
use crate::wal::{
    entry,
    files::Files,
    log::{Batch, Durability, Log},
    segments::Limits,
    shared::{Shared, Task},
    source::Reader,
    worker::AtWork,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};
use tremor_event::{Event, EventId, Listener as _, Outcome, PullRange, Settlement};
use tremor_value::Value;

/// Small, so that segments change all the time.
const LIMITS: Limits = Limits { chunk_size: 700, max_chunks: 6 };

#[derive(Clone, Copy, Debug, Default)]
struct Totals {
    sent: usize,
    acknowledged: usize,
    delivered: usize,
    repeated: usize,
    lost: usize,
    restarts: usize,
}

/// A log at work.
struct Run {
    at_work: AtWork,
    shared: Arc<Shared>,
    reader: Reader,
    /// Entries that were given and are not settled.
    under_way: Vec<(u64, u64)>,
}

/// A log over many runs, and what has to be true of it. Every event is a number.
struct Subject {
    disk: Arc<Disk>,
    durability: Durability,
    chance: Chance,
    run: Option<Run>,
    next: u64,
    acknowledged: BTreeSet<u64>,
    /// Acknowledged, but a loss of power may take them.
    unsafe_yet: BTreeSet<u64>,
    /// Acknowledged, and nothing may take them.
    safe: BTreeSet<u64>,
    delivered: BTreeMap<u64, usize>,
    confirmed: BTreeSet<u64>,
    /// Confirmed, and that was kept: may never come again.
    settled: BTreeSet<u64>,
    /// Index of what was given last under that number.
    indices: BTreeMap<u64, u64>,
    /// Files that were removed for good.
    removed: BTreeSet<String>,
    restarts: usize,
}

/// What nobody may see.
type Checked<T> = Result<T, String>;

impl Subject {
    fn new(seed: u64, durability: Durability, forgets: Option<Sync>) -> Self {
        Self {
            disk: Disk::forgetting(forgets),
            durability,
            chance: Chance(seed),
            run: None,
            next: 0,
            acknowledged: BTreeSet::new(),
            unsafe_yet: BTreeSet::new(),
            safe: BTreeSet::new(),
            delivered: BTreeMap::new(),
            confirmed: BTreeSet::new(),
            settled: BTreeSet::new(),
            indices: BTreeMap::new(),
            removed: BTreeSet::new(),
            restarts: 0,
        }
    }

    fn files(&self) -> Arc<dyn Files> {
        Arc::new(self.disk.clone())
    }

    /// The names of segments on disk.
    fn names(&self) -> BTreeSet<String> {
        self.files().names().unwrap().into_iter().filter(|name| name.ends_with(".wal")).collect()
    }

    /// Opens the log; `false` if the machine stopped meanwhile.
    fn open(&mut self, may_stop: bool) -> Checked<bool> {
        self.disk.opening();
        let opened = match Log::open(self.files(), self.durability, LIMITS) {
            Ok(opened) => opened,
            Err(cause) if may_stop && cause.contains("the machine has stopped") => return Ok(false),
            Err(cause) => return Err(format!("it does not open: {cause}")),
        };
        let (jobs, _) = mpsc::channel();
        let shared = Arc::new(Shared::new(opened.segments, opened.confirmed, "disk".to_owned(), jobs));
        let at_work = AtWork::new(opened.log, shared.clone(), self.durability, Duration::ZERO);
        let reader = Reader::new(self.files());
        self.run = Some(Run { at_work, shared, reader, under_way: Vec::new() });
        Ok(true)
    }

    /// The process ends at once, and maybe the power is gone too.
    fn end(&mut self, loses_power: bool) -> Checked<()> {
        self.run = None;
        self.disk.set_fuse(None);
        self.restarts += 1;
        if !loses_power {
            return Ok(());
        }
        self.disk.lose_power(&mut self.chance);
        self.unsafe_yet.clear();
        match self.names().intersection(&self.removed).next() {
            Some(name) => Err(format!("{name} is there again")),
            None => Ok(()),
        }
    }

    fn step(&mut self) -> Checked<()> {
        if self.run.is_none() {
            if self.chance.below(4) == 0 {
                let operations = self.chance.below(6);
                self.disk.set_fuse(Some(operations));
            }
            if !self.open(true)? {
                let loses_power = self.chance.below(2) == 0;
                return self.end(loses_power);
            }
        }
        let went_on = match self.chance.below(100) {
            0..35 => self.append(),
            35..60 => self.read()?,
            60..80 => self.settle(),
            80..90 => self.tidy(),
            90..96 => {
                let operations = self.chance.below(12);
                self.disk.set_fuse(Some(operations));
                true
            }
            96 => {
                // An end in good order, or one that was to be that.
                let _ends_either_way = self.tidy();
                false
            }
            _ => false,
        };
        if went_on {
            return Ok(());
        }
        let loses_power = self.chance.below(3) != 0;
        self.end(loses_power)
    }

    fn append(&mut self) -> bool {
        let Some(run) = &mut self.run else { return false };
        let (mut batch, first) = (Batch::default(), self.next);
        for _ in 0..=self.chance.below(6) {
            let event = event(self.next, self.chance.below(300));
            let shared = &run.shared;
            if batch.add(false, |body| entry::encode(&event, body), |length| shared.place(length)) {
                self.next += 1;
            }
        }
        // The worker may tidy up between the moment that entries got their places and their way into the file.
        if self.chance.below(8) == 0 && !self.tidy() {
            return false;
        }
        let Some(run) = &mut self.run else { return false };
        let is_written = batch.is_empty() || run.at_work.write(&batch).is_ok();
        if is_written {
            self.acknowledged.extend(first..self.next);
            let is_safe = self.durability == Durability::Always;
            if is_safe { &mut self.safe } else { &mut self.unsafe_yet }.extend(first..self.next);
        }
        is_written
    }

    fn read(&mut self) -> Checked<bool> {
        let Some(run) = &mut self.run else { return Ok(false) };
        let Task::Read(way, wanted) = run.shared.task(1 + self.chance.below(8), Instant::now()) else {
            return Ok(true);
        };
        let entries = run.reader.read(way, &wanted).map_err(|cause| format!("it cannot be read: {cause}"))?;
        run.shared.under_way(&entries.iter().map(|(index, _)| *index).collect::<Vec<_>>());
        for (index, event) in entries {
            let number = number(&event)?;
            if self.settled.contains(&number) {
                return Err(format!("{number} came again after its confirmation had been kept"));
            }
            *self.delivered.entry(number).or_default() += 1;
            self.indices.insert(number, index);
            run.under_way.push((index, number));
        }
        Ok(true)
    }

    /// Some of what is under way is confirmed or fails, in any order.
    fn settle(&mut self) -> bool {
        let Some(run) = &mut self.run else { return false };
        for _ in 0..self.chance.below(6).min(run.under_way.len()) {
            let (index, number) = run.under_way.swap_remove(self.chance.below(run.under_way.len()));
            let outcome = match self.chance.below(8) {
                0 => Outcome::Failed,
                1 => Outcome::Discarded,
                _ => Outcome::Delivered { took_ns: 0 },
            };
            if outcome != Outcome::Failed {
                self.confirmed.insert(number);
            }
            run.shared.settled(Settlement {
                stream: 0,
                pulls: &[PullRange { first: index, last: index }],
                outcome,
            });
        }
        true
    }

    fn tidy(&mut self) -> bool {
        let before = self.names();
        let Some(run) = &mut self.run else { return false };
        if run.at_work.tidy() != Ok(true) {
            return false;
        }
        // Runs beyond the position are kept as well: there are never too many of them here.
        let kept = self.confirmed.iter().filter(|number| run.shared.is_confirmed(self.indices[number]));
        self.settled.extend(kept);
        self.safe.append(&mut self.unsafe_yet);
        let after = self.names();
        self.removed.extend(before.difference(&after).cloned());
        true
    }

    /// Everything comes and is confirmed.
    fn finish(&mut self) -> Checked<Totals> {
        self.disk.set_fuse(None);
        self.end(true)?;
        self.open(false)?;
        loop {
            let before = self.delivered.values().sum::<usize>();
            self.read()?;
            if self.delivered.values().sum::<usize>() == before {
                break;
            }
            let Some(run) = &mut self.run else { break };
            for (index, number) in run.under_way.drain(..) {
                self.confirmed.insert(number);
                let pulls = &[PullRange { first: index, last: index }];
                run.shared.settled(Settlement { stream: 0, pulls, outcome: Outcome::Discarded });
            }
        }
        let lost: Vec<_> = self.safe.difference(&self.confirmed).collect();
        if !lost.is_empty() {
            return Err(format!("lost: {lost:?}"));
        }
        Ok(Totals {
            sent: usize::try_from(self.next).unwrap(),
            acknowledged: self.acknowledged.len(),
            delivered: self.delivered.len(),
            repeated: self.delivered.values().map(|times| times - 1).sum(),
            lost: lost.len(),
            restarts: self.restarts,
        })
    }
}

fn event(number: u64, padding: usize) -> Event {
    Event {
        id: EventId::new(1, 0, number, number),
        payload: Value::from(vec![Value::from(number), Value::from("x".repeat(padding))]).into(),
        meta: Value::record(),
        ingest_ns: number,
        origin: None,
        is_batch: false,
        receipt: None,
    }
}

/// The number that an event is.
fn number(event: &Event) -> Checked<u64> {
    let number = event.payload.value().as_array().and_then(|items| items.first()).and_then(Value::as_u64);
    number.filter(|number| *number == event.ingest_ns).ok_or_else(|| format!("a broken event: {event:?}"))
}

fn use_log(seed: u64, durability: Durability, forgets: Option<Sync>) -> Checked<Totals> {
    let mut subject = Subject::new(seed, durability, forgets);
    for _ in 0..150 {
        subject.step()?;
    }
    subject.finish()
}

fn use_many(durability: Durability, seeds: std::ops::Range<u64>) {
    let mut sum = Totals::default();
    for seed in seeds {
        let totals = use_log(seed, durability, None).unwrap_or_else(|found| panic!("seed {seed}: {found}"));
        sum.sent += totals.sent;
        sum.acknowledged += totals.acknowledged;
        sum.delivered += totals.delivered;
        sum.repeated += totals.repeated;
        sum.lost += totals.lost;
        sum.restarts += totals.restarts;
    }
    println!("{durability:?}: {sum:?}");
    assert!(sum.restarts > 500 && sum.delivered > 5_000 && sum.repeated > 100, "it did something");
}

#[test]
fn what_is_acknowledged_outlives_losses_of_power() {
    use_many(Durability::Always, 0..300);
}

#[test]
fn what_was_synced_outlives_losses_of_power() {
    use_many(Durability::Interval, 1_000..1_300);
}

/// Every sync is there for something: without it the same use of the log goes wrong.
#[test]
fn a_disk_that_forgets_to_sync_is_found_out() {
    for (sync, durability) in [
        (Sync::SegmentHead, Durability::Always),
        (Sync::SegmentBeforeNext, Durability::Always),
        (Sync::SegmentBeforeNext, Durability::Interval),
        (Sync::SegmentContent, Durability::Always),
        (Sync::SegmentContent, Durability::Interval),
        (Sync::PositionContent, Durability::Always),
        (Sync::NamesAfterCreate, Durability::Always),
        (Sync::NamesAfterRename, Durability::Always),
        (Sync::NamesAfterRemove, Durability::Always),
        (Sync::NamesAtOpening, Durability::Always),
    ] {
        let found = (0..3_000)
            .find_map(|seed| use_log(seed, durability, Some(sync)).err().map(|found| (seed, found)));
        println!("without {sync:?} ({durability:?}): {found:?}");
        assert!(found.is_some(), "{sync:?} ({durability:?}) is good for nothing");
    }
}
