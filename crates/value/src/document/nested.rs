//! Changes inside a member that stays text: the new text is the old one with a piece put into it.

use super::{Document, Form};
use crate::Value;
use crate::json;
use crate::json::raw::{self, Written};

/// Members up to this long are copied for a change; longer ones are better built.
const LONGEST_MEMBER: usize = 1024;

/// Bytes that all changes of one document may take: from then on members are built.
const LONGEST_EDITS: usize = 16 * 1024;

/// Keys that one change may add.
const MOST_NEW_KEYS: usize = 8;

/// What a change is expected to add, so that the next few find room too.
const ROOM: usize = 256;

impl Document {
    /// Sets the nested member that `first` and then `rest` lead to, of which there is at least one; missing records on
    /// the way are made. `false`, and nothing is changed, unless the member `first` is the text of a record that is
    /// worth it, every value on the way is a record, the keys need no escapes and `value` is a scalar that reads back
    /// as itself.
    pub(crate) fn insert_nested<'k>(
        &mut self,
        first: &str,
        rest: impl Iterator<Item = &'k str> + Clone,
        value: &Value,
    ) -> bool {
        self.try_insert_nested(first, rest, value).is_some()
    }

    fn try_insert_nested<'k>(
        &mut self,
        first: &str,
        rest: impl Iterator<Item = &'k str> + Clone,
        value: &Value,
    ) -> Option<()> {
        let is_exact = match value {
            Value::Null | Value::Bool(_) | Value::I64(_) | Value::U64(_) | Value::String(_) => true,
            Value::F64(float) => float.is_finite(),
            Value::Bytes(_) | Value::Array(_) | Value::Record(_) => false,
        };
        let position = self.position(first).filter(|_| is_exact)?;
        self.begin_change();
        let mut member = *self.members.get(position)?;
        let text = self.text_of(&member).filter(|text| is_worth_it(text, &self.edits))?;
        let spot = find(text, rest, self.keys)?;
        let behind = spot.end;
        let len = text.len();
        let start = self.edits.len();
        if self.edits.capacity() == 0 {
            // Enough for a few of the members.
            self.edits.reserve(self.text.len().min(LONGEST_MEMBER) + ROOM);
        }
        let old = match member.form {
            Form::Text => Old::Text(self.text.get(member.start as usize..member.end as usize)?),
            Form::Edited => Old::Edits(member.start as usize),
            Form::Written => return None,
        };
        old.append(0, spot.start, &mut self.edits);
        if spot.write(value, &mut self.edits).is_none() {
            self.edits.truncate(start);
            return None;
        }
        old.append(behind, len, &mut self.edits);
        member.start = match old {
            // What was last in the list is replaced there.
            Old::Edits(old) if old + len == start => {
                self.edits.drain(old..start);
                member.start
            }
            _ => u32::try_from(start).ok()?,
        };
        member.end = u32::try_from(self.edits.len()).ok()?;
        member.form = Form::Edited;
        if let Some(place) = self.members.get_mut(position) {
            *place = member;
        }
        self.is_changed = true;
        Some(())
    }
}

fn is_worth_it(text: &[u8], edits: &[u8]) -> bool {
    text.len() <= LONGEST_MEMBER && edits.len() <= LONGEST_EDITS
}

/// The text of a member before a change.
enum Old<'t> {
    Text(&'t [u8]),
    /// From here on in [`Document::edits`].
    Edits(usize),
}

impl Old<'_> {
    /// Appends the part from `start` to `end`.
    #[inline(always)]
    fn append(&self, start: usize, end: usize, edits: &mut Vec<u8>) {
        match self {
            Self::Text(text) => edits.extend_from_slice(text.get(start..end).unwrap_or_default()),
            Self::Edits(from) if from + end <= edits.len() => {
                edits.extend_from_within(from + start..from + end);
            }
            Self::Edits(_) => {}
        }
    }
}

/// Where a text is changed.
struct Spot<'k, I> {
    /// The new piece takes the place of what stands from here …
    start: usize,
    /// … to here, which is nothing if a member is new.
    end: usize,
    /// The first of the keys that do not exist yet, and whether it comes first in its record.
    missing: Option<(&'k str, bool)>,
    /// The keys behind it.
    rest: I,
}

/// Looks for the place that `keys` lead to; `None` if a value on the way is no record.
#[inline(always)]
fn find<'k, I: Iterator<Item = &'k str>>(text: &[u8], mut keys: I, written: Written) -> Option<Spot<'k, I>> {
    let (mut start, mut end) = (0, text.len());
    while let Some(key) = keys.next() {
        match raw::locate(text.get(start..end)?, key, written)? {
            raw::Place::At(from, to) => (start, end) = (start + from, start + to),
            raw::Place::Missing { behind, is_first } => {
                let place = start + behind;
                return Some(Spot { start: place, end: place, missing: Some((key, is_first)), rest: keys });
            }
        }
    }
    Some(Spot { start, end, missing: None, rest: keys })
}

