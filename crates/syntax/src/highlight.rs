//! Colours for source text.

use crate::scan::{TokenKind, lex};
use std::ops::Range;
use tremor_diagnostic::{FileId, Style};

/// Which parts of a text are shown in which style, for [`tremor_diagnostic::render_highlighted`]. Works for every kind
/// of source and for texts with mistakes.
#[must_use]
pub fn highlight(text: &str) -> Vec<(Range<usize>, Style)> {
    let style = |kind| match kind {
        TokenKind::Keyword | TokenKind::Config => Some(Style::Keyword),
        TokenKind::Number | TokenKind::Extractor => Some(Style::Literal),
        TokenKind::StrOpen | TokenKind::StrText | TokenKind::StrClose => Some(Style::Literal),
        TokenKind::Doc | TokenKind::ModDoc => Some(Style::Comment),
        TokenKind::Ident | TokenKind::QuotedIdent | TokenKind::Punct | TokenKind::Invalid => None,
        TokenKind::InterpOpen | TokenKind::InterpClose => None,
    };
    let tokens = lex(FileId::default(), text).list;
    tokens
        .into_iter()
        .filter_map(|token| style(token.kind).map(|style| (token.start..token.end, style)))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_keep_their_expressions_apart() {
        let text = "let a = \"x#{1 + b}\"";
        let shown: Vec<_> = highlight(text).into_iter().map(|(range, style)| (&text[range], style)).collect();
        let literal = |text| (text, Style::Literal);
        let expected = [("let", Style::Keyword), literal("\""), literal("x"), literal("1"), literal("\"")];
        assert_eq!(shown, expected);
    }
}
