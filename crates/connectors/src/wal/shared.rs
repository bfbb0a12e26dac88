//! What the halves of one log share, and who hears what became of its entries.

use super::{
    confirmed::Confirmed,
    log::TARGET,
    segments::{NoRoom, Place, Segments, Way},
    turn::{Step, Stuck, Turn},
    worker::Job,
};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc},
    time::{Duration, Instant},
};
use tokio::sync::Notify;
use tremor_event::{Listener, Outcome, PullRange, Settlement};

/// Confirmations after which the position is kept without waiting any longer.
const MANY_CONFIRMATIONS: u64 = 4096;
/// How often reading goes back to one entry before the user is told, and how often that is done at most.
const MANY_TIMES: u32 = 3;
const COMPLAINTS_APART: Duration = Duration::from_secs(10);

/// The state of an open log.
pub(super) struct Shared {
    state: Mutex<State>,
    jobs: mpsc::Sender<Job>,
    /// There may be something to read.
    pub(super) news: Notify,
}

struct State {
    segments: Segments,
    confirmed: Confirmed,
    /// The entry behind the last one that may be read.
    visible: u64,
    turn: Turn,
    /// How messages call the log, and when the user was last told of an entry that fails.
    shown: String,
    complained: Option<Instant>,
    /// Confirmations since the worker last tidied up, and what it was told since.
    untidied: u64,
    told: Told,
    /// What made the log unusable.
    failure: Option<String>,
}

/// How soon the worker is to tidy up.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    Nothing,
    Soon,
    Now,
}

/// What the source half may do.
pub(super) enum Task {
    /// Read this.
    Read(Reading),
    /// Wait for news; with a time, until then at most.
    Wait(Option<Instant>),
}

/// Entries to read.
pub(super) struct Reading {
    /// The way to the first.
    pub(super) way: Way,
    /// Which ones, in ascending order, all of one segment; never empty.
    pub(super) wanted: Vec<u64>,
    /// The generation of deliveries that they belong to.
    pub(super) generation: u64,
}

