//! Reading the body of a `dissect`.

use super::super::body;
use super::{Field, Part, Type};
use std::collections::HashMap;
use tremor_value::Str;

/// What joins the parts of a field, if there is no padding between them.
const JOINT: &str = " ";

/// How many steps there may be.
const MOST_PARTS: usize = 1_000;

/// The steps that a body describes.
///
/// # Errors
/// Says what is wrong with the body: an unknown type or escape, a field without end or name, two fields side by side, a
/// `%{&name}` without `%{?name}` before it.
pub(super) fn parts(body: &str) -> Result<Vec<Part>, String> {
    let mut parser = Parser::default();
    let mut rest = body;
    loop {
        if let Some(after) = rest.strip_prefix("%{") {
            parser.end_delimiter();
            rest = parser.braces(after)?;
        } else if let Some((character, after)) = body::character(rest)? {
            parser.delimiter.push(character);
            rest = after;
        } else {
            break;
        }
        if parser.parts.len() > MOST_PARTS {
            return Err(format!("it has more than {MOST_PARTS} fields, delimiters and paddings"));
        }
    }
    parser.end_delimiter();
    Ok(parser.parts)
}

#[derive(Default)]
struct Parser<'b> {
    parts: Vec<Part>,
    delimiter: String,
    /// Name and number of what is remembered so far.
    slots: HashMap<&'b str, usize>,
    /// Type of the last field of each name.
    types: HashMap<&'b str, Type>,
}

impl<'b> Parser<'b> {
    fn end_delimiter(&mut self) {
        if !self.delimiter.is_empty() {
            self.parts.push(Part::Delimiter(std::mem::take(&mut self.delimiter)));
        }
    }

    /// Reads what follows `%{`, and gives what follows its `}`.
    fn braces(&mut self, after: &'b str) -> Result<&'b str, String> {
        if let Some(padding) = after.strip_prefix("_(") {
            let (padding, rest) = padding.split_once(")}").ok_or("a `%{_(` is not closed by `)}`")?;
            if padding.is_empty() {
                return Err("`%{_()}` names no text to skip; blanks are skipped by `%{_}`".to_owned());
            }
            self.parts.push(Part::Padding(body::unescaped(padding)?));
            return Ok(rest);
        }
        let (inside, rest) = after.split_once('}').ok_or("a `%{` is not closed by `}`")?;
        if inside == "_" {
            self.parts.push(Part::Padding(JOINT.to_owned()));
            return Ok(rest);
        }
        if matches!(self.parts.last(), Some(Part::Field(_))) {
            return Err(format!(
                "nothing separates `%{{{inside}}}` from the field before it; put a delimiter or `%{{_}}` in between"
            ));
        }
        let field = self.field(inside)?;
        self.parts.push(Part::Field(field));
        Ok(rest)
    }

    fn field(&mut self, inside: &'b str) -> Result<Field, String> {
        if inside.is_empty() {
            return Ok(Field::Skip);
        }
        if let Some(name) = inside.strip_prefix('+') {
            return self.appended(named(name, inside)?);
        }
        if let Some(name) = inside.strip_prefix('?') {
            let next = self.slots.len();
            let slot = *self.slots.entry(named(name, inside)?).or_insert(next);
            return Ok(Field::Remember { slot });
        }
        let (name, as_type) = typed(inside)?;
        if let Some(name) = name.strip_prefix('&') {
            let slot = self.slots.get(named(name, inside)?).copied().ok_or_else(|| {
                format!("`%{{{inside}}}` refers to a name that is not read before; read it by `%{{?{name}}}`")
            })?;
            return Ok(Field::StoreUnder { slot, as_type });
        }
        self.types.insert(named(name, inside)?, as_type);
        Ok(Field::Store { name: name.into(), as_type })
    }

    fn appended(&mut self, name: &'b str) -> Result<Field, String> {
        if self.types.get(name).is_some_and(|as_type| *as_type != Type::Text) {
            return Err(format!("`%{{+{name}}}` cannot append to `{name}`, which is read as a number"));
        }
        self.types.insert(name, Type::Text);
        Ok(Field::Append { name: name.into(), joint: self.joint(name) })
    }

    /// The padding that was met since the last field of this name.
    fn joint(&self, wanted: &str) -> Str {
        for part in self.parts.iter().rev() {
            match part {
                Part::Padding(padding) => return padding.as_str().into(),
                Part::Field(Field::Store { name, .. } | Field::Append { name, .. }) if name == wanted => {
                    break;
                }
                _ => {}
            }
        }
        JOINT.into()
    }
}

/// The name, if it is one.
fn named<'b>(name: &'b str, inside: &str) -> Result<&'b str, String> {
    if name.is_empty() { Err(format!("`%{{{inside}}}` has no name")) } else { Ok(name) }
}

/// Name and type of `name:type`.
fn typed(inside: &str) -> Result<(&str, Type), String> {
    let Some((name, as_type)) = inside.split_once(':') else { return Ok((inside, Type::Text)) };
    let as_type = match as_type {
        "int" => Type::Integer,
        "float" => Type::Float,
        "string" => Type::Text,
        _ => return Err(format!("`{as_type}` is no type; there are `int`, `float` and `string`")),
    };
    Ok((name, as_type))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bodies_that_are_refused() {
        let refused = |body: &str| parts(body).unwrap_err();
        assert_eq!(refused("%{a"), "a `%{` is not closed by `}`");
        assert_eq!(refused("%{_(x}"), "a `%{_(` is not closed by `)}`");
        assert!(refused("%{_()}").starts_with("`%{_()}` names no text to skip"));
        assert!(refused("%{a}%{b}").starts_with("nothing separates `%{b}` from the field before it"));
        assert!(refused("%{}%{}").starts_with("nothing separates `%{}` from the field before it"));
        assert_eq!(refused("%{a:bool}"), "`bool` is no type; there are `int`, `float` and `string`");
        assert_eq!(refused("%{a:int:int}"), "`int:int` is no type; there are `int`, `float` and `string`");
        assert!(refused("%{&k} %{?k}").ends_with("read it by `%{?k}`"));
        assert_eq!(refused("%{a:int} %{+a}"), "`%{+a}` cannot append to `a`, which is read as a number");
        for nameless in ["%{+}", "%{?}", "%{&}", "%{:int}", "%{&:int}"] {
            assert!(refused(nameless).ends_with("has no name"), "{nameless}");
        }
        assert!(parts(&"%{a}-".repeat(500)).is_ok());
        assert!(refused(&"%{+a}-".repeat(501)).starts_with("it has more than 1000 fields"));
        assert!(refused("\\d%{a}").starts_with("`\\d` is no escape"));
        assert!(refused("%{_(\\d)}").starts_with("`\\d` is no escape"));
        assert!(refused("%{a}\\").starts_with("the body ends in the middle of an escape"));
    }

    #[test]
    fn delimiters_and_padding_may_be_anything() {
        let parts = parts("\\t%\\n{}%{_(\\\\})}}").unwrap();
        let expected = [
            Part::Delimiter("\t%\n{}".to_owned()),
            Part::Padding("\\}".to_owned()),
            Part::Delimiter("}".to_owned()),
        ];
        assert_eq!(parts, expected);
    }
}
