//! `re` and `rerg`: regular expressions (`spec/language-script.md` 9.3).

use super::{Example, Extractor, Kind, LOOK_SHARE, Matcher, reach::Reach};
use crate::{error::ErrorKind, eval::TEXT_SHARE, function::Context};
use regex_automata::{
    Input, PatternID,
    meta::{Config, Regex},
    util::captures::Captures,
};
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
    compile: |body| Ok(Arc::new(First(Groups::new(body)?))),
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

/// Bytes of text that cost as much as one value, if the text makes the automaton give up: then each byte takes long.
const SLOW_SHARE: usize = 8;

/// The same for an automaton of more than [`LARGE`] bytes.
const LARGE_SHARE: usize = 16;

const LARGE: usize = 256 * 1024;

/// A regular expression of bounded size.
#[derive(Debug)]
pub(super) struct Expression {
    regex: Regex,
    /// It has Unicode's word boundaries, which the fast automata know in ASCII only.
    words: bool,
    #[cfg(test)]
    source: String,
}

impl Expression {
    /// # Errors
    /// What is wrong with the pattern.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        #[cfg(test)]
        tests::COMPILED.set(tests::COMPILED.get() + 1);
        let parsed = ParserBuilder::new().nest_limit(NESTING).build().parse(pattern);
        let parsed = parsed.map_err(|error| fault(pattern, &error))?;
        let words = parsed.properties().look_set().contains_word_unicode();
        let config = Config::new().nfa_size_limit(Some(LARGEST)).hybrid_cache_capacity(CACHE);
        let built = Regex::builder().configure(config).build_from_hir(&parsed);
        let regex = built.map_err(|error| match error.size_limit() {
            Some(_) => format!(
                "it is too large, more than {LARGEST} bytes when compiled; large numbers of repetitions, as in `{{1000}}`, are often the \
                 reason"
            ),
            None => error.to_string(),
        })?;
        Ok(Self {
            regex,
            words,
            #[cfg(test)]
            source: pattern.to_owned(),
        })
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    #[cfg(test)]
    pub(super) fn source(&self) -> &str {
        &self.source
    }

    /// Where the first hit begins.
    pub(super) fn start(&self, text: &str) -> Option<usize> {
        self.regex.find(text).map(|hit| hit.start())
    }

    pub(super) fn weight(&self) -> usize {
        self.regex.memory_usage()
    }

    /// See [`Extractor::look`].
    pub(super) fn look(&self, text: &str) -> usize {
        let share = match () {
            () if self.words && !text.is_ascii() => SLOW_SHARE,
            () if self.weight() > LARGE => LARGE_SHARE,
            () => LOOK_SHARE,
        };
        text.len() / share + 1
    }
}

/// What is wrong with the pattern and where, in one line.
fn fault(pattern: &str, error: &regex_syntax::Error) -> String {
    let (what, span) = match error {
        regex_syntax::Error::Parse(error) => (error.kind().to_string(), *error.span()),
        regex_syntax::Error::Translate(error) => (error.kind().to_string(), *error.span()),
        error => return error.to_string(),
    };
    let marked = pattern.get(span.start.offset..span.end.offset).unwrap_or_default();
    let column = pattern.get(..span.start.offset).unwrap_or_default().chars().count() + 1;
    if marked.is_empty() {
        format!("{what} (character {column})")
    } else {
        format!("{what} (`{marked}`, character {column})")
    }
}

/// An expression and the groups of it that are asked for.
#[derive(Debug)]
struct Groups {
    expression: Expression,
    /// Numbers and names of the groups that have one.
    names: Box<[(usize, Str)]>,
}

impl Groups {
    fn new(body: &str) -> Result<Self, String> {
        let expression = Expression::new(body)?;
        let groups = expression.regex.group_info().pattern_names(PatternID::ZERO).enumerate();
        let names = groups.filter_map(|(index, name)| Some((index, Str::from(name?)))).collect();
        Ok(Self { expression, names })
    }

