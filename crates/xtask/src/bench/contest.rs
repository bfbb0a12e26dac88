//! What a case is: two sides that are measured in turn, and an aim for what comes of comparing them.

use super::Bench;
use crate::error::Result;

/// A line of the table before it is measured.
pub(super) struct Case {
    /// What `--case` calls it.
    pub(super) name: &'static str,
    /// What ours does.
    pub(super) what: &'static str,
    /// What the reference does.
    pub(super) reference: &'static str,
    /// Unit of the figures of both sides.
    pub(super) unit: &'static str,
    pub(super) aim: Aim,
    /// Samples of each side when nobody asks for another number.
    pub(super) runs: u32,
    /// Writes the files and checks once that the result is right.
    pub(super) prepare: fn(&Bench) -> Result<Box<dyn Contest>>,
}

impl Case {
    /// Whether `word` names this case or the group that it belongs to.
    pub(super) fn answers_to(&self, word: &str) -> bool {
        self.name == word || self.name.split(' ').next() == Some(word)
    }
}

/// The two sides of a case. The caller takes samples of both in turn, so that what else happens on the
/// machine meets both. A side starts its own process for every sample and leaves none behind.
pub(super) trait Contest {
    /// One sample of the program under test.
    fn ours(&mut self, bench: &Bench) -> Result<Sample>;
    /// One sample of the reference.
    fn reference(&mut self, bench: &Bench) -> Result<Sample>;
}

/// One figure, in the unit of its case, and what was seen beside it.
#[derive(Debug, Clone, Default)]
pub(super) struct Sample {
    pub(super) value: f64,
    /// Name with unit, and figure.
    pub(super) details: Vec<(&'static str, f64)>,
}

/// How the sides are compared, and what is hoped for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Aim {
    /// More is better: the best sample of ours is at least so many times the best of the reference.
    AtLeastTimes(f64),
    /// Less is better: the least sample of ours is at most so many times the least of the reference.
    AtMostTimes(f64),
    /// Less is better: the median of ours is at most so much (in the case's unit) above the reference's.
    AtMostMore(f64),
    /// Less is better: the median of ours is at most so much (in the case's unit), whatever the reference's.
    Within(f64),
}

/// What comes of comparing two series of samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Verdict {
    pub(super) ours: f64,
    pub(super) reference: f64,
    /// A difference for [`Aim::AtMostMore`], otherwise a ratio.
    pub(super) compared: f64,
    pub(super) met: bool,
}

impl Aim {
    /// Reduces both series to one figure each and compares them; `None` without samples.
    pub(super) fn judge(self, ours: &[Sample], reference: &[Sample]) -> Option<Verdict> {
        let (ours, reference) = (self.representative(ours)?.value, self.representative(reference)?.value);
        let (compared, met) = match self {
            Self::AtLeastTimes(aim) => (ours / reference, ours / reference >= aim),
            Self::AtMostTimes(aim) => (ours / reference, ours / reference <= aim),
            Self::AtMostMore(aim) => (ours - reference, ours - reference <= aim),
            Self::Within(aim) => (ours / reference, ours <= aim),
        };
        Some(Verdict { ours, reference, compared, met })
    }

    /// The sample that stands for the series: the best where sides are compared by a ratio, since what
    /// else happens on the machine only makes a sample worse; the (upper) median where the figure itself
    /// counts.
    pub(super) fn representative(self, samples: &[Sample]) -> Option<&Sample> {
        match self {
            Self::AtLeastTimes(_) => samples.iter().max_by(|a, b| a.value.total_cmp(&b.value)),
            Self::AtMostTimes(_) => samples.iter().min_by(|a, b| a.value.total_cmp(&b.value)),
            Self::AtMostMore(_) | Self::Within(_) => {
                let mut sorted: Vec<_> = samples.iter().collect();
                sorted.sort_by(|a, b| a.value.total_cmp(&b.value));
                sorted.get(sorted.len() / 2).copied()
            }
        }
    }
}
