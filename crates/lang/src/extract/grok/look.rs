//! A first look at a text: where could it match at all?
//!
//! What makes an expression of `grok` expensive is what only a backtracking engine can do: look-around, atomic groups, references to
//! other groups. Without these it finds more, and in linear time. Where that finds nothing, nothing matches, however long the
//! text is; where it finds something, nothing before that matches.

use crate::extract::regex::Expression;
use fancy_regex::{
    Assertion, Expr,
    internal::{
        FLAG_IGNORE_NUMBERED_GROUPS_WHEN_NAMED_GROUPS_EXIST, FLAG_MULTI, FLAG_ONIGURUMA_MODE, FLAG_UNICODE,
    },
};
use std::sync::Arc;

/// What is known of an expression.
#[derive(Debug)]
pub(super) enum FirstLook {
    /// Nothing in it needs going back, so its own engine is as good.
    Needless,
    /// This finds all that it finds, or more.
    More(Expression),
    /// It has parts of which no more can be said.
    Unknown,
}

impl FirstLook {
    pub(super) fn new(pattern: &str) -> Self {
        let flags = FLAG_UNICODE
            | FLAG_MULTI
            | FLAG_ONIGURUMA_MODE
            | FLAG_IGNORE_NUMBERED_GROUPS_WHEN_NAMED_GROUPS_EXIST;
        let Ok(tree) = Expr::parse_tree_with_flags(pattern, flags) else { return Self::Unknown };
        let mut exact = !tree.contains_subroutines;
        let Some(relaxed) = relaxed(&tree.expr, &mut exact) else { return Self::Unknown };
        if exact {
            return Self::Needless;
        }
        let mut pattern = String::new();
        relaxed.to_str(&mut pattern, 0);
        Expression::new(&pattern).map_or(Self::Unknown, Self::More)
    }
}

/// An expression of the linear engine that matches wherever this one does; `None` if there is none. `exact` stays true if it matches
/// nowhere else. The parser bounds how deep this goes.
fn relaxed(expr: &Expr, exact: &mut bool) -> Option<Expr> {
    let mut all = |exprs: &[Expr]| exprs.iter().map(|expr| relaxed(expr, exact)).collect::<Option<Vec<_>>>();
    Some(match expr {
        Expr::Empty | Expr::Any { .. } | Expr::Literal { .. } | Expr::Delegate { .. } => expr.clone(),
        Expr::Concat(parts) => Expr::Concat(all(parts)?),
        Expr::Alt(parts) => Expr::Alt(all(parts)?),
        Expr::Group(inner) => {
            let inner: &Expr = Arc::as_ref(inner);
            relaxed(inner, exact)?
        }
        Expr::Repeat { child, lo, hi, greedy } => {
            let child = relaxed(child, exact)?;
            if matches!(child, Expr::Empty) {
                return Some(child);
            }
            Expr::Repeat { child: Box::new(child), lo: *lo, hi: *hi, greedy: *greedy }
        }
        Expr::Assertion(
            Assertion::StartText
            | Assertion::EndText
            | Assertion::StartLine { .. }
            | Assertion::EndLine { .. }
            | Assertion::WordBoundary
            | Assertion::NotWordBoundary,
        ) => expr.clone(),
        Expr::Assertion(Assertion::StartLineOniguruma { .. }) => {
            // It is none at the very end of a text.
            *exact = false;
            expr.clone()
        }
        Expr::AtomicGroup(inner) => {
            *exact = false;
            relaxed(inner, exact)?
        }
        Expr::LookAround(..) | Expr::Assertion(_) => {
            *exact = false;
            Expr::Empty
        }
        Expr::Backref { .. } => {
            *exact = false;
            let any = Box::new(Expr::Any { newline: true, crlf: false });
            Expr::Repeat { child: any, lo: 0, hi: usize::MAX, greedy: true }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the first look looks for.
    fn look(pattern: &str) -> String {
        match FirstLook::new(pattern) {
            FirstLook::Needless => "needless".to_owned(),
            FirstLook::Unknown => "unknown".to_owned(),
            FirstLook::More(expression) => expression.source().to_owned(),
        }
    }

    #[test]
    fn what_needs_going_back_is_left_out() {
        assert_eq!(look(r"(?<a>\w+)-(b|c)*\b$"), "needless");
        assert_eq!(look(r"a(?=b)c(?<!d)"), "ac");
        assert_eq!(look(r"(?>a|ab)*+x"), "(?:a|ab)*x");
        assert_eq!(look(r"(?>(?=a))*b"), "b");
        assert_eq!(look(r"(?<x>a)\k<x>"), "a(?s:.)*");
        assert_eq!(look(r"^a"), "(?m:^)a");
        assert_eq!(look(r"(?~ab)"), "unknown");
        assert_eq!(look(r"(?<x>a)\g<x>"), "unknown");
        assert_eq!(look(r"\G(?=a)"), "unknown");
    }
}