impl Shared {
    pub(super) fn new(
        segments: Segments,
        confirmed: Confirmed,
        shown: String,
        jobs: mpsc::Sender<Job>,
    ) -> Self {
        let state = State {
            visible: segments.next(),
            segments,
            turn: Turn::new(confirmed.position()),
            confirmed,
            shown,
            complained: None,
            untidied: 0,
            told: Told::Nothing,
            failure: None,
        };
        Self { state: Mutex::new(state), jobs, news: Notify::new() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands the worker something to do. `false`: it has ended.
    pub(super) fn send(&self, job: Job) -> bool {
        self.jobs.send(job).is_ok()
    }

    /// The index that the next entry gets.
    pub(super) fn next(&self) -> u64 {
        self.state().segments.next()
    }

    /// The first entry that is not confirmed.
    #[cfg(test)]
    pub(super) fn position(&self) -> u64 {
        self.state().confirmed.position()
    }

    /// A place for an entry of `body` bytes, if there is room.
    pub(super) fn place(&self, body: usize) -> Result<Place, NoRoom> {
        let state = &mut *self.state();
        state.segments.add(body, &state.confirmed)
    }

    /// What was given a place since everything had last been written could not be written.
    pub(super) fn not_written(&self) {
        self.state().segments.not_written();
    }

    /// Everything that was given a place is in its file.
    pub(super) fn all_written(&self) {
        let mut state = self.state();
        state.visible = state.segments.all_written();
        drop(state);
        self.news.notify_one();
    }

    /// The log is unusable; only the first cause counts.
    pub(super) fn fail(&self, cause: &str) {
        self.state().failure.get_or_insert_with(|| cause.to_owned());
        self.news.notify_one();
    }

    /// What made the log unusable.
    pub(super) fn failure(&self) -> Option<String> {
        self.state().failure.clone()
    }

    /// What the source half may do now: read up to `most` entries, or wait.
    pub(super) fn task(&self, most: usize, now: Instant) -> Task {
        let state = &mut *self.state();
        loop {
            let (step, stuck) = state.turn.step(&state.confirmed, state.visible, now);
            stuck.into_iter().for_each(|stuck| state.complain(&stuck, now));
            let (from, most) = match step {
                Step::Read(from) => (from, most),
                Step::ReadAlone(entry) => (entry, 1),
                Step::Wait(until) => return Task::Wait(until),
            };
            if let Some(way) = state.segments.way_to(from) {
                let (wanted, generation) = (state.wanted(from, way, most), state.turn.generation());
                return Task::Read(Reading { way, wanted, generation });
            }
            // Its segment is done with: it was confirmed and is given again no more, if that was to be.
            match (step, state.segments.behind(from)) {
                (Step::Read(_), Some(next)) => state.turn.skip_to(next),
                _ => return Task::Wait(None),
            }
        }
    }

    /// The entries up to and with `last` are on their way, in deliveries of that generation. `false`, and nothing is
    /// done, if something has failed meanwhile: they have to wait.
    pub(super) fn under_way(&self, last: u64, generation: u64) -> bool {
        self.state().turn.gave(last, generation)
    }

    /// Whether `entry` is confirmed.
    #[cfg(test)]
    pub(super) fn is_confirmed(&self, entry: u64) -> bool {
        self.state().confirmed.covers(entry, entry + 1)
    }

    /// Whether the segment with `entry` is done with.
    pub(super) fn is_gone(&self, entry: u64) -> bool {
        self.state().segments.way_to(entry).is_none()
    }

    /// What is confirmed, to be kept; and whether segments are done with since this was last asked.
    pub(super) fn to_keep(&self) -> (Confirmed, bool) {
        let mut state = self.state();
        (state.untidied, state.told) = (0, Told::Nothing);
        (state.confirmed.clone(), state.segments.take_news())
    }

    /// Files of segments that nobody needs any more, if it is `kept` on disk what is confirmed.
    pub(super) fn take_done(&self, kept: &Confirmed) -> Vec<String> {
        self.state().segments.take_done(kept)
    }
}

/// Entries behind the first that one turn looks at: what is confirmed between them is read for nothing.
const MOST_SKIPPED: u64 = 4096;

impl State {
    /// The entries to give from `from` on, which lies in the segment at the end of `way`.
    fn wanted(&self, from: u64, way: Way, most: usize) -> Vec<u64> {
        let end = self.segments.end_of(way.segment).min(self.visible);
        let (mut wanted, mut next) = (Vec::new(), from);
        while wanted.len() < most && next < end && next - from < MOST_SKIPPED {
            wanted.push(next);
            next = self.turn.behind(next, &self.confirmed);
        }
        wanted
    }

    /// Tells the user of what fails and fails, now and then.
    fn complain(&mut self, Stuck { entry, times }: &Stuck, now: Instant) {
        let is_quiet = self.complained.is_none_or(|last| now.duration_since(last) >= COMPLAINTS_APART);
        if *times >= MANY_TIMES && is_quiet {
            self.complained = Some(now);
            tracing::warn!(
                target: TARGET,
                "entry {entry} of the log `{}` failed, {times} times in a row without getting any further: until it is \
                 confirmed, nothing behind it is delivered. If it can never be handled, let a script send what is like \
                 it somewhere else",
                self.shown,
            );
        }
    }

    /// What became of some entries, in deliveries of that generation.
    fn settled(&mut self, PullRange { first, last }: PullRange, outcome: Outcome, generation: u64) {
        match outcome {
            Outcome::Delivered { .. } | Outcome::Discarded => {
                self.confirmed.add(first, last);
                self.segments.settled(first, last, &self.confirmed);
                self.untidied += last - first + 1;
            }
            Outcome::Failed => {
                let open = self.confirmed.next_open(first);
                if open <= last {
                    self.turn.failed(open, generation, Instant::now());
                }
            }
            Outcome::Withheld => self.turn.withheld(first, last, generation),
        }
    }
}

/// Hears what becomes of the deliveries of one generation.
pub(super) struct Hearing {
    pub(super) shared: Arc<Shared>,
    pub(super) generation: u64,
}

impl Listener for Hearing {
    fn settled(&self, settlement: Settlement<'_>) {
        let mut guard = self.shared.state();
        let state = &mut *guard;
        for pulls in settlement.pulls {
            state.settled(*pulls, settlement.outcome, self.generation);
        }
        let tell = match state.untidied {
            0 => Told::Nothing,
            many if many >= MANY_CONFIRMATIONS || state.segments.has_news() => Told::Now,
            _ => Told::Soon,
        };
        let job = match tell.max(state.told) {
            told if told == state.told => None,
            Told::Now => Some(Job::TidyNow),
            _ => Some(Job::TidySoon),
        };
        state.told = tell.max(state.told);
        drop(guard);
        if let Some(job) = job {
            // A worker that has ended kept the position that it knew; the rest is delivered again.
            let _has_ended = !self.shared.send(job);
        }
        self.shared.news.notify_one();
    }
}
