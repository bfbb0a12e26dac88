//! `influx`: one line of the InfluxDB line protocol (`spec/language-script.md` 9.10).

use super::{Example, Kind, Matcher};
use std::sync::Arc;
use tremor_value::{Value, line_protocol};

pub(super) const INFLUX: Kind = Kind {
    name: "influx",
    body: "empty; ignored",
    summary: "Matches one line of the InfluxDB line protocol, but no comment. The result is a record of `measurement`, `tags`, `fields` \
              and `timestamp`; a line without a timestamp has that of the event.",
    examples: &[
        Example {
            body: "",
            text: "cpu,host=a load=1.5,n=3i 17",
            result: Some(
                r#"{"measurement":"cpu","tags":{"host":"a"},"fields":{"load":1.5,"n":3},"timestamp":17}"#,
            ),
        },
        Example { body: "", text: "# a comment", result: None },
        Example { body: "", text: "cpu,host load=1.5", result: None },
    ],
    contextual: true,
    compile: |_| Ok(Arc::new(Influx)),
};

#[derive(Debug)]
struct Influx;

impl Matcher for Influx {
    fn test(&self, text: &str) -> bool {
        matches!(line_protocol::check(text), Ok(true))
    }

    fn extract(&self, text: &str, ingest_ns: u64) -> Option<Value> {
        line_protocol::parse(text, ingest_ns).ok()?.map(Value::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::testing::{check, result, text};
    use proptest::prelude::*;

    #[test]
    fn a_missing_timestamp_is_that_of_the_event() {
        let line = Influx.extract("cpu load=1", 23).unwrap();
        assert_eq!(
            line.to_string(),
            r#"{"measurement":"cpu","tags":{},"fields":{"load":1.0},"timestamp":23}"#
        );
    }

    #[test]
    fn lines_that_do_not_match() {
        for text in ["", "  ", "#cpu load=1", "  # x", "cpu", "cpu,host= load=1", "cpu load=1 -1"] {
            assert_eq!(result(&INFLUX, "", text), "no match", "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn any_text(text in text()) {
            check(&INFLUX, "", &text);
        }
    }
}
