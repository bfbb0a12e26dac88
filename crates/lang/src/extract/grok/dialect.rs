//! What Oniguruma's Ruby dialect means by its flags.
//!
//! There `m` lets `.` match line ends too, as `(?m)%{GREEDYDATA}` asks for, while `^` and `$` always stand for lines. To the engine
//! that is `s`, and its own `m` has to stay on.

/// The expression with the flags of the engine. It has the same length.
pub(super) fn with_flags_of_the_engine(pattern: &str) -> String {
    let mut translated = String::with_capacity(pattern.len());
    let mut rest = pattern;
    // How many `[` are open.
    let mut classes = 0_usize;
    while let Some(c) = rest.chars().next() {
        let taken = match c {
            '\\' => rest.char_indices().nth(2).map_or(rest.len(), |(end, _)| end),
            '[' => {
                classes += 1;
                class_start(rest)
            }
            ']' => {
                classes = classes.saturating_sub(1);
                1
            }
            '(' if classes == 0 => match group(rest) {
                Group::Flags(len) => {
                    let (flags, after) = rest.split_at_checked(len).unwrap_or((rest, ""));
                    translated.push_str(&flags.replace('m', "s"));
                    rest = after;
                    continue;
                }
                Group::Comment(len) => len,
                Group::Other => 1,
            },
            c => c.len_utf8(),
        };
        let (same, after) = rest.split_at_checked(taken).unwrap_or((rest, ""));
        translated.push_str(same);
        rest = after;
    }
    translated
}

/// Bytes of the `[` at the start of `rest`, with what follows it and closes nothing.
fn class_start(rest: &str) -> usize {
    ["[^]", "[]", "[^"].into_iter().find(|start| rest.starts_with(start)).map_or(1, str::len)
}

enum Group {
    /// `(?i` or `(?i-m`, so many bytes, with a colon or a parenthesis behind it.
    Flags(usize),
    /// `(?#…`, up to its end.
    Comment(usize),
    Other,
}

/// What the parenthesis at the start of `rest` begins.
fn group(rest: &str) -> Group {
    let Some(inside) = rest.strip_prefix("(?") else { return Group::Other };
    if inside.starts_with('#') {
        return Group::Comment(rest.find(')').unwrap_or(rest.len()));
    }
    let end = inside.find(|c: char| !c.is_ascii_alphabetic() && c != '-');
    match end.and_then(|end| inside.get(end..)?.chars().next().map(|c| (end, c))) {
        Some((end, ':' | ')')) => Group::Flags(2 + end),
        _ => Group::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_are_translated_and_nothing_else() {
        for (ours, engines) in [
            ("(?m)a.b", "(?s)a.b"),
            ("(?im:m)(m)", "(?is:m)(m)"),
            ("(?-m:m)(?i-mx)", "(?-s:m)(?i-sx)"),
            ("(?m-i)é(?m)", "(?s-i)é(?s)"),
            (r"\(?m)", r"\(?m)"),
            (r"\\(?m)", r"\\(?s)"),
            ("[(?m)](?m)", "[(?m)](?s)"),
            ("[](?m)](?m)", "[](?m)](?s)"),
            ("[^](?m)](?m)", "[^](?m)](?s)"),
            ("[[:alpha:](?m)](?m)", "[[:alpha:](?m)](?s)"),
            (r"[\](?m)](?m)", r"[\](?m)](?s)"),
            ("(?#(?m:[)(?m)", "(?#(?m:[)(?s)"),
            ("(?<m>m)(?:m)(?=m)(?>m)(?<=m)", "(?<m>m)(?:m)(?=m)(?>m)(?<=m)"),
            ("(?m", "(?m"),
            ("(?", "(?"),
            ("(?#m", "(?#m"),
            ("\\", "\\"),
            ("]]m", "]]m"),
        ] {
            assert_eq!(with_flags_of_the_engine(ours), engines);
        }
    }
}
