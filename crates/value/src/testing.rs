//! Properties that hold for any document, for the tests of this crate and for the fuzzer.
#![expect(clippy::panic, reason = "tests fail by panicking")]

use crate::json::{self, JsonError, Parser};
use crate::{Bytes, Payload, Step, Value};

/// Keys that the changes of [`changes_agree`] are made to, beside those of the document.
const KEYS: [&str; 9] = [
    "a",
    "b",
    "",
    "é",
    "quo\"te",
    "back\\nslash",
    "\n\u{1}",
    "a\":1,\"b",
    "a key that is longer than what fits in place",
];

/// Reads `document` in the careful way, with the parser and as a payload: all accept it, or refuse it for the same
/// reason; all give the same value, the same bytes and the same members. Gives the payload, not built if it need not be.
///
/// # Panics
/// If not.
pub fn forms_agree(document: &[u8]) -> Option<(Value, Payload)> {
    let shown = String::from_utf8_lossy(document);
    // In the middle of a buffer, as lines of a stream lie.
    let buffer = Bytes::from([b"[\"", document, b"\"}1"].concat());
    let middle = buffer.slice(2..2 + document.len());
    let parsed: Result<Value, JsonError> = Parser::new().build_unusual(document);
    let quick = Parser::new().parse(document);
    assert_eq!(quick, parsed, "{shown}");
    // Text that is equal may still hide a difference between kinds, and values that are equal one of order.
    assert_eq!(
        quick.map(|value| value.to_string()),
        parsed.clone().map(|value| value.to_string()),
        "{shown}"
    );
    let payload = Parser::new().document(middle.clone());
    match (parsed, payload) {
        (Ok(value), Ok(payload)) => {
            same(&value, &payload, &shown);
            for path in paths(&value) {
                let keys = || path.iter().map(|key| &**key);
                let expected = keys().try_fold(&value, |value, key| value.get(key));
                assert_eq!(payload.get_path(keys()).as_deref(), expected, "{shown} {path:?}");
                assert_eq!(payload.contains_path(keys()), expected.is_some(), "{shown} {path:?}");
            }
            for path in item_paths(&value) {
                let steps = || path.iter().copied();
                let expected = steps().try_fold(&value, |value, step| step.find_in(value));
                let fresh = Parser::new().document(middle.clone()).unwrap_or_default();
                assert_eq!(fresh.get_path(steps()).as_deref(), expected, "{shown} {path:?}");
                assert_eq!(fresh.contains_path(steps()), expected.is_some(), "{shown} {path:?}");
            }
            assert_eq!(payload.is_record(), value.as_record().is_some(), "{shown}");
            // Built, it is still the same.
            let built = payload;
            assert!(built.value() == &value && built.is_built(), "{shown}");
            same(&value, &built, &shown);
            assert_eq!(built.into_value().to_string(), value.to_string(), "{shown}");
            // The tree is built by now, so what follows would find nothing to test.
            Some((value, Parser::new().document(middle).ok()?))
        }
        (Err(expected), Err(error)) => {
            assert_eq!(error, expected, "{shown}");
            assert_ne!(error.problem, json::Problem::Refused, "{shown}");
            None
        }
        (expected, found) => panic!("{shown}: {expected:?} is not {found:?}"),
    }
}

/// Makes the same changes, chosen by `choices`, to the value and to the payload of `document`.
///
/// # Panics
/// If the two are not the same after each of them.
pub fn changes_agree(document: &[u8], choices: &[u8]) {
    let Some((value, payload)) = forms_agree(document) else { return };
    let mut expected = Payload::from(value);
    let mut found = payload;
    let mut others: Vec<(Payload, String)> = Vec::new();
    for pair in choices.as_chunks::<2>().0 {
        let [kind, choice] = *pair;
        let known = expected.value().as_record().into_iter().flat_map(|record| record.keys().cloned());
        let keys: Vec<String> = known.map(|key| key.to_string()).chain(KEYS.map(str::to_owned)).collect();
        let key = keys.get(usize::from(choice) % keys.len()).map(String::as_str).unwrap_or_default();
        let new = || match choice % 4 {
            0 => Value::from(i64::from(choice)),
            1 => Value::from(key),
            2 => Value::from(vec![Value::record(), Value::from(0.5)]),
            _ => Value::Null,
        };
        let (left, right) = match kind % 12 {
            0 | 1 => (expected.insert(key, new()), found.insert(key, new())),
            2 => (expected.remove(key), found.remove(key)),
            3 => (set(expected.member_mut(key), new()), set(found.member_mut(key), new())),
            4 => (set(expected.member_or_null(key), new()), set(found.member_or_null(key), new())),
            5 => (nest(expected.member_or_null(key), choice), nest(found.member_or_null(key), choice)),
            6 => {
                // A branch must not see what is changed behind it.
                others.push((found.clone(), expected.value().to_string()));
                (true, true)
            }
            7 => (expected.contains_path([key]), found.contains_path([key])),
            8..=10 => {
                let path = paths(expected.value());
                let path = path.get(usize::from(choice) % path.len()).cloned().unwrap_or_default();
                (true, insert_nested(&mut expected, &mut found, &path, &new()))
            }
            _ => (expected.value() == found.value(), true),
        };
        assert_eq!(left, right, "{kind} {key}");
        assert_eq!(expected.get(key), found.get(key), "{kind} {key}");
        same(expected.value(), &found, "changed");
    }
    for (other, before) in others {
        same(&Value::from_json_str(&before).unwrap_or_default(), &other, "a branch");
    }
    assert_eq!(expected.value().to_string(), found.value().to_string());
}