impl<'k, I: Iterator<Item = &'k str>> Spot<'k, I> {
    /// Appends the new piece; `None` if it has too many keys, or one that had to be escaped.
    #[inline(always)]
    fn write(self, value: &Value, out: &mut Vec<u8>) -> Option<()> {
        let mut added = 0;
        if let Some((key, is_first)) = self.missing {
            if !is_first {
                out.push(b',');
            }
            for key in std::iter::once(key).chain(self.rest) {
                if added > 0 {
                    out.push(b'{');
                }
                added += 1;
                if !json::write_plain_key(key, out) {
                    return None;
                }
            }
        }
        json::write_scalar(value, out);
        for _ in 1..added {
            out.push(b'}');
        }
        (added <= MOST_NEW_KEYS).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use crate::json::Parser;
    use crate::{Bytes, Payload, Value};

    fn payload(text: &str) -> Payload {
        Parser::new().document(Bytes::copy_from_slice(text.as_bytes())).unwrap()
    }

    fn text(payload: &Payload) -> String {
        let mut text = Vec::new();
        payload.write_json(&mut text);
        String::from_utf8(text).unwrap()
    }

    #[track_caller]
    fn check(document: &str, keys: &[&str], value: Value, expected: &str) {
        let mut changed = payload(document);
        let before = changed.clone();
        assert!(changed.insert_nested(keys[0], keys[1..].iter().copied(), &value), "{document} {keys:?}");
        assert!(!changed.is_built());
        assert_eq!(text(&changed), expected);
        assert_eq!(changed.get_path(keys.iter().copied()).as_deref(), Some(&value), "{document} {keys:?}");
        assert_eq!(changed.value(), &Value::from_json_str(expected).unwrap());
        assert_eq!(text(&before), Value::from_json_str(document).unwrap().to_string(), "a branch stays");
    }

    #[track_caller]
    fn refuses(document: &str, keys: &[&str], value: impl Into<Value>) {
        let mut changed = payload(document);
        let before = text(&changed);
        assert!(
            !changed.insert_nested(keys[0], keys[1..].iter().copied(), &value.into()),
            "{document} {keys:?}"
        );
        assert_eq!(text(&changed), before);
    }

    #[test]
    fn members_are_replaced_and_added() {
        check(r#"{"a":{"b":1,"c":2},"d":3}"#, &["a", "b"], "x\"".into(), r#"{"a":{"b":"x\"","c":2},"d":3}"#);
        check(r#"{"a":{"b":1}}"#, &["a", "c"], Value::Null, r#"{"a":{"b":1,"c":null}}"#);
        check(r#"{"a":{}}"#, &["a", "c"], (-0.0).into(), r#"{"a":{"c":-0.0}}"#);
        check(
            r#"{"a":{"b":[{}]}}"#,
            &["a", "c", "d", "e"],
            true.into(),
            r#"{"a":{"b":[{}],"c":{"d":{"e":true}}}}"#,
        );
        check(
            r#"{"a":{"b":{"c":{"x":1}}},"z":""}"#,
            &["a", "b", "c", "x"],
            u64::MAX.into(),
            r#"{"a":{"b":{"c":{"x":18446744073709551615}}},"z":""}"#,
        );
        check(
            "{ \"a\" : { \"b\" : 1.50 } , \"n\" : [ ] }",
            &["a", "é"],
            1e22.into(),
            r#"{"a":{"b":1.5,"é":1e22},"n":[]}"#,
        );
        check("{\"a\":{ }}", &["a", "b"], 1_i64.into(), r#"{"a":{"b":1}}"#);
    }

    #[test]
    fn the_suite_tests_documents_that_are_not_built() {
        let (_, payload) = crate::testing::forms_agree(br#"{"a":{"b":1}}"#).unwrap();
        assert!(!payload.is_built());
    }

    #[test]
    fn changes_follow_each_other() {
        let mut changed = payload(r#"{"a":{"b":1},"c":{"d":2},"e":5}"#);
        for (number, keys) in (0_i64..).zip([["a", "b"], ["a", "n"], ["c", "d"], ["a", "b"], ["c", "m"]]) {
            assert!(changed.insert_nested(keys[0], [keys[1]].into_iter(), &number.into()));
        }
        assert_eq!(text(&changed), r#"{"a":{"b":3,"n":1},"c":{"d":2,"m":4},"e":5}"#);
        *changed.member_mut("a").unwrap() = Value::Null;
        assert!(changed.insert("c", 7_i64));
        assert!(changed.remove("e"));
        assert_eq!(text(&changed), r#"{"a":null,"c":7}"#);
    }

    #[test]
    fn what_can_not_stay_text_is_left_to_others() {
        refuses(r#"{"a":1}"#, &["a", "b"], 1_i64);
        refuses(r#"{"a":{"b":1}}"#, &["a", "b", "c"], 1_i64);
        refuses(r#"{"a":{}}"#, &["n", "b"], 1_i64);
        refuses(r#"{"a":{}}"#, &["a", "quote\""], 1_i64);
        refuses(r#"{"a":{}}"#, &["a", "b"], f64::NAN);
        refuses(r#"{"a":{}}"#, &["a", "b"], Value::record());
        refuses(r#"{"a":{}}"#, &["a", "b"], Bytes::from_static(b"bytes"));
        refuses("[{}]", &["a", "b"], 1_i64);
        let keys: Vec<&str> = std::iter::repeat_n("a", 20).collect();
        refuses(r#"{"a":{}}"#, &keys, 1_i64);
    }

    #[test]
    fn a_document_does_not_grow_by_many_changes() {
        let text = "x".repeat(500);
        let mut changed =
            payload(&format!(r#"{{"a":{{"b":1,"text":"{text}"}},"c":{{"b":1,"text":"{text}"}}}}"#));
        let mut change = |n: i64, key: &str| changed.insert_nested(key, ["b"].into_iter(), &n.into());
        // What was changed last is replaced where it is; what was changed before is copied to the end.
        assert!((0..1_000).all(|n| change(n, "a")));
        assert!((0..1_000).take_while(|n| change(*n, if n % 2 == 0 { "a" } else { "c" })).count() < 100);
        changed.member_mut("a").unwrap();
        let mut long = payload(&format!(r#"{{"a":{{"text":"{}"}}}}"#, "x".repeat(5_000)));
        assert!(!long.insert_nested("a", ["b"].into_iter(), &Value::Null));
    }
}
