//! `kv`: fields of a key and a value, all as texts (`spec/language-script.md` 9.5).

use super::body;
use super::{Example, Kind, Matcher};
use std::sync::Arc;
use tremor_value::{Record, Value};

pub(super) const KV: Kind = Kind {
    name: "kv",
    body: "separators around `%{key}` and `%{val}`; empty: blanks between fields, `:` between key and value",
    summary: "Matches a text with at least one field of a key and a value. What stands between `%{key}` and `%{val}` separates those, \
              any other text separates fields, so a body without `%{…}` is a separator of fields as a whole; groups may be repeated for alternatives. Fields that do not have just two \
              parts are left out. The result is a record of texts; of equal keys the last counts.",
    examples: &[
        Example { body: "", text: "a:1 b:2 junk", result: Some(r#"{"a":"1","b":"2"}"#) },
        Example { body: "%{key}=%{val}&", text: "x=1&y=2&z", result: Some(r#"{"x":"1","y":"2"}"#) },
        Example {
            body: "%{key}=%{val},%{key}:%{val};",
            text: "a=1,b:2;c=3",
            result: Some(r#"{"a":"1","b":"2","c":"3"}"#),
        },
        Example { body: ";", text: "junk", result: None },
    ],
    contextual: false,
    compile: |body| Ok(Arc::new(Kv::compile(body)?)),
};

/// What stands between fields, if the body does not say.
const FIELD_SEPARATOR: &str = " ";

/// What stands between key and value, if the body does not say.
const KEY_SEPARATOR: &str = ":";

/// How many different separators there may be: at each place of a text that looks like one, all of them are compared.
const MOST_SEPARATORS: usize = 64;

/// Cuts a text into fields, and fields into key and value.
#[derive(Debug)]
struct Kv {
    between_fields: Separators,
    between_key_and_value: Separators,
}

impl Kv {
    fn compile(body: &str) -> Result<Self, String> {
        let (mut fields, mut keys) = separators(body)?;
        if fields.is_empty() {
            fields.push(FIELD_SEPARATOR.to_owned());
        }
        if keys.is_empty() {
            keys.push(KEY_SEPARATOR.to_owned());
        }
        // To name the same separator twice, as groups of alternatives do, is no ambiguity.
        for list in [&mut fields, &mut keys] {
            list.sort_unstable();
            list.dedup();
        }
        if fields.len() + keys.len() > MOST_SEPARATORS {
            return Err(format!("it has more than {MOST_SEPARATORS} separators"));
        }
        refuse_ambiguous(&fields, &keys)?;
        Ok(Self { between_fields: Separators::new(fields), between_key_and_value: Separators::new(keys) })
    }

    /// Key and value of all fields that have just these two parts.
    fn pairs<'t>(&'t self, text: &'t str) -> impl Iterator<Item = (&'t str, &'t str)> {
        self.between_fields.split(text).filter_map(|field| {
            let mut parts = self.between_key_and_value.split(field);
            let pair = (parts.next()?, parts.next()?);
            parts.next().is_none().then_some(pair)
        })
    }
}

impl Matcher for Kv {
    fn test(&self, text: &str) -> bool {
        self.pairs(text).next().is_some()
    }

    fn extract(&self, text: &str, _ingest_ns: u64) -> Option<Value> {
        let record: Record = self.pairs(text).collect();
        (!record.is_empty()).then(|| record.into())
    }
}

/// The separators that a body names: those between fields, and those between key and value.
fn separators(body: &str) -> Result<(Vec<String>, Vec<String>), String> {
    let (mut fields, mut keys) = (Vec::new(), Vec::new());
    let (mut text, mut after_key) = (String::new(), false);
    let mut rest = body;
    loop {
        if let Some(after) = rest.strip_prefix("%{") {
            let (name, after) = after.split_once('}').ok_or("a `%{` is not closed by `}`")?;
            let list = match (name, after_key) {
                ("key", false) => &mut fields,
                ("val", true) => &mut keys,
                ("key", true) => return Err("`%{key}` stands twice without a `%{val}` in between".to_owned()),
                ("val", false) => return Err("`%{val}` stands without a `%{key}` before it".to_owned()),
                _ => return Err(format!("`%{{{name}}}` is unknown; there are `%{{key}}` and `%{{val}}`")),
            };
            if !text.is_empty() {
                list.push(std::mem::take(&mut text));
            }
            after_key = !after_key;
            rest = after;
        } else if let Some((character, after)) = body::character(rest)? {
            text.push(character);
            rest = after;
        } else {
            break;
        }
    }
    if after_key {
        return Err("`%{key}` stands without a `%{val}` after it".to_owned());
    }
    if !text.is_empty() {
        fields.push(text);
    }
    Ok((fields, keys))
}

/// With a separator inside another one it would depend on their order where a text is cut.
fn refuse_ambiguous(fields: &[String], keys: &[String]) -> Result<(), String> {
    if let Some(both) = fields.iter().find(|field| keys.contains(field)) {
        return Err(format!(
            "the separator {both:?} stands for both, between fields and between key and value; without others in the body, fields are \
             separated by {FIELD_SEPARATOR:?} and keys from values by {KEY_SEPARATOR:?}"
        ));
    }
    let all: Vec<&String> = fields.iter().chain(keys).collect();
    for (index, outer) in all.iter().enumerate() {
        for (other, inner) in all.iter().enumerate() {
            if index != other && outer.contains(inner.as_str()) {
                return Err(format!(
                    "the separator {outer:?} contains the separator {inner:?}, so it is not clear which of them is meant; \
                     without others in the body, fields are separated by {FIELD_SEPARATOR:?} and keys from values by \
                     {KEY_SEPARATOR:?}"
                ));
            }
        }
    }
    Ok(())
}

/// Texts of which none contains another one, so that at most one of them stands at any place.
#[derive(Debug)]
struct Separators {
    texts: Box<[String]>,
    /// For each byte, whether a separator begins with it.
    first: Box<[bool; 256]>,
}

impl Separators {
    fn new(texts: Vec<String>) -> Self {
        let mut first = Box::new([false; 256]);
        for byte in texts.iter().filter_map(|text| text.as_bytes().first()) {
            if let Some(slot) = first.get_mut(usize::from(*byte)) {
                *slot = true;
            }
        }
        Self { texts: texts.into(), first }
    }

    /// Start and end of the first separator in the text. Looks at each place once.
    fn find(&self, text: &str) -> Option<(usize, usize)> {
        let bytes = text.as_bytes();
        let begins = |byte: &u8| self.first.get(usize::from(*byte)).copied().unwrap_or(false);
        let mut starts = bytes.iter().enumerate().filter(|(_, byte)| begins(byte)).map(|(start, _)| start);
        starts.find_map(|start| {
            let here = bytes.get(start..)?;
            let separator = self.texts.iter().find(|separator| here.starts_with(separator.as_bytes()))?;
            Some((start, start + separator.len()))
        })
    }

    /// What stands between the separators, at least one piece.
    fn split<'t>(&'t self, text: &'t str) -> impl Iterator<Item = &'t str> {
        let mut rest = Some(text);
        std::iter::from_fn(move || {
            let text = rest?;
            let cut = self.find(text).and_then(|(start, end)| Some((text.get(..start)?, text.get(end..)?)));
            let (piece, after) = cut.map_or((text, None), |(piece, after)| (piece, Some(after)));
            rest = after;
            Some(piece)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::testing::{check, hostile_body, refused, result, text};
    use proptest::prelude::*;

    #[test]
    fn examples() {
        assert_eq!(result(&KV, "", "a:1 b:2 junk"), r#"{"a":"1","b":"2"}"#);
        assert_eq!(result(&KV, "%{key}=%{val}&", "x=1&y=2&z"), r#"{"x":"1","y":"2"}"#);
        // Fields by `;`, keys by the default.
        assert_eq!(result(&KV, ";", "a:1;b:x y;c"), r#"{"a":"1","b":"x y"}"#);
        let alternatives = "%{key}=%{val},%{key}:%{val};";
        assert_eq!(result(&KV, alternatives, "a=1,b:2;c=3"), r#"{"a":"1","b":"2","c":"3"}"#);
    }

    #[test]
    fn pieces_that_are_no_pair_are_dropped() {
        assert_eq!(result(&KV, "", "a:b:c d:1"), r#"{"d":"1"}"#);
        assert_eq!(result(&KV, "", "a::c  d:1"), r#"{"d":"1"}"#);
        assert_eq!(result(&KV, "", "a: :b"), r#"{"a":"","":"b"}"#);
        for nothing in ["", "   ", "a", "a:b:c"] {
            assert_eq!(result(&KV, "", nothing), "no match");
        }
    }

    #[test]
    fn the_last_of_equal_keys_counts() {
        assert_eq!(result(&KV, "", "a:1 b:2 a:3"), r#"{"a":"3","b":"2"}"#);
    }

    #[test]
    fn separators_of_several_bytes_and_escapes() {
        assert_eq!(result(&KV, "%{key}->%{val}\\n", "a->1\nb->-2"), r#"{"a":"1","b":"-2"}"#);
        assert_eq!(result(&KV, "%{key}\\\\%{val}\\t", "a\\1\tb\\2"), r#"{"a":"1","b":"2"}"#);
        assert_eq!(result(&KV, "→%{key}≔%{val}", "a≔é→b≔ü"), r#"{"a":"é","b":"ü"}"#);
        assert_eq!(result(&KV, "%{key}%%{val}", "a%1 b%2"), r#"{"a":"1","b":"2"}"#);
        // To name a separator again is no mistake.
        assert_eq!(
            result(&KV, "%{key}=%{val},%{key}=%{val};", "a=1,b=2;c=3"),
            r#"{"a":"1","b":"2","c":"3"}"#
        );
        // What overlaps is cut at the first place.
        assert_eq!(
            result(&KV, "ab%{key}=%{val}ba", "x=1aby=2baz=3abay=4"),
            r#"{"x":"1","y":"2","z":"3","ay":"4"}"#
        );
    }

    #[test]
    fn bodies_that_are_refused() {
        assert_eq!(refused(&KV, "%{key}="), "`%{key}` stands without a `%{val}` after it");
        assert_eq!(refused(&KV, "%{key}=%{key}"), "`%{key}` stands twice without a `%{val}` in between");
        assert_eq!(refused(&KV, "%{val}"), "`%{val}` stands without a `%{key}` before it");
        assert_eq!(refused(&KV, "%{foo}"), "`%{foo}` is unknown; there are `%{key}` and `%{val}`");
        assert_eq!(refused(&KV, "%{key"), "a `%{` is not closed by `}`");
        assert!(refused(&KV, "\\x").starts_with("`\\x` is no escape"));
        assert!(refused(&KV, "\\").starts_with("the body ends in the middle of an escape"));
        let ambiguous = refused(&KV, "%{key}=%{val},%{key}==%{val}");
        assert!(ambiguous.starts_with("the separator \"==\" contains the separator \"=\""), "{ambiguous}");
        // The defaults count as well.
        assert!(refused(&KV, ":").starts_with("the separator \":\" stands for both, between fields and"));
        assert!(refused(&KV, "%{key} %{val}").starts_with("the separator \" \" stands for both"));
        let many = |count: u32| -> String {
            (0..count)
                .filter_map(|at| char::from_u32(0x4e00 + at))
                .map(|c| format!("%{{key}}{c}%{{val}}"))
                .collect()
        };
        assert!(Kv::compile(&many(63)).is_ok());
        assert_eq!(refused(&KV, &many(64)), "it has more than 64 separators");
    }

    #[test]
    fn long_texts_are_looked_at_once() {
        // Each of them would take some 10^11 steps if the work grew with the square of the length.
        let kv = Kv::compile("%{key}=-%{val}&&").unwrap();
        for unit in ["=", "&", "=-", "a=-1&&", "&=-"] {
            let text = unit.repeat((1 << 20) / unit.len());
            assert_eq!(kv.test(&text), kv.extract(&text, 0).is_some());
        }
        let many: String = (0..100_000).map(|key| format!("{key}=-x&&")).collect();
        assert_eq!(kv.extract(&many, 0).unwrap().as_record().unwrap().len(), 100_000);
    }

    proptest! {
        #[test]
        fn any_body_and_any_text(body in hostile_body(), text in text()) {
            check(&KV, &body, &text);
        }

        #[test]
        fn any_text(text in "[ab:= &,]{0,40}") {
            check(&KV, "", &text);
            check(&KV, "%{key}=%{val}&%{key}:%{val},", &text);
        }
    }
}
