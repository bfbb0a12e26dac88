//! What port `control` tells stands in the guide (`docs/guides/websocket-control.md`): every such event that a test takes is
//! looked up there, so that no kind and no member can be forgotten.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::LazyLock,
};
use tremor_value::Value;

const PAGE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guides/websocket-control.md");

/// Members by kind.
static EVENTS: LazyLock<BTreeMap<String, BTreeSet<String>>> =
    LazyLock::new(|| rows(&section("## Events of port `control`")));

/// Panics unless the guide has the kind of `told`, and all its members.
pub(crate) fn assert_told(told: &Value) {
    let record = told.as_record().unwrap();
    let kind = record.get("kind").and_then(Value::as_str).unwrap();
    let members = EVENTS.get(kind).unwrap_or_else(|| panic!("the guide has no event `{kind}`: {told}"));
    for member in record.keys().filter(|member| member.as_str() != "kind") {
        assert!(members.contains(member.as_str()), "the guide has no `{member}` of `{kind}`: {told}");
    }
}

/// What stands behind `heading`, up to the next one.
fn section(heading: &str) -> String {
    let page = std::fs::read_to_string(PAGE).unwrap();
    let (_, behind) = page.split_once(&format!("\n{heading}\n")).expect("the guide has this heading");
    behind.split("\n## ").next().unwrap_or_default().to_owned()
}

/// The code in the second cell of the rows of a table, by that in the first. Something may have several rows.
fn rows(section: &str) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let mut cells = row.split('|').skip(1).map(codes);
        let [name] = &cells.next().unwrap()[..] else { panic!("not one name: {row}") };
        found.entry(name.clone()).or_default().extend(cells.next().unwrap());
    }
    found
}

fn codes(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[test]
fn commands_of_servers_stand_in_the_guide() {
    let commands = rows(&section("## Commands to port `control`"));
    for (name, member) in [("authorize", "accept"), ("forget_cookie", "cookie")] {
        assert!(commands.get(name).is_some_and(|members| members.contains(member)), "{name}");
    }
    assert!(commands.contains_key("reload_tls"));
}
