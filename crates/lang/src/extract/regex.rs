//! `re` and `rerg`: regular expressions (`spec/language-script.md` 9.3).

use super::{Example, Extractor, Kind, reach::Reach};
use crate::{eval::TEXT_SHARE, function::VALUES_PER_EVENT};
use ::regex::{Regex, RegexBuilder};
use regex_syntax::ParserBuilder;
use std::sync::Arc;
use tremor_value::{Record, Str, Value};

pub(super) const RE: Kind = Kind {
    name: "re",
    body: "regular expression",
    summary: "Matches a text in which the expression is found somewhere. The result is a record of the named groups that took part in \
              the first hit, `{}` if none has a name.",
    examples: &[
        Example { body: "(?P<k>[a-z]+)=(?P<v>\\d+)?", text: "x=1", result: Some(r#"{"k":"x","v":"1"}"#) },
        Example { body: "(?P<k>[a-z]+)=(?P<v>\\d+)?", text: "x=", result: Some(r#"{"k":"x"}"#) },
        Example { body: "b", text: "abc", result: Some("{}") },
        Example { body: "^b|d", text: "abc", result: None },
    ],
    contextual: false,
    compile: |body| Ok(Arc::new(First(Expression::new(body)?))),
};

pub(super) const RERG: Kind = Kind {
    name: "rerg",
    body: "regular expression",
    summary: "As `re`, with all hits: the result is a record with an array for each named group, of what it was in each hit in which \
              it took part. If the expression reads on so far behind its hits that the text would be read a hundred times over, or if \
              all hits are more than one event may copy, there is none.",
    examples: &[
        Example { body: "(?P<d>\\d)", text: "a1b2", result: Some(r#"{"d":["1","2"]}"#) },
        Example { body: "(?P<d>\\d)", text: "ab", result: None },
    ],
    contextual: false,
    compile: |body| Ok(Arc::new(All::new(body)?)),
};

/// What a compiled expression may take, in bytes.
const LARGEST: usize = 4 * 1024 * 1024;

/// What one thread keeps of the automaton of an expression, in bytes: more states than this are made again when they are needed.
const CACHE: usize = 1024 * 1024;

/// How deep groups and repetitions may be nested.
const NESTING: u32 = 100;

#[derive(Debug)]
struct Expression {
    regex: Regex,
    /// Numbers and names of the groups that have one.
    names: Box<[(usize, Str)]>,
}

impl Expression {
    fn new(body: &str) -> Result<Self, String> {
        let regex = compile(body)?;
        let groups = regex.capture_names().enumerate();
        let names = groups.filter_map(|(index, name)| Some((index, Str::from(name?)))).collect();
        Ok(Self { regex, names })
    }
}

/// A regular expression of bounded size.
///
/// # Errors
/// What is wrong with it.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    #[cfg(test)]
    tests::COMPILED.set(tests::COMPILED.get() + 1);
    let built =
        RegexBuilder::new(pattern).size_limit(LARGEST).dfa_size_limit(CACHE).nest_limit(NESTING).build();
    built.map_err(|error| match error {
        ::regex::Error::CompiledTooBig(_) => format!(
            "it is too large, more than {LARGEST} bytes when compiled; large numbers of repetitions, as in `{{1000}}`, are often the reason"
        ),
        error => fault(pattern).unwrap_or_else(|| error.to_string()),
    })
}

/// What is wrong with the pattern and where, in one line.
fn fault(pattern: &str) -> Option<String> {
    let parsed = ParserBuilder::new().nest_limit(NESTING).build().parse(pattern);
    let (what, span) = match parsed.err()? {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), *error.span()),
        regex_syntax::Error::Translate(error) => (error.kind().to_string(), *error.span()),
        _ => return None,
    };
    let marked = pattern.get(span.start.offset..span.end.offset).unwrap_or_default();
    let column = pattern.get(..span.start.offset).unwrap_or_default().chars().count() + 1;
    Some(if marked.is_empty() {
        format!("{what} (character {column})")
    } else {
        format!("{what} (`{marked}`, character {column})")
    })
}

#[derive(Debug)]
struct First(Expression);

impl Extractor for First {
    fn test(&self, text: &str) -> bool {
        self.0.regex.is_match(text)
    }

    fn extract(&self, text: &str, _: u64) -> Option<Value> {
        if self.0.names.is_empty() {
            return self.test(text).then(Value::record);
        }
        let hit = self.0.regex.captures(text)?;
        let named = self.0.names.iter().filter_map(|(index, name)| Some((name, hit.get(*index)?)));
        let record: Record = named.map(|(name, caught)| (name.clone(), caught.as_str())).collect();
        Some(Value::from(record))
    }
}

#[derive(Debug)]
struct All {
    expression: Expression,
    /// What keeps the time linear in the text; there is none without names, when one hit is enough.
    reach: Option<Reach>,
}

impl All {
    fn new(body: &str) -> Result<Self, String> {
        let expression = Expression::new(body)?;
        let reach = if expression.names.is_empty() { None } else { Some(Reach::new(body, LARGEST)?) };
        Ok(Self { expression, reach })
    }
}

impl Extractor for All {
    fn test(&self, text: &str) -> bool {
        self.expression.regex.is_match(text)
    }

    fn extract(&self, text: &str, _: u64) -> Option<Value> {
        self.collect(text, VALUES_PER_EVENT)
    }
}

impl All {
    /// All hits, if they cost no more than `room`, counted as the interpreter does.
    fn collect(&self, text: &str, mut room: usize) -> Option<Value> {
        let Some(reach) = &self.reach else { return self.test(text).then(Value::record) };
        let Expression { regex, names } = &self.expression;
        let mut found: Vec<Vec<Value>> = vec![Vec::new(); names.len()];
        let mut meter = reach.meter(text);
        let (mut at, mut last) = (0, None);
        while at <= text.len() {
            if !meter.may_search(at) {
                return None;
            }
            let Some(hit) = regex.captures_at(text, at) else { break };
            let whole = hit.get_match();
            let (start, end) = (whole.start(), whole.end());
            // An empty hit moves on by a character, and does not count right behind another hit.
            at = if start == end { end + char_len(text, end) } else { end };
            if start == end && last == Some(end) {
                continue;
            }
            last = Some(end);
            for ((index, _), values) in names.iter().zip(&mut found) {
                let Some(caught) = hit.get(*index) else { continue };
                room = room.checked_sub(1 + caught.len() / TEXT_SHARE)?;
                values.push(Value::from(caught.as_str()));
            }
        }
        last?;
        let record: Record = names.iter().map(|(_, name)| name.clone()).zip(found).collect();
        Some(Value::from(record))
    }
}

/// Bytes of the character at `at`; 1 at the end.
fn char_len(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::cell::Cell;

    thread_local! {
        /// Expressions compiled by this thread.
        pub(in crate::extract) static COMPILED: Cell<usize> = const { Cell::new(0) };
    }

    fn result(kind: &Kind, body: &str, text: &str) -> Option<String> {
        (kind.compile)(body).unwrap().extract(text, 0).map(|value| value.to_string())
    }

    #[test]
    fn groups_that_took_part() {
        let re = |body, text| result(&RE, body, text);
        assert_eq!(re("(?<a>x)|(?<b>y)", "zy").as_deref(), Some(r#"{"b":"y"}"#));
        assert_eq!(re("(x)(?P<a>y*)", "x").as_deref(), Some(r#"{"a":""}"#));
        assert_eq!(re("(x)", "axb").as_deref(), Some("{}"));
        assert_eq!(re("^x", "ax"), None);
        assert_eq!(re(r"(?<w>\w+)", "-é1-").as_deref(), Some(r#"{"w":"é1"}"#));
    }

    #[test]
    fn all_hits() {
        let rerg = |body, text| result(&RERG, body, text);
        assert_eq!(rerg("(?<a>x)|(?<b>y)", "xyx").as_deref(), Some(r#"{"a":["x","x"],"b":["y"]}"#));
        assert_eq!(rerg("(?<a>x)|(?<b>y)", "xx").as_deref(), Some(r#"{"a":["x","x"],"b":[]}"#));
        assert_eq!(rerg("x", "xx").as_deref(), Some("{}"));
        assert_eq!(rerg("(?<a>x)", "y"), None);
        assert_eq!(rerg("x", "y"), None);
        assert_eq!(rerg("(?<a>x*)", "axé").as_deref(), Some(r#"{"a":["","x",""]}"#));
    }

    #[test]
    fn more_than_may_be_copied_is_not_built() {
        let all = All::new("(?<x>a+)").unwrap();
        assert!(all.collect("a a a", 3).is_some());
        assert_eq!(all.collect("a a a", 2), None);
        assert_eq!(all.collect(&"a".repeat(64), 4), None);
    }

    #[test]
    fn a_text_that_is_read_over_and_over_gives_nothing() {
        let text = "a".repeat(1 << 17);
        assert_eq!(result(&RERG, "(?<x>a+b|a)", &text), None);
        assert!(result(&RERG, "(?<x>a)", &text).is_some_and(|all| all.len() > 4 << 17));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (body, part) in [
            ("a(b", "unclosed group (`(`, character 2)"),
            ("é[", "unclosed character class (`[`, character 2)"),
            ("a(?=b)", "look-around"),
            (r"(a)\1", "backreferences are not supported"),
            ("(?<a>x)(?<a>y)", "duplicate capture group name"),
            (r"\p{Nope}", "Unicode property not found"),
            (r"\w{1000}{1000}", "too large"),
            (&("(".repeat(200) + &")".repeat(200)), "nest"),
        ] {
            for kind in [RE, RERG] {
                let error = (kind.compile)(body).unwrap_err();
                assert!(error.contains(part) && !error.contains('\n'), "{error}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn hits_are_those_of_the_regex_crate(body in "[ab|*+?().\\^$é]{0,8}", text in "[abé\\n]{0,12}") {
            // Not so `a)(`, which would be taken apart.
            let whole = Regex::new(&body).is_ok();
            let body = format!("(?<x>{body})");
            if whole && let Ok(all) = All::new(&body) {
                let hits: Vec<Value> =
                    Regex::new(&body).unwrap().captures_iter(&text).map(|hit| Value::from(&hit["x"])).collect();
                let expected = (!hits.is_empty()).then(|| [("x", Value::from(hits))].into_iter().collect::<Record>());
                prop_assert_eq!(all.extract(&text, 0), expected.map(Value::from));
            }
        }
    }
}
