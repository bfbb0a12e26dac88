//! The generated parser and the precedence table.

#![allow(missing_docs, reason = "the derive makes an enum of all rules")]

use pest::pratt_parser::{Assoc, Op, PrattParser};
use std::sync::LazyLock;

#[derive(pest_derive::Parser)]
#[grammar = "grammar/lexical.pest"]
#[grammar = "grammar/script.pest"]
#[grammar = "grammar/query.pest"]
#[grammar = "grammar/deploy.pest"]
pub(crate) struct Grammar;

/// `spec/language-lexical.md` 6, loosest first. Prefix operators other than signs are part of the operand.
pub(crate) static PRECEDENCE: LazyLock<PrattParser<Rule>> = LazyLock::new(|| {
    let left = |rule| Op::infix(rule, Assoc::Left);
    PrattParser::new()
        .op(left(Rule::op_or))
        .op(left(Rule::op_xor))
        .op(left(Rule::op_and))
        .op(left(Rule::op_bitxor))
        .op(left(Rule::op_bitand))
        .op(left(Rule::op_eq))
        .op(left(Rule::op_cmp))
        .op(left(Rule::op_shift))
        .op(left(Rule::op_add))
        .op(left(Rule::op_mul))
        .op(Op::prefix(Rule::sign))
        .op(Op::prefix(Rule::negation))
});

#[cfg(test)]
mod tests {
    use super::*;
    use pest::Parser;
    use std::collections::BTreeSet;
    use std::path::Path;

    /// Rules that never become a pair: blanks, what is silent or only looked at, parts of atomic rules.
    fn is_invisible(rule: Rule) -> bool {
        let name = format!("{rule:?}");
        let silent = [
            "WHITESPACE",
            "COMMENT",
            "reserved",
            "digits",
            "str_lit",
            "operand",
            "binary_op",
            "primary",
            "path_root",
            "plain_root",
            "compound_root",
            "nested_pattern",
            "query_stmts",
            "flow_stmts",
        ];
        silent.contains(&name.as_str()) || name.starts_with("one_")
    }

    #[test]
    fn the_cases_use_every_rule() {
        let mut seen = BTreeSet::new();
        for suite in ["ok", "warn"] {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/lang").join(suite);
            for case in std::fs::read_dir(root).unwrap() {
                for (file, rule) in [
                    ("script.tremor", Rule::script),
                    ("module.tremor", Rule::module),
                    ("query.trickle", Rule::query),
                    ("deploy.troy", Rule::deployment),
                ] {
                    let path = case.as_ref().unwrap().path().join(file);
                    let Ok(text) = std::fs::read_to_string(path) else { continue };
                    seen.extend(Grammar::parse(rule, &text).unwrap().flatten().map(|pair| pair.as_rule()));
                }
            }
        }
        let all = Rule::all_rules().iter().copied();
        let missing: Vec<_> = all.filter(|rule| !seen.contains(rule) && !is_invisible(*rule)).collect();
        assert_eq!(missing, vec![], "rules that no case uses");
    }
}
