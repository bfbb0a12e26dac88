//! Patterns.

use super::{Broken, Lower, Node, Result};
use crate::ast::{BinaryOp, FieldPattern, FieldTest, Pattern, PatternKind, Test, TuplePattern};
use crate::parser::Rule;
use crate::scan::literal::extractor_body;

impl<'t> Lower<'t> {
    /// A `pattern` or an `element`.
    pub(super) fn pattern(&self, node: Node<'t>) -> Result<Pattern> {
        let node = self.kids(node).any()?;
        self.pattern_inside(node)
    }

    fn pattern_inside(&self, node: Node<'t>) -> Result<Pattern> {
        let span = self.span(&node);
        let kind = match node.as_rule() {
            Rule::ignore => PatternKind::Ignore,
            Rule::test_pattern => PatternKind::Test(self.test(self.kids(node).need(Rule::test)?)?),
            Rule::bind_pattern => {
                let mut kids = self.kids(node);
                let name = self.need_ident(&mut kids)?;
                PatternKind::Bind(name, Box::new(self.pattern(kids.need(Rule::pattern)?)?))
            }
            Rule::record_pattern => {
                PatternKind::Record(self.kids(node).map(|field| self.field(field)).collect::<Result<_>>()?)
            }
            Rule::array_pattern => PatternKind::Array(
                self.kids(node).map(|element| self.pattern(element)).collect::<Result<_>>()?,
            ),
            Rule::tuple_pattern => self.tuple(node)?,
            Rule::value => PatternKind::Expr(self.value(node)?),
            _ => return Err(Broken(span)),
        };
        Ok(Pattern { kind, span })
    }

    fn tuple(&self, node: Node<'t>) -> Result<PatternKind> {
        let mut pattern = TuplePattern { elements: Vec::new(), open: false };
        for element in self.kids(node) {
            if element.as_rule() == Rule::dots {
                pattern.open = true;
            } else {
                pattern.elements.push(self.pattern(element)?);
            }
        }
        Ok(PatternKind::Tuple(pattern))
    }

    fn test(&self, node: Node<'t>) -> Result<Test> {
        let span = self.span(&node);
        let mut kids = self.kids(node);
        let extractor = self.need_ident(&mut kids)?;
        let literal = kids.need(Rule::extractor)?;
        let raw = literal.as_str();
        let raw = raw.strip_prefix('|').and_then(|raw| raw.strip_suffix('|')).unwrap_or(raw);
        Ok(Test { extractor, body: extractor_body(raw), span })
    }

    fn field(&self, node: Node<'t>) -> Result<FieldPattern> {
        let span = self.span(&node);
        let mut kids = self.kids(node);
        let first = kids.any()?;
        let (key, test) = match first.as_rule() {
            Rule::field_present => (self.need_ident(&mut self.kids(first))?, FieldTest::Present),
            Rule::field_absent => (self.need_ident(&mut self.kids(first))?, FieldTest::Absent),
            _ => {
                let name = self.ident(&first);
                let rest = kids.any()?;
                let rule = rest.as_rule();
                let mut kids = self.kids(rest);
                match rule {
                    Rule::field_alias => {
                        let key = self.need_ident(&mut kids)?;
                        let test = self.test(kids.need(Rule::test)?)?;
                        (key, FieldTest::Extract { alias: Some(name), test })
                    }
                    Rule::field_like => (name, self.field_like(kids.any()?)?),
                    _ => {
                        let op = kids.any()?;
                        let op = BinaryOp::from_spelling(op.as_str()).ok_or(Broken(span))?;
                        (name, FieldTest::Compare(op, self.need_value(&mut kids)?))
                    }
                }
            }
        };
        Ok(FieldPattern { key, test, span })
    }

    fn field_like(&self, node: Node<'t>) -> Result<FieldTest> {
        match node.as_rule() {
            Rule::test => Ok(FieldTest::Extract { alias: None, test: self.test(node)? }),
            _ => self.pattern_inside(node).map(FieldTest::Nested),
        }
    }
}
