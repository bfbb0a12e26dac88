//! Putting named patterns in the place of `%{PATTERN}`.

use super::library::{Library, is_name};
use tremor_diagnostic::closest;

/// Bytes of the longest regular expression that a body may become.
const LONGEST: usize = 32 * 1024;

/// How deep patterns may be made of others.
const DEEPEST: usize = 32;

/// A body with all patterns inserted.
#[derive(Debug)]
pub(super) struct Expanded {
    pub(super) regex: String,
    /// Where its pieces come from, each with the place at which it begins.
    origins: Vec<(usize, Origin)>,
    /// What the names of groups begin with that stand for aliases; a number follows.
    prefix: String,
    aliases: Vec<String>,
}

/// Where a piece of the expression comes from.
#[derive(Debug)]
enum Origin {
    /// The body, from this character on.
    Body(usize),
    /// The pattern of this name.
    Pattern(String),
}

impl Expanded {
    /// Where the byte at `at` of the expression comes from.
    pub(super) fn place(&self, at: usize) -> String {
        if at >= self.regex.len() {
            return "at its end".to_owned();
        }
        let piece = self.origins.iter().rev().find(|(start, _)| *start <= at);
        match piece {
            Some((_, Origin::Pattern(name))) => format!("in the pattern `{name}`"),
            Some((start, Origin::Body(from))) => {
                let before = self.regex.get(*start..at).unwrap_or_default().chars().count();
                format!("character {}", from + before)
            }
            None => "at its start".to_owned(),
        }
    }

    /// The name under which the text of a group is stored.
    pub(super) fn alias<'a>(&'a self, group: &'a str) -> &'a str {
        let number = group.strip_prefix(&self.prefix).and_then(|number| number.parse::<usize>().ok());
        number.and_then(|number| self.aliases.get(number)).map_or(group, String::as_str)
    }
}

/// Inserts all patterns, and those that they are made of.
///
/// Aliases may be any text, and names of groups may not, so each alias gets a group with a name of our own.
///
/// # Errors
/// Says which pattern is unknown, or made of itself, and what else is wrong with the body.
pub(super) fn expand(body: &str, library: &Library) -> Result<Expanded, String> {
    let mut prefix = "alias".to_owned();
    while body.contains(&prefix) || library.mentions(&prefix) {
        prefix.push('_');
    }
    let mut expansion = Expansion {
        library,
        expanded: Expanded {
            regex: String::with_capacity(body.len()),
            origins: Vec::new(),
            prefix,
            aliases: Vec::new(),
        },
        open: Vec::new(),
        character: 1,
    };
    expansion.insert(body)?;
    Ok(expansion.expanded)
}

struct Expansion<'l> {
    library: &'l Library,
    expanded: Expanded,
    /// The patterns that are being inserted, the outermost first.
    open: Vec<&'l str>,
    /// The next character of the body, counted from one.
    character: usize,
}

impl<'l> Expansion<'l> {
    fn insert(&mut self, mut rest: &str) -> Result<(), String> {
        while let Some(at) = rest.find(['%', '\\']) {
            let (before, here) = rest.split_at_checked(at).unwrap_or((rest, ""));
            self.copy(before)?;
            if let Some(after) = here.strip_prefix("%{") {
                let (inside, after) = after.split_once('}').ok_or("a `%{` is not closed by `}`")?;
                self.pattern(inside)?;
                self.pass("%{}");
                self.pass(inside);
                rest = after;
            } else {
                // A percent sign, or a backslash with the character behind it.
                let taken = if here.starts_with('\\') { 2 } else { 1 };
                let end = here.char_indices().nth(taken).map_or(here.len(), |(end, _)| end);
                let (taken, after) = here.split_at_checked(end).unwrap_or((here, ""));
                self.copy(taken)?;
                rest = after;
            }
        }
        self.copy(rest)
    }

    /// Takes over a piece of the body, or of the pattern that is inserted.
    fn copy(&mut self, text: &str) -> Result<(), String> {
        if text.is_empty() {
            return Ok(());
        }
        let origin = match self.open.last() {
            Some(name) => Origin::Pattern((*name).to_owned()),
            None => Origin::Body(self.character),
        };
        self.expanded.origins.push((self.expanded.regex.len(), origin));
        self.pass(text);
        self.push(text)
    }

    /// Counts characters of the body.
    fn pass(&mut self, text: &str) {
        if self.open.is_empty() {
            self.character += text.chars().count();
        }
    }

    fn push(&mut self, text: &str) -> Result<(), String> {
        if self.expanded.regex.len() + text.len() > LONGEST {
            return Err(format!("with all patterns inserted it has more than {LONGEST} bytes"));
        }
        self.expanded.regex.push_str(text);
        Ok(())
    }