    /// Number, name and text of the groups that took part.
    fn caught<'c>(
        &'c self,
        hit: &'c Captures,
        text: &'c str,
    ) -> impl Iterator<Item = (usize, &'c Str, &'c str)> {
        let groups = self.names.iter().enumerate();
        groups.filter_map(|(at, (index, name))| Some((at, name, text.get(hit.get_group(*index)?.range())?)))
    }
}

#[derive(Debug)]
struct First(Groups);

impl Matcher for First {
    fn test(&self, text: &str) -> bool {
        self.0.expression.is_match(text)
    }

    fn extract(&self, text: &str, _: u64) -> Option<Value> {
        if self.0.names.is_empty() {
            return Matcher::test(self, text).then(Value::record);
        }
        let mut hit = self.0.expression.regex.create_captures();
        self.0.expression.regex.captures(text, &mut hit);
        if !hit.is_match() {
            return None;
        }
        let record: Record =
            self.0.caught(&hit, text).map(|(_, name, caught)| (name.clone(), caught)).collect();
        Some(Value::from(record))
    }

    fn look(&self, text: &str) -> usize {
        self.0.expression.look(text)
    }

    fn weight(&self) -> usize {
        self.0.expression.weight()
    }
}

#[derive(Debug)]
struct All {
    groups: Groups,
    /// What keeps the time linear in the text; there is none without names, when one hit is enough.
    reach: Option<Reach>,
}

impl All {
    fn new(body: &str) -> Result<Self, String> {
        let groups = Groups::new(body)?;
        let reach = if groups.names.is_empty() { None } else { Some(Reach::new(body, LARGEST)?) };
        Ok(Self { groups, reach })
    }
}

/// What a text in an array takes, in bytes: the array may have room for twice as many.
const PLACE: usize = 2 * size_of::<Value>();

/// Bytes of the longest text that needs no memory of its own.
const INLINE: usize = 15;

/// Pays for a text in an array. The measure are bytes, so that what is left to an event bounds the memory too.
fn pay_hit(caught: &str, context: &Context<'_>) -> Result<(), ErrorKind> {
    let own = if caught.len() <= INLINE { 0 } else { caught.len() + TEXT_SHARE };
    if context.pay((PLACE + own).div_ceil(TEXT_SHARE)) { Ok(()) } else { Err(context.too_much()) }
}

impl Extractor for All {
    fn test(&self, text: &str) -> Result<bool, ErrorKind> {
        Ok(self.groups.expression.is_match(text))
    }

    fn extract(&self, text: &str, context: &Context<'_>) -> Result<Option<Value>, ErrorKind> {
        let Some(reach) = &self.reach else { return Ok(self.test(text)?.then(Value::record)) };
        let regex = &self.groups.expression.regex;
        let mut found: Vec<Vec<Value>> = vec![Vec::new(); self.groups.names.len()];
        let mut meter = reach.meter(text, context);
        let mut hit = regex.create_captures();
        let (mut at, mut last) = (0, None);
        while at <= text.len() {
            meter.search(at)?;
            regex.search_captures(&Input::new(text).range(at..), &mut hit);
            let Some(whole) = hit.get_match() else { break };
            let (start, end) = (whole.start(), whole.end());
            // An empty hit moves on by a character, and does not count right behind another hit.
            at = if start == end { end + char_len(text, end) } else { end };
            if start == end && last == Some(end) {
                continue;
            }
            last = Some(end);
            for (group, _, caught) in self.groups.caught(&hit, text) {
                pay_hit(caught, context)?;
                found.get_mut(group).into_iter().for_each(|values| values.push(Value::from(caught)));
            }
        }
        if last.is_none() {
            return Ok(None);
        }
        let names = self.groups.names.iter().map(|(_, name)| name.clone());
        let record: Record = names.zip(found).collect();
        Ok(Some(Value::from(record)))
    }

    fn look(&self, text: &str) -> usize {
        self.groups.expression.look(text)
    }

