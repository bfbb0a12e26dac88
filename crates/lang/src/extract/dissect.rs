//! `dissect`: fields between fixed delimiters (`spec/language-script.md` 9.6).

mod parse;

use super::body;
use super::{Example, Kind, Matcher};
use std::sync::Arc;
use tremor_value::{Record, Str, Value};

pub(super) const DISSECT: Kind = Kind {
    name: "dissect",
    body: "fields such as `%{name}` between fixed delimiters",
    summary: "Matches a text that consists of these delimiters and something in between, from start to end; a field takes all up to the \
              first place where the delimiter after it stands. `%{name}` stores a text, `%{name:int}`, `:float` and `:string` \
              convert it or do not match, `%{+name}` appends to `name` (joined by the padding in between, else by a blank), `%{?name}` reads \
              a text under which `%{&name}` stores another one, `%{}` skips, `%{_}` skips one or more blanks, `%{_(x)}` one \
              or more `x`. The result is a record.",
    examples: &[
        Example {
            body: "%{ip} - %{user}: %{n:int}",
            text: "10.0.0.1 - bob: 42",
            result: Some(r#"{"ip":"10.0.0.1","user":"bob","n":42}"#),
        },
        Example { body: "%{a} %{+a} %{b}", text: "x y z", result: Some(r#"{"a":"x y","b":"z"}"#) },
        Example { body: "%{?k}=%{&k}", text: "size=10", result: Some(r#"{"size":"10"}"#) },
        Example { body: "%{a}%{_}%{b}", text: "x    y", result: Some(r#"{"a":"x","b":"y"}"#) },
        Example { body: "%{n:int}", text: "ten", result: None },
    ],
    contextual: false,
    compile: |body| Ok(Arc::new(Dissect::new(parse::parts(body)?))),
};

/// One step through the text.
#[derive(Debug, PartialEq)]
enum Part {
    /// This text has to stand here.
    Delimiter(String),
    /// This text has to stand here, as often as it likes.
    Padding(String),
    /// All up to the next delimiter or padding, or to the end.
    Field(Field),
}

/// What becomes of the text of a field.
#[derive(Debug, PartialEq)]
enum Field {
    /// Nothing.
    Skip,
    /// It is stored under `name`.
    Store { name: Str, as_type: Type },
    /// It is put behind what stands under `name`, with `joint` in between.
    Append { name: Str, joint: Str },
    /// It is the name that [`Field::StoreUnder`] with the same number refers to.
    Remember { slot: usize },
    /// It is stored under the text that was remembered as number `slot`.
    StoreUnder { slot: usize, as_type: Type },
}

/// What a field is converted to.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Type {
    Text,
    Integer,
    Float,
}

impl Type {
    fn convert(self, text: &str) -> Option<Value> {
        match self {
            Self::Text => Some(text.into()),
            Self::Integer => body::integer(text),
            Self::Float => body::float(text),
        }
    }

    fn fits(self, text: &str) -> bool {
        self == Self::Text || self.convert(text).is_some()
    }
}

/// The steps through a text. Between two fields there is always a delimiter or padding.
#[derive(Debug)]
struct Dissect {
    parts: Box<[Part]>,
    /// How many names are remembered.
    slots: usize,
    /// Whether a text may fail to match because of what is stored already: something is appended to a name that the
    /// text itself chose for a number.
    depends_on_names: bool,
}

impl Dissect {
    fn new(parts: Vec<Part>) -> Self {
        let any = |wanted: fn(&Field) -> bool| {
            parts.iter().any(|part| matches!(part, Part::Field(field) if wanted(field)))
        };
        let numbers =
            any(|field| matches!(field, Field::StoreUnder { as_type, .. } if *as_type != Type::Text));
        let depends_on_names = numbers && any(|field| matches!(field, Field::Append { .. }));
        let slots = parts.iter().filter(|part| matches!(part, Part::Field(Field::Remember { .. }))).count();
        Self { parts: parts.into(), slots, depends_on_names }
    }

    /// Shows the text of each field to `each`, in their order; `None` as soon as something does not match.
    ///
    /// No place of the text is left once it was passed, so the work grows with its length.
    fn walk<'t>(&self, text: &'t str, mut each: impl FnMut(&Field, &'t str) -> Option<()>) -> Option<()> {
        let mut rest = text;
        let mut parts = self.parts.iter().peekable();
        while let Some(part) = parts.next() {
            match part {
                Part::Delimiter(delimiter) => rest = rest.strip_prefix(delimiter.as_str())?,
                Part::Padding(padding) => {
                    rest = rest.strip_prefix(padding.as_str())?.trim_start_matches(padding.as_str());
                }
                Part::Field(field) => {
                    let end = match parts.peek() {
                        Some(Part::Delimiter(next) | Part::Padding(next)) => rest.find(next.as_str())?,
                        _ => rest.len(),
                    };
                    let (text, after) = rest.split_at_checked(end)?;
                    each(field, text)?;
                    rest = after;
                }
            }
        }
        rest.is_empty().then_some(())
    }

    fn build(&self, text: &str) -> Option<Record> {
        let mut record = Record::default();
        let mut remembered = vec![""; self.slots];
        self.walk(text, |field, text| {
            match field {
                Field::Skip => {}
                Field::Store { name, as_type } => {
                    record.insert(name.clone(), as_type.convert(text)?);
                }
                Field::Append { name, joint } => append(&mut record, name, joint, text)?,
                Field::Remember { slot } => *remembered.get_mut(*slot)? = text,
                Field::StoreUnder { slot, as_type } => {
                    record.insert(*remembered.get(*slot)?, as_type.convert(text)?);
                }
            }
            Some(())
        })?;
        Some(record)
    }
}

/// Puts a text behind what stands under `name`; nothing can be put behind a number.
fn append(record: &mut Record, name: &Str, joint: &str, text: &str) -> Option<()> {
    match record.get_mut(name) {
        None => {
            record.insert(name.clone(), text);
        }
        Some(Value::String(so_far)) => {
            so_far.push_str(joint);
            so_far.push_str(text);
        }
        Some(_) => return None,
    }
    Some(())
}

impl Matcher for Dissect {
    fn test(&self, text: &str) -> bool {
        if self.depends_on_names {
            return self.build(text).is_some();
        }
        let fits = |field: &Field, text: &str| match field {
            Field::Store { as_type, .. } | Field::StoreUnder { as_type, .. } => {
                as_type.fits(text).then_some(())
            }
            Field::Skip | Field::Append { .. } | Field::Remember { .. } => Some(()),
        };
        self.walk(text, fits).is_some()
    }

    fn extract(&self, text: &str, _ingest_ns: u64) -> Option<Value> {
        self.build(text).map(Value::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::extract::testing::{check, hostile_body, result, text};
    use proptest::prelude::*;

    #[test]
    fn examples() {
        let line = "10.0.0.1 - bob: 42";
        assert_eq!(
            result(&DISSECT, "%{ip} - %{user}: %{n:int}", line),
            r#"{"ip":"10.0.0.1","user":"bob","n":42}"#
        );
        assert_eq!(result(&DISSECT, "%{a} %{+a} %{b}", "x y z"), r#"{"a":"x y","b":"z"}"#);
        assert_eq!(result(&DISSECT, "%{?k}=%{&k}", "size=10"), r#"{"size":"10"}"#);
        assert_eq!(result(&DISSECT, "%{a}%{_}%{b}", "x    y"), r#"{"a":"x","b":"y"}"#);
    }

    #[test]
    fn the_whole_text_is_consumed() {
        assert_eq!(result(&DISSECT, "", ""), "{}");
        assert_eq!(result(&DISSECT, "", "x"), "no match");
        assert_eq!(result(&DISSECT, "a", "a"), "{}");
        assert_eq!(result(&DISSECT, "a", "ab"), "no match");
        assert_eq!(result(&DISSECT, "%{a}-", "x-"), r#"{"a":"x"}"#);
        assert_eq!(result(&DISSECT, "%{a}-", "x-y"), "no match");
        assert_eq!(result(&DISSECT, "<%{a}>", "<x>"), r#"{"a":"x"}"#);
        assert_eq!(result(&DISSECT, "<%{a}>", "x>"), "no match");
    }

    #[test]
    fn fields_take_as_little_as_they_can() {
        assert_eq!(result(&DISSECT, "%{a}-%{b}", "x-y-z"), r#"{"a":"x","b":"y-z"}"#);
        assert_eq!(result(&DISSECT, "%{a}-%{b}", "-"), r#"{"a":"","b":""}"#);
        assert_eq!(result(&DISSECT, "%{a}-%{b}", "x"), "no match");
        assert_eq!(result(&DISSECT, "%{a}", ""), r#"{"a":""}"#);
        // The first delimiter counts, even if a later one would let the text match.
        assert_eq!(result(&DISSECT, "%{a}-", "x-y-"), "no match");
    }

    #[test]
    fn conversions() {
        let line = "-1|18446744073709551615|1.5|x";
        let body = "%{i:int}|%{u:int}|%{f:float}|%{s:string}";
        assert_eq!(result(&DISSECT, body, line), r#"{"i":-1,"u":18446744073709551615,"f":1.5,"s":"x"}"#);
        for none in ["", "x", "1.5", "18446744073709551616", " 1"] {
            assert_eq!(result(&DISSECT, "%{i:int}", none), "no match");
        }
        for none in ["", "x", "nan", "inf", "1e999"] {
            assert_eq!(result(&DISSECT, "%{f:float}", none), "no match");
        }
        assert_eq!(result(&DISSECT, "%{f:float}", "7"), r#"{"f":7.0}"#);
        assert_eq!(result(&DISSECT, "%{?k}=%{&k:int}", "size=10"), r#"{"size":10}"#);
        assert_eq!(result(&DISSECT, "%{?k}=%{&k:int}", "size=ten"), "no match");
        // Of a field that is there twice the later one counts; both have to fit.
        assert_eq!(result(&DISSECT, "%{a:int} %{a}", "1 x"), r#"{"a":"x"}"#);
        assert_eq!(result(&DISSECT, "%{a:int} %{a}", "x 1"), "no match");
    }

    #[test]
    fn appending() {
        assert_eq!(result(&DISSECT, "%{+a}|%{+a}", "x|y"), r#"{"a":"x y"}"#);
        assert_eq!(result(&DISSECT, "%{a}%{_(-)}%{+a}", "x---y"), r#"{"a":"x-y"}"#);
        assert_eq!(result(&DISSECT, "%{a}%{_(, )}%{b}|%{+a}", "x, y|z"), r#"{"a":"x, z","b":"y"}"#);
        // The padding in front of the first part does not stand between the parts.
        assert_eq!(result(&DISSECT, "%{_(-)}%{a}|%{+a}", "-x|y"), r#"{"a":"x y"}"#);
        assert_eq!(result(&DISSECT, "%{+a:int}", "x"), r#"{"a:int":"x"}"#);
        // A name that the text chose may be one that is appended to.
        assert_eq!(result(&DISSECT, "%{?k}=%{&k}|%{+a}", "a=x|y"), r#"{"a":"x y"}"#);
        assert_eq!(result(&DISSECT, "%{?k}=%{&k:int}|%{+a}", "a=1|y"), "no match");
        assert_eq!(result(&DISSECT, "%{?k}=%{&k:int}|%{+a}", "b=1|y"), r#"{"b":1,"a":"y"}"#);
    }

    #[test]
    fn padding() {
        assert_eq!(result(&DISSECT, "%{_}%{a}", "   x"), r#"{"a":"x"}"#);
        assert_eq!(result(&DISSECT, "%{_}%{a}", "x"), "no match");
        assert_eq!(result(&DISSECT, "%{a}%{_}", "x "), r#"{"a":"x"}"#);
        assert_eq!(result(&DISSECT, "%{a}%{_}", "x"), "no match");
        assert_eq!(result(&DISSECT, "%{a}%{_(ab)}%{b}", "xababay"), r#"{"a":"x","b":"ay"}"#);
        assert_eq!(
            result(&DISSECT, "[%{level}]%{_}%{text}", "[INFO]    on"),
            r#"{"level":"INFO","text":"on"}"#
        );
    }

    #[test]
    fn names() {
        assert_eq!(result(&DISSECT, "%{}|%{b}", "x|y"), r#"{"b":"y"}"#);
        assert_eq!(result(&DISSECT, "%{ a b }|%{_c}", "x|y"), r#"{" a b ":"x","_c":"y"}"#);
        assert_eq!(result(&DISSECT, "%{?k}|%{?l}|%{&l}|%{&k}", "a|b|1|2"), r#"{"b":"1","a":"2"}"#);
        assert_eq!(result(&DISSECT, "%{?k}|%{&k}|%{?k}|%{&k}", "a|1|b|2"), r#"{"a":"1","b":"2"}"#);
    }

    #[test]
    fn long_texts_are_passed_once() {
        // Each of them would take some 10^11 steps if the work grew with the square of the length.
        for (body, unit) in [
            ("%{a}aab%{b}", "a"),
            ("%{a}%{_(aab)}%{b}aab%{c}aabb%{d}", "a"),
            ("%{a}%{_}%{+a}%{_}%{+a}|", " "),
            ("%{?k}=%{&k}=%{+b}=%{+b}=%{+b}x", "="),
        ] {
            check(&DISSECT, body, &unit.repeat(1 << 20));
        }
    }

    proptest! {
        #[test]
        fn any_body_and_any_text(body in hostile_body(), text in text()) {
            check(&DISSECT, &body, &text);
        }

        #[test]
        fn any_fields(fields in prop::collection::vec(field(), 0..6), text in "[ab1|. -]{0,20}") {
            check(&DISSECT, &fields.concat(), &text);
        }

        /// A text that was put together as a body says is taken apart again.
        #[test]
        fn what_was_joined_is_found(values in prop::collection::vec("[a-z ]{0,8}", 1..6)) {
            let names: Vec<String> = (0..values.len()).map(|at| format!("%{{f{at}}}")).collect();
            let expected: Record = (0..).map(|at| format!("f{at}")).zip(values.iter().map(String::as_str)).collect();
            prop_assert_eq!(result(&DISSECT, &names.join(", "), &values.join(", ")), Value::from(expected).to_string());
        }
    }

    fn field() -> impl Strategy<Value = String> {
        let fields = [
            "%{a}",
            "%{b:int}",
            "%{c:float}",
            "%{+a}",
            "%{+b}",
            "%{?k}",
            "%{&k}",
            "%{&k:int}",
            "%{}",
            "%{_}",
            "%{_(-)}",
            "|",
            " ",
            "-",
            "a",
        ];
        prop::sample::select(fields.to_vec()).prop_map(str::to_owned)
    }
}
