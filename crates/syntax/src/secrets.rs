//! What of a source text is nobody's business: passwords, tokens and the like, written literally.

use crate::scan::{Token, TokenKind, Tokens, lex};
use std::ops::Range;
use tremor_diagnostic::FileId;

/// Parts of the names whose values are secret, with all that is in them.
const SECRET_PARTS: [&str; 7] =
    ["authorization", "apikey", "api_key", "passphrase", "password", "secret", "token"];

/// What the texts in the value of a name are, by how deep they are in it.
#[derive(Clone, Copy)]
struct Hidden {
    /// The last level whose texts are secret: 0 is the value itself.
    depth: usize,
    /// Names of members are secret too.
    names: bool,
}

impl Hidden {
    /// What is secret in the value of `name`. `is_text`: it is written as a string, as in JSON.
    fn below(name: &str, is_text: bool) -> Option<Self> {
        let name = name.to_lowercase().replace('-', "_");
        let texts = |depth| Some(Self { depth, names: false });
        match name.as_str() {
            "auth" => texts(usize::MAX),
            // Each name of a member is a token.
            "tokens" => Some(Self { depth: 1, names: true }),
            // Of each user there may be a password, where there should be a record.
            "users" => texts(1),
            "cookie" | "set_cookie" | "hash" => texts(0),
            // Of keys (JWK).
            "k" | "d" if is_text => texts(0),
            name if SECRET_PARTS.iter().any(|part| name.contains(part)) => texts(usize::MAX),
            _ => None,
        }
    }
}

/// The parts of a text, in order, that no report may show: what stands behind names such as `password`, user, password
/// and query of URLs. Works for every kind of source and for texts with mistakes.
#[must_use]
pub fn secrets(text: &str) -> Vec<Range<usize>> {
    let tokens = lex(FileId::default(), text);
    let mut found: Vec<_> = of_urls(&tokens).collect();
    for index in 0..tokens.list.len() {
        if let Some((name, is_text, value)) = member(&tokens, index)
            && let Some(hidden) = Hidden::below(name, is_text)
        {
            hide(&tokens, value, hidden, &mut found);
        }
    }
    found.sort_by_key(|range| range.start);
    found
}

/// The name that begins with token `index`, whether that is a string, and the first token of its value.
fn member<'a>(tokens: &Tokens<'a>, index: usize) -> Option<(&'a str, bool, usize)> {
    let token = *tokens.list.get(index)?;
    match token.kind {
        TokenKind::StrOpen => {
            let close = string_end(tokens, index);
            let last = tokens.list.get(close)?;
            let name = tokens.text.get(token.end..last.start)?;
            tokens.is(close + 1, ":").then_some((name, true, close + 2))
        }
        TokenKind::Ident | TokenKind::QuotedIdent => {
            let name = tokens.text_of(token).trim_matches('`');
            tokens.is(index + 1, "=").then_some((name, false, index + 2))
        }
        _ => None,
    }
}

/// The token that ends the string which token `open` begins; the last one there is if nothing does.
fn string_end(tokens: &Tokens<'_>, open: usize) -> usize {
    let mut depth = 0_usize;
    for (index, token) in tokens.list.iter().enumerate().skip(open) {
        match token.kind {
            TokenKind::StrOpen => depth += 1,
            TokenKind::StrClose => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return index;
        }
    }
    tokens.list.len().saturating_sub(1)
}

/// Adds what is secret in the value that begins with token `index`: a string, or what is in brackets, or some of that added up.
fn hide(tokens: &Tokens<'_>, mut index: usize, hidden: Hidden, found: &mut Vec<Range<usize>>) {
    let mut depth = 0;
    while let Some(token) = tokens.list.get(index) {
        if token.kind == TokenKind::StrOpen {
            let end = string_end(tokens, index);
            let is_name = tokens.is(end + 1, ":");
            if depth <= hidden.depth && (hidden.names || !is_name) {
                let parts = tokens.list.get(index..=end).unwrap_or_default();
                found.extend(parts.iter().filter_map(text_part));
            }
            index = end;
        } else if ["{", "[", "("].into_iter().any(|open| tokens.is(index, open)) {
            depth += 1;
        } else if ["}", "]", ")"].into_iter().any(|close| tokens.is(index, close)) {
            depth = depth.saturating_sub(1);
        }
        index += 1;
        if depth == 0 {
            if !tokens.is(index, "+") {
                return;
            }
            index += 1;
        }
    }
}