    fn weight(&self) -> usize {
        self.groups.expression.weight() + self.reach.as_ref().map_or(0, Reach::weight)
    }
}

/// Bytes of the character at `at`; 1 at the end.
fn char_len(text: &str, at: usize) -> usize {
    text.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::extract::GaveUp;
    use ::regex::Regex;
    use proptest::prelude::*;
    use std::cell::Cell;

    thread_local! {
        /// Expressions compiled by this thread.
        pub(in crate::extract) static COMPILED: Cell<usize> = const { Cell::new(0) };
    }

    fn result(kind: &Kind, body: &str, text: &str) -> Option<String> {
        let context = Context::new(0, None, None);
        let result = (kind.compile)(body).unwrap().extract(text, &context).unwrap();
        result.map(|value| value.to_string())
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

    /// The result with so much left to the event, or the error.
    fn bounded(body: &str, text: &str, values: usize) -> Result<Option<Value>, ErrorKind> {
        All::new(body).unwrap().extract(text, &Context::new(0, None, None).with_values(values))
    }

    #[test]
    fn more_than_is_left_is_an_error_and_never_no_match() {
        assert!(bounded("(?<x>a+)", "a a a", 9).unwrap().is_some());
        assert!(matches!(bounded("(?<x>a+)", "a a a", 8), Err(ErrorKind::TooMuch { .. })));
        assert!(matches!(bounded("(?<x>a+)", &"a".repeat(64), 7), Err(ErrorKind::TooMuch { .. })));
        // What is left to an event bounds the memory: 96 MB at most would be kept here.
        let many = "a".repeat(1 << 20);
        assert!(matches!(bounded("(?<x>.)(?<y>)(?<z>)", &many, 1 << 20), Err(ErrorKind::TooMuch { .. })));
    }

    #[test]
    fn a_text_that_is_read_over_and_over_is_an_error() {
        let text = "a".repeat(1 << 17);
        let all = All::new("(?<x>a+b|a)").unwrap();
        let given_up = all.extract(&text, &Context::new(0, None, None)).unwrap_err();
        assert!(matches!(given_up, ErrorKind::GaveUp(GaveUp::RergReading { len: 0x2_0000 })), "{given_up:?}");
        // A few thousand bytes may be read as often as it takes.
        assert!(result(&RERG, "(?<x>a+b|a)", &text[..3_000]).is_some_and(|all| all.len() > 4 * 3_000));
        assert!(result(&RERG, "(?<x>a)", &text).is_some_and(|all| all.len() > 4 << 17));
    }

    #[test]
    fn looks_cost_more_where_automata_are_slow() {
        let look = |body: &str, text: &str| Expression::new(body).unwrap().look(text);
        assert_eq!(look(r"\bx", &"a".repeat(6_400)), 101);
        assert_eq!(look("x", &"é".repeat(3_200)), 101);
        assert_eq!(look(r"\bx", &"é".repeat(3_200)), 801);
        assert_eq!(look(r"\w{60}", &"a".repeat(6_400)), 401);
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
        fn hits_are_those_of_the_regex_crate(body in "[ab|*+?().\\^$é]{0,8}", text in "[abé\\n]{0,12}", times in prop_oneof![Just(1_usize), 2_usize..400]) {
            let text = text.repeat(times);
            // Not so `a)(`, which would be taken apart.
            let whole = Regex::new(&body).is_ok();
            let body = format!("(?<x>{body})");
            if whole && let Ok(all) = All::new(&body) {
                let hits: Vec<Value> =
                    Regex::new(&body).unwrap().captures_iter(&text).map(|hit| Value::from(&hit["x"])).collect();
                let expected = (!hits.is_empty()).then(|| [("x", Value::from(hits))].into_iter().collect::<Record>());
                let result = all.extract(&text, &Context::new(0, None, None)).unwrap();
                prop_assert_eq!(all.test(&text).unwrap(), result.is_some());
                prop_assert_eq!(result, expected.map(Value::from));
            }
        }
    }
}
