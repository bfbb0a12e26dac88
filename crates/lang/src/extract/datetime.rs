//! `datetime`: a point in time, in a format of the user's (`spec/language-script.md` 9.9).

use super::{Example, Extractor, Kind, Matcher, look_at_all};
use chrono::{
    DateTime, FixedOffset, TimeZone,
    format::{Fixed, Item, Parsed, StrftimeItems, parse},
};
use std::{fmt::Write as _, sync::Arc};
use tremor_value::Value;

pub(super) const DATETIME: Kind = Kind {
    name: "datetime",
    body: "date format in the notation of `chrono`, such as `%Y-%m-%d %H:%M:%S`",
    summary: "Matches a text that is a date with its time of day in this format. Without a zone in the format (`%z`, `%:z`, `%#z`, `%+`) the \
              time is taken as UTC; of `%Z` no offset can be read, so it needs one beside it. The result is an integer: \
              nanoseconds since 1970 UTC, negative before. That can be told of the years 1677 to 2554; other dates do not match. A \
              second 60 is the first of the next minute.",
    examples: &[
        Example { body: "%Y-%m-%d %H:%M:%S", text: "1970-01-01 00:00:01", result: Some("1000000000") },
        Example { body: "%Y-%m-%d %H:%M:%S", text: "1969-12-31 23:59:59", result: Some("-1000000000") },
        Example {
            body: "%Y-%m-%dT%H:%M:%S%.f%:z",
            text: "1970-01-01T02:00:00.5+02:00",
            result: Some("500000000"),
        },
        Example { body: "%Y-%m-%d %H:%M:%S", text: "yesterday", result: None },
        Example { body: "%Y-%m-%d", text: "1970-01-01", result: None },
    ],
    contextual: false,
    compile,
};

/// Bytes of a text that is longer than dates are.
const LONG: usize = 1024;

const NANOS_PER_SECOND: i128 = 1_000_000_000;

fn compile(body: &str) -> Result<Arc<dyn Extractor>, String> {
    let items = StrftimeItems::new(body).parse_to_owned().map_err(|_| refusal(body))?;
    let names_zone = items.contains(&Item::Fixed(Fixed::TimezoneName));
    Ok(Arc::new(Format { items: items.into(), names_zone }))
}

fn refusal(body: &str) -> String {
    let faulty: String = faulty_item(body).unwrap_or(body).chars().take(4).collect();
    format!(
        "at `{faulty}` it is no date format; items are those of `chrono`, such as `%Y-%m-%d %H:%M:%S`, and `%%` for a percent sign"
    )
}

/// The body from its first unknown item on.
fn faulty_item(mut body: &str) -> Option<&str> {
    loop {
        body = body.get(body.find('%')?..)?;
        if StrftimeItems::new(body).next() == Some(Item::Error) {
            return Some(body);
        }
        let percent = body.strip_prefix("%%");
        body = percent.or_else(|| body.get(1..))?;
    }
}

#[derive(Debug)]
struct Format {
    items: Box<[Item<'static>]>,
    /// The format has a `%Z`, which says that there is a zone, but not which.
    names_zone: bool,
}

impl Format {
    /// Nanoseconds since 1970 UTC.
    fn nanoseconds(&self, text: &str) -> Option<i128> {
        let mut parsed = Parsed::new();
        parse(&mut parsed, text, self.items.iter()).ok()?;
        self.resolve(&parsed)
    }

    fn resolve(&self, parsed: &Parsed) -> Option<i128> {
        if self.names_zone || parsed.offset().is_some() {
            parsed.to_datetime().ok().as_ref().map(since_epoch)
        } else {
            let utc = parsed.to_naive_datetime_with_offset(0).ok()?.and_utc();
            Some(since_epoch(&utc))
        }
    }

    /// All that texts of this format tell, for a certain time; `None` if that cannot be said.
    fn told(&self) -> Option<Parsed> {
        let time: DateTime<FixedOffset> = DateTime::from_timestamp(981_173_106, 0)?.fixed_offset();
        let mut told = Parsed::new();
        // One by one, so that it does not matter which items stand side by side.
        for item in &self.items {
            let mut text = String::new();
            write!(text, "{}", time.format_with_items(std::iter::once(item))).ok()?;
            parse(&mut told, &text, std::iter::once(item)).ok()?;
        }
        Some(told)
    }

