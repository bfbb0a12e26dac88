//! UTF-8 that arrives in pieces.

/// Checks a text that arrives in pieces and refuses it at the first byte that can never become valid.
///
/// A piece may end inside a character; the up to three bytes of it are kept for the next piece, and whether they
/// can still be completed is decided at once. Source: RFC 3629, section 4.
#[derive(Debug, Default, Clone)]
pub(crate) struct Utf8 {
    pending: [u8; 4],
    len: usize,
}

impl Utf8 {
    /// Takes the next piece; `false` as soon as the text is beyond repair.
    pub(crate) fn push(&mut self, piece: &[u8]) -> bool {
        let mut rest = piece;
        while self.len > 0 {
            let Some((byte, tail)) = rest.split_first() else { return true };
            rest = tail;
            let Some(slot) = self.pending.get_mut(self.len) else { return false };
            *slot = *byte;
            self.len += 1;
            match std::str::from_utf8(self.pending.get(..self.len).unwrap_or_default()) {
                Ok(_) => self.len = 0,
                Err(error) if error.error_len().is_none() => {}
                Err(_) => return false,
            }
        }
        match simdutf8::compat::from_utf8(rest) {
            Ok(_) => true,
            Err(error) if error.error_len().is_some() => false,
            Err(error) => {
                let cut = rest.get(error.valid_up_to()..).unwrap_or_default();
                self.len = cut.len();
                for (slot, byte) in self.pending.iter_mut().zip(cut) {
                    *slot = *byte;
                }
                self.len < self.pending.len()
            }
        }
    }

    /// Ends the text and makes ready for the next; `false` if it stopped inside a character.
    pub(crate) fn finish(&mut self) -> bool {
        std::mem::take(&mut self.len) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many bytes go in before the text is refused; `None` if all of them do.
    fn refused_at(bytes: &[u8]) -> Option<usize> {
        let mut utf8 = Utf8::default();
        bytes.iter().position(|byte| !utf8.push(&[*byte]))
    }

    #[test]
    fn refuses_at_the_first_hopeless_byte() {
        let cases: &[(&[u8], usize)] = &[
            (b"ab\x80", 2),           // continuation without a start
            (b"\xc0\xaf", 0),         // overlong, two bytes
            (b"\xc1\xbf", 0),         // overlong, two bytes
            (b"\xe0\x80\xaf", 1),     // overlong, three bytes
            (b"\xf0\x80\x80\xaf", 1), // overlong, four bytes
            (b"\xf0\x8f\xbf\xbf", 1), // overlong, four bytes
            (b"\xed\xa0\x80", 1),     // surrogate
            (b"x\xed\xbf\xbf", 2),    // surrogate
            (b"\xf4\x90\x80\x80", 1), // beyond U+10FFFF
            (b"\xf5", 0),             // can start nothing
            (b"\xfe", 0),
            (b"\xff", 0),
            (b"\xe2\x82A", 2), // character broken off
            (b"\xce\xba\xe1\xbd\xb9\xed\xa0\x80zz", 6),
        ];
        for (bytes, at) in cases {
            assert_eq!(refused_at(bytes), Some(*at), "{bytes:x?}");
        }
    }

    #[test]
    fn valid_text_passes_however_it_is_cut() {
        let text = "día κόσμε \u{7ff}\u{800}\u{ffff}\u{10000}\u{10ffff} \u{d7ff}\u{e000} end";
        for first in 0..=text.len() {
            for second in first..=text.len() {
                let mut utf8 = Utf8::default();
                let bytes = text.as_bytes();
                assert!(
                    utf8.push(&bytes[..first])
                        && utf8.push(&bytes[first..second])
                        && utf8.push(&bytes[second..])
                );
                assert!(utf8.finish());
            }
        }
    }

    #[test]
    fn a_text_that_stops_inside_a_character_is_refused_at_its_end() {
        for cut in [&b"\xc3"[..], b"\xe2\x82", b"\xf0\x9f\x98"] {
            let mut utf8 = Utf8::default();
            assert!(utf8.push(cut), "{cut:x?} could still be completed");
            assert!(!utf8.finish());
            assert!(utf8.push(b"next") && utf8.finish(), "the next text starts afresh");
        }
    }
}
