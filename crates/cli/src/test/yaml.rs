//! Reading the YAML files of tests, as tolerantly as existing folders need it (`spec/cli.md` 3.15).

use serde::{
    Deserialize, Deserializer,
    de::{
        DeserializeOwned, Error as _, MapAccess, SeqAccess, Visitor,
        value::{MapAccessDeserializer, SeqAccessDeserializer},
    },
};
use std::{collections::BTreeMap, fmt, fs::File, io::Read, marker::PhantomData, path::Path};

/// Longest file that is read; test descriptions are a few kilobytes.
const MAX_FILE_BYTES: u64 = 16 * 1024 * 1024;

/// A scalar as it is written: `5501`, `true` and `"5501"` are all text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Text(pub(super) String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(Self).ok_or_else(|| D::Error::custom("a text is missing here; `null` and `~` need quotes"))
    }
}

/// Variables of an environment; a name without a value has an empty one.
pub(super) type Env = BTreeMap<String, Option<Text>>;

/// The pairs of `env`, for the environment of a process.
pub(super) fn pairs(env: &Env) -> impl Iterator<Item = (String, String)> {
    env.iter().map(|(name, value)| (name.clone(), value.clone().unwrap_or_default().0))
}

/// A list of maps, or one map that stands for a list of itself.
#[derive(Debug)]
pub(super) struct OneOrMany<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for OneOrMany<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(OneOrManyVisitor(PhantomData)).map(Self)
    }
}

struct OneOrManyVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for OneOrManyVisitor<T> {
    type Value = Vec<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a map or a list of maps")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
        Vec::deserialize(SeqAccessDeserializer::new(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(|one| vec![one])
    }
}

/// Reads and parses `path`. The message of an error names the file.
pub(super) fn read<T: DeserializeOwned>(path: &Path) -> Result<T, String> {
    let text = read_text(path)?;
    parse(&text).map_err(|message| format!("Invalid {}: {message}", path.display()))
}

/// Reads a file whole, if it is not larger than a test description can reasonably be.
fn read_text(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_string(&mut text));
    match read {
        Ok(_) if text.len() as u64 > MAX_FILE_BYTES => {
            Err(format!("{} is larger than {MAX_FILE_BYTES} bytes", path.display()))
        }
        Ok(_) => Ok(text),
        Err(error) => Err(format!("Cannot read {}: {error}", path.display())),
    }
}

/// Parses YAML. Tabs, which YAML forbids as indentation, are accepted there: files in the field are JSON with
/// tabs.
pub(super) fn parse<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let first = match serde_saphyr::from_str(text) {
        Ok(value) => return Ok(value),
        Err(error) => error,
    };
    if text.contains('\t')
        && let Ok(value) = serde_saphyr::from_str(&without_leading_tabs(text))
    {
        return Ok(value);
    }
    Err(first.to_string())
}

/// Every tab at the beginning of a line becomes two blanks; the rest stays.
fn without_leading_tabs(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 64);
    for line in text.split_inclusive('\n') {
        let rest = line.trim_start_matches([' ', '\t']);
        let indent = line.strip_suffix(rest).unwrap_or_default();
        out.push_str(&indent.replace('\t', "  "));
        out.push_str(rest);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(text: &str) -> Vec<String> {
        parse::<Vec<Text>>(text).unwrap().into_iter().map(|text| text.0).collect()
    }

    #[test]
    fn scalars_are_taken_as_written() {
        assert_eq!(
            texts("[5501, 0x10, true, 1.50, bare words, '5', \"a\\nb\", 0755, yes, '~']"),
            ["5501", "0x10", "true", "1.50", "bare words", "5", "a\nb", "0755", "yes", "~"]
        );
    }

    #[test]
    fn trailing_commas_and_tabs_are_fine() {
        assert_eq!(texts("[a, b,]"), ["a", "b"]);
        assert_eq!(texts("[\n\t\"a\",\n\t\t\"b\"\n]\n"), ["a", "b"]);
        let map: BTreeMap<String, Vec<Text>> = parse("a:\n  [\n\t\"x\",\t\"y\"\n\t]\nb: [\tz\t]\n").unwrap();
        assert_eq!(map["a"].len(), 2);
        assert_eq!(map["b"], [Text("z".into())]);
    }

    #[test]
    fn block_scalars_keep_their_text() {
        let list = texts("- |\n  one\n  two\n- >-\n  a\n  b\n");
        assert_eq!(list, ["one\ntwo\n", "a b"]);
    }

    #[test]
    fn a_map_may_stand_for_a_list() {
        let read = |text| parse::<OneOrMany<BTreeMap<String, Vec<Text>>>>(text).unwrap().0;
        assert_eq!(read("a: [1]\n"), read("- a: ['1']\n"));
        assert_eq!(read("[{a: []}, {b: []}]").len(), 2);
        assert!(parse::<OneOrMany<Text>>("5").is_err());
    }

    #[test]
    fn mistakes_are_reported() {
        assert!(parse::<Vec<Text>>("{a: 1}").is_err());
        assert!(parse::<Vec<Text>>("[a").is_err());
        assert!(parse::<Vec<Text>>("[[a]]").is_err());
        assert!(parse::<Vec<Text>>("[null]").unwrap_err().contains("need quotes"));
    }

    #[test]
    fn hostile_text_is_refused() {
        #[derive(Debug, Deserialize)]
        struct One {
            #[serde(rename = "a")]
            _a: Text,
        }
        for deep in ["[", "{x: ", "- ", "? ", "!t [", "&a ["] {
            let ignored = format!("a: 1\nzzz: {}", deep.repeat(50_000));
            assert!(parse::<One>(&ignored).is_err(), "{deep}");
        }
        let mut bomb = "a0: &a0 [x, x]\n".to_owned();
        for level in 1..60 {
            bomb.push_str(&format!("a{level}: &a{level} [*a{0}, *a{0}]\n", level - 1));
        }
        assert!(parse::<One>(&format!("a: 1\n{bomb}")).is_err());
    }

    #[test]
    fn an_environment_is_text() {
        let env: Env = parse("A: 1\nB: true\nC: x y\nD:\nE: '~'\n").unwrap();
        let text: Vec<String> = pairs(&env).map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(text, ["A=1", "B=true", "C=x y", "D=", "E=~"]);
    }
}
