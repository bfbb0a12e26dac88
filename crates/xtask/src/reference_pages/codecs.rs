//! Codecs, preprocessors and postprocessors.

use tremor_codec::{Case, Codec, Example, Postprocessor, Preprocessor, Registry, Sample, Spec};

use super::{
    connectors::default,
    markdown::{self, block, code, codes, table},
};

const CODECS: &str = "\
A codec turns the bytes of one message into a value, and a value into the bytes of one message. A connector names it, alone or with a \
configuration:

```troy
codec = \"json\"
codec = {\"name\": \"json\", \"config\": {\"mode\": \"sorted\"}}
```

`tremor run` takes a name in `--decoder` and `--encoder`.";

const PREPROCESSORS: &str = "\
Preprocessors stand between reading and decoding: they cut the stream into messages or change it. Several are applied in order. An entry \
is a name or a record:

```troy
preprocessors = [\"lines\", {\"name\": \"separate\", \"config\": {\"separator\": \";\"}}]
```";

const POSTPROCESSORS: &str = "\
Postprocessors stand between encoding and writing: they mark where a message ends or change it. Several are applied in order. An entry \
is a name or a record:

```troy
postprocessors = [\"base64\", {\"name\": \"separate\", \"config\": {\"separator\": \";\"}}]
```";

/// The page about codecs.
pub(super) fn codecs(registry: &Registry) -> String {
    page::<dyn Codec>("Codecs", CODECS, registry.codecs())
}

/// The page about preprocessors.
pub(super) fn preprocessors(registry: &Registry) -> String {
    page::<dyn Preprocessor>("Preprocessors", PREPROCESSORS, registry.preprocessors())
}

/// The page about postprocessors.
pub(super) fn postprocessors(registry: &Registry) -> String {
    page::<dyn Postprocessor>("Postprocessors", POSTPROCESSORS, registry.postprocessors())
}

fn page<P: ?Sized>(title: &str, intro: &str, specs: &[&'static Spec<P>]) -> String {
    let mut page = markdown::page(title, intro);
    let rows: Vec<[String; 3]> = specs
        .iter()
        .map(|spec| {
            let link = format!("[`{name}`](#{name})", name = spec.name);
            [link, codes(spec.aliases.iter().copied()), spec.summary.to_owned()]
        })
        .collect();
    page.push_str(&table(["Name", "Other names", "What it does"], &rows));
    for spec in specs {
        page.push_str(&one(spec));
    }
    markdown::finish(&page)
}

fn one<P: ?Sized>(spec: &Spec<P>) -> String {
    let mut out = format!("## {}\n\n{}\n\n", spec.name, spec.summary);
    let rows: Vec<[String; 4]> = spec
        .fields
        .iter()
        .map(|field| {
            let written = field.default.map_or("*required*".to_owned(), default);
            [code(field.name), field.kind.describe().to_owned(), written, field.text.to_owned()]
        })
        .collect();
    out.push_str(&table(["Key of `config`", "Type", "Default", "Meaning"], &rows));
    let examples: Vec<String> = spec.examples.iter().map(example).collect();
    if !examples.is_empty() {
        out.push_str(&block("", &examples.join("\n\n")));
    }
    out
}

fn example(example: &Example) -> String {
    let mut lines = Vec::new();
    if !example.config.is_empty() {
        lines.push(format!("config: {}", example.config));
    }
    match example.case {
        Case::Both { bytes, value } => {
            lines.extend([format!("bytes:  {}", quoted(bytes)), format!("value:  {}", sample(value))]);
        }
        Case::Decode { bytes, value } => {
            lines.extend([format!("reads:  {}", quoted(bytes)), format!("as:     {}", sample(value))]);
        }
        Case::Encode { value, bytes } => {
            lines.extend([format!("writes: {}", sample(value)), format!("as:     {}", quoted(bytes))]);
        }
        Case::Process { input, output } => {
            lines.extend([format!("in:     {}", pieces(input)), format!("out:    {}", pieces(output))]);
        }
    }
    lines.join("\n")
}

fn sample(sample: Sample) -> String {
    match sample {
        Sample::Json(text) => text.to_owned(),
        Sample::Bytes(bytes) => format!("the bytes {}", quoted(bytes)),
    }
}

fn pieces(pieces: &[&[u8]]) -> String {
    if pieces.is_empty() {
        "nothing".to_owned()
    } else {
        pieces.iter().map(|piece| quoted(piece)).collect::<Vec<_>>().join("  ")
    }
}

/// Bytes as text where they are text, everything else escaped. In single quotes, since documents are full of double ones.
fn quoted(bytes: &[u8]) -> String {
    let mut out = String::from("'");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '\0' => out.push_str("\\0"),
                '\n' | '\r' | '\t' | '\\' | '\'' => out.extend(c.escape_default()),
                c if c.is_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
                c => out.push(c),
            }
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out.push('\'');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_shown_so_that_they_can_be_read() {
        let bytes = b"{\"a\": \"\xc3\xa4\"}\n\0\x01\xff\\'";
        assert_eq!(quoted(bytes), r#"'{"a": "ä"}\n\0\x01\xff\\\''"#);
    }
}
