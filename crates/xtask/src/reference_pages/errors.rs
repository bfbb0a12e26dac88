//! Codes of diagnostics.

use std::fmt::Write as _;

use tremor_diagnostic::codes;

use super::markdown::{self, code, table};

const INTRO: &str = "\
Each report is about one of these conditions. A report looks like this:

```
Error in config.troy:4:20
    4 |   create connector console from connectors::consle;
      |                    ^^^^^^^ There is no definition of a connector `connectors::consle`
      |                            NOTE: Did you mean `connectors::console`?
```

The header names file, line and column; the carets mark the place; a note says what can be done. `tremor check FILE ...` shows all \
reports about a file without running it.";

/// What the letters of the codes stand for, in the order of the page.
const GROUPS: &[(&str, &str)] = &[
    ("E-L", "Lexical errors"),
    ("E-S", "Syntax errors"),
    ("E-M", "Modules and names"),
    ("E-C", "Scripts, found when they are loaded"),
    ("E-P", "Paths"),
    ("E-A", "Assignments"),
    ("E-O", "Operators"),
    ("E-T", "Types"),
    ("E-R", "Clauses, records and recursion"),
    ("E-F", "Functions"),
    ("E-B", "Bytes"),
    ("E-Q", "Queries and pipelines"),
    ("E-D", "Flows"),
    ("E-N", "Not in this version"),
    ("W-", "Warnings"),
];

/// Above the table of limits.
const LIMITS: &str = "\
## Limits of the language

No source and no event takes time or memory without end. What goes beyond one of these ends in `E-R9`, in `E-O2` if it would \
become too long, or is not compiled.

";

/// The page.
pub(super) fn page() -> String {
    let mut page = markdown::page("Errors and warnings", INTRO);
    for (prefix, title) in GROUPS {
        let rows: Vec<[String; 2]> = codes::ALL
            .iter()
            .filter(|code| group(code.id) == Some(prefix))
            .map(|known| [code(known.id), known.summary.to_owned()])
            .collect();
        if !rows.is_empty() {
            // Writing to a `String` cannot fail.
            let _ = write!(page, "## {title}\n\n{}", table(["Code", "Condition"], &rows));
        }
    }
    let limits: Vec<[String; 2]> =
        tremor_lang::limits().iter().map(|limit| [limit.most.to_string(), limit.what.to_owned()]).collect();
    page.push_str(LIMITS);
    page.push_str(&table(["At most", "Of what"], &limits));
    markdown::finish(&page)
}

fn group(id: &str) -> Option<&'static str> {
    GROUPS.iter().map(|(prefix, _)| *prefix).find(|prefix| id.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_on_the_page() {
        for code in codes::ALL {
            assert!(group(code.id).is_some(), "{}: give its letter a title", code.id);
        }
    }
}