/// Sets the member at the end of `path` in both, if the second one can do that at all.
fn insert_nested(expected: &mut Payload, found: &mut Payload, path: &[String], value: &Value) -> bool {
    let [first, rest @ ..] = path else { return true };
    let before = text(found);
    if rest.is_empty() || !found.insert_nested(first, rest.iter().map(String::as_str), value) {
        return before == text(found);
    }
    let mut slot = expected.member_mut(first);
    for key in rest {
        let Some(Value::Record(record)) = slot else { return false };
        let record = std::sync::Arc::make_mut(record);
        if !record.contains_key(key) {
            record.insert(key.as_str(), Value::record());
        }
        slot = record.get_mut(key);
    }
    set(slot, value.clone())
}

fn text(payload: &Payload) -> Vec<u8> {
    let mut text = Vec::new();
    payload.write_json(&mut text);
    text
}

fn set(slot: Option<&mut Value>, value: Value) -> bool {
    slot.map(|slot| *slot = value).is_some()
}

/// Sets something inside a member.
fn nest(slot: Option<&mut Value>, choice: u8) -> bool {
    match slot {
        Some(Value::Array(items)) => std::sync::Arc::make_mut(items).push(choice.to_string().into()),
        Some(Value::Record(record)) => {
            std::sync::Arc::make_mut(record).insert("a", i64::from(choice));
        }
        _ => return false,
    }
    true
}

#[track_caller]
fn same(value: &Value, payload: &Payload, shown: &str) {
    let mut out = b"before".to_vec();
    payload.write_json(&mut out);
    assert_eq!(String::from_utf8_lossy(&out), format!("before{value}"), "{shown}");
    let (mut sorted, mut expected) = (b"before".to_vec(), b"before".to_vec());
    payload.write_sorted_json(&mut sorted);
    json::write_sorted(value, &mut expected);
    assert_eq!(String::from_utf8_lossy(&sorted), String::from_utf8_lossy(&expected), "{shown}");
    if payload.is_built() {
        // Text that is equal may still hide a difference between kinds.
        assert!(payload.value() == value, "{shown}");
    }
}

/// Paths that lead to items, and some that lead to none.
fn item_paths(value: &Value) -> Vec<Vec<Step<'_>>> {
    let steps_into = |value: &Value| match value {
        Value::Array(items) => (0..items.len() as u64 + 1).map(Step::Item).take(12).collect(),
        _ => vec![Step::Item(0)],
    };
    let keys = value.as_record().into_iter().flat_map(crate::Record::keys).map(|key| Step::Key(key));
    let mut paths: Vec<Vec<Step<'_>>> =
        steps_into(value).into_iter().chain(keys).take(24).map(|step| vec![step]).collect();
    for at in 0..paths.len() {
        let Some(path) = paths.get(at).cloned() else { break };
        let inner = path.iter().try_fold(value, |value, step| step.find_in(value));
        let keys = inner.and_then(Value::as_record).into_iter().flat_map(crate::Record::keys).take(3);
        let steps: Vec<_> =
            inner.map(steps_into).into_iter().flatten().chain(keys.map(|key| Step::Key(key))).collect();
        paths.extend(steps.into_iter().map(|step| [&path[..], &[step]].concat()));
    }
    paths
}

/// Paths of keys that lead to members, and some that lead nowhere.
fn paths(value: &Value) -> Vec<Vec<String>> {
    let mut paths: Vec<Vec<String>> =
        vec![vec![], vec!["a".into()], vec!["a".into(), "b".into()], vec!["é".into()]];
    paths.extend(KEYS.map(|key| vec!["a".into(), key.into()]));
    for (key, member) in value.as_record().into_iter().flat_map(crate::Record::iter).take(100) {
        paths.push(vec![key.to_string()]);
        paths.push(vec![key.to_string(), "a".into()]);
        for (inner, deepest) in member.as_record().into_iter().flat_map(crate::Record::iter).take(20) {
            paths.push(vec![key.to_string(), inner.to_string()]);
            paths.push(vec![key.to_string(), inner.to_string(), "a".into()]);
            // What stands around a key is no part of it.
            for odd in ["\\", "\"", ":1,\"", "\",\""] {
                paths.push(vec![key.to_string(), format!("a{odd}{inner}")]);
                paths.push(vec![key.to_string(), format!("{odd}{inner}")]);
            }
            for deep in deepest.as_record().into_iter().flat_map(crate::Record::keys).take(20) {
                paths.push(vec![key.to_string(), inner.to_string(), deep.to_string()]);
            }
        }
    }
    paths
}
