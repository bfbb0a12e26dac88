//! Pieces between separators (`spec/codecs.md` C.1).

use bytes::{Bytes, BytesMut};
use memchr::{memchr, memchr_iter};

use super::{shrink, take_all};
use crate::{Case, Example, Field, FieldType, Pieces, Preprocessor, ProcessError, Spec, make_preprocessor};

/// Limit if only the name is given.
const MAX_BY_NAME: usize = 8192;

/// Limit if there is a config that does not mention it.
const MAX_WITH_CONFIG: usize = 64 * 1024 * 1024;

pub(super) const SPEC: Spec<dyn Preprocessor> = Spec {
    name: "separate",
    aliases: &["lines", "split"],
    summary: "Splits at a byte, by default at line feeds. Separators are removed, empty pieces are kept.",
    fields: &[
        Field {
            name: "separator",
            kind: FieldType::String,
            default: Some(r#""\n""#),
            text: "Exactly one byte.",
        },
        Field {
            name: "max_length",
            kind: FieldType::Unsigned,
            default: Some("67108864"),
            text: "Longest piece in bytes, without its separator; 0: no limit. 8192 if only the name is given.",
        },
        Field {
            name: "buffered",
            kind: FieldType::Bool,
            default: Some("true"),
            text: "Keep what follows the last separator until more comes.",
        },
    ],
    examples: &[
        Example {
            config: "",
            case: Case::Process {
                input: &[b"one\ntw", b"o\n\nrest"],
                output: &[b"one", b"two", b"", b"rest"],
            },
        },
        Example {
            config: r#"{"separator": "|", "max_length": 3}"#,
            case: Case::Process { input: &[b"one|three|two|"], output: &[b"one", b"two"] },
        },
        Example {
            config: r#"{"buffered": false}"#,
            case: Case::Process { input: &[b"one\ntwo\n"], output: &[b"one", b"two", b""] },
        },
    ],
    build: |given| {
        let separator = given.config.separator()?;
        let default = if given.is_name_only { MAX_BY_NAME } else { MAX_WITH_CONFIG };
        let max = given.config.limit("max_length").unwrap_or(default);
        Ok(if given.config.bool("buffered").unwrap_or(true) {
            make_preprocessor(move || Buffered {
                separator,
                max,
                pending: BytesMut::new(),
                is_skipping: false,
                dropped: Dropped::default(),
            })
        } else {
            make_preprocessor(move || Unbuffered { separator, max, dropped: Dropped::default() })
        })
    },
};

/// Keeps the piece behind the last separator until more comes.
struct Buffered {
    separator: u8,
    max: usize,
    /// The beginning of a piece, at most `max` bytes.
    pending: BytesMut,
    /// The beginning of the present piece was too long: nothing counts up to the next separator.
    is_skipping: bool,
    dropped: Dropped,
}

impl Buffered {
    /// Completes what earlier chunks began; `None` if the chunk is used up by that.
    fn complete(&mut self, mut chunk: Bytes, out: &mut Pieces) -> Option<Bytes> {
        if self.pending.is_empty() && !self.is_skipping {
            return Some(chunk);
        }
        let end = memchr(self.separator, &chunk);
        let piece = chunk.split_to(end.unwrap_or(chunk.len()));
        if !self.is_skipping {
            let total = self.pending.len() + piece.len();
            if total > self.max {
                out.fault(ProcessError::PieceTooLong { new: piece.len(), total, max: self.max });
                self.pending = BytesMut::new();
                self.is_skipping = true;
            } else {
                self.pending.extend_from_slice(&piece);
            }
        }
        end?;
        if !std::mem::take(&mut self.is_skipping) {
            out.push(take_all(&mut self.pending));
        }
        // Without its separator.
        Some(chunk.split_off(1))
    }
}

impl Preprocessor for Buffered {
    fn process(&mut self, chunk: Bytes, out: &mut Pieces) -> Result<(), ProcessError> {
        let Some(chunk) = self.complete(chunk, out) else { return Ok(()) };
        let Some(start) = cut(&chunk, (self.separator, self.max), &mut self.dropped, out) else {
            return Ok(());
        };
        let rest = chunk.get(start..).unwrap_or_default();
        if rest.len() > self.max {
            let len = rest.len();
            out.fault(ProcessError::PieceTooLong { new: len, total: len, max: self.max });
            self.is_skipping = true;
        } else {
            self.pending.extend_from_slice(rest);
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Pieces) -> Result<(), ProcessError> {
        self.is_skipping = false;
        if !self.pending.is_empty() {
            out.push(std::mem::take(&mut self.pending).freeze());
        }
        Ok(())
    }

    fn rest(&mut self) {
        shrink(&mut self.pending);
    }
}

/// Takes every chunk as complete.
struct Unbuffered {
    separator: u8,
    max: usize,
    dropped: Dropped,
}

impl Preprocessor for Unbuffered {
    fn process(&mut self, chunk: Bytes, out: &mut Pieces) -> Result<(), ProcessError> {
        if let Some(start) = cut(&chunk, (self.separator, self.max), &mut self.dropped, out) {
            // The last one passes whatever its length.
            out.push(chunk.slice(start..));
        }
        Ok(())
    }
}

/// Takes the pieces of `chunk` that have a separator behind them; gives where the last one begins, which has none, or `None`
/// if there is no room for more and the rest is left for later.
#[inline]
fn cut(
    chunk: &Bytes,
    (separator, max): (u8, usize),
    dropped: &mut Dropped,
    out: &mut Pieces,
) -> Option<usize> {
    let mut start = 0;
    for end in memchr_iter(separator, chunk) {
        if end - start <= max {
            out.push(chunk.slice(start..end));
        } else {
            dropped.one(end - start, max, out);
        }
        start = end + 1;
        if out.is_full() {
            out.leave(chunk.slice(start..));
            return None;
        }
    }
    Some(start)
}

/// Reports pieces that are dropped without an error: the first of a stream loudly, since data is lost, the
/// others quietly, since a peer chooses how many there are.
#[derive(Default)]
struct Dropped {
    count: u64,
}

impl Dropped {
    #[cold]
    fn one(&mut self, len: usize, max: usize, out: &Pieces) {
        self.count += 1;
        let what = format_args!("dropped a piece of {len} bytes, since more than {max} are not allowed");
        if self.count == 1 {
            out.warn(format_args!("{what}; more of them are logged at debug level"));
        } else {
            out.debug(format_args!("{what}; it is number {}", self.count));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn separate(config: &str) -> impl Fn() -> Box<dyn Preprocessor> {
        testing::preprocessor("separate", config)
    }

    #[test]
    fn conforms() {
        let wire = b"one\n\ntwo\r\n\xff\0\nrest";
        testing::framing(separate(""), wire, &[b"one", b"", b"two\r", b"\xff\0", b"rest"]);
        testing::framing(separate("{}"), b"one\n", &[b"one"]);
        testing::framing(separate("{}"), b"", &[]);
        testing::hostile_stream(separate(""));
        testing::hostile_stream(separate(r#"{"max_length": 5}"#));
        testing::hostile_stream(separate(r#"{"buffered": false}"#));
    }

    #[test]
    fn limits_depend_on_how_it_is_given() {
        let line = |len: usize| [vec![b'x'; len], b"\n".to_vec()].concat();
        let count = |config: &str, len: usize| testing::chunks_of(&separate(config), &[&line(len)]).len();
        assert_eq!((count("", 8192), count("", 8193)), (1, 0), "by name");
        assert_eq!((count("{}", 8193), count("{}", 64 * 1024 * 1024 + 1)), (1, 0), "with a config");
        assert_eq!(count(r#"{"max_length": 0}"#, 64 * 1024 * 1024 + 1), 1, "no limit");
    }

    #[test]
    fn too_long_pieces_cost_only_themselves() {
        let run = |chunks: &[&str]| {
            let chunks: Vec<&[u8]> = chunks.iter().map(|chunk| chunk.as_bytes()).collect();
            testing::results_of(&separate(r#"{"max_length": 4}"#), &chunks)
        };
        let too_long = |new: usize, total: usize| {
            Err(format!(
                "Discarded fragment of length {new} since total length of {total} exceeds maximum allowed length of 4"
            ))
        };
        let ok = |text: &str| Ok(text.as_bytes().to_vec());
        assert_eq!(run(&["a\nb1234\ncd\n"]), [ok("a"), ok("cd")], "complete in one chunk: dropped");
        assert_eq!(run(&["a\n123", "45\ncd\n"]), [ok("a"), too_long(2, 5), ok("cd")]);
        assert_eq!(run(&["a\n123", "4\ncd\n"]), [ok("a"), ok("1234"), ok("cd")], "exactly the limit");
        assert_eq!(
            run(&["a\n123", "45", "6789", "0\ncd\ne"]),
            [ok("a"), too_long(2, 5), ok("cd"), ok("e")],
            "the rest of it is skipped"
        );
        assert_eq!(run(&["a\n12345", "6", "\nb\n"]), [ok("a"), too_long(5, 5), ok("b")]);
        assert_eq!(run(&["12345", "6"]), [too_long(5, 5)], "the end comes while skipping");
        assert_eq!(run(&["123", "45\n1\n2\n12345"]), [too_long(2, 5), ok("1"), ok("2"), too_long(5, 5)]);
    }

    #[test]
    fn unbuffered_pieces_are_complete() {
        let make = separate(r#"{"buffered": false, "max_length": 3}"#);
        let run = |chunks: &[&[u8]]| testing::chunks_of(&make, chunks);
        assert_eq!(run(&[b"a\nb", b"c"]), [&b"a"[..], b"b", b"c"]);
        assert_eq!(run(&[b"a\n"]), [&b"a"[..], b""]);
        assert_eq!(run(&[b""]), [&b""[..]]);
        assert_eq!(run(&[b"1234\n123\n12345"]), [&b"123"[..], b"12345"], "but the last one passes");
    }

    #[test]
    fn pieces_are_slices_of_the_input() {
        let chunk = Bytes::from_static(b"one\ntwo\n");
        let mut out = Pieces::default();
        separate("")().process(chunk.clone(), &mut out).unwrap();
        let second = out.drain().nth(1).unwrap().bytes.unwrap();
        assert_eq!(second.as_ptr(), chunk.slice(4..).as_ptr());
    }

    #[test]
    fn no_memory_of_a_long_line_is_kept_behind_it() {
        let mut stage = Buffered {
            separator: b'\n',
            max: 1 << 20,
            pending: BytesMut::new(),
            is_skipping: false,
            dropped: Dropped::default(),
        };
        let mut out = Pieces::default();
        let mut give = |stage: &mut Buffered, bytes: Vec<u8>| {
            stage.process(bytes.into(), &mut out).unwrap();
            out.clear();
            stage.pending.capacity()
        };
        assert!(give(&mut stage, vec![b'x'; 1 << 19]) >= 1 << 19);
        stage.rest();
        assert_eq!(stage.pending.len(), 1 << 19, "what is held is not lost");
        let room = give(&mut stage, b"\nrest".to_vec());
        assert!(room < 1024, "behind a long line: {room}");
        give(&mut stage, vec![b'x'; 1 << 20]);
        let room = give(&mut stage, vec![b'x'; 1 << 20]);
        assert_eq!((room, stage.is_skipping), (0, true), "behind one that was too long");
        give(&mut stage, b"\n".to_vec());
        give(&mut stage, vec![b'x'; 30_000]);
        assert!(give(&mut stage, b"\n".to_vec()) + 30_000 >= 30_000);
        stage.pending.reserve(30_000);
        stage.rest();
        assert!(stage.pending.capacity() < 100, "while the stream is idle");
    }
}
