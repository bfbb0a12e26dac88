//! The text as a flat list of tokens: for reports, for the nesting check and for finding statement ends. The
//! grammar reads the text itself; what this scanner refuses never reaches it.

mod lexer;
pub(crate) mod literal;
mod structure;

pub(crate) use lexer::lex;
pub(crate) use structure::{Frame, FrameKind, Structure};

use tremor_diagnostic::{Diagnostic, FileId, LineIndex, Span};

/// More reports about one text than this help nobody.
pub(crate) const MOST_REPORTS: usize = 100;

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TokenKind {
    Ident,
    QuotedIdent,
    Keyword,
    Number,
    Punct,
    StrOpen,
    StrText,
    StrClose,
    InterpOpen,
    InterpClose,
    Extractor,
    Doc,
    ModDoc,
    Config,
    Invalid,
}

/// A token: bytes `start..end` of the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) kind: TokenKind,
    pub(crate) start: usize,
    pub(crate) end: usize,
}

/// All tokens of a text and the lexical mistakes in it.
#[derive(Debug)]
pub(crate) struct Tokens<'a> {
    pub(crate) file: FileId,
    pub(crate) text: &'a str,
    pub(crate) lines: LineIndex,
    pub(crate) list: Vec<Token>,
    pub(crate) diagnostics: Vec<Diagnostic>,
}

impl<'a> Tokens<'a> {
    pub(crate) fn span(&self, start: usize, end: usize) -> Span {
        Span::new(self.file, start, end)
    }

    /// The lines of `span` and two more above and below.
    pub(crate) fn around(&self, span: Span) -> Span {
        self.lines.widen(span, 2)
    }

    pub(crate) fn text_of(&self, token: Token) -> &'a str {
        self.text.get(token.start..token.end).unwrap_or("")
    }

    /// Whether token `index` is this punctuation or reserved word.
    pub(crate) fn is(&self, index: usize, spelling: &str) -> bool {
        self.list.get(index).is_some_and(|token| {
            matches!(token.kind, TokenKind::Punct | TokenKind::Keyword) && self.text_of(*token) == spelling
        })
    }

    /// The first token that ends after `offset`.
    pub(crate) fn index_at(&self, offset: usize) -> usize {
        self.list.partition_point(|token| token.end <= offset)
    }

    /// Cuts the blanks and comments off the end of a piece of text.
    pub(crate) fn trim(&self, start: usize, end: usize) -> Span {
        let after = self.list.partition_point(|token| token.end <= end);
        let last = after.checked_sub(1).and_then(|index| self.list.get(index));
        let end = last.map_or(end, |token| token.end.max(start));
        self.span(start, end)
    }
}

/// Every reserved word.
pub(crate) const RESERVED: &[&str] = &[
    "absent",
    "and",
    "args",
    "as",
    "by",
    "case",
    "connect",
    "connector",
    "const",
    "copy",
    "create",
    "default",
    "define",
    "deploy",
    "drop",
    "each",
    "emit",
    "end",
    "erase",
    "event",
    "false",
    "flow",
    "fn",
    "for",
    "from",
    "group",
    "having",
    "insert",
    "into",
    "intrinsic",
    "let",
    "match",
    "merge",
    "mod",
    "move",
    "not",
    "null",
    "of",
    "operator",
    "or",
    "patch",
    "pipeline",
    "present",
    "recur",
    "script",
    "select",
    "set",
    "sliding",
    "state",
    "stream",
    "to",
    "true",
    "tumbling",
    "update",
    "upsert",
    "use",
    "when",
    "where",
    "window",
    "with",
    "xor",
];

/// Whether a name has to stand between backquotes.
pub(crate) fn is_reserved(word: &str) -> bool {
    RESERVED.binary_search(&word).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_words_are_sorted() {
        assert!(RESERVED.is_sorted());
        assert_eq!(RESERVED.len(), 61);
        assert!(is_reserved("connector") && !is_reserved("in"));
    }
}
