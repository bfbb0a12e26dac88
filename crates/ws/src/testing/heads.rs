//! Heads of requests and answers as others may read them.

/// What the most careless reader makes of a head: every line feed ends a line, and spaces around anything are nothing. If it
/// finds in what was accepted the same as we do, there are no two readings of it.
#[derive(Debug)]
pub(super) struct Careless<'a> {
    /// The words of the first line.
    pub(super) words: Vec<&'a [u8]>,
    /// Names and values.
    pub(super) fields: Vec<(&'a [u8], &'a [u8])>,
    /// What follows the head.
    pub(super) rest: &'a [u8],
}

impl<'a> Careless<'a> {
    /// Reads the head in front of `data`; `None` if there is no end of it, or a line without a colon in it.
    pub(super) fn read(data: &'a [u8]) -> Option<Self> {
        let (mut lines, mut rest) = (Vec::new(), data);
        loop {
            let (line, behind) = rest.split_at(rest.iter().position(|byte| *byte == b'\n')? + 1);
            rest = behind;
            match line.trim_ascii() {
                [] => break,
                line => lines.push(line),
            }
        }
        let (first, lines) = lines.split_first()?;
        let words = first.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty()).collect();
        let field = |line: &&'a [u8]| {
            let (name, value) = line.split_at(line.iter().position(|byte| *byte == b':')?);
            Some((name.trim_ascii(), value.get(1..)?.trim_ascii()))
        };
        let fields = lines.iter().map(field).collect::<Option<Vec<_>>>()?;
        Some(Self { words, fields, rest })
    }

    /// All values of that name.
    pub(super) fn all(&self, name: &str) -> Vec<&'a [u8]> {
        let fields = self.fields.iter();
        fields
            .filter(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes()))
            .map(|(_, value)| *value)
            .collect()
    }

    /// Whether the lists in all values of that name hold `token`.
    pub(super) fn has_token(&self, name: &str, token: &str) -> bool {
        let is_it = |element: &[u8]| element.trim_ascii().eq_ignore_ascii_case(token.as_bytes());
        self.all(name).iter().any(|value| value.split(|byte| *byte == b',').any(is_it))
    }

    /// Whether `data` is written as everybody writes it, up to the rest.
    pub(super) fn is_neat(&self, data: &[u8]) -> bool {
        let mut neat = [&self.words.join(&b' ')[..], b"\r\n"].concat();
        for (name, value) in &self.fields {
            neat.extend([name, &b": "[..], value, b"\r\n"].concat());
        }
        neat.extend_from_slice(b"\r\n");
        neat.extend_from_slice(self.rest);
        neat == data
    }
}
