//! Where in a file a key of a configuration stands.

mod literal;

use std::{collections::HashSet, ops::Range};
use tremor_connector::config::Key;
use tremor_diagnostic::{SourceMap, Span};
use tremor_lang::{Setting, Settings};

/// The place that `path` means: the innermost key of it that is written literally in the setting's value, else
/// the value itself. `None` if the connector does not have the setting.
pub(crate) fn key(path: &[Key], settings: &Settings, sources: &SourceMap) -> Option<Span> {
    let (first, rest) = path.split_first()?;
    let Key::Field(name) = first else { return None };
    let setting = setting(settings, name)?;
    let Some(place) = innermost(sources.text(setting.span), rest) else { return Some(setting.span) };
    let at = |offset: usize| Some(u32::try_from(offset).ok()? + setting.span.start);
    let mut found = Span::new(setting.span.file, 0, 0);
    (found.start, found.end) = (at(place.start)?, at(place.end)?);
    Some(found)
}

/// Where the innermost key of `path` that is written literally stands in `text`, if any is.
fn innermost(text: &str, path: &[Key]) -> Option<Range<usize>> {
    let mut found = None;
    let mut value = 0..text.len();
    for key in path {
        let member = match key {
            Key::Field(name) => member(text, value, name),
            Key::Index(index) => item(text, value, *index),
        };
        let Some(member) = member else { break };
        found = Some(member.key);
        value = member.value;
    }
    found
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

/// A member of a record or an item of a list, as it is written.
#[derive(Clone)]
struct Member {
    /// Its name in quotes, or the item itself.
    key: Range<usize>,
    value: Range<usize>,
}

/// Where the member `name` of the record stands that is written in `value`.
fn member(text: &str, value: Range<usize>, name: &str) -> Option<Member> {
    let literal = format!("\"{name}\"");
    let Some(members) = literal::members(text, value.clone(), b'{') else {
        // What is not written as a record may have one in it.
        let start = value.start + text.get(value.clone())?.find(&literal)?;
        let found = named(text, start..value.end)?;
        let (_, end) = literal::end(text, found.value.start)?;
        return Some(Member { value: found.value.start..end, ..found });
    };
    let mut members = members.into_iter().filter_map(|member| named(text, member));
    // Of members with the same name the last one counts.
    members.rfind(|member| text.get(member.key.clone()) == Some(literal.as_str()))
}

/// Where item `index` of the list stands that is written in `value`, or the member with this number of a record:
/// so those are called whose names are secrets.
fn item(text: &str, value: Range<usize>, index: usize) -> Option<Member> {
    if let Some(items) = literal::members(text, value.clone(), b'[') {
        let item = items.get(index)?.clone();
        return Some(Member { key: item.clone(), value: item });
    }
    let members = literal::members(text, value, b'{')?;
    let members: Vec<_> = members.into_iter().map(|member| named(text, member)).collect::<Option<_>>()?;
    let names: HashSet<_> = members.iter().map(|member| text.get(member.key.clone())).collect();
    // Where a name stands twice the numbers are others.
    members.get(index).filter(|_| names.len() == members.len()).cloned()
}

/// The member that is written in `place`, if its name is a string.
fn named(text: &str, place: Range<usize>) -> Option<Member> {
    let key = place.start..literal::string_end(text, place.start)?;
    let colon = literal::skip_blank(text, key.end);
    let is_colon = text.as_bytes().get(colon) == Some(&b':');
    let value = literal::skip_blank(text, colon + 1)..place.end;
    is_colon.then_some(Member { key, value })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(name: &str) -> Key {
        Key::Field(name.into())
    }

    fn found<'t>(text: &'t str, path: &[Key]) -> &'t str {
        innermost(text, path).map_or("", |place| &text[place])
    }

    #[test]
    fn items_of_lists_are_found_as_they_are_written() {
        let text = r#"{"a": ["x, \"[", {"name": "y", "n": [1, 2]}, f(1, 2) ,"z" ], "b": []}"#;
        let item = |index| found(text, &[field("a"), Key::Index(index)]);
        assert_eq!(item(0), r#""x, \"[""#);
        assert_eq!(item(1), r#"{"name": "y", "n": [1, 2]}"#);
        assert_eq!(item(2), "f(1, 2)");
        assert_eq!(item(3), r#""z""#);
        assert_eq!(item(4), r#""a""#);
        assert_eq!(found(text, &[field("a"), Key::Index(1), field("n"), Key::Index(1)]), "2");
        for other in ["[]", "args.list", "[1", "[1][0]"] {
            assert_eq!(found(other, &[Key::Index(0)]), "", "{other}");
        }
    }

    #[test]
    fn a_name_is_that_of_the_record_and_of_none_in_it_or_behind_it() {
        let text = r#"{"a": {"b": {"c": 1}}, # "c": [
            "d": "\"c\": #{ f("}", [1]) } ", "e": """ " { #{ 1 } """, "c": 2, "d": 3}"#;
        let start = |path: &[Key]| innermost(text, path).map(|place| place.start);
        assert_eq!(start(&[field("c")]), text.find(r#""c": 2"#));
        assert_eq!(start(&[field("d")]), text.find(r#""d": 3"#));
        assert_eq!(start(&[field("a"), field("b"), field("c")]), text.find(r#""c": 1"#));
        assert_eq!(found(text, &[field("a"), field("c")]), r#""a""#);
        assert_eq!(found(text, &[field("a"), Key::Index(1)]), r#""a""#);
    }

    #[test]
    fn members_whose_names_are_secrets_are_counted() {
        let path = [field("tokens"), Key::Index(1), field("roles")];
        let text =
            |members: &str| format!(r#"{{"tokens": {members}, "routes": [{{"x": 1}}, {{"roles": 2}}]}}"#);
        let found = |members: &str| found(&text(members), &path).to_owned();
        assert_eq!(found(r#"{"k": {"roles": 1}, "l" : 5}"#), r#""l""#);
        assert_eq!(found(r#"{"k": {}, "l": {"roles": 1}}"#), r#""roles""#);
        for other in
            [r#"{"k": 1}"#, r#"{"k": 1, "k": 2, "l": 3}"#, r"args.tokens", r#"{"k": 1, f("l"): 2}"#, "5"]
        {
            assert_eq!(found(other), r#""tokens""#, "{other}");
        }
    }

    #[test]
    fn what_is_made_by_an_expression_is_searched_for_its_names() {
        let text = r#"merge args.base of {"a": {"b": 1}, "d": {"c": 1}} end"#;
        assert_eq!(found(text, &[field("a"), field("b")]), r#""b""#);
        assert_eq!(found(text, &[field("a"), field("c")]), r#""a""#);
        assert_eq!(found(text, &[field("d"), field("c")]), r#""c""#);
        assert_eq!(found(text, &[field("e")]), "");
    }
}
