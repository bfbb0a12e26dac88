//! Extractors of patterns.

use tremor_lang::{Example, ExtractorInfo};

use super::markdown::{self, block, table};

const INTRO: &str = "\
An extractor stands in a pattern: `~ name|body|` as a pattern of its own or as an element of `%[…]` and `%(…)`, `key ~= name|body|` as a \
field of `%{…}`. It asks whether a text matches, and takes it apart: its result is what `x = …` binds. Values that are no text do \
not match. In a field the result goes by the key; `alias = key ~= name|body|` gives it another name.

```tremor
match event of
  case fields = %{ line ~= re|^(?<level>[A-Z]+) (?<rest>.*)$| } => fields.line.level
  case %{ path ~= glob|/static/*| } => \"static\"
  case _ => \"other\"
end
```

Between the bars `\\|` is a bar and `\\\\` a backslash, and a backslash at the end of a line goes on in the next one. The case of the \
name does not matter. A body is compiled once, together with the script; what is wrong with it is an error there.";

/// The page.
pub(super) fn page() -> String {
    let mut page = markdown::page("Extractors", INTRO);
    let rows: Vec<[String; 2]> = tremor_lang::extractors()
        .map(|extractor| [format!("[`{name}`](#{name})", name = extractor.name), extractor.body.to_owned()])
        .collect();
    page.push_str(&table(["Name", "Body"], &rows));
    for extractor in tremor_lang::extractors() {
        let ExtractorInfo { name, summary, examples, .. } = extractor;
        page.push_str(&format!("## {name}\n\n{summary}\n\n"));
        let examples: Vec<String> = examples.iter().map(|example| line(name, example)).collect();
        page.push_str(&block("", &examples.join("\n")));
    }
    markdown::finish(&page)
}

fn line(name: &str, example: &Example) -> String {
    let body = example.body.replace('\\', r"\\").replace('|', r"\|");
    let gives = example.result.map_or("does not match".to_owned(), |result| format!("gives {result}"));
    format!("{name}|{body}| on {:?} {gives}", example.text)
}
