//! Connector kinds.

use std::fmt::Write as _;

use tremor_connector::{CodecUse, SinkUse, Spec};

use super::markdown::{self, block, code, table};

const INTRO: &str = "\
A connector is an instance of one of these kinds. A flow defines it with its settings, creates it and connects it to pipelines:

```troy
define connector NAME from KIND
with
  codec = \"json\",
  preprocessors = [\"separate\"],
  postprocessors = [\"separate\"],
  config = {},
  reconnect = {\"retry\": {\"interval_ms\": 500, \"growth_rate\": 2, \"max_retries\": 10}}
end;
create connector NAME;
connect /connector/NAME to /pipeline/PIPELINE;
```

Anything else in `with`, and any key of `config` that the kind does not know, is an error when the flow is loaded.";

const COMMON: [[&str; 4]; 6] = [
    ["config", "record", "none", "What the tables below list for each kind."],
    [
        "codec",
        "string or record",
        "depends on the kind",
        "Turns bytes into values and back: a [name](codecs.md), or `{\"name\": ..., \"config\": ...}`.",
    ],
    [
        "preprocessors",
        "list",
        "[]",
        "Applied in order to incoming bytes, before they are decoded: [names](preprocessors.md), or records as for `codec`.",
    ],
    [
        "postprocessors",
        "list",
        "[]",
        "Applied in order to outgoing bytes, after they were encoded: [names](postprocessors.md), or records as for `codec`.",
    ],
    [
        "reconnect",
        "record",
        "{\"none\": null}",
        "What to do when a connection cannot be made or breaks; see below. Of connectors that listen: when the address cannot be had.",
    ],
    [
        "metrics_interval_s",
        "integer",
        "none",
        "Seconds from one publication of its [metrics](metrics.md) to the next, 1 at least; without it the connector counts nothing for them.",
    ],
];

const RETRY: [[&str; 4]; 4] = [
    [
        "interval_ms",
        "integer",
        "",
        "Wait before the first retry, in milliseconds; the first attempt is made at once. No wait is shorter than 10 ms, whatever it comes to.",
    ],
    [
        "growth_rate",
        "number",
        "1.5",
        "Factor between one wait and the next. No wait grows beyond five minutes; a factor below 1 makes them shorter, down to 10 ms.",
    ],
    [
        "max_retries",
        "integer",
        "unlimited",
        "Failed attempts in a row, the very first one included, after which the connector gives up; 0 is the same as 1.",
    ],
    [
        "randomized",
        "bool",
        "true",
        "Draw each wait after the first between the wait before it and that wait times `growth_rate`. The first wait is `interval_ms`; \
         `ws_client` draws it too, between half and one and a half of `interval_ms`. With `false` all waits are exact.",
    ],
];

/// The page about `kinds`.
pub(super) fn page(kinds: &[Spec]) -> String {
    let mut page = markdown::page("Connectors", INTRO);
    let mut kinds: Vec<&Spec> = kinds.iter().collect();
    kinds.sort_by_key(|kind| kind.name);
    let rows: Vec<[String; 4]> = kinds
        .iter()
        .map(|kind| {
            let link = format!("[`{name}`](#{name})", name = kind.name);
            let yes = |is: bool| if is { "yes" } else { "" }.to_owned();
            [link, yes(kind.is_source), yes(kind.sink != SinkUse::None), kind.summary.to_owned()]
        })
        .collect();
    page.push_str(&table(["Kind", "Reads", "Writes", "What it does"], &rows));
    page.push_str("## Settings of every connector\n\n");
    page.push_str(&settings(&COMMON));
    page.push_str(
        "`reconnect` has one key: `\"none\"` (no retry; a connection that was made and lost gets one attempt after a second) or \
         `\"retry\"` with these:\n\n",
    );
    page.push_str(&settings(&RETRY));
    for kind in kinds {
        page.push_str(&one(kind));
    }
    markdown::finish(&page)
}

fn settings(rows: &[[&str; 4]]) -> String {
    let rows: Vec<[String; 4]> =
        rows.iter().map(|[name, kind, default, text]| row(name, kind, default, text)).collect();
    table(["Key", "Type", "Default", "Meaning"], &rows)
}

fn row(name: &str, kind: &str, default: &str, text: &str) -> [String; 4] {
    [code(name), kind.to_owned(), self::default(default), text.to_owned()]
}

/// A default as written in a configuration, words as words.
pub(super) fn default(written: &str) -> String {
    let is_word = written.chars().all(|c| c.is_alphabetic() || c == ' ' || c == ',');
    match written {
        "" => "*required*".to_owned(),
        "true" | "false" | "null" => code(written),
        words if is_word => words.to_owned(),
        value => code(value),
    }
}

fn one(kind: &Spec) -> String {
    let mut out = format!("## {}\n\n{}\n\n", kind.name, kind.summary);
    let codec = match kind.codec {
        CodecUse::Required => "has to be named".to_owned(),
        CodecUse::Structured => "none: it makes and takes values itself".to_owned(),
        CodecUse::Default(name) => format!("`{name}` unless another is named"),
    };
    // Writing to a `String` cannot fail.
    let _ = writeln!(out, "- Codec: {codec}");
    if kind.is_source {
        let control = if kind.has_control() { ", `control`" } else { "" };
        let _ = writeln!(out, "- Output ports: `out`, `err`{control}");
    }
    if kind.sink != SinkUse::None {
        let aliases =
            kind.input_aliases.iter().map(|(alias, port)| format!("{} (means {})", code(alias), code(port)));
        let inputs: Vec<String> = kind.inputs.iter().map(|port| code(port)).chain(aliases).collect();
        let _ = writeln!(out, "- Input ports: {}", inputs.join(", "));
    }
    for (_, links) in GUIDES.iter().filter(|(name, _)| *name == kind.name) {
        let _ = writeln!(out, "- Guides: {links}");
    }
    if kind.is_debug {
        out.push_str("- Only with `--debug-connectors`\n");
    }
    out.push('\n');
    if kind.fields.is_empty() {
        out.push_str("It has no configuration.\n\n");
    } else {
        let rows: Vec<[String; 4]> =
            kind.fields.iter().map(|field| row(field.name, field.kind, field.default, field.text)).collect();
        out.push_str(&table(["Key of `config`", "Type", "Default", "Meaning"], &rows));
    }
    if kind.name == "ws_server" {
        out.push_str(&conditions());
        out.push_str(&guards());
    }
    out.push_str(&block("troy", &example(kind)));
    out
}

