//! A JSON document that stays text, with what was changed in it.

mod nested;

use std::borrow::Cow;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use smallvec::SmallVec;

use crate::json::raw::{self, Written};
use crate::json::skim::{self, Kind, Skimmed};
use crate::json::{self, arrange};
use crate::{Bytes, Record, Step, Str, Value, teardown};

/// Members that need no memory beside the document itself.
const INLINE_MEMBERS: usize = 16;

/// Room for written members that the first one makes: who writes one mostly writes a few.
const FIRST_WRITTEN: usize = 8;

/// Members that are written one by one; then the tree, which finds them by an index, takes over.
const MOST_WRITTEN: usize = 2 * skim::MAX_INDEXED;

/// How often a text without a list of members may be walked over, from front to back, before it is built. Building an array of
/// short items takes that long, and needs many times the memory.
const MOST_WALKS: u64 = 8;

/// A valid array or record as text, of which no record has a key twice, and keys have escapes only as this crate writes them.
///
/// The members of a record (of up to [`skim::MAX_INDEXED`]) can be read, replaced, added and removed one by one. The
/// text is a part of the buffer that it came in, which it keeps alive.
#[derive(Clone, Debug)]
pub(crate) struct Document {
    text: Bytes,
    /// The text is what the writer of this crate would make of it.
    is_canonical: bool,
    keys: Written,
    kind: Kind,
    /// The members of a [`Kind::Record`] in their order.
    members: SmallVec<[Member; INLINE_MEMBERS]>,
    /// Members that were changed or added.
    written: Vec<(Str, Value)>,
    /// Members in which something was changed, as the texts that they are now.
    edits: Vec<u8>,
    /// A member was changed, added or removed.
    is_changed: bool,
    /// The whole as a tree, once somebody has asked for it.
    tree: OnceLock<Value>,
    walks: Walks,
}

/// Bytes of a text without a list of members that were walked over.
#[derive(Debug, Default)]
struct Walks(AtomicU64);

impl Walks {
    /// `true` if one more walk over `text` is cheaper than building everything.
    fn another(&self, text: &[u8]) -> bool {
        self.0.load(Ordering::Relaxed) < (text.len() as u64).saturating_mul(MOST_WALKS)
    }

    /// Makes one step into `text` by a walk.
    fn walk<'t>(&self, text: &'t [u8], step: Step<'_>, keys: Written) -> Option<&'t [u8]> {
        let place = place_of(text, step, keys);
        let walked = place.map_or(text.len(), |(_, end)| end);
        self.0.fetch_add(walked as u64, Ordering::Relaxed);
        place.and_then(|(start, end)| text.get(start..end))
    }
}

impl Clone for Walks {
    fn clone(&self) -> Self {
        Self(AtomicU64::new(self.0.load(Ordering::Relaxed)))
    }
}

/// Where in a text the value stands that a step leads to.
#[inline(always)]
fn place_of(text: &[u8], step: Step<'_>, keys: Written) -> Option<(usize, usize)> {
    match step {
        Step::Key(key) => match raw::locate(text, key, keys)? {
            raw::Place::At(start, end) => Some((start, end)),
            raw::Place::Missing { .. } => None,
        },
        Step::Item(index) => raw::item(text, index),
    }
}

/// The text that a step into a text leads to.
#[inline(always)]
fn step_into<'t>(text: &'t [u8], step: Step<'_>, keys: Written) -> Option<&'t [u8]> {
    let (start, end) = place_of(text, step, keys)?;
    text.get(start..end)
}

