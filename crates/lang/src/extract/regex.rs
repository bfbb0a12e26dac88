//! `re` and `rerg`: regular expressions (`spec/language-script.md` 9.3).

use super::{Example, Extractor, Kind};
use regex::{Captures, Regex, RegexBuilder};
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
    summary: "As `re`, with all hits: the result is a record of arrays, which hold what each named group was in each hit in which it \
              took part.",
    examples: &[
        Example { body: "(?P<d>\\d)", text: "a1b2", result: Some(r#"{"d":["1","2"]}"#) },
        Example { body: "(?P<d>\\d)", text: "ab", result: None },
    ],
    contextual: false,
    compile: |body| Ok(Arc::new(All(Expression::new(body)?))),
};

/// What a compiled expression may take, in bytes.
const LARGEST: usize = 4 * 1024 * 1024;

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

    /// What the named groups caught in one hit.
    fn named<'e, 't>(&'e self, hit: &'e Captures<'t>) -> impl Iterator<Item = (&'e Str, &'t str)> {
        self.names.iter().filter_map(|(index, name)| Some((name, hit.get(*index)?.as_str())))
    }
}

/// A regular expression of bounded size.
pub(super) fn compile(pattern: &str) -> Result<Regex, String> {
    let built = RegexBuilder::new(pattern).size_limit(LARGEST).nest_limit(NESTING).build();
    built.map_err(|error| match error {
        regex::Error::CompiledTooBig(_) => {
            format!("it is too large when compiled, more than {LARGEST} bytes; large repetitions like `{{1000}}` are often the reason")
        }
        error => error.to_string(),
    })
}

#[derive(Debug)]
struct First(Expression);

impl Extractor for First {
    fn test(&self, text: &str) -> bool {
        self.0.regex.is_match(text)
    }

    fn extract(&self, text: &str, _: u64) -> Option<Value> {
        let mut record = Record::default();
        if self.0.names.is_empty() {
            return self.test(text).then(|| Value::from(record));
        }
        let hit = self.0.regex.captures(text)?;
        for (name, caught) in self.0.named(&hit) {
            record.insert(name.clone(), Value::from(caught));
        }
        Some(Value::from(record))
    }
}

#[derive(Debug)]
struct All(Expression);

impl Extractor for All {
    fn test(&self, text: &str) -> bool {
        self.0.regex.is_match(text)
    }

    fn extract(&self, text: &str, _: u64) -> Option<Value> {
        if self.0.names.is_empty() {
            return self.test(text).then(Value::record);
        }
        let mut found: Vec<Vec<Value>> = vec![Vec::new(); self.0.names.len()];
        let mut any = false;
        for hit in self.0.regex.captures_iter(text) {
            any = true;
            for ((index, _), values) in self.0.names.iter().zip(&mut found) {
                values.extend(hit.get(*index).map(|caught| Value::from(caught.as_str())));
            }
        }
        let names = self.0.names.iter().map(|(_, name)| name.clone());
        let record: Record = names.zip(found).map(|(name, values)| (name, Value::from(values))).collect();
        any.then(|| Value::from(record))
    }
}
