//! Extractors: what `~ name|body|` asks of a text (`spec/language-script.md` section 9).
//!
//! One file per extractor or family, one line in [`KINDS`]. A body is compiled once, when its script is lowered; equal ones are
//! shared by all that is compiled together.

mod body;
mod cidr;
mod datetime;
mod dissect;
mod glob;
mod grok;
mod influx;
mod kv;
mod reach;
mod regex;
#[cfg(test)]
mod testing;
mod text;

pub(crate) use grok::{LONGEST_TEXT as LONGEST_GROK_TEXT, STEPS_BACK as GROK_STEPS_BACK};

use crate::{error::ErrorKind, eval::pay_value, function::Context};
use std::{collections::HashMap, fmt, sync::Arc};
use tremor_diagnostic::closest;
use tremor_value::Value;

/// What a body compiled to, once, when the script was lowered.
///
/// Both ways to ask agree on whether a text matches (but for `base64`, whose result has to be a text). Where that cannot be said within bounds both give an error, or the
/// one that has more to do.
pub(crate) trait Extractor: fmt::Debug + Send + Sync {
    /// Whether the text matches; nothing is built.
    ///
    /// # Errors
    /// It took too much to say so.
    fn test(&self, text: &str) -> Result<bool, ErrorKind>;

    /// The result, if the text matches. It is paid for from what is left to the event.
    ///
    /// # Errors
    /// It took too much to say so, or the result is more than what is left.
    fn extract(&self, text: &str, context: &Context<'_>) -> Result<Option<Value>, ErrorKind>;

    /// What a look at the text costs, in the unit of [`Context::pay`]. It is paid before either of the others is asked.
    fn look(&self, text: &str) -> usize {
        look_at_all(text)
    }

    /// Bytes that this takes, where that may be many.
    fn weight(&self) -> usize {
        0
    }

    /// Why no text will ever match, and what would be right.
    fn doubt(&self) -> Option<String> {
        None
    }
}

/// An [`Extractor`] that always knows: it takes time linear in the text, and nothing it builds is larger than a small
/// multiple of that.
pub(crate) trait Matcher: fmt::Debug + Send + Sync {
    /// As [`Extractor::test`].
    fn test(&self, text: &str) -> bool;

    /// As [`Extractor::extract`]. `ingest_ns` is the ingest time of the event in nanoseconds since 1970 UTC; only a
    /// [contextual](Kind::contextual) kind may look at it.
    fn extract(&self, text: &str, ingest_ns: u64) -> Option<Value>;

    /// As [`Extractor::look`].
    fn look(&self, text: &str) -> usize {
        look_at_all(text)
    }

    /// As [`Extractor::weight`].
    fn weight(&self) -> usize {
        0
    }

    /// As [`Extractor::doubt`].
    fn doubt(&self) -> Option<String> {
        None
    }
}

impl<M: Matcher> Extractor for M {
    fn test(&self, text: &str) -> Result<bool, ErrorKind> {
        Ok(Matcher::test(self, text))
    }

    fn extract(&self, text: &str, context: &Context<'_>) -> Result<Option<Value>, ErrorKind> {
        let value = Matcher::extract(self, text, context.ingest_ns);
        if let Some(value) = &value {
            pay_value(value, context)?;
        }
        Ok(value)
    }

    fn look(&self, text: &str) -> usize {
        Matcher::look(self, text)
    }

    fn weight(&self) -> usize {
        Matcher::weight(self)
    }

    fn doubt(&self) -> Option<String> {
        Matcher::doubt(self)
    }
}

/// Bytes of text that cost as much as one value where they are only looked at, by something that passes them once. An event may
/// so look through 2 GiB, which takes seconds.
const LOOK_SHARE: usize = 64;

/// What a look from the start of the text to its end costs.
fn look_at_all(text: &str) -> usize {
    text.len() / LOOK_SHARE + 1
}

/// Why an extractor cannot say whether a text matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GaveUp {
    /// `grok` went back too often.
    GrokSteps,
    /// The text is too long for going back in it.
    GrokLength { len: usize },
    /// `rerg` would read the text over and over.
    RergReading { len: usize },
}

impl fmt::Display for GaveUp {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GrokSteps => write!(
                out,
                "The extractor `grok` gave up on this text: it went back more than {GROK_STEPS_BACK} times"
            ),
            Self::GrokLength { len } => write!(
                out,
                "The extractor `grok` goes back in at most {LONGEST_GROK_TEXT} bytes, and in this text there are {len} from where the \
                 expression may be found on"
            ),
            Self::RergReading { len } => write!(
                out,
                "The extractor `rerg` gave up on this text of {len} bytes: the expression reads on so far behind its hits that \
                 the text would be read over and over"
            ),
        }
    }
}