/// What a member is at present.
enum Found<'d> {
    Text(&'d [u8]),
    Value(&'d Value),
}

/// A member of a record. Key and value are places in [`Document::text`], unless [`Form`] says something else.
#[derive(Clone, Copy, Debug)]
struct Member {
    key: u32,
    key_len: u32,
    start: u32,
    end: u32,
    /// The value is written exactly as this crate writes it.
    is_canonical: bool,
    form: Form,
}

impl Member {
    /// `true` if key, colon and value stand as they are written.
    fn is_tight(&self) -> bool {
        self.is_canonical && self.start == self.key + self.key_len + 2
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    /// As it came.
    Text,
    /// The key as it came, the value as places in [`Document::edits`].
    Edited,
    /// The start is the place in [`Document::written`], and but for the length of the key nothing else is known.
    Written,
}

impl Document {
    /// What `skimmed` says of `text`, with its members. Keys must not be odd or repeated, and be written like this.
    ///
    /// Documents are large for something that is made per event: it is made where it stays.
    #[inline(always)]
    pub(crate) fn shared(
        text: Bytes,
        skimmed: &Skimmed,
        members: &[skim::Member],
        keys: Written,
    ) -> Arc<Self> {
        let is_whole = skimmed.start == 0 && skimmed.end == text.len();
        let mut document = Arc::new(Self {
            text: if is_whole { text } else { text.slice(skimmed.start..skimmed.end) },
            is_canonical: skimmed.is_canonical,
            keys,
            kind: skimmed.kind,
            members: SmallVec::new(),
            written: Vec::new(),
            edits: Vec::new(),
            is_changed: false,
            tree: OnceLock::new(),
            walks: Walks::default(),
        });
        let shift = u32::try_from(skimmed.start).unwrap_or(u32::MAX);
        if let (Some(new), Kind::Record) = (Arc::get_mut(&mut document), skimmed.kind) {
            new.members.extend(members.iter().map(|member| Member {
                key: member.key - shift,
                key_len: member.key_len,
                start: member.start - shift,
                end: member.end - shift,
                is_canonical: member.is_canonical,
                form: Form::Text,
            }));
        }
        document
    }

    pub(crate) fn is_record(&self) -> bool {
        self.kind != Kind::Array
    }

    /// `true` if changing a member here is cheaper than in the tree.
    pub(crate) fn is_changeable(&self) -> bool {
        self.kind == Kind::Record && self.written.len() < MOST_WRITTEN && !self.is_built()
    }

    /// Forgets the tree before a change, which it would not have.
    ///
    /// Another owner may have built it since [`Document::is_changeable`] was asked: then this copy got it as well.
    fn begin_change(&mut self) {
        if let Some(tree) = self.tree.take() {
            teardown::release(tree);
        }
    }

    pub(crate) fn is_built(&self) -> bool {
        self.tree.get().is_some()
    }

    /// The whole as a tree, which is built once.
    pub(crate) fn tree(&self) -> &Value {
        self.tree.get_or_init(|| self.build())
    }

    pub(crate) fn into_tree(mut self) -> Value {
        self.tree.take().unwrap_or_else(|| self.build())
    }

    fn build(&self) -> Value {
        if !self.is_changed {
            return read(&self.text);
        }
        let mut record = Record::with_capacity(self.members.len());
        for member in &self.members {
            match (self.text_of(member), self.written(member)) {
                (Some(text), _) => {
                    record.push_new(self.name(member), read(text));
                }
                (None, Some((key, value))) => record.push_new(key.clone(), value.clone()),
                (None, None) => {}
            }
        }
        record.into()
    }

    /// What stands at the end of a path of at least one step.
    pub(crate) fn get_path<'k>(
        &self,
        first: Step<'k>,
        mut rest: impl Iterator<Item = Step<'k>>,
    ) -> Option<Cow<'_, Value>> {
        match self.look_for(first)? {
            Found::Text(text) => {
                let text = rest.try_fold(text, |text, step| step_into(text, step, self.keys));
                text.map(|text| Cow::Owned(read(text)))
            }
            Found::Value(value) => rest.try_fold(value, |value, step| step.find_in(value)).map(Cow::Borrowed),
        }
    }

    /// `true` if there is something at the end of the path.
    pub(crate) fn contains_path<'k>(
        &self,
        first: Step<'k>,
        mut rest: impl Iterator<Item = Step<'k>>,
    ) -> bool {
        match self.look_for(first) {
            Some(Found::Text(text)) => {
                rest.try_fold(text, |text, step| step_into(text, step, self.keys)).is_some()
            }
            Some(Found::Value(value)) => rest.try_fold(value, |value, step| step.find_in(value)).is_some(),
            None => false,
        }
    }

    #[inline(always)]
    fn look_for(&self, step: Step<'_>) -> Option<Found<'_>> {
        if let Some(tree) = self.tree.get() {
            return step.find_in(tree).map(Found::Value);
        }
        match (self.kind, step) {
            (Kind::Array, Step::Key(_)) | (Kind::Record | Kind::LargeRecord, Step::Item(_)) => None,
            (Kind::Array | Kind::LargeRecord | Kind::Scalar, _) => match self.walks.another(&self.text) {
                true => self.walks.walk(&self.text, step, self.keys).map(Found::Text),
                false => step.find_in(self.tree()).map(Found::Value),
            },
            (Kind::Record, Step::Key(key)) => {
                let member = self.members.get(self.position(key)?)?;
                match self.text_of(member) {
                    Some(text) => Some(Found::Text(text)),
                    None => self.written(member).map(|(_, value)| Found::Value(value)),
                }
            }
        }
    }

    /// Member `key` for writing, if it is there.
    pub(crate) fn member_mut(&mut self, key: &str) -> Option<&mut Value> {
        self.begin_change();
        let position = self.position(key)?;
        let member = *self.members.get(position)?;
        if let Some(text) = self.text_of(&member) {
            let value = read(text);
            return self.write(position, key.into(), value);
        }
        self.written_mut(&member)
    }

    /// Member `key` for writing, made as null if it is not there.
    pub(crate) fn member_or_null(&mut self, key: &str) -> Option<&mut Value> {
        match self.position(key) {
            Some(_) => self.member_mut(key),
            None => self.insert(key.into(), Value::Null),
        }
    }

    /// Sets member `key`; gives its place.
    pub(crate) fn insert(&mut self, key: Str, value: Value) -> Option<&mut Value> {
        self.begin_change();
        match self.position(&key) {
            Some(position) => {
                let member = *self.members.get(position)?;
                if member.form != Form::Written {
                    return self.write(position, key, value);
                }
                let place = self.written_mut(&member)?;
                std::mem::replace(place, value).release();
                Some(place)
            }
            None => {
                let start = u32::try_from(self.written.len()).ok()?;
                let key_len = u32::try_from(key.len()).unwrap_or(u32::MAX);
                let form = Form::Written;
                self.members.push(Member { key: 0, key_len, start, end: 0, is_canonical: false, form });
                self.push_written(key, value)
            }
        }
    }

    /// Removes member `key`; `false` if it is not there.
    pub(crate) fn remove(&mut self, key: &str) -> bool {
        self.begin_change();
        let Some(position) = self.position(key) else { return false };
        self.is_changed = true;
        let member = self.members.remove(position);
        if let Some(value) = self.written_mut(&member) {
            std::mem::take(value).release();
        }
        true
    }

    /// Puts a value in the place of the member at `position`, which is text.
    #[inline(always)]
    fn write(&mut self, position: usize, key: Str, value: Value) -> Option<&mut Value> {
        let member = self.members.get_mut(position)?;
        member.form = Form::Written;
        member.start = u32::try_from(self.written.len()).ok()?;
        self.push_written(key, value)
    }

    #[inline(always)]
    fn push_written(&mut self, key: Str, value: Value) -> Option<&mut Value> {
        self.is_changed = true;
        if self.written.capacity() == 0 {
            self.written.reserve(FIRST_WRITTEN);
        }
        self.written.push((key, value));
        self.written.last_mut().map(|(_, value)| value)
    }

    /// The text, if that is the JSON form of the tree.
    #[inline]
    pub(crate) fn unchanged(&self) -> Option<&Bytes> {
        (self.is_canonical && !self.is_changed).then_some(&self.text)
    }

    /// Appends the JSON form of the tree, without building it.
    pub(crate) fn write_json(&self, out: &mut Vec<u8>) {
        match (self.is_changed, self.is_canonical) {
            (false, true) => out.extend_from_slice(&self.text),
            (false, false) => raw::write_canonical(&self.text, out),
            (true, _) => self.write_members(out),
        }
    }

    /// The same, with members ordered by the bytes of their keys at every level.
    pub(crate) fn write_sorted_json(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let mut changed = Vec::new();
        let is_written = if self.is_changed {
            self.write_members(&mut changed);
            arrange::write_sorted(&changed, true, out)
        } else {
            arrange::write_sorted(&self.text, self.is_canonical, out)
        };
        // Places are kept in 32 bits, and a changed document may be longer.
        if is_written.is_none() {
            out.truncate(start);
            json::write_sorted(self.tree(), out);
        }
    }

    fn write_members(&self, out: &mut Vec<u8>) {
        out.reserve(self.text.len());
        let mut separator = b'{';
        let mut rest = self.members.iter();
        while let Some(member) = rest.next() {
            out.push(separator);
            separator = b',';
            match member.form {
                Form::Text if member.is_tight() => {
                    // Neighbours that are good as they are take one copy.
                    let (start, mut end) = (member.key as usize - 1, member.end as usize);
                    while let Some(next) = rest.as_slice().first()
                        && next.form == Form::Text
                        && next.is_tight()
                        && next.key as usize == end + 2
                    {
                        end = next.end as usize;
                        rest.next();
                    }
                    out.extend_from_slice(self.text.get(start..end).unwrap_or_default());
                }
                Form::Text => self.write_member(member, self.value(member), out),
                Form::Edited => self.write_member(member, self.edited(member), out),
                Form::Written => {
                    if let Some((key, value)) = self.written(member) {
                        json::write_string(key, out);
                        out.push(b':');
                        json::write(value, out);
                    }
                }
            }
        }
        out.extend_from_slice(if separator == b'{' { b"{}" } else { b"}" });
    }

    fn write_member(&self, member: &Member, value: &[u8], out: &mut Vec<u8>) {
        out.push(b'"');
        out.extend_from_slice(self.key(member));
        out.extend_from_slice(b"\":");
        if member.is_canonical {
            out.extend_from_slice(value);
        } else {
            raw::write_canonical(value, out);
        }
    }

    #[inline(always)]
    fn position(&self, key: &str) -> Option<usize> {
        if self.keys == Written::Escaped {
            return self.position_of_escaped(key);
        }
        let len = u32::try_from(key.len()).unwrap_or(u32::MAX);
        let mut members = self.members.iter();
        // Most of them differ in length, so that nothing else is done here.
        while let Some(member) = members.find(|member| member.key_len == len) {
            if self.is_named(member, key) {
                return Some(self.members.len() - members.as_slice().len() - 1);
            }
        }
        None
    }

    #[inline(never)]
    fn position_of_escaped(&self, key: &str) -> Option<usize> {
        let written = raw::escaped(key);
        self.members.iter().position(|member| match member.form {
            Form::Text | Form::Edited => self.key(member) == written,
            Form::Written => self.is_named(member, key),
        })
    }

    #[inline(always)]
    fn is_named(&self, member: &Member, name: &str) -> bool {
        match member.form {
            Form::Text | Form::Edited => raw::is_same(self.key(member), name.as_bytes()),
            Form::Written => {
                self.written(member).is_some_and(|(key, _)| raw::is_same(key.as_bytes(), name.as_bytes()))
            }
        }
    }

    fn written(&self, member: &Member) -> Option<&(Str, Value)> {
        match member.form {
            Form::Written => self.written.get(member.start as usize),
            Form::Text | Form::Edited => None,
        }
    }

    fn written_mut(&mut self, member: &Member) -> Option<&mut Value> {
        match member.form {
            Form::Written => self.written.get_mut(member.start as usize).map(|(_, value)| value),
            Form::Text | Form::Edited => None,
        }
    }

    /// The text of a member that is one.
    fn text_of(&self, member: &Member) -> Option<&[u8]> {
        match member.form {
            Form::Text => Some(self.value(member)),
            Form::Edited => Some(self.edited(member)),
            Form::Written => None,
        }
    }

    fn key(&self, member: &Member) -> &[u8] {
        let start = member.key as usize;
        self.text.get(start..start + member.key_len as usize).unwrap_or_default()
    }

    /// The key of a member that is text.
    fn name(&self, member: &Member) -> Str {
        let written = str::from_utf8(self.key(member)).unwrap_or_default();
        if self.keys == Written::Plain {
            return written.into();
        }
        let mut name = String::new();
        // What was accepted has no wrong escapes.
        let _ = raw::unescape(written, &mut name);
        name.into()
    }

    fn value(&self, member: &Member) -> &[u8] {
        self.text.get(member.start as usize..member.end as usize).unwrap_or_default()
    }

    fn edited(&self, member: &Member) -> &[u8] {
        self.edits.get(member.start as usize..member.end as usize).unwrap_or_default()
    }
}

