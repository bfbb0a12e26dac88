//! JSON that a JSON Schema describes.

use super::{Document, Invalid, MAX_DEPTH, MAX_VIOLATIONS, Violation, budget::Budget};
use jsonschema::{Draft, PatternOptions, Registry, Resource, Validator};
use serde_json::{Map, Number};
use tremor_value::{Value, json};

/// Bytes that the compiled form of a pattern may have, and those of its states.
const MAX_PATTERN_BYTES: usize = 1 << 20;

/// A schema, ready to check.
#[derive(Debug)]
pub struct Json {
    validator: Validator,
    /// There if what a check costs is to be found out beforehand.
    budget: Option<Budget>,
}

impl Json {
    pub(super) fn compile(document: &Document) -> Result<Self, String> {
        let schema = parse(&document.text)?;
        let others = document
            .references
            .iter()
            .map(|(name, text)| {
                Ok((name.clone(), parse(text).map_err(|error| format!("`{name}`: {error}"))?))
            })
            .collect::<Result<Vec<_>, String>>()?;
        let budget = Budget::of(&schema, &others)?;
        let draft = Draft::Draft7.detect(&schema);
        let mut registry = Registry::new().draft(draft);
        for (name, other) in &others {
            let resource = Resource::from_contents(other.clone());
            registry = registry.add(name.as_str(), resource).map_err(|error| error.to_string())?;
        }
        let registry = registry.prepare().map_err(|error| error.to_string())?;
        let patterns =
            PatternOptions::regex().size_limit(MAX_PATTERN_BYTES).dfa_size_limit(MAX_PATTERN_BYTES);
        let validator = jsonschema::options()
            .with_draft(draft)
            .with_registry(&registry)
            .with_pattern_options(patterns)
            .should_validate_formats(true)
            .build(&schema)
            // The schema itself is what is validated then.
            .map_err(|error| match error.instance_path().as_str() {
                "" => error.to_string(),
                place => format!("{error} (at `{place}`)"),
            })?;
        Ok(Self { validator, budget })
    }

    pub(super) fn check(&self, payload: &[u8]) -> Result<(), Invalid> {
        let value = json::Parser::new()
            .parse(payload)
            .map_err(|error| Invalid::unreadable(payload, Violation::new("", "json", error.to_string())))?;
        let refuse = |value, rule, message| {
            Err(Invalid { violations: vec![Violation::new("", rule, message)], value })
        };
        if value.is_nested_deeper_than(MAX_DEPTH) {
            return refuse(value, "depth", format!("it nests deeper than {MAX_DEPTH} levels"));
        }
        let instance = to_json(&value);
        if self.budget.as_ref().is_some_and(|budget| !budget.allows(&instance, payload.len())) {
            let message = "it takes too many checks: the schema goes through it again and again";
            return refuse(value, "complexity", message.to_owned());
        }
        if self.validator.is_valid(&instance) {
            return Ok(());
        }
        let errors = self.validator.iter_errors(&instance).take(MAX_VIOLATIONS);
        let violations = errors.map(|error| {
            Violation::new(error.instance_path().as_str(), error.kind().keyword(), error.masked().to_string())
        });
        Err(Invalid { violations: violations.collect(), value })
    }
}

/// The text of a schema, which JSON as it comes by message may not be: repeated keys count once, and integers are large.
pub(super) fn parse(text: &str) -> Result<serde_json::Value, String> {
    serde_json::from_str(text).map_err(|error| format!("it is not JSON: {error}"))
}

/// The same as the flow sees it, for the library that checks it.
fn to_json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null | Value::Bytes(_) => serde_json::Value::Null,
        Value::Bool(value) => (*value).into(),
        Value::I64(number) => (*number).into(),
        Value::U64(number) => (*number).into(),
        Value::F64(number) => {
            Number::from_f64(*number).map_or(serde_json::Value::Null, serde_json::Value::Number)
        }
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => items.iter().map(to_json).collect(),
        Value::Record(record) => {
            let members = record.iter().map(|(key, value)| (key.to_string(), to_json(value)));
            serde_json::Value::Object(members.collect::<Map<_, _>>())
        }
    }
}
