//! What a configuration says about codec and processors.

use tremor_value::{Str, Value};

use crate::ConfigError;

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
    /// Reads `"name"`, `{"name": "name"}` or `{"name": "name", "config": …}`; a config of null is none.
    ///
    /// # Errors
    /// [`ConfigError::Shape`] for every other value.
    pub fn from_value(value: &Value) -> Result<Self, ConfigError> {
        let parsed = match value {
            Value::String(name) => Some(Self { name: name.clone(), config: None }),
            Value::Record(record) if record.keys().all(|key| key == "name" || key == "config") => {
                record.get("name").and_then(Value::as_str).map(|name| {
                    let config = record.get("config").filter(|config| !config.is_null());
                    Self { name: name.into(), config: config.cloned() }
                })
            }
            _ => None,
        };
        parsed.ok_or_else(|| ConfigError::Shape { value: value.to_string() })
    }

    /// Reads a list of them, as `preprocessors` and `postprocessors` are given; null is an empty list.
    ///
    /// # Errors
    /// [`ConfigError::Shape`] with the part that is wrong.
    pub fn list_from_value(value: &Value) -> Result<Vec<Self>, ConfigError> {
        match value {
            Value::Null => Ok(Vec::new()),
            Value::Array(items) => items.iter().map(Self::from_value).collect(),
            _ => Err(ConfigError::Shape { value: value.to_string() }),
        }
    }
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
        for wrong in ["1", "null", "[]", "{}", r#"{"name":1}"#, r#"{"name":"json","conf":1}"#] {
            assert_eq!(read(wrong).unwrap_err().to_string(), format!("Invalid config: {wrong}"));
        }
        let list = |json: &str| NameAndConfig::list_from_value(&Value::from_json_str(json).unwrap());
        assert_eq!(list("null").unwrap(), []);
        assert_eq!(list(r#"["a",{"name":"b"}]"#).unwrap(), ["a".into(), "b".into()]);
        assert_eq!(list(r#"["a",7]"#).unwrap_err().to_string(), "Invalid config: 7");
        assert_eq!(list(r#""a""#).unwrap_err().to_string(), r#"Invalid config: "a""#);
    }
}
