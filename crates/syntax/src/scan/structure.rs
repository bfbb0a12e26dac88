//! Brackets and blocks of a token list: how deep they nest, where they end, which are left open.

use super::{TokenKind, Tokens};

/// The deepest nesting of brackets, blocks and interpolations that is parsed.
pub(crate) const MAX_NESTING: usize = 256;
/// The longest way from the root of an expression to a leaf, operators included.
pub(crate) const MAX_CHAIN: usize = 1024;

/// What a [`Frame`] is opened by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FrameKind {
    Bracket,
    Bytes,
    Interpolation,
    /// `match`, `for`, `merge`.
    Expression,
    Patch,
    Function,
    Window,
    Script,
    Pipeline,
    Flow,
    /// The `with … end` of other definitions and of `create` and `deploy`.
    With,
}

/// A pair of brackets, or a block that ends with `end`. The numbers are token indices.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Frame {
    pub(crate) kind: FrameKind,
    pub(crate) open: usize,
    /// `None` if it is left open.
    pub(crate) close: Option<usize>,
}

impl Frame {
    fn is_bracket(self) -> bool {
        matches!(self.kind, FrameKind::Bracket | FrameKind::Bytes | FrameKind::Interpolation)
    }
}

/// The frames of a text, in the order in which they open.
#[derive(Debug, Default)]
pub(crate) struct Structure {
    pub(crate) frames: Vec<Frame>,
    /// For each token the number of frames around it; brackets themselves count as outside.
    pub(crate) depth: Vec<usize>,
    /// A closing token that belongs to nothing.
    pub(crate) stray: bool,
    /// The first token that is nested too deeply.
    pub(crate) too_deep: Option<usize>,
    deepest: usize,
}

impl Structure {
    pub(crate) fn of(tokens: &Tokens<'_>) -> Self {
        let plain = Builder::run(tokens, false);
        if plain.too_deep.is_some() || plain.first_open_block().is_none() {
            return plain;
        }
        // A block lacks its `end`. Indentation tells better which one than counting does.
        let indented = Builder::run(tokens, true);
        if indented.first_open_block().is_some() { indented } else { plain }
    }

    /// Whether an ordinary stack is enough to parse this.
    pub(crate) fn is_shallow(&self) -> bool {
        self.deepest <= 12
    }

    /// The first block that nothing closes. (When an inner and an outer one are open, the inner one is meant.)
    pub(crate) fn first_open_block(&self) -> Option<Frame> {
        let mut open = self.frames.iter().filter(|frame| frame.close.is_none() && !frame.is_bracket());
        let first = *open.next()?;
        let end = |frame: &Frame| frame.close.unwrap_or(usize::MAX);
        Some(open.fold(first, |found, next| if next.open < end(&found) { *next } else { found }))
    }
}

struct Builder<'t, 'a> {
    tokens: &'t Tokens<'a>,
    /// For each token the indentation of its line, and whether it stands first on it; empty if that does not matter.
    indents: Vec<(usize, bool)>,
    structure: Structure,
    /// Indices of the open frames, with the length of the operator chain before each.
    stack: Vec<(usize, usize)>,
    chain: usize,
    chains: usize,
    /// After `create`, `deploy` and some definitions a `with` opens a block, up to the next `;`.
    pending_with: bool,
}

impl<'t, 'a> Builder<'t, 'a> {
    fn run(tokens: &'t Tokens<'a>, by_indent: bool) -> Structure {
        let structure = Structure::default();
        let mut builder = Self {
            tokens,
            indents: if by_indent { indents(tokens) } else { Vec::new() },
            structure,
            stack: Vec::new(),
            chain: 0,
            chains: 0,
            pending_with: false,
        };
        for index in 0..tokens.list.len() {
            builder.token(index);
        }
        builder.structure
    }

