//! What the halves of one log share, and who hears what became of its entries.

use super::{
    confirmed::Confirmed,
    log::TARGET,
    segments::{Limits, Place, Segments, Way},
    turn::{Step, Turn},
    worker::Job,
};
use std::{
    sync::{Mutex, MutexGuard, PoisonError, mpsc},
    time::{Duration, Instant},
};
use tokio::sync::Notify;
use tremor_event::{Listener, Outcome, Settlement};

/// Confirmations after which the position is kept without waiting any longer.
const MANY_CONFIRMATIONS: u64 = 4096;
/// Failures of one entry of which the user is told, and how often at most.
const MANY_FAILURES: u32 = 3;
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
    /// Read these entries, all of one segment, and the way to the first.
    Read(Way, Vec<u64>),
    /// Wait for news; with a time, until then at most.
    Wait(Option<Instant>),
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
    pub(super) fn place(&self, body: usize) -> Option<Place> {
        let state = &mut *self.state();
        state.segments.add(body, &state.confirmed)
    }

    /// How many segments count, of how many there may be, and bytes of one.
    pub(super) fn usage(&self) -> (u64, Limits) {
        self.state().segments.usage()
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
        let (from, is_again) = match state.turn.step(&state.confirmed, state.visible, now) {
            Step::Again(from) => (from, true),
            Step::Read(from) => (from, false),
            Step::Wait(until) => return Task::Wait(until),
        };
        let Some(way) = state.segments.way_to(from) else { return Task::Wait(None) };
        let end = state.segments.end_of(way.segment).min(state.visible);
        if is_again {
            let end = end.min(from.saturating_add(MOST_SKIPPED));
            return Task::Read(way, state.turn.again(from, end, now).take(most).collect());
        }
        let mut wanted = Vec::new();
        let mut next = from;
        while wanted.len() < most && next < end && next - from < MOST_SKIPPED {
            wanted.push(next);
            next = state.confirmed.next_open(next + 1);
        }
        Task::Read(way, wanted)
    }

    /// These entries are on their way; the source half goes on behind the last of them.
    pub(super) fn under_way(&self, entries: &[u64]) {
        self.state().turn.gave(entries);
    }

    /// Whether `entry` is confirmed.
    pub(super) fn is_confirmed(&self, entry: u64) -> bool {
        self.state().confirmed.covers(entry, entry + 1)
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
    /// The entries from `first` to `last`, as far as they are not confirmed, failed.
    fn failed(&mut self, first: u64, last: u64) {
        let now = Instant::now();
        let mut entry = self.confirmed.next_open(first);
        while entry <= last {
            let failures = self.turn.failed(entry, now);
            let is_quiet = self.complained.is_none_or(|last| now.duration_since(last) >= COMPLAINTS_APART);
            if failures >= MANY_FAILURES && is_quiet {
                self.complained = Some(now);
                tracing::warn!(
                    target: TARGET,
                    "entry {entry} of the log `{}` failed {failures} times and will be delivered again and again: \
                     until it is confirmed, the file that it lies in stays. Entries like this one: {}",
                    self.shown,
                    self.turn.open_retries(),
                );
            }
            entry = self.confirmed.next_open(entry + 1);
        }
    }
}

impl Listener for Shared {
    fn settled(&self, settlement: Settlement<'_>) {
        let mut guard = self.state();
        let state = &mut *guard;
        for pulls in settlement.pulls {
            match settlement.outcome {
                Outcome::Delivered { .. } | Outcome::Discarded => {
                    state.confirmed.add(pulls.first, pulls.last);
                    state.turn.confirmed(pulls.first, pulls.last);
                    state.segments.settled(pulls.first, pulls.last, &state.confirmed);
                    state.untidied += pulls.last - pulls.first + 1;
                }
                Outcome::Failed => state.failed(pulls.first, pulls.last),
                Outcome::Withheld => {}
            }
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
            let _has_ended = !self.send(job);
        }
        self.news.notify_one();
    }
}
