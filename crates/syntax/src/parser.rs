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
