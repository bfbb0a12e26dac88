//! How many checks a JSON Schema may lead to.
//!
//! A validator goes through a schema as it is written: where several parts look at the same member, and each of them leads
//! back to where it came from, the work doubles with every level of the message. So what it would be is found out
//! beforehand, with each pair of a part of the schema and a part of the message looked at once. That is only done for
//! schemas in which it can grow like that.

use regex::Regex;
use serde_json::{Map, Value as Json};
use std::collections::HashMap;

/// Ways through a schema that need no further thought; parts that it may have.
const FEW: u64 = 50_000;
/// Checks that any message may take, and how many more for every byte that it has.
const CHECKS: u64 = 500_000;
const CHECKS_PER_BYTE: u64 = 32;
/// Pairs that are looked at to find out what a message takes.
const MAX_PAIRS: usize = 1_000_000;
/// The words that look at values again which other words have looked at.
const AGAIN: [&str; 2] = ["unevaluatedProperties", "unevaluatedItems"];
/// How many of them may lie within each other: each doubles what it takes to compile what is in it.
const MAX_AGAIN: usize = 8;
/// How deep a schema may nest.
const MAX_DEPTH: usize = 100;

/// Parts of a schema, by which parts of a message they look at.
#[derive(Debug)]
pub(super) struct Budget {
    parts: Vec<Part>,
}

#[derive(Debug, Default)]
struct Part {
    /// These look at the same.
    same: Vec<usize>,
    /// These look at what is in it.
    inner: Vec<(Which, usize)>,
    /// How many words that look at values again lie within each other here.
    again: usize,
}

/// Which members or items.
#[derive(Debug)]
enum Which {
    Member(String),
    Members(Option<Box<Regex>>),
    Item(usize),
    Items,
}

impl Which {
    fn is_key(&self, key: &str) -> bool {
        match self {
            Self::Member(name) => name == key,
            Self::Members(pattern) => pattern.as_ref().is_none_or(|pattern| pattern.is_match(key)),
            Self::Item(_) | Self::Items => false,
        }
    }

    fn is_index(&self, index: usize) -> bool {
        match self {
            Self::Item(number) => *number == index,
            Self::Items => true,
            Self::Member(_) | Self::Members(_) => false,
        }
    }
}

/// The words whose schemas look at the same value as the schema they stand in.
const SAME: [&str; 7] = ["allOf", "anyOf", "oneOf", "not", "if", "then", "else"];
const REFERENCES: [&str; 3] = ["$ref", "$dynamicRef", "$recursiveRef"];
/// The words whose schemas look at any member, or any item.
const ALL_MEMBERS: [&str; 3] = ["additionalProperties", "unevaluatedProperties", "propertyNames"];
const ALL_ITEMS: [&str; 4] = ["additionalItems", "unevaluatedItems", "contains", "items"];

impl Budget {
    /// `None` if no message can take much more than its size.
    ///
    /// # Errors
    /// The schema goes round in circles without looking deeper, or is too large.
    pub(super) fn of(schema: &Json, others: &[(String, Json)]) -> Result<Option<Self>, String> {
        let mut reading = Reading {
            roots: vec![("", schema)],
            named: HashMap::new(),
            known: HashMap::new(),
            parts: Vec::new(),
        };
        reading.roots.extend(others.iter().map(|(name, other)| (name.as_str(), other)));
        for (number, (_, root)) in reading.roots.clone().into_iter().enumerate() {
            reading.collect_names(root, number, 0)?;
        }
        let root = reading.part(schema, 0, 0)?;
        let mut waiting = vec![Step::Same; reading.parts.len()];
        for number in 0..reading.parts.len() {
            circle_free(&reading.parts, number, &mut waiting)?;
        }
        let mut ways = vec![None; reading.parts.len()];
        if count_ways(&reading.parts, root, &mut ways) <= FEW {
            return Ok(None);
        }
        Ok(Some(Self { parts: reading.parts }))
    }

    /// Whether `instance`, which is so long as text, can be checked.
    pub(super) fn allows(&self, instance: &Json, bytes: usize) -> bool {
        let most = CHECKS.saturating_add(CHECKS_PER_BYTE.saturating_mul(bytes as u64));
        let mut costs = Costs { parts: &self.parts, known: HashMap::new(), most };
        costs.of(0, instance).is_some_and(|cost| cost <= most)
    }
}

struct Reading<'s> {
    /// The schema and those that it refers to, by name.
    roots: Vec<(&'s str, &'s Json)>,
    /// Parts that have names of their own, with the root they stand in.
    named: HashMap<String, Vec<(&'s Json, usize)>>,
    known: HashMap<*const Json, usize>,
    parts: Vec<Part>,
}

