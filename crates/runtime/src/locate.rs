//! Where in a file a key of a configuration stands.

use std::ops::Range;
use tremor_connector::config::Key;
use tremor_diagnostic::{SourceMap, Span};
use tremor_lang::{Setting, Settings};

/// The place that `path` means: the innermost key of it that is written literally in the setting's value, else
/// the value itself. `None` if the connector does not have the setting.
pub(crate) fn key(path: &[Key], settings: &Settings, sources: &SourceMap) -> Option<Span> {
    let (first, rest) = path.split_first()?;
    let Key::Field(name) = first else { return None };
    let setting = setting(settings, name)?;
    let text = sources.text(setting.span);
    let mut found = setting.span;
    let mut from = 0;
    for key in rest {
        let place = match key {
            Key::Field(name) => {
                let literal = format!("\"{name}\"");
                let at = text.get(from..).and_then(|rest| rest.find(&literal));
                at.map(|at| (from + at)..(from + at + literal.len()))
            }
            Key::Index(index) => item(text, from, *index),
        };
        let Some(place) = place else { break };
        found = Span::new(setting.span.file, 0, 0);
        found.start = u32::try_from(place.start).ok()? + setting.span.start;
        found.end = u32::try_from(place.end).ok()? + setting.span.start;
        // Inside an item its own keys are looked for; behind a key, its value.
        from = if matches!(key, Key::Index(_)) { place.start } else { place.end };
    }
    Some(found)
}

fn setting<'s>(settings: &'s Settings, name: &str) -> Option<&'s Setting> {
    match name {
        "codec" => settings.codec.as_ref(),
        "config" => settings.config.as_ref(),
        "metrics_interval_s" => settings.metrics_interval_s.as_ref(),
        "postprocessors" => settings.postprocessors.as_ref(),
        "preprocessors" => settings.preprocessors.as_ref(),
        "reconnect" => settings.reconnect.as_ref(),
        _ => None,
    }
}

/// Where item `index` of the list stands that begins next behind `from`.
fn item(text: &str, from: usize, index: usize) -> Option<Range<usize>> {
    let list = from + text.get(from..)?.find('[')? + 1;
    let (mut depth, mut seen, mut start) = (0_usize, 0, list);
    let mut in_string = false;
    let mut is_escaped = false;
    for (at, byte) in text.bytes().enumerate().skip(list) {
        if in_string {
            in_string = is_escaped || byte != b'"';
            is_escaped = !is_escaped && byte == b'\\';
            continue;
        }
        match byte {
            b'"' => in_string = true,
            b'[' | b'{' | b'(' => depth += 1,
            b',' | b']' if depth == 0 => {
                if seen == index {
                    let item = text.get(start..at)?;
                    let start = start + (item.len() - item.trim_start().len());
                    return Some(start..start + item.trim().len()).filter(|item| !item.is_empty());
                }
                if byte == b']' {
                    return None;
                }
                seen += 1;
                start = at + 1;
            }
            b']' | b'}' | b')' => depth = depth.checked_sub(1)?,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_of_lists_are_found_as_they_are_written() {
        let text = r#"{"a": ["x, \"[", {"name": "y", "n": [1, 2]}, f(1, 2) ,"z" ], "b": []}"#;
        let found = |index| item(text, 4, index).map(|place| &text[place]);
        assert_eq!(found(0), Some(r#""x, \"[""#));
        assert_eq!(found(1), Some(r#"{"name": "y", "n": [1, 2]}"#));
        assert_eq!(found(2), Some("f(1, 2)"));
        assert_eq!(found(3), Some(r#""z""#));
        assert_eq!(found(4), None);
        assert_eq!(item("[]", 0, 0), None);
        assert_eq!(item("args.list", 0, 0), None);
        assert_eq!(item("[1", 0, 1), None);
    }
}
