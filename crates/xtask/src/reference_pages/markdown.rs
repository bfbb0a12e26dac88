//! Pieces of Markdown.

use std::fmt::Write as _;

/// The head of a page.
pub(super) fn page(title: &str, intro: &str) -> String {
    format!(
        "# {title}\n\n<!-- Written by `cargo xtask reference`; changes belong into the sources of the program. -->\n\n{intro}\n\n"
    )
}

/// A table; nothing if it has no rows.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let mut out = String::new();
    if rows.is_empty() {
        return out;
    }
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "| {} |", head.join(" | "));
    let _ = writeln!(out, "|{}", "---|".repeat(N));
    for row in rows {
        let cells: Vec<String> = row.iter().map(|cell| cell.replace('|', "\\|").replace('\n', " ")).collect();
        let _ = writeln!(out, "| {} |", cells.join(" | "));
    }
    out.push('\n');
    out
}

/// Text as code, whatever it contains; nothing stays nothing.
pub(super) fn code(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else if text.contains('`') {
        format!("`` {text} ``")
    } else {
        format!("`{text}`")
    }
}

/// A block of code.
pub(super) fn block(language: &str, text: &str) -> String {
    format!("```{language}\n{}\n```\n\n", text.trim_end())
}

/// Names as code, in a list.
pub(super) fn codes<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    names.into_iter().map(code).collect::<Vec<_>>().join(", ")
}

/// Ends a page with one newline.
pub(super) fn finish(page: &str) -> String {
    format!("{}\n", page.trim_end())
}
