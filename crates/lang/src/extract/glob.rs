//! `glob`: what a shell would match (`spec/language-script.md` 9.2).

use super::{Example, Kind, Matcher, look_at_all, regex::Expression};
use memchr::memmem::Finder;
use std::sync::Arc;
use tremor_value::Value;

pub(super) const GLOB: Kind = Kind {
    name: "glob",
    body: "pattern as in a shell",
    summary: "Matches the whole text: `*` is any run of characters, `?` any character, `[abc]` one of these, `[a-z]` one between, `[!a]` \
              none of these. `**` as a whole component of a path is any number of components. A special character in brackets stands \
              for itself: `[*]`. All else is literal, braces and `^` too: `{a,b}` is these five characters, `[^a]` one of `^` and `a`. The result is `true`.",
    examples: &[
        Example { body: "c?t*", text: "cats", result: Some("true") },
        Example { body: "*.example.org", text: "www.example.org", result: Some("true") },
        Example { body: "a/**/b", text: "a/b", result: Some("true") },
        Example { body: "[!a]*", text: "abc", result: None },
    ],
    contextual: false,
    compile: |body| Ok(Arc::new(Glob::new(body)?)),
};

/// A compiled glob. Most have no special character but `*` and need no regular expression.
#[derive(Debug)]
enum Glob {
    /// No `*` at all.
    Exactly(Box<str>),
    Stars(Stars),
    Regex(Expression),
}

/// Plain texts with a `*` between each two: `prefix*…*suffix`.
#[derive(Debug)]
struct Stars {
    prefix: Box<str>,
    /// What has to be found in between, in this order.
    middle: Box<[Finder<'static>]>,
    suffix: Box<str>,
}

impl Stars {
    fn new(texts: &[String]) -> Option<Self> {
        let (prefix, rest) = texts.split_first()?;
        let (suffix, middle) = rest.split_last()?;
        let middle = middle.iter().filter(|text| !text.is_empty());
        let middle = middle.map(|text| Finder::new(text).into_owned()).collect();
        Some(Self { prefix: prefix.as_str().into(), middle, suffix: suffix.as_str().into() })
    }

    /// Taking each text where it comes first leaves the most room for those behind it, so one pass is enough.
    fn matches(&self, text: &str) -> bool {
        let Some(rest) = text.strip_prefix(&*self.prefix) else { return false };
        let Some(rest) = rest.strip_suffix(&*self.suffix) else { return false };
        let mut rest = rest.as_bytes();
        self.middle.iter().all(|finder| {
            let after = finder.find(rest).and_then(|at| rest.get(at + finder.needle().len()..));
            after.is_some_and(|after| {
                rest = after;
                true
            })
        })
    }
}

/// Whatever the glob, its translation is a regular expression.
const TOO_LARGE: &str = "it is too large, it has thousands of `?` or `[…]`";

/// A piece of a glob.
#[derive(Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`
    One,
    /// `*`
    Run,
    /// `**/`: any number of components, each with its `/`.
    Components,
    /// `[…]`: ranges of characters, both ends included.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

impl Glob {
    fn new(body: &str) -> Result<Self, String> {
        let tokens = tokens(body)?;
        let mut texts = vec![String::new()];
        for token in &tokens {
            match token {
                Token::Char(c) => texts.iter_mut().next_back().into_iter().for_each(|text| text.push(*c)),
                Token::Run => texts.push(String::new()),
                Token::One | Token::Components | Token::Class { .. } => {
                    let regex = Expression::new(&pattern(&tokens));
                    return regex.map(Self::Regex).map_err(|_| TOO_LARGE.to_owned());
                }
            }
        }
        match Stars::new(&texts) {
            Some(stars) => Ok(Self::Stars(stars)),
            None => Ok(Self::Exactly(texts.concat().into())),
        }
    }
}

impl Matcher for Glob {
    fn test(&self, text: &str) -> bool {
        match self {
            Self::Exactly(expected) => **expected == *text,
            Self::Stars(stars) => stars.matches(text),
            Self::Regex(regex) => regex.is_match(text),
        }
    }

    fn extract(&self, text: &str, _: u64) -> Option<Value> {
        self.test(text).then_some(Value::Bool(true))
    }

    fn look(&self, text: &str) -> usize {
        match self {
            Self::Exactly(_) => 1,
            Self::Stars(stars) if stars.middle.is_empty() => 1,
            Self::Stars(_) => look_at_all(text),
            Self::Regex(regex) => regex.look(text),
        }
    }