impl<'s> Reading<'s> {
    fn collect_names(&mut self, at: &'s Json, root: usize, depth: usize) -> Result<(), String> {
        if depth > MAX_DEPTH {
            return Err(format!("it nests deeper than {MAX_DEPTH} levels"));
        }
        match at {
            Json::Object(members) => {
                for word in ["$id", "id", "$anchor", "$dynamicAnchor"] {
                    if let Some(name) = members.get(word).and_then(Json::as_str) {
                        let name = name.trim_start_matches('#').to_owned();
                        self.named.entry(name).or_default().push((at, root));
                    }
                }
                members.values().try_for_each(|inner| self.collect_names(inner, root, depth + 1))
            }
            Json::Array(items) => {
                items.iter().try_for_each(|inner| self.collect_names(inner, root, depth + 1))
            }
            _ => Ok(()),
        }
    }

    /// The number of the part that is `at`.
    fn part(&mut self, at: &'s Json, root: usize, depth: usize) -> Result<usize, String> {
        if let Some(known) = self.known.get(&std::ptr::from_ref(at)) {
            return Ok(*known);
        }
        let number = self.parts.len();
        if number as u64 > FEW || depth > 4 * MAX_DEPTH {
            return Err("it is too large".to_owned());
        }
        self.known.insert(at, number);
        self.parts.push(Part::default());
        let Json::Object(members) = at else { return Ok(number) };
        let mut part = Part::default();
        for (word, value) in members {
            let word = word.as_str();
            match value {
                Json::String(target) if REFERENCES.contains(&word) => {
                    for (target, root) in self.targets(target, root) {
                        part.same.push(self.part(target, root, depth + 1)?);
                    }
                }
                Json::Array(schemas) if SAME.contains(&word) => {
                    for schema in schemas {
                        part.same.push(self.part(schema, root, depth + 1)?);
                    }
                }
                Json::Object(_) if SAME.contains(&word) => {
                    part.same.push(self.part(value, root, depth + 1)?);
                }
                Json::Object(schemas) if ["dependentSchemas", "dependencies"].contains(&word) => {
                    for schema in schemas.values() {
                        part.same.push(self.part(schema, root, depth + 1)?);
                    }
                }
                Json::Object(schemas) if word == "properties" => {
                    for (name, schema) in schemas {
                        let inner = self.part(schema, root, depth + 1)?;
                        part.inner.push((Which::Member(name.clone()), inner));
                    }
                }
                Json::Object(schemas) if word == "patternProperties" => {
                    for (pattern, schema) in schemas {
                        let inner = self.part(schema, root, depth + 1)?;
                        // Whatever is no pattern here may be one for the validator: then any key may match.
                        let built = regex::RegexBuilder::new(pattern).size_limit(1 << 20).build();
                        part.inner.push((Which::Members(built.ok().map(Box::new)), inner));
                    }
                }
                Json::Object(_) if ALL_MEMBERS.contains(&word) => {
                    let inner = self.part(value, root, depth + 1)?;
                    part.inner.push((Which::Members(None), inner));
                }
                Json::Array(schemas) if ["items", "prefixItems"].contains(&word) => {
                    for (index, schema) in schemas.iter().enumerate() {
                        let inner = self.part(schema, root, depth + 1)?;
                        part.inner.push((Which::Item(index), inner));
                    }
                }
                Json::Object(_) if ALL_ITEMS.contains(&word) => {
                    let inner = self.part(value, root, depth + 1)?;
                    part.inner.push((Which::Items, inner));
                }
                _ => {}
            }
        }
        self.look_again(&mut part, members)?;
        if let Some(place) = self.parts.get_mut(number) {
            *place = part;
        }
        Ok(number)
    }

    /// Finds out how often that is looked at again what `part`, of these members, looks at.
    fn look_again(&self, part: &mut Part, members: &Map<String, Json>) -> Result<(), String> {
        let within = part.same.iter().chain(part.inner.iter().map(|(_, inner)| inner));
        part.again =
            within.filter_map(|inner| self.parts.get(*inner)).map(|inner| inner.again).max().unwrap_or(0);
        if AGAIN.iter().any(|word| members.contains_key(*word)) {
            part.again += 1;
            if part.again > MAX_AGAIN {
                let words = "`unevaluatedProperties` and `unevaluatedItems`";
                return Err(format!("more than {MAX_AGAIN} {words} lie within each other"));
            }
            // What looks at the same is asked by them once more.
            part.same.extend_from_within(..);
        }
        Ok(())
    }

