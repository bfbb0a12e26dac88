//! Building values of text that was accepted before: nothing is checked twice.
//!
//! What it would do with any other text is not said, except that it ends, with `None` or something without meaning.

use super::block::{self, LEN};
use super::number;
use super::raw::{string_end, unescape};
use crate::{Record, Str, Value};

/// Members and items that there is room for at first.
const ROOM: usize = 32;

/// From so many members or items on, a list is not copied if that can be helped: below it matters more that
/// what is kept takes no more than it needs.
const LONG: usize = 256 * 1024;

/// What is known of the keys in a text.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Keys {
    /// None stands twice in a record.
    Unique,
    /// There may be repeated keys, of which the last value counts, in the first place.
    Any,
}

/// An array or record that is open.
#[derive(Clone, Copy)]
struct Level {
    is_record: bool,
    /// Where its members or items begin in their list.
    first: usize,
}

/// Builds values; keeps its lists from one text to the next.
#[derive(Default)]
pub(crate) struct Reader {
    /// The containers around the present one.
    around: Vec<Level>,
    /// The members so far of all open records, behind one that is none. One that
    /// is an open container itself has no value yet.
    members: Vec<(Str, Value)>,
    /// The items so far of all open arrays, behind one that is none.
    items: Vec<Value>,
}

impl Reader {
    /// Builds the value of `text`.
    pub(crate) fn read(&mut self, text: &str, keys: Keys) -> Option<Value> {
        let mut walk = Walk { text, at: 0 };
        let first = walk.solid()?;
        if !is_open(first) {
            let mut value = Value::Null;
            walk.scalar(first, |scalar| value = scalar)?;
            return Some(value);
        }
        self.around.clear();
        self.members.clear();
        self.items.clear();
        self.members.reserve(ROOM);
        self.members.push((Str::new(), Value::Null));
        self.items.push(Value::Null);
        self.container(&mut walk, first, keys)
    }

    /// Reads an array or record of which `first` is the bracket.
    fn container(&mut self, walk: &mut Walk<'_>, mut first: u8, keys: Keys) -> Option<Value> {
        let mut level = Level { is_record: false, first: 1 };
        loop {
            // A member or item begins with `first`.
            if level.is_record {
                let key = walk.string()?;
                walk.solid()?;
                walk.at += 1;
                first = walk.solid()?;
                if is_open(first) {
                    self.members.push((key, Value::Null));
                } else {
                    walk.scalar(first, |value| self.members.push((key, value)))?;
                }
            } else if !is_open(first) {
                walk.scalar(first, |value| self.items.push(value))?;
            }
            if is_open(first) {
                self.around.push(level);
                level.is_record = first == b'{';
                level.first = if level.is_record { self.members.len() } else { self.items.len() };
                walk.at += 1;
                first = walk.solid()?;
                if first != b'}' && first != b']' {
                    continue;
                }
            } else {
                first = walk.solid()?;
            }
            // A value has ended, and so may the containers around it.
            while first != b',' {
                walk.at += 1;
                let value = self.close(level, keys);
                level = self.around.pop()?;
                if self.around.is_empty() {
                    return Some(value);
                }
                if level.is_record {
                    self.members.last_mut()?.1 = value;
                } else {
                    self.items.push(value);
                }
                first = walk.solid()?;
            }
            walk.at += 1;
            first = walk.solid()?;
        }
    }

    /// Makes the value of the present container of its part of the list.
    #[inline(always)]
    fn close(&mut self, level: Level, keys: Keys) -> Value {
        if !level.is_record {
            return cut(&mut self.items, level.first).into();
        }
        let members = cut(&mut self.members, level.first);
        match keys {
            Keys::Unique => Record::from_unique(members).into(),
            Keys::Any => Record::from_any(members).into(),
        }
    }

    /// Gives memory back that an unusual document needed.
    pub(crate) fn trim(&mut self, keep: usize) {
        self.around.shrink_to(keep);
        self.members.shrink_to(keep);
        self.items.shrink_to(keep);
    }
}

/// Takes the end of a list off, which is copied in one go.
#[inline(always)]
fn cut<T>(list: &mut Vec<T>, first: usize) -> Vec<T> {
    if list.len() >= LONG {
        return cut_long(list, first);
    }
    list.split_off(first)
}

/// The same without a copy, if the end is most of the list: that keeps its memory, and its beginning moves.
#[inline(never)]
fn cut_long<T>(list: &mut Vec<T>, first: usize) -> Vec<T> {
    if list.len() / 2 < first {
        return list.split_off(first);
    }
    let mut end = std::mem::take(list);
    list.extend(end.drain(..first));
    end
}

fn is_open(bracket: u8) -> bool {
    bracket == b'{' || bracket == b'['
}

/// A way through a text from front to back.
struct Walk<'t> {
    text: &'t str,
    at: usize,
}

impl Walk<'_> {
    /// Reads the string, number or word that begins with `first`.
    #[inline(always)]
    fn scalar(&mut self, first: u8, put: impl FnOnce(Value)) -> Option<()> {
        match first {
            b'"' => put(Value::String(self.string()?)),
            b't' => {
                self.at += 4;
                put(Value::Bool(true));
            }
            b'f' => {
                self.at += 5;
                put(Value::Bool(false));
            }
            b'n' => {
                self.at += 4;
                put(Value::Null);
            }
            _ => self.at = number::read(self.text.as_bytes(), self.at, put)?,
        }
        Some(())
    }

    /// Reads a string with its quotes.
    #[inline(always)]
    fn string(&mut self) -> Option<Str> {
        let start = self.at + 1;
        let plain = block::first(block::load(self.text.as_bytes(), start).ends_plain_text());
        if plain < LEN && self.text.as_bytes().get(start + plain) == Some(&b'"') {
            self.at = start + plain + 1;
            return self.text.get(start..start + plain).map(Str::from);
        }
        self.long_string(start)
    }

    #[inline(never)]
    fn long_string(&mut self, start: usize) -> Option<Str> {
        let (end, is_plain) = string_end(self.text.as_bytes(), start)?;
        self.at = end + 1;
        let inner = self.text.get(start..end)?;
        if is_plain {
            return Some(inner.into());
        }
        let mut plain = String::new();
        unescape(inner, &mut plain)?;
        Some(plain.into())
    }

    /// The next byte that is no white space, which it goes to.
    #[inline(always)]
    fn solid(&mut self) -> Option<u8> {
        let byte = *self.text.as_bytes().get(self.at)?;
        if byte > b' ' {
            return Some(byte);
        }
        // One space is by far the most frequent.
        match self.text.as_bytes().get(self.at + 1) {
            Some(next) if *next > b' ' => {
                self.at += 1;
                Some(*next)
            }
            _ => self.behind_white_space(),
        }
    }

    #[inline(never)]
    fn behind_white_space(&mut self) -> Option<u8> {
        loop {
            self.at += 1;
            let byte = *self.text.as_bytes().get(self.at)?;
            if byte > b' ' {
                return Some(byte);
            }
        }
    }
}
