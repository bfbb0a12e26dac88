//! Expressions, with parentheses where precedence needs them.

use super::Printer;
use crate::ast::{
    BytesPart, Expr, ExprKind, Patch, PatchOpKind, Path, PathRoot, Segment, SegmentKind, StrLit, StrPart,
    UnaryOp,
};

/// The level of the precedence table (`spec/language-lexical.md` 6); 0 for what is no operator expression.
fn level(expr: &Expr) -> u8 {
    match &expr.kind {
        ExprKind::Match(_) | ExprKind::For(_) => 0,
        ExprKind::Binary(binary) => binary.op.level(),
        ExprKind::Unary(unary) => unary_level(unary.op),
        ExprKind::Presence(_) => 13,
        _ => PRIMARY,
    }
}

fn unary_level(op: UnaryOp) -> u8 {
    match op {
        UnaryOp::Plus | UnaryOp::Minus => 11,
        UnaryOp::Not | UnaryOp::BitNot => 12,
    }
}

const PRIMARY: u8 = 14;

impl Printer {
    /// Any expression, also a bare `match` or `for`.
    pub(super) fn value(&mut self, expr: &Expr) {
        self.at_level(expr, 0);
    }

    /// An operator expression.
    pub(super) fn expr(&mut self, expr: &Expr) {
        self.at_level(expr, 1);
    }

    fn at_level(&mut self, expr: &Expr, least: u8) {
        if level(expr) < least {
            self.text("(");
            self.kind(&expr.kind);
            self.text(")");
        } else {
            self.kind(&expr.kind);
        }
    }

    fn kind(&mut self, kind: &ExprKind) {
        match kind {
            ExprKind::Null => self.text("null"),
            ExprKind::Bool(value) => self.text(if *value { "true" } else { "false" }),
            ExprKind::Int(value) => self.text(&value.to_string()),
            ExprKind::Float(value) => self.float(*value),
            ExprKind::Str(string) => self.string(string),
            ExprKind::Bytes(parts) => self.bytes(parts),
            ExprKind::Path(path) => self.path(path),
            ExprKind::Call(call) => {
                self.name(&call.name);
                self.arguments(&call.args);
            }
            ExprKind::List(items) => {
                self.text("[");
                self.separated(items, ", ", Self::value);
                self.text("]");
            }
            ExprKind::Record(entries) => {
                self.text("{");
                self.separated(entries, ", ", |printer, entry| {
                    printer.string(&entry.key);
                    printer.text(": ");
                    printer.value(&entry.value);
                });
                self.text("}");
            }
            ExprKind::Patch(patch) => self.patch(patch),
            ExprKind::Merge(merge) => {
                self.text("merge ");
                self.value(&merge.target);
                self.text(" of ");
                self.value(&merge.with);
                self.text(" end");
            }
            ExprKind::Recur(args) => {
                self.text("recur");
                self.arguments(args);
            }
            ExprKind::Unary(unary) => {
                self.text(unary.op.as_str());
                if unary.op == UnaryOp::Not {
                    self.text(" ");
                }
                self.at_level(&unary.operand, unary_level(unary.op));
            }
            ExprKind::Binary(binary) => {
                let level = binary.op.level();
                self.at_level(&binary.left, level);
                self.text(" ");
                self.text(binary.op.as_str());
                self.text(" ");
                self.at_level(&binary.right, level + 1);
            }
            ExprKind::Presence(presence) => {
                self.text(if presence.absent { "absent " } else { "present " });
                self.path(&presence.path);
            }
            ExprKind::Match(node) => self.match_of(node, ",", Self::value),
            ExprKind::For(node) => self.for_of(node, ",", Self::value),
        }
    }

    fn arguments(&mut self, args: &[Expr]) {
        self.text("(");
        self.separated(args, ", ", Self::value);
        self.text(")");
    }

    fn float(&mut self, value: f64) {
        let text = format!("{value:?}");
        match text.split_once('e') {
            // The exponent of a literal needs a fraction before it.
            Some((digits, exponent)) if !digits.contains('.') => self.text(&format!("{digits}.0e{exponent}")),
            _ => self.text(&text),
        }
    }

