//! Random use of a log, with ends of the process and losses of power at any moment.

use super::disk::{Chance, Disk, Sync};
use crate::wal::{
    entry,
    files::Files,
    log::{Batch, Durability, Log},
    segments::Limits,
    shared::{Hearing, Reading, Shared, Task},
    source::Reader,
    worker::AtWork,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};
use tremor_event::{Event, EventId, Listener as _, Outcome, PullRange, Settlement};
use tremor_value::{Meta, Value};

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
    /// Losses of power after which it opened, and after which it did not.
    outlived: usize,
    refused: usize,
}

/// A log at work.
struct Run {
    at_work: AtWork,
    shared: Arc<Shared>,
    reader: Reader,
    /// Entries that were given and are not settled, and the numbers that they are.
    under_way: Vec<(u64, u64, Hearing)>,
    /// What was given, by index.
    given: BTreeMap<u64, u64>,
    /// Something failed: what is confirmed may come again with it.
    has_failed: bool,
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
    has_lost_power: bool,
    outlived: usize,
    /// It did not open after a loss of power, and said why.
    is_refused: bool,
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
            has_lost_power: false,
            outlived: 0,
            is_refused: false,
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
            // Nothing orders what the system writes, so a file may be damaged in the middle.
            Err(cause) if self.durability == Durability::Never && cause.contains("`disk/") => {
                self.is_refused = true;
                return Ok(false);
            }
            Err(cause) => return Err(format!("it does not open: {cause}")),
        };
        self.outlived += usize::from(std::mem::take(&mut self.has_lost_power));
        let (jobs, _) = mpsc::channel();
        let shared = Arc::new(Shared::new(opened.segments, opened.confirmed, "disk".to_owned(), jobs));
        let at_work = AtWork::new(opened.log, shared.clone(), self.durability, Duration::ZERO);
        let reader = Reader::new(self.files());
        let (under_way, given) = (Vec::new(), BTreeMap::new());
        self.run = Some(Run { at_work, shared, reader, under_way, given, has_failed: false });
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
        self.has_lost_power = true;
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
                if self.is_refused {
                    return Ok(());
                }
                let loses_power = self.chance.below(2) == 0;
                return self.end(loses_power);
            }
        }
        let went_on = match self.chance.below(100) {
            0..35 => self.append(),
            35..60 => self.read()?,
            60..80 => self.settle(),
            80..90 => self.tidy(false),
            90..96 => {
                let operations = self.chance.below(12);
                self.disk.set_fuse(Some(operations));
                true
            }
            96 => {
                // An end in good order, or one that was to be that.
                let _ends_either_way = self.tidy(true);
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
            if batch.add(false, |body| entry::encode(&event, body), |length| shared.place(length)).is_ok() {
                self.next += 1;
            }
        }
        // The worker may tidy up between the moment that entries got their places and their way into the file.
        if self.chance.below(8) == 0 && !self.tidy(false) {
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
        // Sometimes long after a failure.
        let now = Instant::now() + Duration::from_secs(10) * u32::try_from(self.chance.below(2)).unwrap();
        let Task::Read(reading) = run.shared.task(1 + self.chance.below(8), now) else { return Ok(true) };
        let Reading { way, wanted, generation } = reading;
        let entries = run.reader.read(way, &wanted).map_err(|cause| format!("it cannot be read: {cause}"))?;
        assert!(run.shared.under_way(entries.last().unwrap().0, generation), "nothing happened meanwhile");
        for (index, event) in entries {
            let number = number(&event)?;
            if self.settled.contains(&number) && !run.has_failed {
                return Err(format!("{number} came again after its confirmation had been kept"));
            }
            let (before, behind) =
                (run.given.range(..index).next_back(), run.given.range(index + 1..).next());
            let fits = before.is_none_or(|(_, before)| *before < number)
                && behind.is_none_or(|(_, behind)| *behind > number)
                && *run.given.entry(index).or_insert(number) == number;
            if number >= self.next || !fits {
                return Err(format!("{number} came as entry {index}: {:?}", run.given));
            }
            *self.delivered.entry(number).or_default() += 1;
            self.indices.insert(number, index);
            run.under_way.push((index, number, Hearing { shared: run.shared.clone(), generation }));
        }
        Ok(true)
    }

    /// Some of what is under way is confirmed or fails, in any order.
    fn settle(&mut self) -> bool {
        let Some(run) = &mut self.run else { return false };
        for _ in 0..self.chance.below(6).min(run.under_way.len()) {
            let (index, number, hearing) = run.under_way.swap_remove(self.chance.below(run.under_way.len()));
            let outcome = match self.chance.below(8) {
                0 => Outcome::Failed,
                1 => Outcome::Discarded,
                _ => Outcome::Delivered { took_ns: 0 },
            };
            if outcome == Outcome::Failed {
                run.has_failed = true;
            } else {
                self.confirmed.insert(number);
            }
            hearing.settled(Settlement {
                stream: 0,
                pulls: &[PullRange { first: index, last: index }],
                outcome,
            });
        }
        true
    }

    fn tidy(&mut self, is_end: bool) -> bool {
        let before = self.names();
        let Some(run) = &mut self.run else { return false };
        let done = if is_end { run.at_work.finish() } else { run.at_work.tidy() };
        if done != Ok(true) {
            return false;
        }
        let is_synced = is_end || self.durability != Durability::Never;
        // Runs beyond the position are kept as well: there are never too many of them here.
        let kept = self.confirmed.iter().filter(|number| run.shared.is_confirmed(self.indices[number]));
        if is_synced {
            self.settled.extend(kept);
            self.safe.append(&mut self.unsafe_yet);
        }
        if self.durability != Durability::Never {
            let after = self.names();
            self.removed.extend(before.difference(&after).cloned());
        }
        true
    }

    /// Everything comes and is confirmed.
    fn finish(&mut self) -> Checked<Totals> {
        self.disk.set_fuse(None);
        if !self.is_refused {
            self.end(true)?;
            self.open(false)?;
        }
        while let Some(run) = &mut self.run {
            for (index, number, hearing) in run.under_way.drain(..) {
                self.confirmed.insert(number);
                let pulls = &[PullRange { first: index, last: index }];
                hearing.settled(Settlement { stream: 0, pulls, outcome: Outcome::Discarded });
            }
            let before = self.delivered.values().sum::<usize>();
            self.read()?;
            if self.delivered.values().sum::<usize>() == before {
                break;
            }
        }
        if self.is_refused {
            // Everything that was safe is in the files still, for whoever mends them.
            self.safe.clear();
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
            outlived: self.outlived,
            refused: usize::from(self.is_refused),
        })
    }
}

