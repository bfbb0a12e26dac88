//! Patterns of log lines: `{d} {l} {t} - {m}{n}` and the like.

use std::fmt::{self, Write};
use time::OffsetDateTime;
use tracing::Level;

/// What a pattern says if none is written.
pub(super) const DEFAULT: &str = "{d} {l} {t} - {m}{n}";
/// Highlights may be nested; nobody needs more than two levels.
const MAX_DEPTH: usize = 8;

/// One thing to log.
pub(super) struct Record<'a> {
    pub(super) time: OffsetDateTime,
    pub(super) level: Level,
    pub(super) target: &'a str,
    pub(super) module: &'a str,
    pub(super) file: &'a str,
    pub(super) line: u32,
    pub(super) message: &'a str,
}

/// A pattern that was checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Pattern(Vec<Piece>);

#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(Field, Pad),
}

#[derive(Debug, PartialEq, Eq)]
enum Field {
    Date(Vec<DatePart>),
    File,
    Highlight(Pattern),
    Level,
    Line,
    Message,
    Module,
    Newline,
    Pid,
    Target,
    Thread,
}

#[derive(Debug, PartialEq, Eq)]
enum DatePart {
    Text(char),
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
    /// Fraction of a second with so many digits, with or without a dot before it.
    Fraction {
        digits: usize,
        dot: bool,
    },
    Offset,
    ZoneName,
}

/// Least and greatest width of a field, in characters.
#[derive(Debug, Default, PartialEq, Eq)]
struct Pad {
    right: bool,
    min: usize,
    max: Option<usize>,
}

impl Pattern {
    /// # Errors
    /// If the pattern is not well-formed or names a field that does not exist.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text;
        let pattern = parse_until_end(&mut rest, 0, false)?;
        Ok(pattern)
    }

    /// Appends the line for `record`. With `color`, highlighted parts carry the colour of the level.
    pub(super) fn render(&self, record: &Record<'_>, color: bool, out: &mut String) {
        for piece in &self.0 {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Field(field, pad) => {
                    let start = out.len();
                    // Writing to a `String` cannot fail.
                    let _infallible = field.write(record, color, out);
                    pad.apply(out, start);
                }
            }
        }
    }
}

impl Field {
    fn write(&self, record: &Record<'_>, color: bool, out: &mut String) -> fmt::Result {
        match self {
            Self::Date(parts) => parts.iter().try_for_each(|part| part.write(record.time, out)),
            Self::File => out.write_str(record.file),
            Self::Highlight(inner) => {
                let (on, off) = if color { (super::color_of(record.level), "\x1b[0m") } else { ("", "") };
                out.push_str(on);
                inner.render(record, color, out);
                out.write_str(off)
            }
            Self::Level => out.write_str(record.level.as_str()),
            Self::Line => write!(out, "{}", record.line),
            Self::Message => out.write_str(record.message),
            Self::Module => out.write_str(record.module),
            Self::Newline => out.write_char('\n'),
            Self::Pid => write!(out, "{}", std::process::id()),
            Self::Target => out.write_str(record.target),
            Self::Thread => out.write_str(std::thread::current().name().unwrap_or("unnamed")),
        }
    }
}

impl DatePart {
    fn write(&self, t: OffsetDateTime, out: &mut String) -> fmt::Result {
        match self {
            Self::Text(c) => out.write_char(*c),
            Self::Year => write!(out, "{:04}", t.year()),
            Self::Month => write!(out, "{:02}", u8::from(t.month())),
            Self::Day => write!(out, "{:02}", t.day()),
            Self::Hour => write!(out, "{:02}", t.hour()),
            Self::Minute => write!(out, "{:02}", t.minute()),
            Self::Second => write!(out, "{:02}", t.second()),
            Self::Fraction { digits, dot } => {
                let all = format!("{:09}", t.nanosecond());
                let dot = if *dot { "." } else { "" };
                write!(out, "{dot}{}", all.get(..*digits).unwrap_or(&all))
            }
            Self::Offset => out.write_str("+0000"),
            Self::ZoneName => out.write_str("UTC"),
        }
    }
}

impl Pad {
    /// Cuts or fills what was written from byte `start` on.
    fn apply(&self, out: &mut String, start: usize) {
        let written = out.get(start..).unwrap_or_default();
        if let Some((cut, _)) = self.max.and_then(|max| written.char_indices().nth(max)) {
            out.truncate(start + cut);
        }
        let missing = self.min.saturating_sub(out.get(start..).unwrap_or_default().chars().count());
        let fill = " ".repeat(missing);
        if self.right {
            out.insert_str(start, &fill);
        } else {
            out.push_str(&fill);
        }
    }
}

