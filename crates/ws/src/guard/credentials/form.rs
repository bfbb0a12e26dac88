//! Query strings: `name=value&name=value`, with percent escapes and `+` for a space.

/// The pairs of a query string, in order. Empty pieces are left out.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = Pair<'_>> {
    query.split('&').filter(|piece| !piece.is_empty()).map(Pair)
}

/// One of them, as it was sent.
pub(super) struct Pair<'q>(&'q str);

impl<'q> Pair<'q> {
    /// The name as it was sent.
    pub(super) fn raw_name(&self) -> &'q str {
        self.0.split_once('=').map_or(self.0, |(name, _)| name)
    }

    /// What stands behind the name: `=` and the value as it was sent, or nothing.
    pub(super) fn behind_name(&self) -> &'q str {
        self.0.get(self.raw_name().len()..).unwrap_or_default()
    }

    /// The name; `None` if its escapes are wrong.
    pub(super) fn name(&self) -> Option<String> {
        decoded(self.raw_name())
    }

    /// The value, empty without `=`; `None` if its escapes are wrong.
    pub(super) fn value(&self) -> Option<String> {
        decoded(self.behind_name().get(1..).unwrap_or_default())
    }
}

fn decoded(text: &str) -> Option<String> {
    let mut plain = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        plain.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || char::from(bytes.next()?).to_digit(16);
                u8::try_from(digit()? * 16 + digit()?).ok()?
            }
            byte => byte,
        });
    }
    String::from_utf8(plain).ok()
}
