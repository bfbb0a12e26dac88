//! Reports about tokens that the grammar does not accept (`spec/language-lexical.md` 11.4).

use crate::expected::ExpectedSet;
use crate::habits;
use crate::scan::{TokenKind, Tokens, is_reserved};
use tremor_diagnostic::{Code, Diagnostic, Span, closest_within, codes, distance};

/// The report about the token at `index`, which is none of `set`.
pub(crate) fn unexpected(tokens: &Tokens<'_>, index: usize, set: &ExpectedSet) -> Diagnostic {
    let Some(token) = tokens.list.get(index).copied() else { return at_end(tokens, set) };
    let text = tokens.text_of(token);
    let span = tokens.span(token.start, token.end);
    let shown = shortened(text);
    let message = format!("Found the token `{shown}` but expected one of{}", set.list());
    let before = index.checked_sub(1).and_then(|before| tokens.list.get(before)).copied();
    let mut outer = tokens.around(span);
    if let Some(string) = enclosing_string(tokens, index) {
        outer = outer.to(tokens.span(string, token.end));
    }
    let mut code = if token.kind == TokenKind::Invalid { codes::INVALID_TOKEN } else { codes::SYNTAX };
    let mut hint = None;
    let mut label = unclosed_bracket(tokens, index, set).map(|span| (span, "this is still open"));
    if before.is_some_and(|before| before.kind == TokenKind::Doc) || token.kind == TokenKind::Doc {
        code = codes::MISPLACED_DOC;
        hint = Some("A doc comment belongs before a definition; begin other comments with `#`".to_owned());
    } else if token.kind == TokenKind::ModDoc {
        code = codes::MISPLACED_DOC;
        hint = Some("`###` is for the start of a file; begin other comments with `#`".to_owned());
    } else if let Some(text) = special(tokens, index, set) {
        (code, hint) = (if code == codes::SYNTAX { text.0 } else { code }, text.1);
    } else if let Some(text) = habits::hint(tokens, index, set) {
        hint = Some(text);
    } else if let Some(near) = nearest(text, set) {
        hint = Some(format!("Did you mean to use `{near}`?"));
    } else if missing_semicolon(tokens, index, set) {
        code = codes::MISSING_SEMICOLON;
        hint = Some("A `;` is missing between this statement and the one before".to_owned());
        label = before.map(|before| (tokens.span(before.end, before.end), "a `;` is missing here"));
    }
    let report = Diagnostic::error(code, span, message).outer(outer).maybe_hint(hint);
    match label {
        Some((span, text)) => report.label(span, text),
        None => report,
    }
}

/// The innermost bracket that is open where a statement ends.
fn unclosed_bracket(tokens: &Tokens<'_>, index: usize, set: &ExpectedSet) -> Option<Span> {
    let ends = [";", "end", "define", "create", "connect", "deploy", "select", "let", "emit", "drop", "case"];
    if set.operand()
        || !ends.iter().any(|word| tokens.is(index, word))
        || ![")", "]", "}"].iter().any(|close| set.has(close))
    {
        return None;
    }
    innermost_open(tokens, index)
}

/// The innermost bracket that is open before the token at `index`.
fn innermost_open(tokens: &Tokens<'_>, index: usize) -> Option<Span> {
    let mut closed = 0_usize;
    for token in tokens.list.get(..index)?.iter().rev().filter(|token| token.kind == TokenKind::Punct) {
        match tokens.text_of(*token) {
            ")" | "]" | "}" => closed += 1,
            "(" | "[" | "{" | "%(" | "%[" | "%{" if closed == 0 => {
                return Some(tokens.span(token.start, token.end));
            }
            "(" | "[" | "{" | "%(" | "%[" | "%{" => closed -= 1,
            _ => {}
        }
    }
    None
}

type Special = (Code, Option<String>);

fn special(tokens: &Tokens<'_>, index: usize, set: &ExpectedSet) -> Option<Special> {
    let token = *tokens.list.get(index)?;
    let text = tokens.text_of(token);
    let after = |word| index.checked_sub(1).is_some_and(|before| tokens.is(before, word));
    if matches!(text, "case" | "default" | "end") && after(";") {
        let hint = format!("The `;` before `{text}` is one too many: nothing follows it");
        return Some((codes::SYNTAX, Some(hint)));
    }
    if text == "connector" && set.has("pipeline") && after("/") {
        let hint = "Put a pipeline between two connectors, for example `tremor::pipelines::passthrough`";
        return Some((codes::CONNECTOR_TO_CONNECTOR, Some(hint.to_owned())));
    }
    if set.name() && token.kind == TokenKind::StrOpen {
        return Some((codes::SYNTAX, Some("Quote a name with backquotes, not with `\"`".to_owned())));
    }
    let near = closest_within(text, set.tokens(), 1);
    if (set.name() || set.group("a path")) && is_reserved(text) && near.is_none() {
        let hint = format!("`{text}` is a reserved word; as a name it needs backquotes: `` `{text}` ``");
        return Some((codes::RESERVED_WORD, Some(hint)));
    }
    operand_hint(tokens, index, set).map(|hint| (codes::SYNTAX, Some(hint)))
}