    fn token(&mut self, index: usize) {
        let Some(token) = self.tokens.list.get(index) else { return };
        let text = self.tokens.text_of(*token);
        match token.kind {
            TokenKind::Punct => match text {
                "(" | "[" | "{" | "%(" | "%[" | "%{" => self.open(FrameKind::Bracket, index),
                ")" | "]" | "}" => self.close_bracket(index),
                "," | "=>" | ":" => self.end_chain(),
                ";" => self.end_statement(),
                "<<" if !self.after_operand(index) => self.open(FrameKind::Bytes, index),
                ">>" if self.top().is_some_and(|frame| frame.kind == FrameKind::Bytes) => {
                    self.leave(Some(index));
                }
                "." | "::" | "$" | "_" | "~" | "~=" => {}
                _ => self.lengthen(index),
            },
            TokenKind::InterpOpen => self.open(FrameKind::Interpolation, index),
            TokenKind::InterpClose => self.close_bracket(index),
            TokenKind::Keyword => self.keyword(index, text),
            TokenKind::Config => self.end_chain(),
            _ => {}
        }
        while self.structure.depth.len() <= index {
            self.structure.depth.push(self.stack.len());
        }
    }

    fn keyword(&mut self, index: usize, word: &str) {
        if self.is_misused_name(index, word) {
            return;
        }
        let previous = |word| index.checked_sub(1).is_some_and(|before| self.tokens.is(before, word));
        match word {
            "and" | "or" | "xor" | "not" | "let" => return self.lengthen(index),
            "event" | "state" | "args" | "group" | "window" | "null" | "true" | "false" | "present"
            | "absent" | "recur" | "emit" => return,
            "match" | "for" => self.open(FrameKind::Expression, index),
            "merge" if self.is_patch_operation(index) => {}
            "merge" => self.open(FrameKind::Expression, index),
            "patch" => self.open(FrameKind::Patch, index),
            "fn" if !previous("intrinsic") => self.open(FrameKind::Function, index),
            "define" => {
                if self.tokens.is(index + 1, "flow") {
                    self.leave_all();
                }
                self.definition(index);
            }
            "deploy" => {
                self.leave_all();
                self.pending_with = true;
            }
            "create" => self.pending_with = true,
            "with" if self.pending_with => {
                self.pending_with = false;
                self.open(FrameKind::With, index);
            }
            "end" => self.close_block(index),
            _ => {}
        }
        if word != "end" {
            self.end_chain();
        }
    }

    /// A reserved word in the place of a name: a mistake, but one that opens and closes nothing.
    fn is_misused_name(&self, index: usize, word: &str) -> bool {
        let before = |back: usize, words: &[&str]| {
            index.checked_sub(back).is_some_and(|at| words.iter().any(|word| self.tokens.is(at, word)))
        };
        let kinds = ["operator", "script", "pipeline", "connector", "flow", "stream", "window"];
        before(1, &[".", "::", "/", "let", "as", "use", "fn", "const"])
            || (before(1, &["$"]) && matches!(word, "match" | "for" | "patch" | "merge" | "fn" | "define"))
            || (before(1, &kinds) && before(2, &["create", "define", "deploy"]))
            || self.tokens.is(index + 1, "=")
    }

    /// Whether an operand ends just before this token, so that an operator has to follow.
    fn after_operand(&self, index: usize) -> bool {
        let Some(before) = index.checked_sub(1).and_then(|before| self.tokens.list.get(before)) else {
            return false;
        };
        let text = self.tokens.text_of(*before);
        match before.kind {
            TokenKind::Ident | TokenKind::QuotedIdent | TokenKind::Number | TokenKind::StrClose => true,
            TokenKind::Punct => matches!(text, ")" | "]" | "}" | "$" | ">>"),
            TokenKind::Keyword => {
                let operands = ["event", "state", "args", "group", "window", "null", "true", "false", "end"];
                operands.contains(&text)
            }
            _ => false,
        }
    }

