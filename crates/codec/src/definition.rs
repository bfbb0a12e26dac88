//! What a configuration says about codec and processors.

use tremor_value::{Str, Value};

use crate::{ConfigError, config::nearest};

/// The codec and the processors of a connector, by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Definition {
    /// The codec.
    pub codec: NameAndConfig,
    /// Stages before decoding, in order.
    pub preprocessors: Vec<NameAndConfig>,
    /// Stages behind encoding, in order.
    pub postprocessors: Vec<NameAndConfig>,
}

impl Definition {
    /// A codec without processors.
    #[must_use]
    pub fn of_codec(codec: impl Into<NameAndConfig>) -> Self {
        Self { codec: codec.into(), preprocessors: Vec::new(), postprocessors: Vec::new() }
    }
}

/// A part by name, with its config if there is one.
#[derive(Clone, Debug, PartialEq)]
pub struct NameAndConfig {
    /// Name or alias.
    pub name: Str,
    /// Its config.
    pub config: Option<Value>,
}

impl NameAndConfig {
    /// Reads `"name"`, `{"name": "name"}` or `{"name": "name", "config": …}` as a codec; a config of null is none.
    ///
    /// # Errors
    /// [`ConfigError::Shape`] for every other value.
    pub fn from_value(value: &Value) -> Result<Self, ConfigError> {
        Self::read(value, "json")
    }

    /// Reads the same as a pre- or postprocessor.
    ///
    /// # Errors
    /// [`ConfigError::Shape`] for every other value.
    pub fn processor_from_value(value: &Value) -> Result<Self, ConfigError> {
        Self::read(value, "separate")
    }

    /// Reads a list of them, as `preprocessors` and `postprocessors` are given; null is an empty list.
    ///
    /// # Errors
    /// [`ConfigError::Shape`] with the part that is wrong.
    pub fn list_from_value(value: &Value) -> Result<Vec<Self>, ConfigError> {
        match value {
            Value::Null => Ok(Vec::new()),
            Value::Array(items) => items.iter().map(Self::processor_from_value).collect(),
            // One alone is what is most often written where a list belongs.
            one => {
                let example =
                    Self::processor_from_value(one).map_or(r#""separate""#.into(), |_| one.to_string());
                Err(shape(value, format!("expected a list such as [{example}]")))
            }
        }
    }

    /// `example` is a name for messages.
    fn read(value: &Value, example: &str) -> Result<Self, ConfigError> {
        let record = match value {
            Value::String(name) => return Ok(Self { name: name.clone(), config: None }),
            Value::Record(record) => record,
            _ => {
                let advice = format!(
                    r#"expected a name such as "{example}" or a record such as {{"name": "{example}"}}"#
                );
                return Err(shape(value, advice));
            }
        };
        if let Some(unknown) = record.keys().find(|key| !KEYS.contains(&key.as_str())) {
            let short =
                || KEYS.into_iter().find(|key| unknown.len() > 2 && key.starts_with(unknown.as_str()));
            let advice = match nearest(unknown, KEYS.into_iter()).or_else(short) {
                Some(known) => format!("unknown key `{unknown}`, did you mean `{known}`?"),
                None => format!("unknown key `{unknown}`, only `name` and `config` belong here"),
            };
            return Err(shape(value, advice));
        }
        let Some(name) = record.get("name").and_then(Value::as_str) else {
            return Err(shape(value, format!(r#"the key `name` needs a string such as "{example}""#)));
        };
        let config = record.get("config").filter(|config| !config.is_null());
        Ok(Self { name: name.into(), config: config.cloned() })
    }
}

/// Keys of the longer spelling.
const KEYS: [&str; 2] = ["name", "config"];

fn shape(value: &Value, advice: String) -> ConfigError {
    ConfigError::Shape { value: value.to_string(), advice }
}

impl From<&str> for NameAndConfig {
    fn from(name: &str) -> Self {
        Self { name: name.into(), config: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_are_read() {
        let read = |json: &str| NameAndConfig::from_value(&Value::from_json_str(json).unwrap());
        assert_eq!(read(r#""json""#), Ok("json".into()));
        assert_eq!(read(r#"{"name":"json"}"#), Ok("json".into()));
        assert_eq!(read(r#"{"name":"json","config":null}"#), Ok("json".into()));
        let sorted = read(r#"{"name":"json","config":{"mode":"sorted"}}"#).unwrap();
        assert_eq!(sorted.config.unwrap().to_string(), r#"{"mode":"sorted"}"#);
        let named = r#"expected a name such as "json" or a record such as {"name": "json"}"#;
        let name = r#"the key `name` needs a string such as "json""#;
        for (wrong, advice) in [
            ("1", named),
            ("null", named),
            ("[]", named),
            ("{}", name),
            (r#"{"name":1}"#, name),
            (r#"{"name":"json","conf":1}"#, "unknown key `conf`, did you mean `config`?"),
            (r#"{"nam":"json"}"#, "unknown key `nam`, did you mean `name`?"),
            (r#"{"other":"json"}"#, "unknown key `other`, only `name` and `config` belong here"),
        ] {
            assert_eq!(read(wrong).unwrap_err().to_string(), format!("Invalid config: {wrong}; {advice}"));
        }
        let list = |json: &str| NameAndConfig::list_from_value(&Value::from_json_str(json).unwrap());
        assert_eq!(list("null").unwrap(), []);
        assert_eq!(list(r#"["a",{"name":"b"}]"#).unwrap(), ["a".into(), "b".into()]);
        for (wrong, shown) in [
            (
                r#"["a",7]"#,
                r#"7; expected a name such as "separate" or a record such as {"name": "separate"}"#,
            ),
            (r#""lines""#, r#""lines"; expected a list such as ["lines"]"#),
            (r#"{"name":"a"}"#, r#"{"name":"a"}; expected a list such as [{"name":"a"}]"#),
            ("7", r#"7; expected a list such as ["separate"]"#),
        ] {
            assert_eq!(list(wrong).unwrap_err().to_string(), format!("Invalid config: {shown}"));
        }
    }
}