/// Hints about what stands where a value is needed.
fn operand_hint(tokens: &Tokens<'_>, index: usize, set: &ExpectedSet) -> Option<String> {
    let token = *tokens.list.get(index)?;
    let text = tokens.text_of(token);
    let is_name = matches!(token.kind, TokenKind::Ident | TokenKind::QuotedIdent);
    if text == "'" {
        return Some("Strings stand between `\"`".to_owned());
    }
    if text == "_" && (set.name() || set.group("a path")) {
        return Some("A name that begins with `_` needs backquotes".to_owned());
    }
    if is_name && (set.group("a string") || set.group("a string as key")) {
        return Some(format!("Write it as a string: `\"{text}\"`"));
    }
    if matches!(text, "tumbling" | "sliding") && set.has("window") {
        return Some(format!("Write `define window NAME from {text} …`"));
    }
    if text == "-" && set.operand() {
        return Some("Put the negative value into parentheses".to_owned());
    }
    if matches!(text, "let" | "emit" | "drop") && set.group("an expression") {
        return Some(format!("`{text}` is a statement, it cannot stand inside of an expression"));
    }
    if matches!(text, "match" | "for") && set.operand() {
        return Some(format!("Put the `{text}` into parentheses to use it inside of an expression"));
    }
    None
}

fn nearest(text: &str, set: &ExpectedSet) -> Option<&'static str> {
    let is_word = |word: &str| word.starts_with(|c: char| c.is_ascii_alphabetic());
    if !is_word(text) {
        return None;
    }
    let words = set.tokens().filter(|token| is_word(token));
    // Short words are near to everything.
    closest_within(text, words, (text.chars().count().saturating_sub(1)).min(3)).filter(|near| {
        let length = text.chars().count().max(near.len());
        distance(text, near) * 2 <= length
    })
}

/// A statement follows where the one before could have ended.
fn missing_semicolon(tokens: &Tokens<'_>, index: usize, set: &ExpectedSet) -> bool {
    let Some(token) = tokens.list.get(index).copied() else { return false };
    let text = tokens.text_of(token);
    let starts = match token.kind {
        TokenKind::Keyword => matches!(
            text,
            "let"
                | "emit"
                | "drop"
                | "match"
                | "for"
                | "use"
                | "const"
                | "fn"
                | "intrinsic"
                | "define"
                | "create"
                | "connect"
                | "deploy"
                | "select"
                | "event"
                | "state"
                | "patch"
                | "merge"
                | "null"
                | "true"
                | "false"
                | "recur"
                | "not"
                | "present"
                | "absent"
        ),
        TokenKind::Ident | TokenKind::QuotedIdent | TokenKind::Number | TokenKind::StrOpen => true,
        TokenKind::Punct => matches!(text, "{" | "$"),
        _ => false,
    };
    starts && set.has(";") && index > 0
}

/// Where the string begins that the token stands inside of, if it does.
fn enclosing_string(tokens: &Tokens<'_>, index: usize) -> Option<usize> {
    let mut open = Vec::new();
    for token in tokens.list.get(..index)? {
        match token.kind {
            TokenKind::StrOpen => open.push(token.start),
            TokenKind::StrClose => {
                open.pop();
            }
            _ => {}
        }
    }
    open.first().copied()
}

fn at_end(tokens: &Tokens<'_>, set: &ExpectedSet) -> Diagnostic {
    let Some(last) = tokens.list.last() else {
        let message = format!("The text is empty: expected one of{}", set.list());
        return Diagnostic::error_without_position(codes::UNEXPECTED_END, message);
    };
    if last.kind == TokenKind::Doc {
        let span = tokens.span(last.start, last.end);
        return Diagnostic::error(codes::MISPLACED_DOC, span, "No definition follows this doc comment")
            .outer(tokens.around(span))
            .hint("A doc comment belongs before a definition; begin other comments with `#`");
    }
    let line = tokens.lines.position(tokens.text, last.start).line;
    let behind = shortened(tokens.text_of(*last));
    let list = set.list();
    let message = format!("The text ends too early, behind `{behind}` on line {line}: expected one of{list}");
    let open = innermost_open(tokens, tokens.list.len()).map(|span| {
        let at = tokens.lines.position(tokens.text, span.range().start);
        let bracket = tokens.text.get(span.range()).unwrap_or("bracket");
        format!("The `{bracket}` in line {}, column {} is still open", at.line, at.column)
    });
    Diagnostic::error_without_position(codes::UNEXPECTED_END, message).maybe_hint(open)
}

fn shortened(text: &str) -> String {
    const LONGEST: usize = 60;
    let line = text.lines().next().unwrap_or("");
    let whole = line.len() == text.len() && line.chars().nth(LONGEST).is_none();
    if whole { text.to_owned() } else { line.chars().take(LONGEST - 1).chain(['…']).collect() }
}
