//! The JSON report of `-o` (`spec/cli.md` 3.12). Durations are nanoseconds.

use super::{
    assert::Check,
    console::{Stats, nanos},
    discovery::Kind,
};
use serde::Serialize;
use std::{collections::BTreeMap, fs::File, io::Read, path::Path, time::Duration};

/// Of a longer log, so many bytes from its beginning are taken as evidence.
const MAX_EVIDENCE_BYTES: u64 = 1024 * 1024;

/// The whole report.
#[derive(Debug, Serialize)]
pub(super) struct Report<'a> {
    pub(super) metadata: Metadata,
    pub(super) includes: &'a [String],
    pub(super) excludes: &'a [String],
    pub(super) reports: &'a BTreeMap<Kind, Vec<TestReport>>,
    pub(super) stats: AllStats<'a>,
}

#[derive(Debug, Serialize)]
pub(super) struct AllStats<'a> {
    pub(super) all: &'a Stats,
    pub(super) bench: &'a Stats,
    pub(super) integration: &'a Stats,
    pub(super) command: &'a Stats,
    pub(super) unit: &'a Stats,
}

/// About the program that ran the tests.
#[derive(Debug, Serialize)]
pub(super) struct Metadata {
    name: &'static str,
    version: &'static str,
    description: &'static str,
    homepage: &'static str,
    repository: &'static str,
    authors: &'static str,
    allocator: &'static str,
}

impl Metadata {
    pub(super) fn new() -> Self {
        Self {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            description: env!("CARGO_PKG_DESCRIPTION"),
            homepage: env!("CARGO_PKG_HOMEPAGE"),
            repository: env!("CARGO_PKG_REPOSITORY"),
            authors: env!("CARGO_PKG_AUTHORS"),
            allocator: crate::ALLOCATOR,
        }
    }
}

/// A test folder, or one file of a command suite.
#[derive(Debug, Serialize)]
pub(super) struct TestReport {
    description: &'static str,
    elements: BTreeMap<String, TestRun>,
    stats: Stats,
    duration: u64,
}

impl TestReport {
    pub(super) fn new(
        runs: impl IntoIterator<Item = (String, TestRun)>,
        stats: Stats,
        took: Duration,
    ) -> Self {
        let mut elements = BTreeMap::new();
        for (name, run) in runs {
            // Names need not be unique; no result may hide another one.
            let mut key = name.clone();
            let mut copy = 1;
            while elements.contains_key(&key) {
                copy += 1;
                key = format!("{name} ({copy})");
            }
            elements.insert(key, run);
        }
        Self { description: "Tremor Test Report", elements, stats, duration: nanos(took) }
    }
}

/// One process and what was expected of it.
#[derive(Debug, Serialize)]
pub(super) struct TestRun {
    name: String,
    description: String,
    elements: Vec<Element>,
    evidence: Option<BTreeMap<String, String>>,
    stats: Stats,
    duration: u64,
}

impl TestRun {
    pub(super) fn new(name: &str, description: &str, checks: &[Check], stats: Stats, took: Duration) -> Self {
        Self {
            name: name.to_owned(),
            description: description.to_owned(),
            elements: checks.iter().map(Element::new).collect(),
            evidence: None,
            stats,
            duration: nanos(took),
        }
    }

    pub(super) fn with_evidence(mut self, evidence: BTreeMap<String, String>) -> Self {
        self.evidence = Some(evidence);
        self
    }
}

#[derive(Debug, Serialize)]
struct Element {
    description: String,
    keyword: &'static str,
    result: ElementResult,
    info: String,
    hidden: bool,
}

#[derive(Debug, Serialize)]
struct ElementResult {
    status: &'static str,
    duration: u64,
}

impl Element {
    fn new(check: &Check) -> Self {
        let status = if check.passed { "Passed" } else { "Failed" };
        let info = match &check.detail {
            Some(detail) => format!("{}\n{detail}", check.info),
            None => check.info.clone(),
        };
        Self {
            description: check.description.clone(),
            keyword: "Predicate",
            result: ElementResult { status, duration: nanos(check.took) },
            info,
            hidden: false,
        }
    }
}

/// Adds the text of a log under `name`, if the log is there; bytes that are no text are replaced.
pub(super) fn add_evidence(evidence: &mut BTreeMap<String, String>, name: String, log: &Path) {
    let mut bytes = Vec::new();
    let Ok(file) = File::open(log) else { return };
    if file.take(MAX_EVIDENCE_BYTES + 1).read_to_end(&mut bytes).is_err() {
        return;
    }
    let cut = bytes.len() as u64 > MAX_EVIDENCE_BYTES;
    if cut {
        bytes.pop();
    }
    let mut text = String::from_utf8_lossy(&bytes).into_owned();
    if cut {
        text.push_str("\n... (the rest is in the log file)\n");
    }
    evidence.insert(name, text);
}
