//! How ids travel: in front of messages, and in what the two sides say of them.

use super::ring::{Gap, Resumed};
use std::fmt::Write as _;

/// Longest acknowledgement, blanks included.
const MOST_ACK_BYTES: usize = 64;

/// Appends `message` with its id to `out`.
///
/// Shape: in front of text the id in decimal digits and a line feed; in front of other bytes the id as `u64`, big-endian.
pub(crate) fn number(id: u64, (message, is_binary): (&[u8], bool), out: &mut Vec<u8>) {
    if is_binary {
        out.extend_from_slice(&id.to_be_bytes());
    } else {
        out.extend_from_slice(id.to_string().as_bytes());
        out.push(b'\n');
    }
    out.extend_from_slice(message);
}

/// What a client is told first. No message begins like that: those begin with a digit.
pub(crate) fn greeting<M>(resumed: &Resumed<M>) -> String {
    let Resumed { after, last, gap, .. } = resumed;
    let mut told = format!(r#"{{"replay":{{"after":{after},"last":{last}"#);
    let _always_room = match gap {
        None => Ok(()),
        Some(Gap::Lost { from, to }) => write!(told, r#","gap":{{"from":{from},"to":{to}}}"#),
        Some(Gap::Unknown { asked }) => write!(told, r#","unknown":{asked}"#),
    };
    told.push_str("}}");
    told
}

/// The id in `message` if it is `{"ack": ID}` and nothing else, 64 bytes long at most: a JSON number of digits alone that fits
/// into 64 bits. Everything else is for the flow, whatever it looks like.
#[must_use]
pub fn acknowledged(message: &[u8]) -> Option<u64> {
    if message.len() > MOST_ACK_BYTES {
        return None;
    }
    let rest = trimmed(message).strip_prefix(b"{")?.strip_suffix(b"}")?;
    let rest = trimmed(trimmed(rest).strip_prefix(b"\"ack\"")?);
    let digits = trimmed(rest.strip_prefix(b":")?);
    let is_json =
        digits.iter().all(u8::is_ascii_digit) && (digits.len() == 1 || digits.first() != Some(&b'0'));
    position(digits).filter(|_| is_json)
}

/// Without what JSON lets stand around values.
fn trimmed(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] | [rest @ .., b' ' | b'\t' | b'\n' | b'\r'] = text {
        text = rest;
    }
    text
}

/// The id that a client says it has had last.
///
/// # Errors
/// No message can have it.
pub fn last_received(written: &str) -> Result<u64, NoId> {
    if written.is_empty() || !written.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(NoId::NoNumber);
    }
    position(written.as_bytes()).ok_or(NoId::TooLarge)
}

/// It can not be the id of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NoId {
    /// It is written in another way.
    #[error("an id is a number of decimal digits")]
    NoNumber,
    /// Ids have 64 bits.
    #[error("no id is greater than {}", u64::MAX)]
    TooLarge,
}

fn position(digits: &[u8]) -> Option<u64> {
    std::str::from_utf8(digits).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn acknowledgements_are_told_from_messages() {
        for (message, expected) in [
            (&br#"{"ack":17}"#[..], Some(17)),
            (b" { \"ack\" :\n\t 17 }\r\n", Some(17)),
            (br#"{"ack":0}"#, Some(0)),
            (br#"{"ack":18446744073709551615}"#, Some(u64::MAX)),
            (br#"{"ack":18446744073709551616}"#, None),
            (br#"{"ack":-1}"#, None),
            (br#"{"ack":+1}"#, None),
            (br#"{"ack":1.5}"#, None),
            (br#"{"ack":1e3}"#, None),
            (br#"{"ack":1e99}"#, None),
            (br#"{"ack":"x"}"#, None),
            (br#"{"ack":"17"}"#, None),
            (br#"{"ack":null}"#, None),
            (br#"{"ack":[17]}"#, None),
            (br#"{"ack":017}"#, None),
            (b"{\"ack\":\x0c17}", None),
            (br#"{"ack":}"#, None),
            (br#"{"ack":-}"#, None),
            (br#"{"ack":1,"more":2}"#, None),
            (br#"{"acks":17}"#, None),
            (br#"{"ack":17"#, None),
            (b"{}", None),
            (b"", None),
            (b"17", None),
            (b"\xff", None),
        ] {
            assert_eq!(acknowledged(message), expected, "{}", message.escape_ascii());
        }
        assert_eq!(acknowledged(format!(r#"{{"ack":{}17}}"#, " ".repeat(64)).as_bytes()), None);
    }

    #[test]
    fn what_a_client_says_it_has_had_is_read() {
        assert_eq!(last_received("17"), Ok(17));
        assert_eq!(last_received("0"), Ok(0));
        assert_eq!(last_received("00000000000000000000000017"), Ok(17));
        assert_eq!(last_received("18446744073709551615"), Ok(u64::MAX));
        for large in ["18446744073709551616", "99999999999999999999999999"] {
            assert_eq!(last_received(large), Err(NoId::TooLarge), "{large}");
        }
        for none in ["", "-1", "+1", "1.5", "1e3", " 1", "x", "0x10", "\u{661}"] {
            assert_eq!(last_received(none), Err(NoId::NoNumber), "{none}");
        }
    }

    #[test]
    fn a_message_shows_its_id_in_front() {
        let mut out = Vec::new();
        number(258, (b"{}", false), &mut out);
        assert_eq!(out, b"258\n{}");
        out.clear();
        number(258, (b"\xff", true), &mut out);
        assert_eq!(out, b"\0\0\0\0\0\0\x01\x02\xff");
    }

    #[test]
    fn a_client_is_told_where_it_goes_on_and_what_is_gone() {
        let resumed = |gap| Resumed::<()> { after: 4, last: 9, gap, is_resumed: true, messages: vec![] };
        assert_eq!(greeting(&resumed(None)), r#"{"replay":{"after":4,"last":9}}"#);
        let lost = resumed(Some(Gap::Lost { from: 2, to: 4 }));
        assert_eq!(greeting(&lost), r#"{"replay":{"after":4,"last":9,"gap":{"from":2,"to":4}}}"#);
        let unknown = resumed(Some(Gap::Unknown { asked: 77 }));
        assert_eq!(greeting(&unknown), r#"{"replay":{"after":4,"last":9,"unknown":77}}"#);
    }
}
