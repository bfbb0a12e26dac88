//! "Did you mean": the nearest of several known names.

/// Damerau-Levenshtein distance of two names.
#[must_use]
pub fn distance(a: &str, b: &str) -> usize {
    strsim::damerau_levenshtein(a, b)
}

/// The candidate nearest to `name`, if it is at most `max` edits away. The first of equally near ones wins.
/// A distance that would replace the whole of a short name does not count.
pub fn closest_within<'a, I>(name: &str, candidates: I, max: usize) -> Option<&'a str>
where
    I: IntoIterator<Item = &'a str>,
{
    // Comparing is quadratic in the lengths, and nobody mistypes a name of this size.
    const LONGEST: usize = 128;
    let length = name.chars().take(LONGEST + 1).count();
    if length > LONGEST {
        return None;
    }
    candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(name.len()) <= 4 * max)
        .map(|candidate| (distance(name, candidate), candidate))
        .filter(|(distance, _)| *distance <= max && *distance < length.max(1))
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The candidate nearest to `name`, at most three edits away (two for names of up to five characters).
pub fn closest<'a, I>(name: &str, candidates: I) -> Option<&'a str>
where
    I: IntoIterator<Item = &'a str>,
{
    closest_within(name, candidates, if name.chars().take(6).count() > 5 { 3 } else { 2 })
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
        assert_eq!(did_you_mean("lne", ["len", "line"]).as_deref(), Some("Did you mean `len`?"));
        assert_eq!(closest(&"x".repeat(100_000), ["len"]), None);
    }
}