impl GaveUp {
    pub(crate) fn hint(self) -> &'static str {
        match self {
            Self::GrokSteps | Self::GrokLength { .. } => {
                "Begin the expression with `^`, make it more definite, or look with `re`, `dissect` or `glob` first"
            }
            Self::RergReading { .. } => {
                "An alternative that is tried in vain up to the end of the text is often the reason, as in `a+b|a`"
            }
        }
    }
}

impl From<GaveUp> for ErrorKind {
    fn from(reason: GaveUp) -> Self {
        Self::GaveUp(reason)
    }
}

/// An extractor that scripts can name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    /// As written in scripts, in lower case; there any case will do.
    pub(crate) name: &'static str,
    /// What its body is.
    pub(crate) body: &'static str,
    /// When it matches and with which result.
    pub(crate) summary: &'static str,
    /// For the reference; a test runs them.
    pub(crate) examples: &'static [Example],
    /// The result may depend on the event's ingest time, so it is never computed before there is an event.
    pub(crate) contextual: bool,
    /// Compiles a body. The error says what is wrong with it and what would be right.
    pub(crate) compile: fn(&str) -> Result<Arc<dyn Extractor>, String>,
}

/// One body on one text.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// The body, without the escapes that it takes between bars.
    pub body: &'static str,
    /// The text that is looked at.
    pub text: &'static str,
    /// The result as JSON; `None` if the text does not match.
    pub result: Option<&'static str>,
}

/// All there are, in the order of the reference.
pub(crate) const KINDS: &[Kind] = &[
    glob::GLOB,
    regex::RE,
    regex::RERG,
    text::BASE64,
    text::JSON,
    kv::KV,
    dissect::DISSECT,
    grok::GROK,
    cidr::CIDR,
    datetime::DATETIME,
    influx::INFLUX,
];

/// What the reference says about one extractor.
#[derive(Clone, Copy, Debug)]
pub struct ExtractorInfo {
    /// As written in scripts.
    pub name: &'static str,
    /// What its body is.
    pub body: &'static str,
    /// When it matches and with which result.
    pub summary: &'static str,
    /// Bodies on texts.
    pub examples: &'static [Example],
}

/// All extractors of the language, for the reference.
pub fn extractors() -> impl Iterator<Item = ExtractorInfo> {
    KINDS.iter().map(|kind| {
        let Kind { name, body, summary, examples, .. } = *kind;
        ExtractorInfo { name, body, summary, examples }
    })
}

/// What stands in the lowered program.
#[derive(Clone, Debug)]
pub(crate) struct Compiled {
    pub(crate) extractor: Arc<dyn Extractor>,
    /// See [`Kind::contextual`].
    pub(crate) contextual: bool,
    /// See [`Extractor::doubt`].
    pub(crate) doubt: Option<Arc<str>>,
}

/// Why there is nothing to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

/// The extractors of one compilation.
#[derive(Debug)]
pub(crate) struct Extractors {
    kinds: &'static [Kind],
    /// By name and body.
    compiled: HashMap<(&'static str, String), Result<Compiled, Refusal>>,
    /// Bytes that those take together.
    weight: usize,
}

/// Bytes that all extractors of one compilation may take together.
pub(crate) const LARGEST_TOGETHER: usize = 64 * 1024 * 1024;

impl Extractors {
    pub(crate) fn new(kinds: &'static [Kind]) -> Self {
        Self { kinds, compiled: HashMap::new(), weight: 0 }
    }

    /// What `name|body|` stands for; compiled when it is asked for the first time.
    pub(crate) fn get(&mut self, name: &str, body: &str) -> Result<Compiled, Refusal> {
        let Some(kind) = self.kinds.iter().find(|kind| kind.name.eq_ignore_ascii_case(name)) else {
            return Err(self.unknown(name, body));
        };
        let key = (kind.name, body.to_owned());
        if let Some(compiled) = self.compiled.get(&key) {
            return compiled.clone();
        }
        let compiled = self.compile(kind, body);
        self.compiled.insert(key, compiled.clone());
        compiled
    }

