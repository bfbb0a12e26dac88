//! "Did you mean": the nearest of several known names.

/// Damerau-Levenshtein distance of two names.
#[must_use]
pub fn distance(a: &str, b: &str) -> usize {
    strsim::damerau_levenshtein(a, b)
}

/// The candidate nearest to `name`, if it is at most `max` edits away. Of equally near ones
/// one counts most that has but letters more, then the alphabet decides: the order in which a table gives its names does
/// not matter. A distance that would replace the whole of a short name does not count.
pub fn closest_within<'a, I>(name: &str, candidates: I, max: usize) -> Option<&'a str>
where
    I: IntoIterator<Item = &'a str>,
{
    let length = length(name)?;
    candidates
        .into_iter()
        .filter_map(|candidate| {
            let edits = edits(name, length, candidate, max)?;
            Some((edits, !is_short_for(name, length, candidate), candidate))
        })
        .min()
        .map(|(_, _, candidate)| candidate)
}

/// The candidate nearest to `name`: at most three edits away (two for names of up to five characters), else the
/// shortest one that `name` is a short form of, as `uper` is of `uppercase`.
pub fn closest<'a, I>(name: &str, candidates: I) -> Option<&'a str>
where
    I: IntoIterator<Item = &'a str>,
{
    let length = length(name)?;
    let max = if length > 5 { 3 } else { 2 };
    let rank = |candidate: &'a str| {
        let is_short = is_short_for(name, length, candidate);
        match edits(name, length, candidate, max) {
            Some(edits) => Some(((false, edits, !is_short), candidate)),
            None => is_short.then_some(((true, candidate.len(), false), candidate)),
        }
    };
    candidates.into_iter().filter_map(rank).min().map(|(_, candidate)| candidate)
}

/// Edits from `name`, of `length` characters, to `candidate`, if they are at most `max` and fewer than `length`.
fn edits(name: &str, length: usize, candidate: &str, max: usize) -> Option<usize> {
    if candidate.len().abs_diff(name.len()) > 4 * max {
        return None;
    }
    Some(distance(name, candidate)).filter(|edits| *edits <= max && *edits < length.max(1))
}

/// Number of characters of a name; `None` for one that nobody mistypes. Comparing is quadratic in the lengths.
fn length(name: &str) -> Option<usize> {
    const LONGEST: usize = 128;
    Some(name.chars().take(LONGEST + 1).count()).filter(|length| *length <= LONGEST)
}

/// `name` has three characters or more, begins like `candidate`, which is at most three times as long, and has no
/// characters that do not follow in `candidate` in this order.
fn is_short_for(name: &str, length: usize, candidate: &str) -> bool {
    let mut rest = candidate.chars();
    length >= 3
        && candidate.len() <= 3 * name.len()
        && name.chars().next() == candidate.chars().next()
        && name.chars().all(|wanted| rest.any(|found| found == wanted))
}

/// The question that goes into a hint, when a candidate is near enough (see [`closest`]).
pub fn did_you_mean<'a, I>(name: &str, candidates: I) -> Option<String>
where
    I: IntoIterator<Item = &'a str>,
{
    closest(name, candidates).map(|candidate| format!("Did you mean `{candidate}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_wins() {
        assert_eq!(closest("strng", ["json", "string", "strong"]), Some("string"));
        assert_eq!(closest("connectr", ["connector", "connect"]), Some("connector"));
        assert_eq!(closest("xy", ["ab", "json"]), None);
        assert_eq!(closest("", ["a"]), None);
        assert_eq!(closest("ab", ["ac", "abd", "abc"]), Some("abc"), "the alphabet decides");
        assert_eq!(did_you_mean("lne", ["len", "one"]).as_deref(), Some("Did you mean `len`?"));
        assert_eq!(closest(&"x".repeat(100_000), ["len"]), None);
    }

    #[test]
    fn a_short_form_counts_when_nothing_is_near() {
        assert_eq!(closest("uper", ["uppercase_all", "uppercase", "lowercase"]), Some("uppercase"));
        assert_eq!(closest("strn", ["strongly_named", "stern"]), Some("stern"), "an edit is nearer");
        assert_eq!(closest("per", ["uppercase"]), None, "it does not begin like it");
        assert_eq!(closest("up", ["uppercase"]), None, "two letters say too little");
        assert_eq!(closest("sbb", ["substrings"]), None);
        assert_eq!(closest(&"x".repeat(100_000), [&*"x".repeat(200_000)]), None);
    }
}
