//! Patterns.

use super::Printer;
use crate::ast::{FieldPattern, FieldTest, Pattern, PatternKind, Test};

impl Printer {
    pub(super) fn pattern(&mut self, pattern: &Pattern) {
        match &pattern.kind {
            PatternKind::Expr(expr) => self.value(expr),
            PatternKind::Ignore => self.text("_"),
            PatternKind::Test(test) => {
                self.text("~ ");
                self.test(test);
            }
            PatternKind::Record(fields) => {
                self.text("%{");
                self.separated(fields, ", ", Self::field);
                self.text("}");
            }
            PatternKind::Array(elements) => {
                self.text("%[");
                self.separated(elements, ", ", Self::pattern);
                self.text("]");
            }
            PatternKind::Tuple(tuple) => {
                self.text("%(");
                self.separated(&tuple.elements, ", ", Self::pattern);
                if tuple.open {
                    self.text(if tuple.elements.is_empty() { "..." } else { ", ..." });
                }
                self.text(")");
            }
            PatternKind::Bind(name, pattern) => {
                self.ident(name);
                self.text(" = ");
                self.pattern(pattern);
            }
        }
    }

    fn test(&mut self, test: &Test) {
        self.ident(&test.extractor);
        self.text("|");
        self.text(&test.body.replace('\\', "\\\\").replace('|', "\\|"));
        self.text("|");
    }

    fn field(&mut self, field: &FieldPattern) {
        match &field.test {
            FieldTest::Present => {
                self.text("present ");
                self.ident(&field.key);
            }
            FieldTest::Absent => {
                self.text("absent ");
                self.ident(&field.key);
            }
            FieldTest::Extract { alias, test } => {
                if let Some(alias) = alias {
                    self.ident(alias);
                    self.text(" = ");
                }
                self.ident(&field.key);
                self.text(" ~= ");
                self.test(test);
            }
            FieldTest::Nested(pattern) => {
                self.ident(&field.key);
                self.text(" ~= ");
                self.pattern(pattern);
            }
            FieldTest::Compare(op, value) => {
                self.ident(&field.key);
                self.text(" ");
                self.text(op.as_str());
                self.text(" ");
                self.value(value);
            }
        }
    }
}
