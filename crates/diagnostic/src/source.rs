//! Files, spans, lines and columns (`spec/language-lexical.md` 1 and 11).

use std::fmt;
use std::ops::Range;
use std::sync::{Arc, OnceLock};

/// One source text of a [`SourceMap`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FileId(pub u32);

impl fmt::Debug for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "file{}", self.0)
    }
}

/// A piece of a source text: bytes `start..end` of `file`, half open.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// The text that the offsets belong to.
    pub file: FileId,
    /// Offset in bytes of the first character.
    pub start: u32,
    /// Offset in bytes just after the last character.
    pub end: u32,
}

impl Span {
    /// The bytes `start..end` of `file`. Offsets past 4 GiB saturate.
    #[must_use]
    pub fn new(file: FileId, start: usize, end: usize) -> Self {
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self { file, start: clamp(start), end: clamp(end.max(start)) }
    }

    /// The smallest span that covers both. The two belong to the same file.
    #[must_use]
    pub fn to(self, other: Self) -> Self {
        Self { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }

    /// The empty span where this one begins.
    #[must_use]
    pub fn at_start(self) -> Self {
        Self { end: self.start, ..self }
    }

    /// The empty span where this one ends.
    #[must_use]
    pub fn at_end(self) -> Self {
        Self { start: self.end, ..self }
    }

    /// Whether `other` lies inside this span.
    #[must_use]
    pub fn contains(self, other: Self) -> bool {
        self.file == other.file && self.start <= other.start && other.end <= self.end
    }

    /// Number of bytes covered.
    #[must_use]
    pub fn len(self) -> usize {
        usize::try_from(self.end.saturating_sub(self.start)).unwrap_or(usize::MAX)
    }

    /// Whether no byte is covered.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// The bytes covered, as a range into the text.
    #[must_use]
    pub fn range(self) -> Range<usize> {
        to_usize(self.start)..to_usize(self.end)
    }

    /// The covered part of `text`; empty if the span does not fit into it.
    #[must_use]
    pub fn slice(self, text: &str) -> &str {
        text.get(self.range()).unwrap_or("")
    }
}

impl fmt::Debug for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}..{}", self.file.0, self.start, self.end)
    }
}

pub(crate) fn to_usize(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// A place in a text as people count: both numbers begin at 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line, from 1.
    pub line: usize,
    /// Column in Unicode scalar values, from 1.
    pub column: usize,
}

/// Name and text of one source.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// The name shown in reports, as the user gave it.
    pub name: String,
    /// The whole text.
    pub text: Arc<str>,
    lines: LineIndex,
    find_secrets: FindSecrets,
    /// In order, none of them in another.
    secrets: OnceLock<Vec<Range<usize>>>,
}

/// Finds the parts of a text that no report may show.
pub type FindSecrets = fn(&str) -> Vec<Range<usize>>;

impl SourceFile {
    fn new(name: String, text: Arc<str>, find_secrets: FindSecrets) -> Self {
        let lines = LineIndex::new(&text);
        Self { name, text, lines, find_secrets, secrets: OnceLock::new() }
    }

    /// Whether byte `offset` of the text belongs to what no report may show.
    #[must_use]
    pub fn is_secret(&self, offset: usize) -> bool {
        let secrets = self.secrets.get_or_init(|| joined((self.find_secrets)(&self.text)));
        let next = secrets.partition_point(|secret| secret.end <= offset);
        secrets.get(next).is_some_and(|secret| secret.contains(&offset))
    }

    /// Line and column of a byte offset; an offset past the end means the end.
    #[must_use]
    pub fn position(&self, offset: u32) -> Position {
        self.lines.position(&self.text, to_usize(offset))
    }

    /// Number of lines; a text that ends in a newline has no further, empty line.
    #[must_use]
    pub fn line_count(&self) -> usize {
        let unfinished = self.lines.starts.last().is_none_or(|start| *start < self.text.len());
        self.lines.starts.len() - usize::from(!unfinished && self.lines.starts.len() > 1)
    }

    /// The text of line `line` (from 1) without its line end; empty if there is no such line.
    #[must_use]
    pub fn line(&self, line: usize) -> &str {
        let Some(start) = line.checked_sub(1).and_then(|index| self.lines.starts.get(index)) else {
            return "";
        };
        let end = self.lines.starts.get(line).copied().unwrap_or(self.text.len());
        let text = self.text.get(*start..end).unwrap_or("");
        let text = text.strip_suffix('\n').unwrap_or(text);
        text.strip_suffix('\r').unwrap_or(text)
    }

    /// Offset in bytes where line `line` (from 1) begins; the end of the text if there is no such line.
    #[must_use]
    pub fn line_start(&self, line: usize) -> usize {
        let start = line.checked_sub(1).and_then(|index| self.lines.starts.get(index));
        start.copied().unwrap_or(self.text.len())
    }

    /// `span` widened by `lines` whole lines above and below, see [`LineIndex::widen`].
    #[must_use]
    pub fn widen(&self, span: Span, lines: usize) -> Span {
        self.lines.widen(span, lines)
    }
}

/// The same parts of a text in order, with those joined that overlap.
fn joined(mut parts: Vec<Range<usize>>) -> Vec<Range<usize>> {
    parts.sort_by_key(|part| part.start);
    let mut joined: Vec<Range<usize>> = Vec::with_capacity(parts.len());
    for part in parts {
        match joined.last_mut() {
            Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
            _ => joined.push(part),
        }
    }
    joined
}

