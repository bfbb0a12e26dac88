//! Documents with keys that are written in odd ways or repeated: text in which they are not.

use std::borrow::Cow;

use super::skim::{HardKeys, Kind, Member, Skimmed};
use super::{MAX_DOCUMENT_BYTES, arrange, raw};

/// Writes the array or record in `text` as this crate writes its value, and says of that text what the skimmer would say.
/// `members` are those that it found, and are then those of the new text. `None` if that is too long, since numbers may need more
/// digits.
pub(super) fn rewrite(
    text: &[u8],
    skimmed: &Skimmed,
    keys: HardKeys,
    members: &mut Vec<Member>,
) -> Option<(Vec<u8>, Skimmed)> {
    let mut out = Vec::with_capacity(text.len());
    if skimmed.kind == Kind::Record {
        write_members(text, keys, members, &mut out)?;
    } else {
        write_value(text.get(skimmed.start..skimmed.end)?, keys, &mut out)?;
    }
    let found = Skimmed { start: 0, end: out.len(), is_canonical: true, ..*skimmed };
    (out.len() <= MAX_DOCUMENT_BYTES).then_some((out, found))
}

/// Only members in which something is odd are looked into.
fn write_members(text: &[u8], hard: HardKeys, members: &mut Vec<Member>, out: &mut Vec<u8>) -> Option<()> {
    let keys = members.iter().map(|member| written_key(text, member)).collect::<Option<Vec<_>>>()?;
    let mut written: Vec<Member> = Vec::with_capacity(members.len());
    out.push(b'{');
    for (at, key) in keys.iter().enumerate() {
        let mut value = members.get(at)?;
        if hard.may_repeat {
            if keys.iter().take(at).any(|earlier| earlier == key) {
                continue;
            }
            value = members.get(keys.iter().rposition(|later| later == key)?)?;
        }
        if out.len() > 1 {
            out.push(b',');
        }
        out.push(b'"');
        let start = out.len();
        out.extend_from_slice(key);
        out.extend_from_slice(b"\":");
        let mut member = Member {
            key: place(start)?,
            key_len: place(key.len())?,
            start: place(out.len())?,
            end: 0,
            is_canonical: true,
        };
        let value_text = text.get(value.start as usize..value.end as usize)?;
        if value.is_canonical {
            out.extend_from_slice(value_text);
        } else {
            write_value(value_text, hard, out)?;
        }
        member.end = place(out.len())?;
        written.push(member);
    }
    out.push(b'}');
    *members = written;
    Some(())
}

fn place(at: usize) -> Option<u32> {
    u32::try_from(at).ok()
}

fn write_value(text: &[u8], keys: HardKeys, out: &mut Vec<u8>) -> Option<()> {
    let is_nested = matches!(text.first(), Some(b'{' | b'['));
    if keys.may_repeat && is_nested {
        return arrange::write_without_repeats(text, out);
    }
    raw::write_canonical(text, out);
    Some(())
}

/// The key of a member as this crate writes it.
fn written_key<'t>(text: &'t [u8], member: &Member) -> Option<Cow<'t, [u8]>> {
    let start = member.key as usize;
    let key = text.get(start..start + member.key_len as usize)?;
    if !key.contains(&b'\\') {
        return Some(key.into());
    }
    let mut plain = String::new();
    raw::unescape(std::str::from_utf8(key).ok()?, &mut plain)?;
    Some(raw::escaped(&plain).into())
}