fn event(number: u64, padding: usize) -> Event {
    Event {
        id: EventId::new(1, 0, number, number),
        payload: Value::from(vec![Value::from(number), Value::from("x".repeat(padding))]).into(),
        meta: Meta::record(),
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
        if subject.is_refused {
            break;
        }
        subject.step()?;
    }
    subject.finish()
}

fn use_many(durability: Durability, seeds: std::ops::Range<u64>) -> Totals {
    let mut sum = Totals::default();
    for seed in seeds.map(|seed| seed + first_seed()) {
        let totals = use_log(seed, durability, None).unwrap_or_else(|found| panic!("seed {seed}: {found}"));
        sum.sent += totals.sent;
        sum.acknowledged += totals.acknowledged;
        sum.delivered += totals.delivered;
        sum.repeated += totals.repeated;
        sum.lost += totals.lost;
        sum.restarts += totals.restarts;
        sum.outlived += totals.outlived;
        sum.refused += totals.refused;
    }
    println!("{durability:?}: {sum:?}");
    assert!(sum.restarts > 500 && sum.delivered > 5_000 && sum.repeated > 100, "it did something");
    sum
}

/// Where seeds begin: others than every time with `TREMOR_TEST_SEED`.
fn first_seed() -> u64 {
    std::env::var("TREMOR_TEST_SEED").ok().and_then(|seed| seed.parse::<u64>().ok()).unwrap_or_default()
        * 10_000
}

#[test]
fn what_is_acknowledged_outlives_losses_of_power() {
    assert_eq!(use_many(Durability::Always, 0..300).refused, 0);
}

#[test]
fn what_was_synced_outlives_losses_of_power() {
    assert_eq!(use_many(Durability::Interval, 1_000..1_300).refused, 0);
}

/// Nothing orders what the system writes then. So a log that lost its power may be damaged, and says where; or it opens,
/// and has everything that was there when it last ended in good order, and nothing that was never stored.
#[test]
fn without_any_sync_a_log_is_refused_or_has_what_it_ended_with() {
    let sum = use_many(Durability::Never, 2_000..2_600);
    assert!(sum.outlived > 300 && sum.refused > 100, "it did both");
}

/// Every sync is there for something: without it the same use of the log goes wrong. The one behind a renaming needs a
/// position that was missing, see `damage.rs`.
#[test]
fn a_disk_that_forgets_to_sync_is_found_out() {
    for (sync, durability) in [
        (Sync::SegmentHead, Durability::Always),
        (Sync::SegmentBeforeNext, Durability::Always),
        (Sync::SegmentBeforeNext, Durability::Interval),
        (Sync::SegmentAfterCut, Durability::Always),
        (Sync::SegmentAfterCut, Durability::Interval),
        (Sync::SegmentContent, Durability::Always),
        (Sync::SegmentContent, Durability::Interval),
        (Sync::PositionContent, Durability::Always),
        (Sync::NamesAfterCreate, Durability::Always),
        (Sync::NamesAfterRemove, Durability::Always),
        (Sync::NamesAtOpening, Durability::Always),
    ] {
        let found = (0..3_000)
            .find_map(|seed| use_log(seed, durability, Some(sync)).err().map(|found| (seed, found)));
        println!("without {sync:?} ({durability:?}): {found:?}");
        assert!(found.is_some(), "{sync:?} ({durability:?}) is good for nothing");
    }
}