    pub(super) fn string(&mut self, string: &StrLit) {
        let quotes = if string.heredoc { "\"\"\"" } else { "\"" };
        self.text(quotes);
        if string.heredoc {
            self.text("\n");
        }
        for part in &string.parts {
            match part {
                StrPart::Text { text, .. } => self.escaped(text, string.heredoc),
                StrPart::Interpolation { expr, .. } => {
                    self.text("#{");
                    self.expr(expr);
                    self.text("}");
                }
            }
        }
        self.text(quotes);
    }

    fn escaped(&mut self, text: &str, heredoc: bool) {
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '"' => self.text("\\\""),
                '\\' => self.text("\\\\"),
                '#' if chars.peek() == Some(&'{') => self.text("\\#"),
                '\n' if !heredoc => self.text("\\n"),
                '\r' => self.text("\\r"),
                '\t' if !heredoc => self.text("\\t"),
                '\u{8}' => self.text("\\b"),
                '\u{c}' => self.text("\\f"),
                c if c.is_control() && c != '\n' && c != '\t' => {
                    self.text(&format!("\\u{:04x}", u32::from(c)));
                }
                c => self.out.push(c),
            }
        }
    }

    fn bytes(&mut self, parts: &[BytesPart]) {
        if parts.is_empty() {
            return self.text("<<>>");
        }
        self.text("<< ");
        self.separated(parts, ", ", |printer, part| {
            printer.at_level(&part.value, PRIMARY);
            if let Some(size) = part.size {
                printer.text(&format!(":{size}"));
            }
            if let Some(kind) = &part.kind {
                printer.text("/");
                printer.ident(kind);
            }
        });
        self.text(" >>");
    }

    pub(super) fn path(&mut self, path: &Path) {
        match &path.root {
            PathRoot::Event => self.text("event"),
            PathRoot::Meta => self.text("$"),
            PathRoot::State => self.text("state"),
            PathRoot::Args => self.text("args"),
            PathRoot::Group => self.text("group"),
            PathRoot::Window => self.text("window"),
            PathRoot::Name(name) => self.name(name),
            PathRoot::Expr(root) => match &root.kind {
                ExprKind::Call(_) | ExprKind::List(_) | ExprKind::Record(_) => self.kind(&root.kind),
                kind => {
                    self.text("(");
                    self.kind(kind);
                    self.text(")");
                }
            },
        }
        let is_meta = path.root == PathRoot::Meta;
        for (index, segment) in path.segments.iter().enumerate() {
            self.segment(segment, is_meta && index == 0);
        }
    }

    fn segment(&mut self, segment: &Segment, bare: bool) {
        match &segment.kind {
            SegmentKind::Key(key) => {
                self.text(if bare { "" } else { "." });
                self.ident(key);
            }
            SegmentKind::Index(index) => {
                self.text("[");
                self.value(index);
                self.text("]");
            }
            SegmentKind::Range { start, end } => {
                self.text("[");
                self.value(start);
                self.text(":");
                self.value(end);
                self.text("]");
            }
        }
    }

    fn patch(&mut self, patch: &Patch) {
        self.text("patch ");
        self.value(&patch.target);
        self.text(" of");
        self.deeper(|printer| printer.lines(&patch.ops, |printer, op| printer.patch_op(&op.kind)));
        self.line();
        self.text("end");
    }

    fn patch_op(&mut self, op: &PatchOpKind) {
        let (word, key) = match op {
            PatchOpKind::Insert(key, _) => ("insert", Some(key)),
            PatchOpKind::Upsert(key, _) => ("upsert", Some(key)),
            PatchOpKind::Update(key, _) => ("update", Some(key)),
            PatchOpKind::Erase(key) => ("erase", Some(key)),
            PatchOpKind::Move(from, _) => ("move", Some(from)),
            PatchOpKind::Copy(from, _) => ("copy", Some(from)),
            PatchOpKind::Merge(key, _) => ("merge", key.as_ref()),
            PatchOpKind::Default(key, _) => ("default", key.as_ref()),
        };
        self.text(word);
        if let Some(key) = key {
            self.text(" ");
            self.string(key);
        }
        match op {
            PatchOpKind::Erase(_) => {}
            PatchOpKind::Move(_, to) | PatchOpKind::Copy(_, to) => {
                self.text(" => ");
                self.string(to);
            }
            PatchOpKind::Insert(_, value)
            | PatchOpKind::Upsert(_, value)
            | PatchOpKind::Update(_, value)
            | PatchOpKind::Merge(_, value)
            | PatchOpKind::Default(_, value) => {
                self.text(" => ");
                self.value(value);
            }
        }
    }
}