    fn compile(&mut self, kind: &Kind, body: &str) -> Result<Compiled, Refusal> {
        if self.weight > LARGEST_TOGETHER {
            return Err(Refusal {
                message: format!(
                    "The expressions before this one take more than {LARGEST_TOGETHER} bytes already, all of one program together; \
                     this one is not compiled"
                ),
                hint: Some(
                    "Large numbers of repetitions, as in `{1000}`, and `\\w` within them are often the reason"
                        .to_owned(),
                ),
            });
        }
        let extractor = (kind.compile)(body).map_err(|reason| Refusal {
            message: format!("This is no body for the extractor `{}`: {reason}", kind.name),
            hint: None,
        })?;
        self.weight = self.weight.saturating_add(extractor.weight());
        let doubt = extractor.doubt().map(Arc::from);
        Ok(Compiled { extractor, contextual: kind.contextual, doubt })
    }

    fn unknown(&self, name: &str, body: &str) -> Refusal {
        let names = || self.kinds.iter().map(|kind| kind.name);
        let plain = !body.contains(['*', '?', '[', '|', '\\']);
        let hint = match name.to_lowercase().as_str() {
            "prefix" if plain => format!("Write `glob|{body}*|`"),
            "suffix" if plain => format!("Write `glob|*{body}|`"),
            "prefix" | "suffix" => {
                "Write `glob|…*|` for what a text begins with, and `glob|*…|` for its end".to_owned()
            }
            "regex" | "regexp" => "Did you mean `re`?".to_owned(),
            other => match closest(other, names()) {
                Some(near) => format!("Did you mean `{near}`?"),
                None => format!("There are {}", names().collect::<Vec<_>>().join(", ")),
            },
        };
        Refusal { message: format!("There is no extractor `{name}`"), hint: Some(hint) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        Compiler, Context, Embedded, Functions, Outcome, Script,
        ir::{Expr, FieldTest, Pattern, Stmt},
        query,
        session::Session,
    };
    use proptest::prelude::*;
    use std::num::NonZeroU32;
    use tremor_value::{Meta, Payload};

    #[test]
    fn examples_hold() {
        for kind in KINDS {
            assert!(!kind.examples.is_empty(), "{}", kind.name);
            for Example { body, text, result } in kind.examples {
                let extractor = (kind.compile)(body).unwrap();
                let extracted = extractor.extract(text, &Context::new(0, None, None)).unwrap();
                let expected = result.map(|result| Value::from_json_str(result).unwrap());
                assert_eq!(extracted, expected, "{}|{body}| on {text}", kind.name);
                assert_eq!(
                    extractor.test(text).unwrap(),
                    result.is_some(),
                    "{}|{body}| on {text}",
                    kind.name
                );
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Whatever body and text are: no panic, and whether the result is needed makes no difference.
        #[test]
        fn tests_and_results_agree(
            kind in prop::sample::select(KINDS),
            body in prop_oneof!["", "[a-c%{}:=, _?&+*\\[\\]()<>|\\\\./0-9dHMSYP-]{0,16}", "\\PC{0,8}"],
                        text in prop_oneof!["[a-c =:,;/.0-9\"{}\\[\\]-]{0,24}", "\\PC{0,8}"],
            times in prop_oneof![9 => Just(1_usize), 1 => 1_usize..2_000],
        ) {
            let text = text.repeat(times);
            if let Ok(extractor) = (kind.compile)(&body) {
                let (test, result) = (extractor.test(&text), extractor.extract(&text, &Context::new(1, None, None)));
                // All but one have to say so within bounds for texts as short as these.
                let (Ok(test), Ok(result)) = (test, result) else {
                    prop_assert!(kind.name == "grok" && text.len() > 64, "{}", kind.name);
                    return Ok(());
                };
                if kind.name != "base64" || !test {
                    prop_assert_eq!(test, result.is_some(), "{}", kind.name);
                }
            }
        }
    }

    fn compile(source: &str) -> Script {
        let compiler = Compiler::new(Arc::new(Embedded::new("lib")), Arc::new(Functions::default()));
        compiler.compile_script("t", source).unwrap().program
    }

    /// The extractors that the patterns of the script's first statement hold.
    fn held(script: &Script) -> Vec<Arc<dyn Extractor>> {
        let Some(Stmt::Match(match_)) = script.body.first() else { panic!("no match") };
        let mut held = Vec::new();
        for clause in &match_.clauses {
            match &clause.pattern {
                Pattern::Extract(test) => held.push(Arc::clone(&test.extractor)),
                Pattern::Record(fields) => held.extend(fields.iter().filter_map(|field| match &field.test {
                    FieldTest::Extract(_, test) => Some(Arc::clone(&test.extractor)),
                    _ => None,
                })),
                Pattern::Any | Pattern::Equals(Expr::Const(_)) => {}
                other => panic!("{other:?}"),
            }
        }
        held
    }

    #[test]
    fn a_body_is_compiled_once() {
        let before = regex::tests::COMPILED.get();
        let script = compile(
            "match event.a of case ~ re|a+| => let x = 1 case ~ RE|a+| => let x = 2 case ~ rerg|a+| => let x = 3
             case %{ k ~= re|a+|, l ~= re|b| } => let x = 4 case ~ glob|?c| => let x = 5 case _ => let x = 6 end;
             match event.a of case x = ~ re|a+| => x case _ => 0 end",
        );
        // `re|a+|`, `rerg|a+|`, `re|b|`, `glob|?c|`.
        assert_eq!(regex::tests::COMPILED.get() - before, 4);
        let held = held(&script);
        assert_eq!(held.len(), 6);
        for (left, right, shared) in [(0, 1, true), (0, 3, true), (0, 2, false), (0, 4, false), (2, 5, false)]
        {
            assert_eq!(Arc::ptr_eq(&held[left], &held[right]), shared, "{left} {right}");
        }
        for number in 0..1_000 {
            let event = format!(r#"{{"a": "{}c"}}"#, ["a", "b", "xx", ""][number % 4]);
            let mut event = Payload::from(Value::from_json_str(&event).unwrap());
            let context = Context::new(0, None, None);
            let (mut meta, mut state) = (Meta::NULL, Value::Null);
            let outcome = script.run(&mut event, &mut meta, &mut state, &Value::Null, &context).unwrap();
            let expected = if number % 4 == 0 { "{}" } else { "0" };
            assert!(matches!(outcome, Outcome::Emit { value, .. } if value.to_string() == expected));
        }
        assert_eq!(regex::tests::COMPILED.get() - before, 4);
    }

    #[test]
    fn what_does_not_compile_is_tried_once_too() {
        let mut extractors = Extractors::new(KINDS);
        let before = regex::tests::COMPILED.get();
        let first = extractors.get("re", "(").unwrap_err();
        assert_eq!(extractors.get("rE", "(").unwrap_err(), first);
        assert_eq!(regex::tests::COMPILED.get() - before, 1);
    }

    #[test]
    fn names_are_in_lower_case_and_once() {
        for (index, kind) in KINDS.iter().enumerate() {
            assert_eq!(kind.name, kind.name.to_lowercase());
            assert!(KINDS.iter().skip(index + 1).all(|other| other.name != kind.name), "{}", kind.name);
        }
    }

    #[derive(Debug)]
    struct Clock;

    impl Matcher for Clock {
        fn test(&self, _: &str) -> bool {
            true
        }

        fn extract(&self, _: &str, ingest_ns: u64) -> Option<Value> {
            Some(Value::from(ingest_ns))
        }
    }

    /// A script with an extractor that tells the time, and the codes of what is wrong with it.
    fn with_clock(source: &str) -> (Script, Vec<&'static str>) {
        const KINDS: &[Kind] = &[Kind {
            name: "clock",
            body: "",
            summary: "",
            examples: &[],
            contextual: true,
            compile: |_| Ok(Arc::new(Clock)),
        }];
        let (loader, functions) = (Embedded::new("lib"), Functions::default());
        let mut session = Session::new(&loader, &functions, NonZeroU32::MIN);
        session.extractors = Extractors::new(KINDS);
        let file = session.start("t", source);
        let script =
            query::script(&tremor_syntax::parse_script(file, source).ast.unwrap().items, None, &mut session);
        let errors = session.diagnostics.iter().filter(|diagnostic| diagnostic.is_error());
        let errors = errors.map(|diagnostic| diagnostic.code.id).collect();
        (script, errors)
    }

    #[test]
    fn what_depends_on_the_time_is_asked_for_each_event() {
        let function = "fn now(a) of case (~ clock||) => a case _ => 0 end;";
        let (script, errors) = with_clock(&format!("{function} now(\"x\")"));
        assert_eq!(errors, [""; 0]);
        for time in [5, 6] {
            let context = Context::new(time, None, None);
            let (mut event, mut meta, mut state) = (Payload::default(), Meta::NULL, Value::Null);
            let outcome = script.run(&mut event, &mut meta, &mut state, &Value::Null, &context).unwrap();
            assert!(matches!(outcome, Outcome::Emit { value, .. } if value == Value::from(time)));
        }
        let (_, errors) = with_clock(&format!("{function} const NOW = now(\"x\"); NOW"));
        assert_eq!(errors, ["E-C1"]);
    }
}
