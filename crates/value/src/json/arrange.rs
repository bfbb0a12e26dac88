//! Accepted text with its members in another order: the text stays, and pieces of it are written in other places.
//!
//! One walk over the text makes a list of [`Edit`]s, each of which belongs to a place in it. Then the text is written from
//! the front, with a look at that list. A piece is written in one place at most, so neither depends on how records are nested.

use std::borrow::Cow;
use std::hash::{BuildHasher, RandomState};

use super::{raw, skim};

/// Members that are compared one by one.
const MAX_COMPARED: usize = 32;

/// Appends `text` as this crate writes its value. Of a key that stands twice the last value counts, in the place of the
/// first. `None` if the text was not accepted.
pub(super) fn write_without_repeats(text: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let mut edits = edits(text, drop_repeats)?;
    write(text, &mut edits, raw::write_canonical, out)
}

/// Appends `text`, in which no key is repeated or odd, with members ordered by the bytes of their keys. `None` if the text was not
/// accepted, and is that of an array or record.
pub(crate) fn write_sorted(text: &[u8], is_canonical: bool, out: &mut Vec<u8>) -> Option<()> {
    let mut edits = edits(text, sort)?;
    let copy: Copy =
        if is_canonical { |text, out| out.extend_from_slice(text) } else { raw::write_canonical };
    write(text, &mut edits, copy, out)
}

/// A member of a record that is being walked over.
#[derive(Clone, Copy)]
struct Member {
    /// Behind its first quote.
    key: u32,
    value: u32,
    end: u32,
    /// The last member of the same name, counted from the first member; 0 if there is none.
    last: u32,
}

/// From `at` to `resume` the text is left out; what stands from `from` to `to`, if anything, takes the place.
struct Edit {
    at: u32,
    resume: u32,
    from: u32,
    to: u32,
}

/// What is done with all members of a record, in their order.
type Arrange = fn(&[u8], &mut [Member], &mut Vec<Edit>) -> Option<()>;

/// How the pieces are written.
type Copy = fn(&[u8], &mut Vec<u8>);

/// Walks over an array or record, and arranges every record in it.
fn edits(text: &[u8], arrange: Arrange) -> Option<Vec<Edit>> {
    let mut edits = Vec::new();
    // The members of all open records.
    let mut members: Vec<Member> = Vec::new();
    // Where those of an open record begin; nothing for an array.
    let mut levels: Vec<Option<usize>> = Vec::new();
    let mut at = 0;
    let mut is_key = false;
    loop {
        at = raw::solid(text, at);
        match text.get(at)? {
            b',' => {
                is_key = levels.last()?.is_some();
                at += 1;
                continue;
            }
            b'"' if is_key => {
                is_key = false;
                let key = place(at + 1)?;
                let colon = raw::solid(text, raw::string_end(text, at + 1)?.0 + 1);
                at = raw::solid(text, colon + 1);
                members.push(Member { key, value: place(at)?, end: 0, last: 0 });
                continue;
            }
            b'{' => {
                levels.push(Some(members.len()));
                is_key = true;
                at += 1;
                continue;
            }
            b'[' => {
                levels.push(None);
                at += 1;
                continue;
            }
            b'}' | b']' => {
                if let Some(first) = levels.pop()? {
                    arrange(text, members.get_mut(first..)?, &mut edits)?;
                    members.truncate(first);
                }
                is_key = false;
                at += 1;
            }
            b'"' => at = raw::string_end(text, at + 1)?.0 + 1,
            _ => at = raw::scalar_end(text, at)?,
        }
        // A value has ended.
        match levels.last() {
            Some(Some(_)) => members.last_mut()?.end = place(at)?,
            Some(None) => {}
            None => return Some(edits),
        }
    }
}

fn place(at: usize) -> Option<u32> {
    u32::try_from(at).ok()
}

/// The key of a member.
fn name<'t>(text: &'t [u8], member: &Member) -> Option<Cow<'t, [u8]>> {
    let start = member.key as usize;
    let (end, is_plain) = raw::string_end(text, start)?;
    let name = text.get(start..end)?;
    if is_plain {
        return Some(name.into());
    }
    let mut plain = String::new();
    raw::unescape(std::str::from_utf8(name).ok()?, &mut plain)?;
    Some(plain.into_bytes().into())
}

/// Keeps the first of members of the same name, with the value of the last.
fn drop_repeats(text: &[u8], members: &mut [Member], edits: &mut Vec<Edit>) -> Option<()> {
    let is_any = match members.len() {
        0 | 1 => false,
        2..=MAX_COMPARED => find_few_repeats(text, members, edits)?,
        _ => find_many_repeats(text, members, edits)?,
    };
    if is_any {
        for first in members.iter().filter(|member| member.last != 0) {
            let last = members.get(first.last as usize)?;
            edits.push(Edit { at: first.value, resume: first.end, from: last.value, to: last.end });
        }
    }
    Some(())
}