    fn weight(&self) -> usize {
        match self {
            Self::Exactly(_) | Self::Stars(_) => 0,
            Self::Regex(regex) => regex.weight(),
        }
    }
}

fn tokens(body: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut rest = body;
    // At the start of a component of a path.
    let mut component = true;
    while let Some(c) = rest.chars().next() {
        let (token, len) = match c {
            '*' => stars(rest, component)?,
            '?' => (Token::One, 1),
            '[' => class(rest)?,
            c => (Token::Char(c), c.len_utf8()),
        };
        component = matches!(token, Token::Char('/') | Token::Components);
        // Several in a row are as one.
        let repeated = matches!(token, Token::Run | Token::Components) && tokens.last() == Some(&token);
        if !repeated {
            tokens.push(token);
        }
        rest = rest.get(len..).unwrap_or_default();
    }
    Ok(tokens)
}

/// The stars at the start of `rest`, and the bytes that they take.
fn stars(rest: &str, component: bool) -> Result<(Token, usize), String> {
    let after = rest.trim_start_matches('*');
    match rest.len() - after.len() {
        1 => Ok((Token::Run, 1)),
        2 if component && after.is_empty() => Ok((Token::Run, 2)),
        2 if component && after.starts_with('/') => Ok((Token::Components, 3)),
        2 => Err("`**` has to be a whole component of a path, as in `**/x` or `a/**/b`; for any run of characters write `*`".to_owned()),
        _ => Err("there is no `***`; for any run of characters write `*`".to_owned()),
    }
}

/// The class at the start of `rest`, and the bytes that it takes.
fn class(rest: &str) -> Result<(Token, usize), String> {
    let open = || "a `[` is not closed; for the character itself write `[[]`".to_owned();
    let inner = rest.strip_prefix('[').unwrap_or_default();
    let (negated, inner) = inner.strip_prefix('!').map_or((false, inner), |inner| (true, inner));
    let first = inner.chars().next().ok_or_else(open)?.len_utf8();
    // A bracket in front stands for itself.
    let end = first + inner.get(first..).and_then(|inner| inner.find(']')).ok_or_else(open)?;
    let members: Vec<char> = inner.get(..end).unwrap_or_default().chars().collect();
    let mut ranges = Vec::new();
    let mut members = members.as_slice();
    loop {
        members = match *members {
            [from, '-', to, ref after @ ..] => {
                if from > to {
                    return Err(format!("the range `{from}-{to}` runs backwards; write `{to}-{from}`"));
                }
                ranges.push((from, to));
                after
            }
            [one, ref after @ ..] => {
                ranges.push((one, one));
                after
            }
            [] => break,
        };
    }
    let len = 1 + usize::from(negated) + end + 1;
    Ok((Token::Class { negated, ranges }, len))
}

/// The same as a regular expression, open where the glob begins or ends with a star.
fn pattern(tokens: &[Token]) -> String {
    let (start, tokens) = match tokens {
        [Token::Run, rest @ ..] => ("(?s)", rest),
        all => (r"(?s)\A", all),
    };
    let (tokens, end) = match tokens {
        [rest @ .., Token::Run] => (rest, ""),
        all => (all, r"\z"),
    };
    let mut pattern = start.to_owned();
    for token in tokens {
        match token {
            Token::Char(c) => push_char(*c, &mut pattern),
            Token::One => pattern.push('.'),
            Token::Run => pattern.push_str(".*"),
            Token::Components => pattern.push_str("(?:.*/)?"),
            Token::Class { negated, ranges } => {
                pattern.push_str(if *negated { "[^" } else { "[" });
                for (from, to) in ranges {
                    push_char(*from, &mut pattern);
                    pattern.push('-');
                    push_char(*to, &mut pattern);
                }
                pattern.push(']');
            }
        }
    }
    pattern + end
}

fn push_char(c: char, pattern: &mut String) {
    if c.is_alphanumeric() {
        pattern.push(c);
    } else {
        pattern.push_str(&format!("\\x{{{:x}}}", u32::from(c)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What the tokens mean, tried out.
    fn matches(tokens: &[Token], text: &[char]) -> bool {
        let Some((token, rest)) = tokens.split_first() else { return text.is_empty() };
        let one = |holds: &dyn Fn(char) -> bool| match text.split_first() {
            Some((c, after)) => holds(*c) && matches(rest, after),
            None => false,
        };
        match token {
            Token::Char(expected) => one(&|c| c == *expected),
            Token::One => one(&|_| true),
            Token::Class { negated, ranges } => {
                one(&|c| ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *negated)
            }
            Token::Run => (0..=text.len()).any(|at| matches(rest, &text[at..])),
            Token::Components => {
                let starts = (1..=text.len()).filter(|at| text[at - 1] == '/');
                starts.chain([0]).any(|at| matches(rest, &text[at..]))
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_glob_means_what_its_pieces_mean(
            body in "[ab*?\\[\\]!/é-]{0,7}",
            text in "[abcé/\\n.\\[\\]!*-]{0,7}",
        ) {
            if let Ok(glob) = Glob::new(&body) {
                let chars: Vec<char> = text.chars().collect();
                prop_assert_eq!(glob.test(&text), matches(&tokens(&body).unwrap(), &chars), "{:?}", glob);
            }
        }

        #[test]
        fn stars_alone_mean_the_same_without_a_regular_expression(
            body in "[ab/*]{0,8}",
            text in "[ab/]{0,10}",
        ) {
            if let Ok(tokens) = tokens(&body) {
                let regex = Expression::new(&pattern(&tokens)).unwrap();
                let glob = Glob::new(&body).unwrap();
                prop_assert_eq!(glob.test(&text), regex.is_match(&text), "{:?}", glob);
            }
        }
    }

    #[track_caller]
    fn check(body: &str, yes: &[&str], no: &[&str]) {
        let glob = Glob::new(body).unwrap();
        for (texts, expected) in [(yes, true), (no, false)] {
            for text in texts {
                assert_eq!(glob.test(text), expected, "{body} on {text:?}: {glob:?}");
            }
        }
    }

    #[test]
    fn runs_and_single_characters() {
        check("", &[""], &["a"]);
        check("*", &["", "a/b.c", "\n"], &[]);
        check("abc", &["abc"], &["ab", "abcd", "ABC"]);
        check("abc*", &["abc", "abcd/e"], &["xabc", "ab"]);
        check("*abc", &["abc", "x/abc"], &["abcd"]);
        check("a*b*c", &["abc", "axxbxxc", "abcbc"], &["acb", "ac"]);
        check("ab*ba", &["abba", "abxba"], &["aba"]);
        check("?", &["a", "é", "\n", "/"], &["", "ab"]);
        check("c?t*", &["cats", "cut"], &["ct", "acat"]);
        check("a.b", &["a.b"], &["axb"]);
    }

    #[test]
    fn classes() {
        check("[abc]", &["a", "c"], &["d", "", "ab"]);
        check("[a-cx]", &["b", "x"], &["d", "-"]);
        check("[!a-c]", &["d", "-", "\n"], &["b", ""]);
        // The [fix] of the specification: not the text `[!a]`.
        check("[!a]*", &["b", "bc", "!"], &["a", "ab", ""]);
        check("x[*]y", &["x*y"], &["xzy"]);
        check("[[]", &["["], &["]"]);
        check("[]]", &["]"], &["["]);
        check("[!]]", &["["], &["]"]);
        check("[a-]", &["a", "-"], &["b"]);
        check("[?^&~\\]", &["?", "^", "&", "~", "\\"], &["a"]);
        check("[a!]", &["!"], &["b"]);
    }

    #[test]
    fn components_of_paths() {
        check("**", &["", "a/b"], &[]);
        check("**/x", &["x", "a/x", "a/b/x"], &["ax", "x/a"]);
        check("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["ab", "a/xb", "a"]);
        check("a/**", &["a/", "a/b/c"], &["a", "ab"]);
        check("**/**/x", &["x", "a/x"], &["ax"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (body, part) in [
            ("a**", "whole component"),
            ("**a", "whole component"),
            ("a/**b", "whole component"),
            ("***", "no `***`"),
            ("[a", "not closed"),
            ("[]", "not closed"),
            ("[!]", "not closed"),
            ("[", "not closed"),
            ("[z-a]", "write `a-z`"),
        ] {
            let error = Glob::new(body).unwrap_err();
            assert!(error.contains(part), "{body}: {error}");
        }
        assert_eq!(Glob::new(&"?".repeat(100_000)).unwrap_err(), TOO_LARGE);
    }

    #[test]
    fn common_globs_need_no_regular_expression() {
        for body in ["abc", "abc*", "*abc", "*abc*", "a*b*c", "**", "*"] {
            assert!(!matches!(Glob::new(body).unwrap(), Glob::Regex(_)), "{body}");
        }
    }
}