    /// Inserts what `%{…}` stands for, as a group.
    fn pattern(&mut self, inside: &str) -> Result<(), String> {
        let (name, alias) = match inside.split_once(':') {
            Some((_, "")) => {
                return Err(format!("`%{{{inside}}}` has a colon but no alias; write `%{{PATTERN:alias}}`"));
            }
            Some((_, alias)) if alias.ends_with(":int") || alias.ends_with(":float") => {
                return Err(format!(
                    "`%{{{inside}}}` asks for a number, but all results of `grok` are texts; leave the type out, and convert the text \
                     with `integer::parse` or `float::parse`"
                ));
            }
            Some((name, alias)) => (name, Some(alias)),
            None => (inside, None),
        };
        let library = self.library;
        let Some((name, regex)) = library.get(name) else { return Err(self.unknown(name, inside)) };
        if let Some(from) = self.open.iter().position(|open| *open == name) {
            let cycle: Vec<&str> = self.open.iter().skip(from).copied().chain([name]).collect();
            return Err(format!("the pattern `{name}` is made of itself: {}", cycle.join(" -> ")));
        }
        if self.open.len() == DEEPEST {
            return Err(format!("its patterns are nested more than {DEEPEST} deep, at `{name}`"));
        }
        match alias {
            Some(alias) => {
                let group = format!("(?<{}{}>", self.expanded.prefix, self.expanded.aliases.len());
                self.expanded.aliases.push(alias.to_owned());
                self.push(&group)?;
            }
            None => self.push("(?:")?,
        }
        self.open.push(name);
        self.insert(regex)?;
        self.open.pop();
        self.push(")")
    }

    fn unknown(&self, name: &str, inside: &str) -> String {
        if !is_name(name) {
            return format!(
                "`%{{{inside}}}` is no pattern; write `%{{PATTERN}}` or `%{{PATTERN:alias}}`, and `\\%` for a percent sign before a brace"
            );
        }
        match closest(name, self.library.names()) {
            Some(near) => format!("there is no pattern `{name}`, perhaps `{near}` is meant"),
            None => format!("there is no pattern `{name}`"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(body: &str, definitions: &str) -> Result<String, String> {
        let library = Library::parse(definitions)?;
        expand(body, &library).map(|expanded| expanded.regex)
    }

    #[test]
    fn patterns_are_inserted_as_groups() {
        let definitions = "A a\nB %{A}|b\nC %{B:x}%{A}";
        assert_eq!(
            expanded("-%{C:y}%%{A}-", definitions).unwrap(),
            "-(?<alias0>(?<alias1>(?:a)|b)(?:a))%(?:a)-"
        );
        assert_eq!(expanded("\\%{A}\\\\%{A}\\é\\", definitions).unwrap(), "\\%{A}\\\\(?:a)\\é\\");
    }

    #[test]
    fn aliases_are_any_names() {
        let library = Library::parse("A a(?<alias>b)").unwrap();
        let expanded = expand("%{A:content-type}%{A:a:b}(?<alias_0>c)", &library).unwrap();
        assert_eq!(expanded.regex, "(?<alias__0>a(?<alias>b))(?<alias__1>a(?<alias>b))(?<alias_0>c)");
        assert_eq!(expanded.alias("alias__0"), "content-type");
        assert_eq!(expanded.alias("alias__1"), "a:b");
        assert_eq!(expanded.alias("alias_0"), "alias_0");
    }

    #[test]
    fn what_cannot_be_expanded() {
        let refused = |body: &str, definitions: &str| expanded(body, definitions).unwrap_err();
        assert_eq!(refused("%{WORDS}", ""), "there is no pattern `WORDS`, perhaps `WORD` is meant");
        assert_eq!(refused("%{ZZZZZZZZZZ:a}", ""), "there is no pattern `ZZZZZZZZZZ`");
        assert!(refused("%{}", "").starts_with("`%{}` is no pattern; write `%{PATTERN}`"));
        assert!(refused("%{a-b}", "").starts_with("`%{a-b}` is no pattern"));
        assert!(refused("%{INT:a:int}", "").starts_with("`%{INT:a:int}` asks for a number, but"));
        assert!(refused("%{WORD:}", "").starts_with("`%{WORD:}` has a colon but no alias"));
        assert_eq!(refused("%{WORD", ""), "a `%{` is not closed by `}`");
        assert_eq!(
            refused("%{A}", "A %{B}\nB %{C}\nC %{B}"),
            "the pattern `B` is made of itself: B -> C -> B"
        );
        assert_eq!(refused("%{WORD}", "WORD %{WORD}s"), "the pattern `WORD` is made of itself: WORD -> WORD");
    }

    #[test]
    fn places_are_those_of_the_body() {
        let library = Library::parse("A xyz").unwrap();
        let expanded = expand("é%{A:a}b\\\\%{A}c", &library).unwrap();
        assert_eq!(expanded.regex, "é(?<alias0>xyz)b\\\\(?:xyz)c");
        let place = |text: &str| expanded.place(expanded.regex.find(text).unwrap());
        assert_eq!(place("é"), "character 1");
        assert_eq!(place("yz"), "in the pattern `A`");
        assert_eq!(place("b"), "character 8");
        assert_eq!(place("\\"), "character 9");
        assert_eq!(place("c"), "character 15");
        assert_eq!(expanded.place(100), "at its end");
    }

    #[test]
    fn expansion_is_bounded() {
        let chain: String = (0..40).map(|at| format!("P{at} %{{P{}}}\n", at + 1)).collect();
        assert_eq!(
            expanded("%{P0}", &chain).unwrap_err(),
            "its patterns are nested more than 32 deep, at `P32`"
        );
        // Each is twice as long as the one before.
        let tree: String =
            (0..30).map(|at| format!("P{at} %{{P{next}}}%{{P{next}}}\n", next = at + 1)).collect();
        let error = expanded("%{P0}", &format!("{tree}P30 x")).unwrap_err();
        assert_eq!(error, "with all patterns inserted it has more than 32768 bytes");
    }
}