/// Parses up to the end of the text, or up to the `)` that ends a nested pattern.
fn parse_until_end(rest: &mut &str, depth: usize, nested: bool) -> Result<Pattern, String> {
    if depth > MAX_DEPTH {
        return Err(format!("more than {MAX_DEPTH} levels of `{{h(...)}}`"));
    }
    let mut pieces = Vec::new();
    let mut text = String::new();
    loop {
        let mut chars = rest.chars();
        let Some(first) = chars.next() else {
            if nested {
                return Err("a `)` is missing".to_owned());
            }
            break;
        };
        let after = chars.as_str();
        if nested && first == ')' {
            *rest = after;
            break;
        }
        let doubled = after.starts_with(first);
        match first {
            '{' | '}' if doubled => {
                text.push(first);
                *rest = after.get(1..).unwrap_or_default();
            }
            '{' => {
                if !text.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut text)));
                }
                *rest = after;
                pieces.push(parse_field(rest, depth)?);
            }
            '}' => return Err("a `}` stands alone; write `}}` for the character".to_owned()),
            c => {
                text.push(c);
                *rest = after;
            }
        }
    }
    if !text.is_empty() {
        pieces.push(Piece::Text(text));
    }
    Ok(Pattern(pieces))
}

/// Parses a field from behind its `{` to behind its `}`.
fn parse_field(rest: &mut &str, depth: usize) -> Result<Piece, String> {
    let name = take_while(rest, char::is_alphanumeric);
    let field = match name {
        "d" | "date" => Field::Date(parse_date(rest)?),
        "f" | "file" => Field::File,
        "h" | "highlight" => {
            *rest = rest.strip_prefix('(').ok_or("`{h}` needs a pattern: `{h(...)}`")?;
            Field::Highlight(parse_until_end(rest, depth + 1, true)?)
        }
        "l" | "level" => Field::Level,
        "L" | "line" => Field::Line,
        "m" | "message" => Field::Message,
        "M" | "module" => Field::Module,
        "n" => Field::Newline,
        "P" | "pid" => Field::Pid,
        "t" | "target" => Field::Target,
        "T" | "thread" => Field::Thread,
        other => {
            return Err(format!("`{{{other}}}` is no field; there are d, f, h, l, L, m, M, n, P, t and T"));
        }
    };
    let pad = parse_pad(rest)?;
    *rest = rest.strip_prefix('}').ok_or_else(|| format!("`{{{name}` is not closed by a `}}`"))?;
    Ok(Piece::Field(field, pad))
}

fn parse_pad(rest: &mut &str) -> Result<Pad, String> {
    let mut pad = Pad::default();
    let Some(after) = rest.strip_prefix(':') else { return Ok(pad) };
    *rest = after;
    if let Some(after) = rest.strip_prefix(['<', '>']) {
        pad.right = rest.starts_with('>');
        *rest = after;
    }
    pad.min = parse_width(rest)?.unwrap_or(0);
    if let Some(after) = rest.strip_prefix('.') {
        *rest = after;
        pad.max = Some(parse_width(rest)?.ok_or("a number is missing behind the `.`")?);
    }
    Ok(pad)
}

fn parse_width(rest: &mut &str) -> Result<Option<usize>, String> {
    match take_while(rest, |c| c.is_ascii_digit()) {
        "" => Ok(None),
        digits => match digits.parse::<u8>() {
            Ok(width) => Ok(Some(usize::from(width))),
            Err(_) => Err(format!("a width of {digits} is too large (at most 255)")),
        },
    }
}

