//! `grok`: regular expressions made of named patterns (`spec/language-script.md` 9.7).
//!
//! The named patterns need look-behind and atomic groups, so a backtracking engine runs them, after a first look in linear time
//! that leaves out what cannot match. It is bounded: by the length of the texts it goes back in and by the number of steps
//! back. What goes beyond is an error of the event, since it cannot be said whether it would match.

mod dialect;
mod expand;
mod library;
mod look;

use super::{Example, Extractor, GaveUp, Kind, regex::Expression};
use crate::{
    error::ErrorKind,
    eval::{TEXT_SHARE, pay_value},
    function::Context,
};
use expand::Expanded;
use fancy_regex::{Captures, Error, Regex, RegexBuilder};
use library::Library;
use look::FirstLook;
use std::{path::Path, sync::Arc};
use tremor_value::{Record, Str, Value};

pub(super) const GROK: Kind = Kind {
    name: "grok",
    body: "regular expression (Oniguruma style) with named patterns: `%{PATTERN}`, `%{PATTERN:alias}`",
    summary: "Matches a text in which the expression is found somewhere. The patterns are those customary for log lines; \
              `/etc/tremor/grok.patterns` adds to them and replaces them, with one `NAME regex` per line. The result is a record of the \
              texts that patterns with an alias and named groups `(?<name>…)` matched, all as texts; of equal names the last that took \
              part counts. As in Ruby `^` and `$` stand for lines, and `(?m)` lets `.` match line ends. Where it cannot be said \
              whether a text matches, because that takes more than 100 000 steps back, or because there are more than 32 KiB from where it \
              might match on and the expression needs going back (it has `^`, look-around or atomic groups), that is an error of that event.",
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

/// Bytes of the longest text that is gone back in. One step back may look at all of the text again, so steps alone do not
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
    first_look: FirstLook,
    /// Numbers and names of the groups whose text is kept.
    names: Box<[(usize, Str)]>,
}

impl Grok {
    /// Compiles a body with the built-in patterns and those of a file, if it exists.
    fn compile(body: &str, user_patterns: &Path) -> Result<Self, String> {
        let library = Library::with_file(user_patterns)?;
        let expanded = expand::expand(body, &library)?;
        let pattern = dialect::with_flags_of_the_engine(&expanded.regex);
        let regex = compile(&pattern).map_err(|error| fault(&error, &expanded))?;
        let groups = regex.capture_names().enumerate();
        let names =
            groups.filter_map(|(number, name)| Some((number, expanded.alias(name?).into()))).collect();
        Ok(Self { regex, first_look: FirstLook::new(&pattern), names })
    }

    /// From where on the text may match, if it may at all.
    fn start(&self, text: &str) -> Result<Option<usize>, GaveUp> {
        let start = match &self.first_look {
            FirstLook::Needless => return Ok(Some(0)),
            FirstLook::More(expression) => expression.start(text),
            FirstLook::Unknown => Some(0),
        };
        let Some(start) = start else { return Ok(None) };
        let len = text.len().saturating_sub(start);
        if len > LONGEST_TEXT { Err(GaveUp::GrokLength { len }) } else { Ok(Some(start)) }
    }

    fn find<'t>(&self, text: &'t str) -> Result<Option<Captures<'t, str>>, GaveUp> {
        let Some(start) = self.start(text)? else { return Ok(None) };
        // The only errors while it runs are those of its bounds.
        self.regex.captures_from_pos(text, start).map_err(|_| GaveUp::GrokSteps)
    }
}

fn compile(pattern: &str) -> Result<Regex, Error> {
    let mut builder = RegexBuilder::new(pattern);
    // In Oniguruma's dialect `^` and `$` always stand for lines, and groups without names capture only where none has one.
    builder.oniguruma_mode(true).multi_line(true).ignore_numbered_groups_when_named_groups_exist(true);
    builder.backtrack_limit(STEPS_BACK).max_prog_size(LARGEST_PROGRAM);
    builder.delegate_size_limit(LARGEST_PART).delegate_dfa_size_limit(LARGEST_CACHE);
    builder.build()
}

/// What is wrong with the expression and where.
fn fault(error: &Error, expanded: &Expanded) -> String {
    match error {
        Error::ParseError(at, reason) => format!("{reason} ({})", expanded.place(*at)),
        Error::CompileError(reason) => {
            format!("with all patterns inserted it is no regular expression: {reason}")
        }
        other => other.to_string(),
    }
}

impl Extractor for Grok {
    fn test(&self, text: &str) -> Result<bool, ErrorKind> {
        Ok(self.find(text)?.is_some())
    }

    fn extract(&self, text: &str, context: &Context<'_>) -> Result<Option<Value>, ErrorKind> {
        let Some(groups) = self.find(text)? else { return Ok(None) };
        let mut record = Record::default();
        for (number, name) in &self.names {
            if let Some(group) = groups.get(*number) {
                record.insert(name.clone(), group.as_str());
            }
        }
        let value = Value::from(record);
        pay_value(&value, context)?;
        Ok(Some(value))
    }

    fn look(&self, text: &str) -> usize {
        match &self.first_look {
            FirstLook::More(expression) => {
                expression.look(text).max(text.len().min(LONGEST_TEXT) / TEXT_SHARE)
            }
            FirstLook::Needless | FirstLook::Unknown => text.len() / TEXT_SHARE + 1,
        }
    }

    fn weight(&self) -> usize {
        // The engine does not say what it takes. It has about the same parts.
        match &self.first_look {
            FirstLook::More(expression) => 3 * expression.weight(),
            FirstLook::Needless | FirstLook::Unknown => {
                Expression::new(self.regex.as_str()).map_or(LARGEST_PART, |it| it.weight())
            }
        }
    }
}

#[cfg(test)]
mod tests;