fn text_part(token: &Token) -> Option<Range<usize>> {
    (token.kind == TokenKind::StrText).then_some(token.start..token.end)
}

/// Who URLs say somebody is, and their queries.
fn of_urls<'a>(tokens: &'a Tokens<'_>) -> impl Iterator<Item = Range<usize>> + 'a {
    tokens.list.iter().filter_map(text_part).flat_map(|part| {
        let text = tokens.text.get(part.clone()).unwrap_or("");
        let scheme = text.find("://").map(|at| at + 3);
        let begin = scheme.unwrap_or(0);
        let user = text.rfind('@').filter(|at| {
            let name = text.get(begin..*at).unwrap_or("");
            // Where there is no scheme it may be anything.
            scheme.is_some() || name.contains(':') && !name.contains(char::is_whitespace)
        });
        let query = text.find('?').filter(|_| scheme.is_some()).map(|at| at + 1..text.len());
        [user.map(|at| begin..at), query]
            .into_iter()
            .flatten()
            .map(move |range| part.start + range.start..part.start + range.end)
            .filter(|range| !range.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `text` with stars for what is secret.
    fn shown(text: &str) -> String {
        let secrets = secrets(text);
        let star = |(at, c)| if secrets.iter().any(|range| range.contains(&at)) { '*' } else { c };
        text.char_indices().map(star).collect()
    }

    #[test]
    fn what_is_secret() {
        for (text, expected) in [
            (r#"{"password": "ab", "path": "cd"}"#, r#"{"password": "**", "path": "cd"}"#),
            (r#"{"Proxy-Authorization": "ab"}"#, r#"{"Proxy-Authorization": "**"}"#),
            (r#"password = "a" + "b", c = "d""#, r#"password = "*" + "*", c = "d""#),
            (r##"let token = "a#{ b }c"; "d""##, r##"let token = "*#{ b }*"; "d""##),
            (r#"let my_secret = ["a", {"b": "c"}]; "d""#, r#"let my_secret = ["*", {"b": "*"}]; "d""#),
            (
                r#"{"auth": {"header": {"name": "a", "value": "b"}}, "c": "d"}"#,
                r#"{"auth": {"header": {"name": "*", "value": "*"}}, "c": "d"}"#,
            ),
            (r#"{"tokens": {"ab": {"roles": ["c"]}}}"#, r#"{"tokens": {"**": {"roles": ["c"]}}}"#),
            (
                r#"{"users": {"ann": "a", "ben": {"hash": "b", "roles": ["c"]}}}"#,
                r#"{"users": {"ann": "*", "ben": {"hash": "*", "roles": ["c"]}}}"#,
            ),
            (
                r#"{"keys": [{"kid": "a", "k": "b"}]}; let k = "c""#,
                r#"{"keys": [{"kid": "a", "k": "*"}]}; let k = "c""#,
            ),
            (r#"{"cookie": {"file": "a"}}"#, r#"{"cookie": {"file": "a"}}"#),
            (r#""ws://me:ab@[::1/x?y=z""#, r#""ws://*****@[::1/x?***""#),
            (r#""ws://me:a/b@here""#, r#""ws://******@here""#),
            (r#""me:ab@here:80", "a: b@c", "a@b", "x?y""#, r#""*****@here:80", "a: b@c", "a@b", "x?y""#),
        ] {
            assert_eq!(shown(text), expected);
        }
    }

    #[test]
    fn a_text_with_mistakes_is_no_way_around() {
        // Where a string does not end, rather too much is secret than too little.
        assert_eq!(shown("{\"password\": \"ab\n, \"c\": 1"), "{\"password\": \"**\n, \"*\": 1");
        assert_eq!(shown("{\"token\": {\"a\": \"día"), "{\"token\": {\"a\": \"***");
        assert_eq!(shown("{\"token\":"), "{\"token\":");
    }
}
