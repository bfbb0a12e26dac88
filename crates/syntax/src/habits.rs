//! Hints for what users of other languages are likely to have meant.

use crate::expected::ExpectedSet;
use crate::scan::{Token, TokenKind, Tokens};
use tremor_diagnostic::closest_within;

/// What was probably meant where the token at `index` stands, which is none of `set`.
pub(crate) fn hint(tokens: &Tokens<'_>, index: usize, set: &ExpectedSet) -> Option<String> {
    let place = Place { tokens, index, set };
    place
        .pattern()
        .or_else(|| place.pair())
        .or_else(|| place.word())
        .or_else(|| place.first_word())
        .or_else(|| place.assignment())
        .or_else(|| place.comma())
}

struct Place<'p, 'a> {
    tokens: &'p Tokens<'a>,
    index: usize,
    set: &'p ExpectedSet,
}

impl Place<'_, '_> {
    fn token(&self, index: usize) -> Option<Token> {
        self.tokens.list.get(index).copied()
    }

    fn text(&self, index: usize) -> &str {
        self.token(index).map_or("", |token| self.tokens.text_of(token))
    }

    fn before(&self) -> &str {
        self.index.checked_sub(1).map_or("", |before| self.text(before))
    }

    /// What is close to a pattern with an extractor, or to one of a record.
    fn pattern(&self) -> Option<String> {
        let (before, text) = (self.before(), self.text(self.index));
        if self.is_kind(TokenKind::StrOpen) && self.set.group("a field test") {
            let hint =
                "Keys in patterns have no quotes; one that is no name stands between backquotes: `` `a b` ``";
            return Some(hint.to_owned());
        }
        let named = self.index.checked_sub(1).and_then(|before| self.token(before));
        if named.is_none_or(|token| token.kind != TokenKind::Ident) {
            return None;
        }
        let ends = |index: usize| matches!(self.text(index), "=>" | "when" | "," | "}");
        if self.is_kind(TokenKind::Extractor) && (text != "||" || ends(self.index + 1)) {
            let body = if text.chars().count() <= 40 { text } else { "|…|" };
            if self.set.has("~=") {
                return Some(format!("An extractor stands behind `~=`: `key ~= {before}{body}`"));
            }
            let pattern = self.set.has("=>");
            return pattern.then(|| format!("An extractor in a pattern begins with `~`: `~ {before}{body}`"));
        }
        (text == "~=" && self.set.has("=>")).then(|| {
            format!("`~=` is for keys of records; the result of a pattern gets its name by `{before} = ~ …`")
        })
    }