/// Parses `(format)(zone)`, both optional.
fn parse_date(rest: &mut &str) -> Result<Vec<DatePart>, String> {
    let format = take_argument(rest)?.unwrap_or("%Y-%m-%dT%H:%M:%S%.3f%z");
    match take_argument(rest)? {
        None | Some("utc") => {}
        Some(zone) => {
            return Err(format!("time zone `{zone}`: log lines carry UTC, write `(utc)` or nothing"));
        }
    }
    let mut parts = Vec::new();
    let mut rest = format;
    while let Some(c) = rest.chars().next() {
        let (part, length) = match rest {
            _ if c != '%' => (DatePart::Text(c), c.len_utf8()),
            _ if rest.starts_with("%%") => (DatePart::Text('%'), 2),
            _ if rest.starts_with("%Y") => (DatePart::Year, 2),
            _ if rest.starts_with("%m") => (DatePart::Month, 2),
            _ if rest.starts_with("%d") => (DatePart::Day, 2),
            _ if rest.starts_with("%H") => (DatePart::Hour, 2),
            _ if rest.starts_with("%M") => (DatePart::Minute, 2),
            _ if rest.starts_with("%S") => (DatePart::Second, 2),
            _ if rest.starts_with("%z") => (DatePart::Offset, 2),
            _ if rest.starts_with("%Z") => (DatePart::ZoneName, 2),
            _ if rest.starts_with("%f") => (DatePart::Fraction { digits: 9, dot: false }, 2),
            _ => fraction(rest).ok_or_else(|| {
                let shown: String = rest.chars().take(3).collect();
                format!("`{shown}` in a date; there are %Y %m %d %H %M %S %f %3f %.3f %z and %Z")
            })?,
        };
        parts.push(part);
        rest = rest.get(length..).unwrap_or_default();
    }
    Ok(parts)
}

/// `%3f`, `%.6f` and the like, and how long it is.
fn fraction(text: &str) -> Option<(DatePart, usize)> {
    let after = text.strip_prefix('%')?;
    let (dot, after) = after.strip_prefix('.').map_or((false, after), |after| (true, after));
    let digits = match after.chars().next()? {
        '3' => 3,
        '6' => 6,
        '9' => 9,
        _ => return None,
    };
    let ends = after.get(1..)?.starts_with('f');
    ends.then_some((DatePart::Fraction { digits, dot }, if dot { 4 } else { 3 }))
}

fn take_argument<'a>(rest: &mut &'a str) -> Result<Option<&'a str>, String> {
    let Some(after) = rest.strip_prefix('(') else { return Ok(None) };
    let (argument, after) = after.split_once(')').ok_or("a `)` is missing")?;
    *rest = after;
    Ok(Some(argument))
}

fn take_while<'a>(rest: &mut &'a str, wanted: impl Fn(char) -> bool) -> &'a str {
    let end = rest.find(|c| !wanted(c)).unwrap_or(rest.len());
    let (taken, after) = rest.split_at(end);
    *rest = after;
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(pattern: &str, color: bool) -> String {
        let record = Record {
            time: OffsetDateTime::from_unix_timestamp_nanos(951_782_399_012_345_678).unwrap(),
            level: Level::WARN,
            target: "tremor_runtime",
            module: "tremor_runtime::flow",
            file: "flow.rs",
            line: 7,
            message: "día",
        };
        let mut out = String::new();
        Pattern::parse(pattern).unwrap().render(&record, color, &mut out);
        out
    }

    #[test]
    fn fields_are_rendered() {
        assert_eq!(rendered(DEFAULT, false), "2000-02-28T23:59:59.012+0000 WARN tremor_runtime - día\n");
        assert_eq!(
            rendered("{d(%Y%m%d %H%M%S %.6f%3f%f %Z %%)(utc)}", false),
            "20000228 235959 .012345012012345678 UTC %"
        );
        assert_eq!(rendered("{M} {f}:{L} {{x}} {level}", false), "tremor_runtime::flow flow.rs:7 {x} WARN");
        assert_eq!(rendered("[{l:<6}][{l:>6}][{l:.2}][{m:5.2}]", false), "[WARN  ][  WARN][WA][dí   ]");
        assert_eq!(rendered("{h({l}:)} {m}{n}", true), "\x1b[33mWARN:\x1b[0m día\n");
        assert_eq!(rendered("{h({l})} {m}", false), "WARN día");
    }

    #[test]
    fn mistakes_are_named() {
        for (pattern, message) in [
            ("{q}", "`{q}`"),
            ("{l", "not closed"),
            ("a}b", "`}`"),
            ("{d(%Q)}", "`%Q`"),
            ("{d(%Y)(local)}", "`local`"),
            ("{d(%Y", "`)`"),
            ("{h}", "needs a pattern"),
            ("{h({l}", "`)`"),
            ("{m:.}", "number"),
            ("{m:9999}", "9999"),
            ("{", "`{}`"),
        ] {
            let error = Pattern::parse(pattern).unwrap_err();
            assert!(error.contains(message), "{pattern}: {error}");
        }
        assert!(Pattern::parse(&"{h(".repeat(10_000)).is_err());
    }
}
