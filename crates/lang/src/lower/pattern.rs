//! `match`, `for` and patterns, for both kinds of arms.

use super::{Lower, Variable};
use crate::ir::{Clause, Expr, Field, FieldTest, For, ForClause, Jump, Match, Pattern, Table, Test};
use tremor_diagnostic::{Diagnostic, Span, WarningClass, codes};
use tremor_syntax::ast::{self, BinaryOp, PatternKind};
use tremor_value::Value;

/// The shortest run of constant patterns that is worth a table.
const SHORTEST_JUMP: usize = 8;

/// How arms are lowered, and where their variables live.
pub(super) struct Arms<A, Lowered> {
    pub(super) lower: fn(&mut Lower<'_, '_>, &[A], bool) -> Lowered,
    pub(super) span: fn(&A) -> Span,
    /// Variables of statement arms live in slots.
    pub(super) slots: bool,
}

impl Lower<'_, '_> {
    pub(super) fn pure_match(&mut self, match_: &ast::Match<ast::Expr>, span: Span) -> Expr {
        Expr::Match(Box::new(self.match_(match_, span, false, &pure_arms())))
    }

    pub(super) fn pure_for(&mut self, for_: &ast::For<ast::Expr>, span: Span) -> Expr {
        Expr::For(Box::new(self.for_(for_, span, &pure_arms())))
    }

    pub(super) fn match_<A, Lowered>(
        &mut self,
        match_: &ast::Match<A>,
        span: Span,
        tail: bool,
        arms: &Arms<A, Lowered>,
    ) -> Match<Lowered> {
        let target = self.expr(&match_.target);
        self.warn_about_defaults(match_, span);
        let clauses: Box<[Clause<Lowered>]> =
            match_.clauses.iter().map(|clause| self.clause(clause, tail, arms)).collect();
        let jumps = jumps(&clauses);
        Match { target, clauses, jumps, span }
    }

    fn clause<A, Lowered>(
        &mut self,
        clause: &ast::MatchClause<A>,
        tail: bool,
        arms: &Arms<A, Lowered>,
    ) -> Clause<Lowered> {
        let (name, pattern) = match &clause.pattern.kind {
            PatternKind::Bind(name, pattern) => (Some(name), &**pattern),
            _ => (None, &clause.pattern),
        };
        let pattern = self.pattern(pattern);
        let variables: Vec<&str> = name.iter().map(|name| name.text.as_str()).collect();
        let guard = self.guarded(&variables, clause.guard.as_ref());
        let (arm, slots) = self.arm(&variables, &clause.arm, tail, arms);
        let binds = name.map(|_| slots.first().copied().unwrap_or_default());
        Clause { pattern, binds, guard, arm }
    }

    /// Lowers a guard, in which the variables live on the interpreter's stack.
    pub(super) fn guarded(&mut self, variables: &[&str], guard: Option<&ast::Expr>) -> Option<(Expr, Span)> {
        let guard = guard?;
        let outer = self.clauses.len();
        self.clauses.extend(variables.iter().map(|name| ((*name).to_owned(), Variable::Bound)));
        let lowered = self.expr(guard);
        self.clauses.truncate(outer);
        Some((lowered, guard.span))
    }

    fn arm<A, Lowered>(
        &mut self,
        variables: &[&str],
        arm: &[A],
        tail: bool,
        arms: &Arms<A, Lowered>,
    ) -> (Lowered, Vec<u32>) {
        let outer = self.clauses.len();
        let mut slots = Vec::new();
        for name in variables {
            let variable = if arms.slots {
                let slot = self.locals.fresh();
                slots.push(slot);
                Variable::Slot(slot)
            } else {
                Variable::Bound
            };
            self.clauses.push(((*name).to_owned(), variable));
        }
        let lowered = (arms.lower)(self, arm, tail);
        self.clauses.truncate(outer);
        (lowered, slots)
    }

    pub(super) fn for_<A, Lowered>(
        &mut self,
        for_: &ast::For<A>,
        span: Span,
        arms: &Arms<A, Lowered>,
    ) -> For<Lowered> {
        let target = self.expr(&for_.target);
        let initial = for_.fold.as_ref().map(|fold| self.expr(&fold.initial));
        let op = for_.fold.as_ref().and_then(|fold| fold.op);
        if op.is_some() {
            let outer = self.session.sources.widen(span, 2);
            let message = "A `for` with `use` folds step by step; make sure that the start value fits";
            let warning = Diagnostic::warning(WarningClass::General, codes::FOR_FOLD, span, message);
            self.report(warning.outer(outer));
        }
        let clause = |clause: &ast::ForClause<A>| {
            let variables = [clause.key.text.as_str(), clause.value.text.as_str()];
            let guard = self.guarded(&variables, clause.guard.as_ref());
            let (arm, slots) = self.arm(&variables, &clause.arm, false, arms);
            let slots = match slots.as_slice() {
                [key, value] => (*key, *value),
                _ => (0, 0),
            };
            let last_span = clause.arm.last().map_or(clause.span, arms.span);
            ForClause { slots, guard, arm, vars_span: clause.vars_span, last_span }
        };
        let clauses = for_.clauses.iter().map(clause).collect();
        For { target, clauses, initial, op: op.unwrap_or(BinaryOp::Add), span }
    }