/// The value of a text that was accepted before.
fn read(text: &[u8]) -> Value {
    let value = raw::read(text);
    debug_assert!(value.is_some(), "accepted and then not understood: {}", String::from_utf8_lossy(text));
    value.unwrap_or_default()
}

impl Drop for Document {
    fn drop(&mut self) {
        // Nothing is nested deeper than a document may be, but what scripts wrote.
        if !self.written.is_empty() {
            if let Some(tree) = self.tree.take() {
                teardown::release(tree);
            }
            teardown::release_members(std::mem::take(&mut self.written));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        let text = Bytes::copy_from_slice(text.as_bytes());
        let mut skimmer = skim::Skimmer::default();
        let skimmed = skimmer.skim(&text).unwrap();
        Arc::into_inner(Document::shared(text, &skimmed, &skimmer.members, Written::Plain)).unwrap()
    }

    #[test]
    fn a_tree_that_another_owner_built_in_the_meantime_is_not_believed() {
        type Change = fn(&mut Document) -> bool;
        let changes: [(Change, &str); 6] = [
            (|document| document.insert("a".into(), 1_i64.into()).is_some(), r#"{"a":1,"b":{"c":0}}"#),
            (|document| document.insert("d".into(), 1_i64.into()).is_some(), r#"{"a":0,"b":{"c":0},"d":1}"#),
            (|document| document.member_mut("b").map(std::mem::take).is_some(), r#"{"a":0,"b":null}"#),
            (|document| document.member_or_null("d").is_some(), r#"{"a":0,"b":{"c":0},"d":null}"#),
            (|document| document.remove("a"), r#"{"b":{"c":0}}"#),
            (
                |document| document.insert_nested("b", ["c"].into_iter(), &1_i64.into()),
                r#"{"a":0,"b":{"c":1}}"#,
            ),
        ];
        for (change, expected) in changes {
            let mut changed = document(r#"{"a":0,"b":{"c":0}}"#);
            changed.tree();
            assert!(change(&mut changed));
            assert_eq!(changed.tree().to_string(), expected);
        }
    }
}