    fn value(&self, text: &str) -> Option<Value> {
        let nanoseconds = self.nanoseconds(text)?;
        let small = i64::try_from(nanoseconds).map(Value::from);
        small.or_else(|_| u64::try_from(nanoseconds).map(Value::from)).ok()
    }
}

fn since_epoch<Zone: TimeZone>(time: &DateTime<Zone>) -> i128 {
    i128::from(time.timestamp()) * NANOS_PER_SECOND + i128::from(time.timestamp_subsec_nanos())
}

impl Matcher for Format {
    fn test(&self, text: &str) -> bool {
        self.value(text).is_some()
    }

    fn extract(&self, text: &str, _ingest_ns: u64) -> Option<Value> {
        self.value(text)
    }

    fn look(&self, text: &str) -> usize {
        // No more than this is read, unless there is a lot of white space.
        if text.len() <= LONG { 1 } else { look_at_all(text) }
    }

    fn doubt(&self) -> Option<String> {
        let told = self.told()?;
        if self.resolve(&told).is_some() {
            return None;
        }
        let date = told.to_naive_date().is_ok();
        let reason = match (date, told.to_naive_time().is_ok()) {
            _ if self.items.is_empty() => "the format is empty; write one such as `%Y-%m-%d %H:%M:%S`",
            (true, true) if self.names_zone => {
                "`%Z` is the name of a zone and tells no offset; put `%z` beside it, or leave the zone out and write the text around it as it is"
            }
            (true, _) => {
                "the format tells the date and not the time of day; add `%H:%M`, or `%I:%M %p`, and let the text hold it"
            }
            (false, true) => {
                "the format tells the time of day and not the date; add `%Y-%m-%d`, and let the text hold it"
            }
            (false, false) => {
                "the format tells neither date nor time of day; write one such as `%Y-%m-%d %H:%M:%S`"
            }
        };
        Some(reason.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::testing::{check, hostile_body, refused, result, text};
    use proptest::prelude::*;

    #[test]
    fn utc_without_a_zone() {
        let at = |body: &str, text: &str| result(&DATETIME, body, text);
        assert_eq!(at("%Y-%m-%d %H:%M:%S", "1970-01-01 00:00:01"), "1000000000");
        assert_eq!(at("%Y-%m-%d %H:%M:%S", "1969-12-31 23:59:59"), "-1000000000");
        assert_eq!(at("%Y-%m-%d %H:%M:%S%.f", "1969-12-31 23:59:59.25"), "-750000000");
        assert_eq!(at("%d/%b/%Y:%H:%M", "02/Jan/1970:00:00"), "86400000000000");
        assert_eq!(at("%s", "7"), "7000000000");
        assert_eq!(at("%%%Y %j %T é", "%1970 002 00:00:00 é"), "86400000000000");
    }

    #[test]
    fn with_a_zone() {
        let at = |body: &str, text: &str| result(&DATETIME, body, text);
        assert_eq!(at("%Y-%m-%d %H:%M:%S %z", "1970-01-01 01:00:00 +0100"), "0");
        assert_eq!(at("%Y-%m-%d %H:%M:%S%:z", "1970-01-01 01:00:00+01:00"), "0");
        assert_eq!(at("%Y-%m-%d %H:%M:%S%#z", "1970-01-01 01:00:00+01"), "0");
        assert_eq!(at("%+", "1970-01-01T01:00:00.000000001+01:00"), "1");
        assert_eq!(at("%+", "1970-01-01T00:00:00Z"), "0");
        // Which zone a name means cannot be known.
        assert_eq!(at("%Y-%m-%d %H:%M:%S %Z", "1970-01-01 00:00:00 CET"), "no match");
        assert_eq!(at("%Y-%m-%d %H:%M:%S %z %Z", "1970-01-01 01:00:00 +0100 CET"), "0");
    }

    #[test]
    fn what_does_not_match() {
        let none = |body: &str, text: &str| {
            assert_eq!(result(&DATETIME, body, text), "no match", "{body} on {text}");
        };
        none("%Y-%m-%d %H:%M:%S", "1970-02-30 00:00:00");
        none("%Y-%m-%d %H:%M:%S", "1970-01-01 24:00:00");
        none("%Y-%m-%d %H:%M:%S", "1970-01-01 00:00:00 ");
        none("%Y-%m-%d %H:%M:%S", "");
        // Date and time of day are both needed.
        none("%Y-%m-%d", "1970-01-01");
        none("%H:%M:%S", "00:00:00");
        none("", "");
        // What contradicts itself.
        none("%a %Y-%m-%d %H:%M", "Mon 1970-01-01 00:00");
    }

    #[test]
    fn the_edges_of_what_integers_hold() {
        let at = |text: &str| result(&DATETIME, "%Y-%m-%d %H:%M:%S%.f", text);
        assert_eq!(at("2554-07-21 23:34:33.709551615"), "18446744073709551615");
        assert_eq!(at("2554-07-21 23:34:33.709551616"), "no match");
        assert_eq!(at("1677-09-21 00:12:43.145224192"), "-9223372036854775808");
        assert_eq!(at("1677-09-21 00:12:43.145224191"), "no match");
        // A second that was put in counts as the first of the next minute.
        assert_eq!(at("1970-01-01 00:00:60"), "60000000000");
    }

    #[test]
    fn bodies_that_are_refused() {
        assert!(refused(&DATETIME, "%Y-%%-%Ox").starts_with("at `%Ox` it is no date format"));
        assert!(refused(&DATETIME, "%Y %").starts_with("at `%` it is no date format"));
    }

    #[test]
    fn formats_that_never_match_are_doubted() {
        let doubt = |body: &str| compile(body).unwrap().doubt();
        for (body, part) in [
            ("", "empty"),
            ("%Y-%m-%d", "not the time of day"),
            ("%H:%M:%S", "not the date"),
            ("%Y-%m-%d %I:%M", "`%I:%M %p`"),
            ("%Y-%m-%d %H:%M:%S %Z", "tells no offset"),
            ("at noon", "neither date nor time"),
            ("%Y", "neither date nor time"),
        ] {
            let doubt = doubt(body).unwrap_or_else(|| panic!("{body}"));
            assert!(doubt.contains(part), "{body}: {doubt}");
        }
        for body in [
            "%Y-%m-%d %H:%M:%S",
            "%Y%m%d%H%M",
            "%s",
            "%+",
            "%c",
            "%y %j %T %z %Z",
            "%a, %d %b %Y %I:%M %p",
            "%G-W%V-%u %R",
            "%D %r %.f",
            "%s%.3f",
            "%e.%B %C%y %k:%M",
        ] {
            assert_eq!(doubt(body), None, "{body}");
        }
    }

    proptest! {
        #[test]
        fn any_body_and_any_text(body in hostile_body(), text in text()) {
            check(&DATETIME, &body, &text);
            check(&DATETIME, "%Y-%m-%d %H:%M:%S", &text);
            check(&DATETIME, "%+", &text);
        }

        #[test]
        fn any_items(items in prop::collection::vec("%[-_0]?[.:#]{0,3}[369]?[a-zA-Z+%]|.", 0..5), text in "[0-9A-Za-zé:+. -]{0,24}") {
            check(&DATETIME, &items.concat(), &text);
        }

        #[test]
        fn what_matches_is_not_doubted(
            items in prop::collection::vec("%[-_0]?[.:#]{0,3}[369]?[a-zA-Z+%]|[ :-]", 0..7),
            nanoseconds: i64,
        ) {
            let body = items.concat();
            if let Ok(extractor) = compile(&body) {
                let time = DateTime::from_timestamp_nanos(nanoseconds);
                let mut text = String::new();
                let written = write!(text, "{}", time.format(&body));
                if written.is_ok() && extractor.test(&text).unwrap() {
                    prop_assert_eq!(extractor.doubt(), None, "{} on {}", body, text);
                }
            }
        }

        #[test]
        fn what_chrono_writes_is_read(nanoseconds: i64) {
            let text = DateTime::from_timestamp_nanos(nanoseconds).format("%Y-%m-%d %H:%M:%S%.f").to_string();
            prop_assert_eq!(result(&DATETIME, "%Y-%m-%d %H:%M:%S%.f", &text), nanoseconds.to_string());
        }
    }
}