    /// All that a reference may mean: rather one too many than one too few.
    fn targets(&self, target: &str, root: usize) -> Vec<(&'s Json, usize)> {
        let (base, fragment) = target.split_once('#').unwrap_or((target, ""));
        let of_base: Vec<(&'s Json, usize)> = match base {
            "" => {
                // A part with a name of its own is a root, too.
                let own = self.roots.get(root).map(|(_, schema)| (*schema, root));
                let named = self.named.values().flatten().filter(|(_, of)| *of == root).copied();
                own.into_iter()
                    .chain(named.filter(|_| fragment.is_empty() || fragment.starts_with('/')))
                    .collect()
            }
            base => {
                let ends_like = |name: &str| {
                    name == base || name.ends_with(base) || base.ends_with(name) && !name.is_empty()
                };
                let roots = self.roots.iter().enumerate().filter(|(_, (name, _))| ends_like(name));
                let roots = roots.map(|(number, (_, schema))| (*schema, number));
                let named = self
                    .named
                    .iter()
                    .filter(|(name, _)| ends_like(name))
                    .flat_map(|(_, places)| places.iter().copied());
                roots.chain(named).collect()
            }
        };
        let fragment = percent_decoded(fragment);
        if fragment.is_empty() {
            return match (base, of_base.first()) {
                // The root itself, unless it is within a part with a name.
                ("", Some(first)) => vec![*first],
                _ => of_base,
            };
        }
        if fragment.starts_with('/') {
            return of_base.iter().filter_map(|(at, root)| Some((at.pointer(&fragment)?, *root))).collect();
        }
        self.named.get(&fragment).cloned().unwrap_or_default()
    }
}

fn percent_decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, behind)) = rest.split_first() {
        let escaped =
            behind.get(..2).filter(|_| *first == b'%').and_then(|digits| std::str::from_utf8(digits).ok());
        if let Some(byte) = escaped.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            bytes.push(byte);
            rest = behind.get(2..).unwrap_or_default();
        } else {
            bytes.push(*first);
            rest = behind;
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Not looked at.
    Same,
    /// On the way.
    Under,
    /// It leads to no circle.
    Done,
}

/// No part leads back to itself while it looks at the same.
fn circle_free(parts: &[Part], number: usize, steps: &mut [Step]) -> Result<(), String> {
    // Each level with how many of its ways were gone.
    let mut path: Vec<(usize, usize)> = vec![(number, 0)];
    while let Some((at, gone)) = path.last_mut() {
        let (number, next) = (*at, *gone);
        *gone += 1;
        let Some(step) = steps.get_mut(number) else { return Ok(()) };
        if next == 0 {
            match step {
                Step::Under => return Err("it refers to itself without looking deeper".to_owned()),
                Step::Done => {
                    path.pop();
                    continue;
                }
                Step::Same => *step = Step::Under,
            }
        }
        match parts.get(number).and_then(|part| part.same.get(next)) {
            Some(same) => path.push((*same, 0)),
            None => {
                *step = Step::Done;
                path.pop();
            }
        }
    }
    Ok(())
}

/// How many ways lead on from a part; without end if it leads back to itself.
fn count_ways(parts: &[Part], root: usize, known: &mut [Option<u64>]) -> u64 {
    let mut path: Vec<(usize, usize, u64)> = vec![(root, 0, 1)];
    let mut is_under = vec![false; parts.len()];
    let mut last = 0;
    while let Some((number, next, sum)) = path.last_mut() {
        let number = *number;
        if let Some(under) = is_under.get_mut(number) {
            *under = true;
        }
        let ways = parts.get(number).and_then(|part| {
            let inner = part.inner.iter().map(|(_, inner)| *inner);
            part.same.iter().copied().chain(inner).nth(*next)
        });
        *next += 1;
        match ways {
            Some(way) if is_under.get(way) == Some(&true) => return u64::MAX,
            Some(way) => match known.get(way).copied().flatten() {
                Some(count) => *sum = sum.saturating_add(count),
                None => path.push((way, 0, 1)),
            },
            None => {
                last = *sum;
                path.pop();
                if let Some(under) = is_under.get_mut(number) {
                    *under = false;
                }
                if let Some(known) = known.get_mut(number) {
                    *known = Some(last);
                }
                if let Some((_, _, sum)) = path.last_mut() {
                    *sum = sum.saturating_add(last);
                }
            }
        }
    }
    last
}

struct Costs<'b> {
    parts: &'b [Part],
    known: HashMap<(usize, *const Json), u64>,
    most: u64,
}

impl Costs<'_> {
    /// `None` if finding out takes too long.
    fn of(&mut self, number: usize, at: &Json) -> Option<u64> {
        let key = (number, std::ptr::from_ref(at));
        if let Some(known) = self.known.get(&key) {
            return Some(*known);
        }
        if self.known.len() > MAX_PAIRS {
            return None;
        }
        let part = self.parts.get(number)?;
        let mut cost = 1_u64;
        for same in &part.same {
            cost = cost.saturating_add(self.of(*same, at)?);
        }
        if !part.inner.is_empty() {
            match at {
                Json::Object(members) => {
                    for (key, member) in members {
                        for (_, inner) in part.inner.iter().filter(|(which, _)| which.is_key(key)) {
                            cost = cost.saturating_add(self.of(*inner, member)?);
                        }
                    }
                }
                Json::Array(items) => {
                    for (index, item) in items.iter().enumerate() {
                        for (_, inner) in part.inner.iter().filter(|(which, _)| which.is_index(index)) {
                            cost = cost.saturating_add(self.of(*inner, item)?);
                        }
                    }
                }
                _ => {}
            }
        }
        self.known.insert(key, cost);
        (cost <= self.most).then_some(cost)
    }
}