    fn definition(&mut self, index: usize) {
        let kinds = [
            ("window", FrameKind::Window),
            ("script", FrameKind::Script),
            ("pipeline", FrameKind::Pipeline),
            ("flow", FrameKind::Flow),
        ];
        match kinds.iter().find(|(word, _)| self.tokens.is(index + 1, word)) {
            Some((_, kind)) => self.open(*kind, index),
            None => self.pending_with = true,
        }
    }

    /// `merge` as operation of a `patch`, not as expression.
    fn is_patch_operation(&self, index: usize) -> bool {
        let top = self.stack.last().and_then(|(frame, _)| self.structure.frames.get(*frame));
        let before = index.wrapping_sub(1);
        top.is_some_and(|frame| frame.kind == FrameKind::Patch)
            && (self.tokens.is(before, "of") || self.tokens.is(before, ";"))
    }

    fn open(&mut self, kind: FrameKind, index: usize) {
        self.structure.depth.push(self.stack.len());
        self.stack.push((self.structure.frames.len(), self.chain));
        self.structure.frames.push(Frame { kind, open: index, close: None });
        self.chain = 0;
        self.check(index);
    }

    fn lengthen(&mut self, index: usize) {
        self.chain += 1;
        self.chains += 1;
        self.check(index);
    }

    fn check(&mut self, index: usize) {
        self.structure.deepest = self.structure.deepest.max(self.stack.len() + self.chains / 8);
        if self.stack.len() > MAX_NESTING || self.stack.len() + self.chains > MAX_CHAIN {
            self.structure.too_deep.get_or_insert(index);
        }
    }

    fn end_chain(&mut self) {
        self.chains -= self.chain;
        self.chain = 0;
    }

    fn end_statement(&mut self) {
        while self.top().is_some_and(Frame::is_bracket) {
            self.leave(None);
        }
        self.end_chain();
        self.pending_with = false;
    }

    fn top(&self) -> Option<Frame> {
        self.stack.last().and_then(|(frame, _)| self.structure.frames.get(*frame)).copied()
    }

    fn leave(&mut self, close: Option<usize>) {
        self.end_chain();
        if let Some((frame, chain)) = self.stack.pop() {
            self.chain = chain;
            if let Some(frame) = self.structure.frames.get_mut(frame) {
                frame.close = close;
            }
        }
    }

    fn leave_all(&mut self) {
        while !self.stack.is_empty() {
            self.leave(None);
        }
    }

    fn close_bracket(&mut self, index: usize) {
        if self.top().is_some_and(Frame::is_bracket) {
            self.leave(Some(index));
        } else {
            self.structure.stray = true;
        }
    }

    fn close_block(&mut self, index: usize) {
        while self.top().is_some_and(Frame::is_bracket) {
            self.leave(None);
        }
        self.leave_deeper_blocks(index);
        if self.stack.is_empty() {
            self.structure.stray = true;
        } else {
            self.leave(Some(index));
        }
        self.pending_with = false;
    }

    /// An `end` at the start of a line closes the block that began on a line with the same indentation, if there is one.
    fn leave_deeper_blocks(&mut self, index: usize) {
        let Some((indent, true)) = self.indents.get(index).copied() else { return };
        let matching = self.stack.iter().rposition(|(frame, _)| {
            let open = self.structure.frames.get(*frame).map(|frame| frame.open);
            open.and_then(|open| self.indents.get(open)).is_some_and(|(column, _)| *column == indent)
        });
        let Some(matching) = matching else { return };
        while self.stack.len() > matching + 1 {
            self.leave(None);
        }
    }
}

fn indents(tokens: &Tokens<'_>) -> Vec<(usize, bool)> {
    let mut line = 0;
    let mut indent = 0;
    let mut indents = Vec::with_capacity(tokens.list.len());
    for token in &tokens.list {
        let span = tokens.span(token.start, token.start);
        let start = tokens.lines.widen(span, 0).range().start;
        let first = indents.is_empty() || start != line;
        if first {
            line = start;
            indent = token.start - start;
        }
        indents.push((indent, first));
    }
    indents
}