fn find_few_repeats(text: &[u8], members: &mut [Member], edits: &mut Vec<Edit>) -> Option<bool> {
    let mut hashes = [0; MAX_COMPARED];
    let mut is_any = false;
    for at in 0..members.len() {
        let member = *members.get(at)?;
        let key = name(text, &member)?;
        let hash = skim::hash(&key);
        let earlier = members.iter().zip(&hashes).take(at);
        let mut alike = earlier.enumerate().filter(|(_, (_, other))| **other == hash);
        let first = alike.find(|(_, (other, _))| is_named(text, other, &key)).map(|(first, _)| first);
        *hashes.get_mut(at)? = hash;
        if let Some(first) = first {
            is_any = true;
            repeated(members, first, at, edits)?;
        }
    }
    Some(is_any)
}

/// The same by a table of hashes, whose secret is made anew.
fn find_many_repeats(text: &[u8], members: &mut [Member], edits: &mut Vec<Edit>) -> Option<bool> {
    let hasher = RandomState::new();
    // Numbers of members, from 1 on: at least a third of the places stays free.
    let mut table = vec![0_u32; (members.len() + members.len() / 2).next_power_of_two()];
    let mut is_any = false;
    for at in 0..members.len() {
        let key = name(text, members.get(at)?)?;
        #[expect(clippy::cast_possible_truncation, reason = "any bits will do")]
        let mut place = hasher.hash_one(&*key) as usize;
        loop {
            place &= table.len() - 1;
            let slot = table.get_mut(place)?;
            let Some(first) = (*slot as usize).checked_sub(1) else {
                *slot = u32::try_from(at + 1).ok()?;
                break;
            };
            if is_named(text, members.get(first)?, &key) {
                is_any = true;
                repeated(members, first, at, edits)?;
                break;
            }
            place += 1;
        }
    }
    Some(is_any)
}

fn is_named(text: &[u8], member: &Member, key: &[u8]) -> bool {
    #[cfg(test)]
    super::work::count();
    name(text, member).is_some_and(|name| *name == *key)
}

/// Member `at` has the name of member `first`: it is left out, with the comma in front of it.
fn repeated(members: &mut [Member], first: usize, at: usize, edits: &mut Vec<Edit>) -> Option<()> {
    members.get_mut(first)?.last = u32::try_from(at).ok()?;
    let before = members.get(at.checked_sub(1)?)?.end;
    let end = members.get(at)?.end;
    match edits.last_mut() {
        // The one in front of it is left out too: no other edit ends there yet.
        Some(edit) if edit.resume == before => edit.resume = end,
        _ => edits.push(Edit { at: before, resume: end, from: 0, to: 0 }),
    }
    Some(())
}

/// Puts the members in the order of their keys.
fn sort(text: &[u8], members: &mut [Member], edits: &mut Vec<Edit>) -> Option<()> {
    let name = |member: &Member| {
        #[cfg(test)]
        super::work::count();
        name(text, member).unwrap_or_default()
    };
    if members.is_sorted_by(|one, other| name(one) <= name(other)) {
        return Some(());
    }
    let mut sorted = members.to_vec();
    sorted.sort_unstable_by(|one, other| name(one).cmp(&name(other)));
    for (place, member) in members.iter().zip(&sorted).filter(|(place, member)| place.key != member.key) {
        // With the quote in front.
        edits.push(Edit {
            at: place.key.checked_sub(1)?,
            resume: place.end,
            from: member.key.checked_sub(1)?,
            to: member.end,
        });
    }
    Some(())
}

/// Appends `text` with its edits.
fn write(text: &[u8], edits: &mut [Edit], copy: Copy, out: &mut Vec<u8>) -> Option<()> {
    out.reserve(text.len());
    edits.sort_unstable_by_key(|edit| edit.at);
    // The pieces in which others were put: where they go on, and where they end. Each is part of the one before.
    let mut around: Vec<(usize, usize)> = Vec::new();
    let (mut at, mut end, mut next) = (0, text.len(), 0);
    loop {
        match edits.get(next).filter(|edit| (edit.at as usize) < end) {
            Some(edit) => {
                copy(text.get(at..edit.at as usize)?, out);
                at = edit.resume as usize;
                if edit.from < edit.to {
                    around.push((at, end));
                    (at, end) = (edit.from as usize, edit.to as usize);
                    // What was to be put where this comes from does not matter here.
                    next = edits.partition_point(|edit| edit.at as usize <= at);
                } else {
                    next = edits.partition_point(|edit| (edit.at as usize) < at);
                }
            }
            None => {
                copy(text.get(at..end)?, out);
                let Some(outer) = around.pop() else { return Some(()) };
                (at, end) = outer;
                next = edits.partition_point(|edit| (edit.at as usize) < at);
            }
        }
    }
}
