//! What programs may not exceed, in one list for the reference.

use crate::{compiler::RECURSION_LIMIT, eval, extract, function, lower, ops};

/// Something that is bounded, so that no source and no event costs time or memory without end.
#[derive(Clone, Copy, Debug)]
pub struct Limit {
    /// What is counted.
    pub what: &'static str,
    /// How many there may be.
    pub most: u64,
}

/// All limits of the language that are fixed numbers, and the defaults of those that can be set.
#[must_use]
pub fn limits() -> Vec<Limit> {
    let wide = |most: usize| u64::try_from(most).unwrap_or(u64::MAX);
    let limit = |what, most| Limit { what, most };
    vec![
        limit("Calls of functions and rounds of `for` for one event", function::STEPS_PER_EVENT.into()),
        limit(
            "Values that are copied into others, compared, written as text, or looked at and made by extractors, for one event. Nested values count one by one, \
             text counts one for every 16 bytes, and one for every 64 that an extractor only looks at (for every 8 if an expression \
             with `\\b` meets letters beyond ASCII, for every 16 by `grok` and by very large expressions; a hit of `rerg` counts three and its text). What is changed where it stands (`let x = patch x of … end`, \
             `let x = merge x of … end`, `let x = x + …`) counts only what is added, unless another name holds it too",
            wide(function::VALUES_PER_EVENT),
        ),
        limit(
            "Rounds of a function that calls itself with `recur`, the first included",
            RECURSION_LIMIT.get().into(),
        ),
        limit("Bytes of a text that `+` makes", wide(ops::LONGEST_TEXT)),
        limit("Items of an array that `+` makes", wide(ops::LONGEST_ARRAY)),
        limit("Levels of nesting of a value that a script makes of others", wide(eval::VALUE_DEPTH)),
        limit(
            "Bytes of a text that `grok` goes back in, from where it might match on",
            wide(extract::LONGEST_GROK_TEXT),
        ),
        limit("Steps back of `grok` in one text", wide(extract::GROK_STEPS_BACK)),
        limit("Bytes that the extractors of one program take together", wide(extract::LARGEST_TOGETHER)),
        limit("Levels of nesting of a source, with all functions it calls", lower::DEPTH.into()),
    ]
}