/// What conditions of routes may look like.
fn conditions() -> String {
    let rows: Vec<[String; 3]> = tremor_connectors::WS_CONDITIONS
        .iter()
        .map(|field| [code(field.name), field.kind.to_owned(), field.text.to_owned()])
        .collect();
    let table = table(["Member of a condition", "Type", "What it takes"], &rows);
    format!(
        "### Conditions of `when`\n\nA route matches if any of its conditions does, and a condition if all its members do. A pattern is \
         a string (`\"1\"`, not `1`) that is compared as a whole; `*` in it is any run of characters, also none, and `/` too: `/rooms/*` takes `/rooms/` \
         and `/rooms/a/b`. Mind that where the route has no guard. Several patterns \
         for one thing are several conditions.\n\n{table}"
    )
}

/// What guards take, by type.
fn guards() -> String {
    let mut rows = Vec::new();
    for (of, fields) in tremor_connectors::WS_GUARDS {
        for (index, field) in fields.iter().enumerate() {
            let [key, kind, default, text] = row(field.name, field.kind, field.default, field.text);
            let of = if index == 0 { code(of) } else { String::new() };
            rows.push([of, key, kind, default, text]);
        }
    }
    let table = table(["Type", "Key of `options`", "Type of the value", "Default", "Meaning"], &rows);
    format!("### Options of guards\n\n{table}")
}

/// Where more is said of a kind.
const GUIDES: &[(&str, &str)] = &[
    (
        "ws_client",
        "[from nothing to an endpoint](../guides/websocket.md), [metadata](../guides/websocket-metadata.md), \
         [what a flow can do with connections](../guides/websocket-control.md)",
    ),
    (
        "ws_server",
        "[from nothing to an endpoint](../guides/websocket.md), [metadata](../guides/websocket-metadata.md), \
         [what a flow can do with connections](../guides/websocket-control.md), [who may connect](../guides/websocket-guards.md)",
    ),
];

/// Hand-written examples, by kind.
const EXAMPLES: &[(&str, &str)] = &[
    ("echo", include_str!("examples/echo.troy")),
    ("exit", include_str!("examples/exit.troy")),
    ("file", include_str!("examples/file.troy")),
    ("metronome", include_str!("examples/metronome.troy")),
    ("null", include_str!("examples/null.troy")),
    ("stdio", include_str!("examples/stdio.troy")),
    ("ws_client", include_str!("examples/ws_client.troy")),
    ("ws_server", include_str!("examples/ws_server.troy")),
];

/// The example of a kind; a kind without one gets what its table says is required.
fn example(kind: &Spec) -> String {
    if let Some((_, text)) = EXAMPLES.iter().find(|(name, _)| *name == kind.name) {
        return (*text).to_owned();
    }
    let mut settings = Vec::new();
    if kind.codec == CodecUse::Required {
        settings.push("  codec = \"json\"".to_owned());
    }
    let required = kind.fields.iter().filter(|field| field.default.is_empty());
    let fields: Vec<String> = required.map(|field| format!("\"{}\": ...", field.name)).collect();
    if !fields.is_empty() {
        settings.push(format!("  config = {{{}}}", fields.join(", ")));
    }
    let with =
        if settings.is_empty() { String::new() } else { format!("\nwith\n{}\nend", settings.join(",\n")) };
    format!("define connector my_{name} from {name}{with};", name = kind.name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{fs, process::ExitCode};
    use tremor_cli::{args::CheckOptions, check};

    #[test]
    fn examples_pass_the_check_and_belong_to_a_kind() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in EXAMPLES {
            assert!(tremor_connectors::ALL.iter().any(|kind| kind.name == *name), "{name}");
            let creates: Vec<String> = text
                .lines()
                .filter_map(|line| line.strip_prefix("define connector ")?.split(' ').next())
                .map(|defined| format!("create connector {defined};"))
                .collect();
            assert!(!creates.is_empty(), "{name}");
            let file = folder.path().join(format!("{name}.troy"));
            fs::write(
                &file,
                format!("define flow main\nflow\n{text}\n{}\nend;\ndeploy flow main;\n", creates.join("\n")),
            )
            .unwrap();
            let checked = check::run("tremor", &CheckOptions { files: vec![file] }).unwrap();
            assert_eq!(checked, ExitCode::SUCCESS, "{name}");
        }
    }

    #[test]
    fn a_kind_without_example_gets_one() {
        let ws = tremor_connectors::ALL.iter().find(|kind| kind.name == "ws_server").unwrap();
        let made = example(&Spec { name: "other", ..*ws });
        assert_eq!(
            made,
            "define connector my_other from other\nwith\n  codec = \"json\",\n  config = {\"url\": ...}\nend;"
        );
    }

    #[test]
    fn defaults_are_code_unless_they_are_words() {
        for (written, shown) in
            [("", "*required*"), ("none", "none"), ("8192", "`8192`"), ("true", "`true`"), ("{}", "`{}`")]
        {
            assert_eq!(default(written), shown);
        }
    }
}