/// Where the lines of a text begin: for turning offsets into lines without reading the text again.
#[derive(Clone, Debug)]
pub struct LineIndex {
    starts: Vec<usize>,
    len: usize,
}

impl LineIndex {
    /// Reads the text once.
    #[must_use]
    pub fn new(text: &str) -> Self {
        let breaks = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        Self { starts: std::iter::once(0).chain(breaks.map(|(at, _)| at + 1)).collect(), len: text.len() }
    }

    /// Line and column of a byte offset of the text, which has to be the one the index was made from.
    #[must_use]
    pub fn position(&self, text: &str, offset: usize) -> Position {
        let mut offset = offset.min(text.len());
        while !text.is_char_boundary(offset) {
            offset -= 1;
        }
        let line = self.starts.partition_point(|start| *start <= offset).max(1);
        let start = self.starts.get(line - 1).copied().unwrap_or(0);
        let column = text.get(start..offset).map_or(0, |before| before.chars().count()) + 1;
        Position { line, column }
    }

    /// `span` widened by whole lines: it then begins at the start of the line that is `lines` lines above (not above
    /// line 1) and ends at the end of the line that is `lines` lines below (the "±2" of the specification).
    #[must_use]
    pub fn widen(&self, span: Span, lines: usize) -> Span {
        let line_of = |offset: usize| self.starts.partition_point(|start| *start <= offset).saturating_sub(1);
        let first = line_of(to_usize(span.start).min(self.len)).saturating_sub(lines);
        let last = line_of(to_usize(span.end).min(self.len)) + lines;
        let start = self.starts.get(first).copied().unwrap_or(0);
        let end = self.starts.get(last + 1).map_or(self.len, |next| next.saturating_sub(1)).max(start);
        Span::new(span.file, start, end)
    }
}

/// Line and column of byte `offset` in `text`. For many look-ups make a [`LineIndex`].
#[must_use]
pub fn position(text: &str, offset: usize) -> Position {
    LineIndex::new(text).position(text, offset)
}

/// `span` of `text` widened by whole lines, see [`LineIndex::widen`].
#[must_use]
pub fn widen(text: &str, span: Span, lines: usize) -> Span {
    LineIndex::new(text).widen(span, lines)
}

/// The sources that spans refer to. Files are never removed, so every [`FileId`] it gave stays valid.
#[derive(Clone, Debug)]
pub struct SourceMap {
    files: Vec<SourceFile>,
    find_secrets: FindSecrets,
}

impl Default for SourceMap {
    fn default() -> Self {
        Self::concealing(|_| Vec::new())
    }
}

impl SourceMap {
    /// A map without files, none of which will have secrets.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A map without files. What `find_secrets` finds in one no report shows.
    #[must_use]
    pub fn concealing(find_secrets: FindSecrets) -> Self {
        Self { files: Vec::new(), find_secrets }
    }

    /// Takes in a text under the name that reports show.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<str>>) -> FileId {
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(SourceFile::new(name.into(), text.into(), self.find_secrets));
        id
    }

    /// The file behind an id; `None` for an id of another map.
    #[must_use]
    pub fn get(&self, file: FileId) -> Option<&SourceFile> {
        self.files.get(to_usize(file.0))
    }

    /// The text covered by `span`; empty for a span of another map.
    #[must_use]
    pub fn text(&self, span: Span) -> &str {
        self.get(span.file).map_or("", |file| span.slice(&file.text))
    }

    /// Line and column where `span` begins.
    #[must_use]
    pub fn position(&self, span: Span) -> Option<Position> {
        self.get(span.file).map(|file| file.position(span.start))
    }

    /// `span` widened by `lines` lines up and down; unchanged for a span of another map.
    #[must_use]
    pub fn widen(&self, span: Span, lines: usize) -> Span {
        self.get(span.file).map_or(span, |file| file.widen(span, lines))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_twelve_bytes() {
        assert_eq!(size_of::<Span>(), 12);
    }

    #[test]
    fn columns_count_scalar_values() {
        let mut map = SourceMap::new();
        let file = map.add("a", "día = 1\nx");
        let at = |offset| map.get(file).map(|f| f.position(offset));
        assert_eq!(at(0), Some(Position { line: 1, column: 1 }));
        assert_eq!(at(5), Some(Position { line: 1, column: 5 }));
        assert_eq!(at(2), Some(Position { line: 1, column: 2 }), "inside a character: that character");
        assert_eq!(at(9), Some(Position { line: 2, column: 1 }));
        assert_eq!(at(99), Some(Position { line: 2, column: 2 }));
    }

    #[test]
    fn lines_lose_their_ends() {
        let file = SourceFile::new("a".into(), "one\r\ntwo\n\n".into(), |_| Vec::new());
        assert_eq!((file.line(1), file.line(2), file.line(3), file.line(9)), ("one", "two", "", ""));
        assert_eq!(file.line_count(), 3);
        assert_eq!(SourceFile::new("a".into(), "".into(), |_| Vec::new()).line_count(), 1);
    }

    #[test]
    fn widening_stops_at_the_ends() {
        let text = "1\n2\n3\n4\n5\n6";
        let file = FileId(0);
        assert_eq!(widen(text, Span::new(file, 4, 5), 1).slice(text), "2\n3\n4");
        assert_eq!(widen(text, Span::new(file, 0, 1), 2).slice(text), "1\n2\n3");
        assert_eq!(widen(text, Span::new(file, 10, 11), 2).slice(text), "4\n5\n6");
        assert_eq!(widen("", Span::new(file, 0, 0), 2), Span::new(file, 0, 0));
    }
}
