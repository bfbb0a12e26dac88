//! `grok`: regular expressions made of named patterns (`spec/language-script.md` 9.7).
//!
//! The named patterns need look-behind and atomic groups, so a backtracking engine runs them. That is bounded: by the length of
//! the texts it looks at and by the number of steps back. What goes beyond does not match.

mod expand;
mod library;

use super::{Example, Extractor, Kind};
use expand::Expanded;
use fancy_regex::{Regex, RegexBuilder};
use library::Library;
use std::{path::Path, sync::Arc};
use tremor_value::{Record, Str, Value};

pub(super) const GROK: Kind = Kind {
    name: "grok",
    body: "regular expression (Oniguruma style) with named patterns: `%{PATTERN}`, `%{PATTERN:alias}`",
    summary: "Matches a text in which the expression is found somewhere. The patterns are those customary for log lines; \
              `/etc/tremor/grok.patterns` adds to them and replaces them, with one `NAME regex` per line. The result is a record of the \
              texts that patterns with an alias and named groups `(?<name>…)` matched; of equal names the last that took part \
              counts. A text of more than 32 KiB, or one that takes more than 100 000 steps back, does not match.",
    examples: &[
        Example {
            body: "%{IP:ip} %{WORD:verb}",
            text: "10.0.0.1 GET /",
            result: Some(r#"{"ip":"10.0.0.1","verb":"GET"}"#),
        },
        Example {
            body: "%{LOGLEVEL:level}: (?<text>.*)",
            text: "12:00 WARN: disk full",
            result: Some(r#"{"level":"WARN","text":"disk full"}"#),
        },
        Example { body: "^%{INT:number}$", text: "seven", result: None },
    ],
    contextual: false,
    compile: |body| Ok(Arc::new(Grok::compile(body, Path::new(USER_PATTERNS))?)),
};

/// Where users put patterns of their own.
const USER_PATTERNS: &str = "/etc/tremor/grok.patterns";

/// Bytes of the longest text that is looked at. One step back may look at all of the text again, so steps alone do not
/// bound the time.
pub(crate) const LONGEST_TEXT: usize = 32 * 1024;

/// How often one text may be gone back in.
pub(crate) const STEPS_BACK: usize = 100_000;

/// What the parts of a compiled expression may take, in bytes each. Those of the built-in patterns take half of it.
const LARGEST_PART: usize = 2 * 1024 * 1024;

/// What each part may keep of the states that it met, in bytes.
const LARGEST_CACHE: usize = 1024 * 1024;

/// Instructions of a compiled expression.
const LARGEST_PROGRAM: usize = 50_000;

#[derive(Debug)]
struct Grok {
    regex: Regex,
    /// Numbers and names of the groups whose text is kept.
    names: Box<[(usize, Str)]>,
}

impl Grok {
    /// Compiles a body with the built-in patterns and those of a file, if it exists.
    fn compile(body: &str, user_patterns: &Path) -> Result<Self, String> {
        let library = Library::with_file(user_patterns)?;
        let expanded = expand::expand(body, &library)?;
        let regex = compile(&expanded)?;
        let groups = regex.capture_names().enumerate();
        let names =
            groups.filter_map(|(number, name)| Some((number, expanded.alias(name?).into()))).collect();
        Ok(Self { regex, names })
    }
}

fn compile(expanded: &Expanded) -> Result<Regex, String> {
    let mut builder = RegexBuilder::new(&expanded.regex);
    // In Oniguruma's dialect `^` and `$` always stand for lines, and groups without names capture only where none has one.
    builder.oniguruma_mode(true).multi_line(true).ignore_numbered_groups_when_named_groups_exist(true);
    builder.backtrack_limit(STEPS_BACK).max_prog_size(LARGEST_PROGRAM);
    builder.delegate_size_limit(LARGEST_PART).delegate_dfa_size_limit(LARGEST_CACHE);
    builder
        .build()
        .map_err(|error| format!("with all patterns inserted it is no regular expression: {error}"))
}

impl Extractor for Grok {
    fn test(&self, text: &str) -> bool {
        text.len() <= LONGEST_TEXT && self.regex.is_match(text).unwrap_or(false)
    }

    fn extract(&self, text: &str, _ingest_ns: u64) -> Option<Value> {
        if self.names.is_empty() {
            return self.test(text).then(Value::record);
        }
        if text.len() > LONGEST_TEXT {
            return None;
        }
        let groups = self.regex.captures(text).ok()??;
        let mut record = Record::default();
        for (number, name) in &self.names {
            if let Some(group) = groups.get(*number) {
                record.insert(name.clone(), group.as_str());
            }
        }
        Some(record.into())
    }
}

#[cfg(test)]
mod tests;
