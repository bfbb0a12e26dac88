//! Kinds of operators.

use tremor_pipeline::operators::{ConfigUse, Field, Spec};

use super::{
    connectors::default,
    markdown::{self, block, code, table},
};

const INTRO: &str = "\
An operator is a node of a pipeline that is written natively. A pipeline defines it with its settings, creates it, and connects it by `select`:

```trickle
define operator NAME from MODULE::KIND
with
  setting = 1
end;
create operator NAME;
select event from in into NAME;
select event from NAME into out;
select event from NAME/overflow into err;
```

Payload and metadata pass unchanged where nothing else is said. It makes no difference which port of an operator events are sent to. \
What leaves by a port that no `select` reads, vanishes. A setting that the kind does not know is an error when the pipeline is built. \
A pipeline with operators works in a task of its own, and its operators are told of the time every 100 ms.";

/// The page about `kinds`.
pub(super) fn page(kinds: &[Spec]) -> String {
    let mut page = markdown::page("Operators", INTRO);
    let mut kinds: Vec<&Spec> = kinds.iter().collect();
    kinds.sort_by_key(|kind| kind.name);
    let rows: Vec<[String; 2]> = kinds
        .iter()
        .map(|kind| {
            let anchor = kind.name.replace(':', "");
            [format!("[`{}`](#{anchor})", kind.name), first_sentence(kind.summary).to_owned()]
        })
        .collect();
    page.push_str(&table(["Kind", "What it does"], &rows));
    for kind in kinds {
        page.push_str(&one(kind));
    }
    markdown::finish(&page)
}

fn first_sentence(text: &str) -> &str {
    text.find(". ").and_then(|end| text.get(..=end)).unwrap_or(text)
}

fn one(kind: &Spec) -> String {
    let mut out = format!("## {}\n\n{}\n\n", kind.name, kind.summary);
    if let Some(renamed) = kind.renamed {
        out.push_str(&format!("It works as {} does; a warning says so.\n\n", code(renamed)));
        return out;
    }
    out.push_str(match kind.config {
        ConfigUse::Needed => "",
        ConfigUse::Refused => "It takes no configuration.\n\n",
        ConfigUse::Ignored => "It has no settings; what is given is ignored.\n\n",
    });
    out.push_str(&fields("Setting", "", kind.fields));
    out.push_str(&fields("Metadata", "$", kind.meta));
    let ports: Vec<[String; 2]> = kind
        .ports
        .iter()
        .map(|(port, text)| {
            let is_name = port.chars().all(|c| c.is_ascii_lowercase());
            [if is_name { code(port) } else { (*port).to_owned() }, (*text).to_owned()]
        })
        .collect();
    out.push_str(&table(["Port", "What leaves there"], &ports));
    out.push_str(&block("trickle", kind.example));
    out
}

fn fields(title: &str, prefix: &str, fields: &[Field]) -> String {
    let rows: Vec<[String; 4]> = fields
        .iter()
        .map(|field| {
            let name = code(&format!("{prefix}{}", field.name));
            [name, field.kind.to_owned(), default(field.default), field.text.to_owned()]
        })
        .collect();
    table([title, "Type", "Default", "Meaning"], &rows)
}