    /// The token and the one before it, or the one behind it, as one sign of another language.
    fn pair(&self) -> Option<String> {
        let text = match (self.before(), self.text(self.index), self.text(self.index + 1)) {
            ("&", "&", _) => "`and` is the word for both",
            (_, "||", _) => "`or` is the word for one of both",
            ("<", ">", _) => "Values that differ are found with `!=`",
            ("==" | "!=", "=", _) => "Comparing takes `==` or `!=`, with no further `=`",
            ("-", ">", _) => "The arrow is written `=>`",
            (_, "/", "/" | "*") => "Comments begin with `#`",
            (_, "?", _) => {
                "There is no `?`; ask with `match`, or with `present` for a key that may be missing"
            }
            (_, ":", _) if self.set.has("=>") => "What a clause does stands behind `=>`",
            // Behind a pattern; in a guard it is a comparison.
            (_, "=", _) if self.set.has("=>") && self.set.has("when") => {
                "What a clause does stands behind `=>`"
            }
            ("$", ".", _) => "A key of the metadata follows directly: `$key`",
            ("$", "{", _) => "A key of the metadata is `$key`; values are put into a text with `#{…}`",
            (".", _, _) if self.is_kind(TokenKind::Number) => {
                "Items of an array are read with `[…]`, names that begin with a digit need backquotes"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }

    fn is_kind(&self, kind: TokenKind) -> bool {
        self.token(self.index).is_some_and(|token| token.kind == kind)
    }

    /// A word that cannot stand here.
    fn word(&self) -> Option<String> {
        let word = self.text(self.index);
        let text = match word {
            "else" | "elif" | "elsif" => {
                "All other cases are a clause of their own: `case _ => …`".to_owned()
            }
            "in" if self.set.has("of") => {
                "A loop is written `for … of case (key, value) => … end`".to_owned()
            }
            "into" if self.set.has("=>") => "The port of an `emit` stands behind `=>`".to_owned(),
            "from" | "where" | "group" | "into" | "having" if self.in_select() => {
                "The order is `select … from … where … group by … into … having …`".to_owned()
            }
            "let" | "emit" | "drop" | "match" | "for" if self.set.has("select") => {
                format!("`{word}` belongs into a script: `define script … script … end`")
            }
            "const" | "fn" | "intrinsic" if self.set.has("select") || self.set.has("connect") => {
                format!("`{word}` belongs into a script or into a module that is named with `use`")
            }
            _ => return None,
        };
        Some(text)
    }

    fn in_select(&self) -> bool {
        let words = ["from", "where", "group", "into", "having", ";"];
        words.iter().any(|word| self.set.has(word)) && self.text(self.statement()) == "select"
    }

    /// Where the statement begins that the token stands in, as far as tokens tell.
    fn statement(&self) -> usize {
        let begins = |index: &usize| {
            let before = index.checked_sub(1).map_or(";", |before| self.text(before));
            matches!(before, ";" | "=>" | "script" | "pipeline" | "flow") || before == "with"
        };
        (0..=self.index).rev().find(begins).unwrap_or(0)
    }

    /// A statement whose first word is none.
    fn first_word(&self) -> Option<String> {
        let first = self.statement();
        let is_name = self.token(first).is_some_and(|token| token.kind == TokenKind::Ident);
        let follows = matches!(
            self.token(self.index)?.kind,
            TokenKind::Ident | TokenKind::Keyword | TokenKind::Number | TokenKind::StrOpen
        );
        let same_line = || {
            let between = self.token(first)?.end..self.token(self.index)?.start;
            Some(!self.tokens.text.get(between)?.contains('\n'))
        };
        if !is_name || !follows || first + 1 != self.index || same_line() != Some(true) {
            return None;
        }
        let word = self.text(first);
        Some(match word {
            "if" | "when" | "switch" | "unless" => {
                "Conditions are written `match … of case … => … case _ => … end`".to_owned()
            }
            "return" => "The last value is the result; `emit` ends a script before".to_owned(),
            "var" | "local" | "val" => "Names get their value with `let`".to_owned(),
            "def" | "func" | "function" => "Functions begin with `fn`".to_owned(),
            "import" | "include" | "require" => "Modules are named with `use`".to_owned(),
            "while" | "foreach" | "loop" => {
                "A loop is written `for … of case (key, value) => … end`".to_owned()
            }
            _ => {
                let words =
                    ["let", "match", "for", "emit", "drop", "use", "const", "fn", "intrinsic", "patch"];
                let edits = if word.len() > 3 { 2 } else { 1 };
                let near = closest_within(word, words.into_iter().chain(["merge"]), edits)?;
                format!("Did you mean to use `{near}` in the place of `{word}`?")
            }
        })
    }

    fn assignment(&self) -> Option<String> {
        if self.text(self.index) != "=" || !self.set.group("an operator") {
            return None;
        }
        let first = self.statement();
        let may_assign = self.set.has(";")
            && self.token(first).is_some_and(|token| {
                token.kind == TokenKind::Ident || matches!(self.text(first), "event" | "state" | "$")
            });
        let assign = "To assign, begin with `let`; comparing is written `==`";
        Some(if may_assign { assign } else { "Comparing is written `==`" }.to_owned())
    }

    /// A value that follows another one in a list.
    fn comma(&self) -> Option<String> {
        let starts = match self.token(self.index)?.kind {
            TokenKind::StrOpen | TokenKind::Number | TokenKind::Ident | TokenKind::QuotedIdent => true,
            _ => matches!(self.text(self.index), "event" | "{" | "null" | "true" | "false" | "$"),
        };
        let is_list = self.set.has(",") && ["}", "]", ")"].iter().any(|close| self.set.has(close));
        (starts && is_list).then(|| "A `,` is missing before this".to_owned())
    }
}