    pub(super) fn pattern(&mut self, pattern: &ast::Pattern) -> Pattern {
        let lowered = self.nested(pattern.span, |lower| lower.pattern_inner(pattern));
        lowered.unwrap_or(Pattern::Any)
    }

    fn pattern_inner(&mut self, pattern: &ast::Pattern) -> Pattern {
        match &pattern.kind {
            PatternKind::Expr(expr) => Pattern::Equals(self.expr(expr)),
            PatternKind::Ignore => Pattern::Any,
            PatternKind::Test(test) => self.extractor(test).map_or(Pattern::Any, Pattern::Extract),
            PatternKind::Record(fields) => {
                self.warn_about_fields(fields, pattern.span);
                Pattern::Record(fields.iter().map(|field| self.field(field)).collect())
            }
            PatternKind::Array(elements) => {
                Pattern::Array(elements.iter().map(|element| self.pattern(element)).collect())
            }
            PatternKind::Tuple(tuple) => Pattern::Tuple {
                items: tuple.elements.iter().map(|element| self.pattern(element)).collect(),
                open: tuple.open,
            },
            PatternKind::Bind(name, _) => {
                let message = "A pattern can be given only one name";
                self.report(Diagnostic::error(codes::SYNTAX, name.span, message).outer(pattern.span));
                Pattern::Any
            }
        }
    }

    /// `None` after a report.
    fn extractor(&mut self, test: &ast::Test) -> Option<Test> {
        match self.session.extractors.get(&test.extractor.text, &test.body) {
            Ok(compiled) => {
                if compiled.contextual {
                    self.pure = false;
                    self.note_dynamic(test.span);
                }
                if let Some(doubt) = compiled.doubt {
                    let message = format!("No text ever matches here: {doubt}");
                    let outer = self.session.sources.widen(test.span, 2);
                    let class = WarningClass::Behaviour;
                    let warning = Diagnostic::warning(class, codes::NEVER_MATCHES, test.span, message);
                    self.report(warning.outer(outer));
                }
                Some(Test { extractor: compiled.extractor, span: test.span })
            }
            Err(refusal) => {
                let outer = self.session.sources.widen(test.span, 2);
                let diagnostic = Diagnostic::error(codes::BAD_EXTRACTOR, test.span, refusal.message);
                self.report(diagnostic.outer(outer).maybe_hint(refusal.hint));
                None
            }
        }
    }

    fn field(&mut self, field: &ast::FieldPattern) -> Field {
        let test = match &field.test {
            ast::FieldTest::Present => FieldTest::Present,
            ast::FieldTest::Absent => FieldTest::Absent,
            ast::FieldTest::Extract { alias, test } => {
                let store = alias.as_ref().unwrap_or(&field.key).text.as_str().into();
                let extractor = self.extractor(test);
                extractor.map_or(FieldTest::Present, |extractor| FieldTest::Extract(store, extractor))
            }
            ast::FieldTest::Nested(pattern) => FieldTest::Nested(self.pattern(pattern)),
            ast::FieldTest::Compare(op, expr) => FieldTest::Compare(*op, self.expr(expr)),
        };
        Field { key: field.key.text.as_str().into(), test }
    }

    fn warn_about_fields(&mut self, fields: &[ast::FieldPattern], span: Span) {
        let on_key = |key: &str, wanted: fn(&ast::FieldTest) -> bool| {
            fields.iter().filter(|field| field.key.text == key && wanted(&field.test)).count()
        };
        for field in fields {
            let key = &field.key.text;
            let message = match field.test {
                ast::FieldTest::Present if on_key(key, is_test) > 0 => {
                    format!("The field `{key}` is tested already, `present {key}` adds nothing")
                }
                ast::FieldTest::Absent if on_key(key, |test| *test != ast::FieldTest::Absent) > 0 => {
                    format!("The field `{key}` can not be absent and pass another test")
                }
                _ => continue,
            };
            let outer = self.session.sources.widen(span, 2);
            let class = WarningClass::Behaviour;
            self.report(Diagnostic::warning(class, codes::REDUNDANT_TEST, span, message).outer(outer));
        }
    }

