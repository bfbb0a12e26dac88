//! How far the searches of `rerg` read.
//!
//! One search reads each byte at most once. But it may read far behind the hit that it finds, as `a+b|a` does in a
//! text of many `a`; the next one begins right behind that hit, and so all hits together take time that is quadratic in the
//! text. What a search reads is therefore measured before it is made, by walking the automaton until it is dead, once
//! the text might have been read more often than [`TIMES`]. It is also paid for, so that long texts are not read so often.

use super::GaveUp;
use crate::{error::ErrorKind, eval::TEXT_SHARE, function::Context};
use regex_automata::{
    Anchored, Input, MatchKind,
    hybrid::dfa::{Cache, Config, DFA},
    nfa::thompson,
};

/// How often the text may be read in all.
const TIMES: usize = 64;

/// What may be read in any case, in bytes.
const ALWAYS: usize = 8 * 1024 * 1024;

/// Bytes of the longest text in which the first [`TIMES`] searches are not measured.
const SHORT: usize = 64 * 1024;

/// What may be read where that cannot be measured, in bytes: an automaton does not know Unicode's word boundaries, so it
/// gives up at letters beyond ASCII.
const UNMEASURED: usize = 256 * 1024 * 1024;

/// The automaton of an expression.
#[derive(Debug)]
pub(super) struct Reach {
    dfa: DFA,
}

impl Reach {
    /// # Errors
    /// What is wrong with the pattern; there is none if it is fine as a regular expression and smaller than `largest` bytes.
    pub(super) fn new(pattern: &str, largest: usize) -> Result<Self, String> {
        let config = Config::new()
            .match_kind(MatchKind::LeftmostFirst)
            .unicode_word_boundary(true)
            .skip_cache_capacity_check(true);
        let thompson = thompson::Config::new().nfa_size_limit(Some(largest));
        let built = DFA::builder().configure(config).thompson(thompson).build(pattern);
        built.map(|dfa| Self { dfa }).map_err(|error| error.to_string())
    }

    /// Bytes that this takes.
    pub(super) fn weight(&self) -> usize {
        self.dfa.memory_usage() + self.dfa.get_nfa().memory_usage()
    }

    /// A meter for the searches in one text.
    pub(super) fn meter<'r>(&'r self, text: &'r str, context: &'r Context<'r>) -> Meter<'r> {
        let left = text.len().saturating_mul(TIMES).max(ALWAYS);
        let free = if text.len() <= SHORT { TIMES } else { 1 };
        Meter { dfa: &self.dfa, text, context, free, cache: None, left, unmeasured: UNMEASURED, unpaid: 0 }
    }
}

/// Counts what the searches in one text read.
pub(super) struct Meter<'r> {
    dfa: &'r DFA,
    text: &'r str,
    context: &'r Context<'r>,
    /// Searches that are not measured.
    free: usize,
    cache: Option<Cache>,
    /// Bytes that may still be read.
    left: usize,
    unmeasured: usize,
    /// Bytes that were read and are not paid for yet.
    unpaid: usize,
}

impl Meter<'_> {
    /// Takes a search that begins at `at` from what is left.
    ///
    /// # Errors
    /// It would read more than that.
    pub(super) fn search(&mut self, at: usize) -> Result<(), ErrorKind> {
        if let Some(free) = self.free.checked_sub(1) {
            // None of them reads more than the text.
            self.free = free;
            return Ok(());
        }
        let measured = self.walk(at).is_some();
        if !measured {
            let rest = self.text.len().saturating_sub(at);
            self.unmeasured = self.unmeasured.saturating_sub(rest);
            self.unpaid += rest;
        }
        let (cost, rest) = (self.unpaid / TEXT_SHARE, self.unpaid % TEXT_SHARE);
        self.unpaid = rest;
        if !self.context.pay(cost) {
            return Err(self.context.too_much());
        }
        let left = if measured { self.left } else { self.unmeasured };
        if left > 0 { Ok(()) } else { Err(GaveUp::RergReading { len: self.text.len() }.into()) }
    }

    /// Goes where a search would go; `None` if that cannot be said.
    fn walk(&mut self, at: usize) -> Option<()> {
        let cache = self.cache.get_or_insert_with(|| self.dfa.create_cache());
        let input = Input::new(self.text).range(at..).anchored(Anchored::No);
        let mut state = self.dfa.start_state_forward(cache, &input).ok()?;
        for byte in self.text.as_bytes().get(at..)? {
            state = self.dfa.next_state(cache, state, *byte).ok()?;
            if state.is_quit() {
                return None;
            }
            if state.is_dead() || self.left == 0 {
                return Some(());
            }
            self.left -= 1;
            self.unpaid += 1;
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of `searches` searches, each a byte further on, are allowed.
    fn allowed(pattern: &str, text: &str, searches: usize) -> usize {
        let reach = Reach::new(pattern, 1 << 20).unwrap();
        let context = Context::new(0, None, None);
        let mut meter = reach.meter(text, &context);
        (0..searches).take_while(|at| meter.search(*at).is_ok()).count()
    }

    #[test]
    fn reading_on_is_bounded_and_short_searches_are_not() {
        let text = "a".repeat(200_000);
        assert_eq!(allowed("a", &text, 200_000), 200_000);
        let greedy = allowed("a+b|a", &text, 200_000);
        assert!((TIMES..4 * TIMES).contains(&greedy), "{greedy}");
        // In a short text all of it may be read from everywhere.
        assert_eq!(allowed("a+b|a", &text[..4_000], 4_000), 4_000);
    }

    #[test]
    fn reading_is_paid_for() {
        let reach = Reach::new("a+b|a", 1 << 20).unwrap();
        let text = "a".repeat(160_000);
        let context = Context::new(0, None, None).with_values(25_000);
        let mut meter = reach.meter(&text, &context);
        // The first is not measured.
        let results: Vec<bool> = (0..4).map(|at| meter.search(at).is_ok()).collect();
        assert_eq!(results, [true, true, true, false]);
    }

    #[test]
    fn what_can_not_be_measured_has_a_bound_too() {
        let text = "é".repeat(50_000);
        assert_eq!(allowed(r"\bé", "é é é", 5), 5);
        let greedy = allowed(r"\b.|\b", &text, 100_000);
        assert!((1_000..10_000).contains(&greedy), "{greedy}");
    }
}