    fn warn_about_defaults<A>(&mut self, match_: &ast::Match<A>, span: Span) {
        let class = WarningClass::Behaviour;
        let defaults: Vec<_> = match_.clauses.iter().filter(|clause| is_default(clause)).collect();
        if defaults.is_empty() {
            let message = "This `match` has no default clause, so values that match nothing are errors";
            let warning = Diagnostic::warning(class, codes::NO_DEFAULT, span, message);
            self.report(warning.hint("Add `case _ => …` as the last clause"));
        }
        for clause in defaults.iter().skip(1) {
            let message = "This default clause is never reached, there is one before it";
            let warning = Diagnostic::warning(class, codes::UNREACHABLE_CLAUSE, clause.span, message);
            self.report(warning.outer(span));
        }
    }
}

fn is_test(test: &ast::FieldTest) -> bool {
    matches!(test, ast::FieldTest::Extract { .. } | ast::FieldTest::Nested(_))
}

fn is_default<A>(clause: &ast::MatchClause<A>) -> bool {
    let pattern = match &clause.pattern.kind {
        PatternKind::Bind(_, pattern) => &pattern.kind,
        kind => kind,
    };
    clause.guard.is_none() && *pattern == PatternKind::Ignore
}

fn pure_arms() -> Arms<ast::Expr, Expr> {
    Arms {
        // All but the last are not evaluated, but what is wrong in them is still reported.
        lower: |lower, arm, _| {
            let mut last = Expr::Const(Value::Null);
            for expr in arm {
                last = lower.expr(expr);
            }
            last
        },
        span: |expr| expr.span,
        slots: false,
    }
}

/// Finds the runs of clauses that a table can stand in for.
fn jumps<Arm>(clauses: &[Clause<Arm>]) -> Box<[Jump]> {
    let mut jumps = Vec::new();
    let mut run: Option<Jump> = None;
    for (index, clause) in clauses.iter().enumerate() {
        let constant = match &clause.pattern {
            Pattern::Equals(Expr::Const(value @ (Value::String(_) | Value::I64(_) | Value::U64(_)))) => value,
            _ => {
                jumps.extend(run.take());
                continue;
            }
        };
        let jump = run.get_or_insert_with(|| Jump {
            start: index,
            end: index,
            strings: Table::default(),
            integers: Table::default(),
        });
        jump.end = index + 1;
        match constant {
            Value::String(text) => jump.strings.entry(text.clone()).or_default().push(index),
            Value::I64(number) => jump.integers.entry((*number).into()).or_default().push(index),
            Value::U64(number) => jump.integers.entry((*number).into()).or_default().push(index),
            _ => {}
        }
    }
    jumps.extend(run);
    jumps.retain(|jump| jump.end - jump.start >= SHORTEST_JUMP);
    jumps.into_boxed_slice()
}

#[cfg(test)]
mod tests {
    use crate::{Compiler, Embedded, Functions, Script, ir::Stmt};
    use std::sync::Arc;

    fn compile(source: &str) -> Script {
        let compiler = Compiler::new(Arc::new(Embedded::new("lib")), Arc::new(Functions::default()));
        compiler.compile_script("t", source).unwrap().program
    }

    /// Where jumps begin and end, and the clauses that they offer for `c7`.
    fn jumps(clauses: &str) -> Vec<(usize, usize, Vec<usize>)> {
        let script = compile(&format!("match event.kind of {clauses} end"));
        let [Stmt::Match(match_)] = &*script.body else { panic!("{clauses}") };
        let offered = |jump: &super::Jump| jump.strings.get("c7").cloned().unwrap_or_default();
        match_.jumps.iter().map(|jump| (jump.start, jump.end, offered(jump))).collect()
    }

    fn clauses(count: usize, form: &str) -> String {
        (0..count).map(|number| form.replace('N', &number.to_string())).collect()
    }

    #[test]
    fn many_constant_patterns_are_jumped_over() {
        let default = "case _ => drop";
        for form in [
            "case \"cN\" => N ",
            "case \"cN\" => let $class = N; let $rate = N; event ",
            "case x = \"cN\" => x ",
            "case \"cN\" when event.n > N => N ",
        ] {
            assert_eq!(jumps(&(clauses(20, form) + default)), [(0, 20, vec![7])], "{form}");
        }
        let twice = "case \"cN\" when event.n => 1 case \"cN\" => 2 ";
        assert_eq!(jumps(&(clauses(20, twice) + default)), [(0, 40, vec![14, 15])]);
        // What could match anything ends a run: order counts.
        let split =
            clauses(10, "case \"cN\" => N ") + "case %{ present a } => 0 " + &clauses(10, "case N => N ");
        assert_eq!(jumps(&(split + default)), [(0, 10, vec![7]), (11, 21, vec![])]);
        assert_eq!(jumps(&(clauses(4, "case \"cN\" => N ") + default)), []);
    }
}
