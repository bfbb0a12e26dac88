//! Which assignments change what stands at their place.

use crate::ir::{Expr, Path, Place, Root, Segment, SegmentKind, Stmt};
use tremor_syntax::ast::BinaryOp;

/// `true` if `value` is a change of what stands at `place`: `let x.a = patch x.a of … end`, `let x = x + …` and so on.
pub(super) fn is_change(place: &Place, value: &Stmt) -> bool {
    let Stmt::Expr(expr, _) = value else { return false };
    let changed = match expr {
        Expr::Patch(patch) => &patch.target,
        Expr::Merge(merge) => &merge.left,
        Expr::Chain(chain) if chain.steps.iter().all(|step| step.op == BinaryOp::Add) => {
            // Numbers are added as ever; of members of an event it is worth a look only if it is certain.
            let first = chain.steps.first().map(|step| &step.operand);
            let grows = match first {
                Some(Expr::Const(value)) => value.is_container() || value.as_str().is_some(),
                Some(Expr::List(_) | Expr::Record(_) | Expr::Interpolate(_)) => true,
                _ => !matches!(place, Place::Event(_)),
            };
            if !grows {
                return false;
            }
            &chain.first
        }
        Expr::Native(call) if call.native.update.is_some() => match &*call.args {
            [first, ..] => first,
            [] => return false,
        },
        _ => return false,
    };
    matches!(changed, Expr::Path(path) if is_at(place, path))
}

/// `path` reads what stands at `place`.
fn is_at(place: &Place, path: &Path) -> bool {
    let same_root = match (place, &path.root) {
        (Place::Local { slot, .. }, Root::Local(read, _)) => slot == read,
        (Place::Event(_), Root::Event) | (Place::Meta(_), Root::Meta) | (Place::State(_), Root::State) => {
            true
        }
        _ => false,
    };
    same_root && same_segments(place.segments(), &path.segments)
}

fn same_segments(left: &[Segment], right: &[Segment]) -> bool {
    left.len() == right.len() && left.iter().zip(right).all(|(left, right)| same_segment(left, right))
}

/// Keys that are the same constant or the same path; anything else is taken to be different.
fn same_segment(left: &Segment, right: &Segment) -> bool {
    match (&left.kind, &right.kind) {
        (SegmentKind::Key(left), SegmentKind::Key(right)) => left == right,
        (SegmentKind::Index(left), SegmentKind::Index(right)) => left == right,
        (SegmentKind::Dynamic(Expr::Path(left), _), SegmentKind::Dynamic(Expr::Path(right), _)) => {
            same_path(left, right)
        }
        _ => false,
    }
}

fn same_path(left: &Path, right: &Path) -> bool {
    let same_root = match (&left.root, &right.root) {
        (Root::Event, Root::Event)
        | (Root::Meta, Root::Meta)
        | (Root::State, Root::State)
        | (Root::Args, Root::Args) => true,
        (Root::Local(left, _), Root::Local(right, _)) => left == right,
        _ => false,
    };
    same_root && same_segments(&left.segments, &right.segments)
}

#[cfg(test)]
mod tests {
    use crate::{Compiler, Embedded, FunctionError, Functions, Native, ir::Stmt};
    use std::sync::Arc;
    use tremor_value::Value;

    fn in_place(source: &str) -> bool {
        let push = Native::pure("a", "push", 2, |_, _| Err(FunctionError::BadType))
            .updates(|_, _: &mut Value, _| Err(FunctionError::BadType));
        let compiler = Compiler::new(Arc::new(Embedded::new("lib")), Arc::new(Functions::new([push])));
        let script = compiler.compile_script("t", &format!("let x = 1; {source}")).unwrap().program;
        let Some(Stmt::Let(let_)) = script.body.last() else { panic!("{source}") };
        let_.in_place
    }

    #[test]
    fn changes_of_what_stands_at_the_place_are_found() {
        for source in [
            "let state = patch state of erase \"a\" end",
            "let state = merge state of event end",
            "let state = state + event + [1]",
            "let x = x + event.s",
            "let x.a[event.k] = patch x.a[event.k] of erase \"a\" end",
            "let state[x] = state[x] + [event]",
            "let $m = merge $m of event end",
            "let $m[\"a\"] = merge $m.a of event end",
            "let event = patch event of erase \"a\" end",
            "let event.s = event.s + \"a\"",
            "let state.a = core::a::push(state.a, 1)",
        ] {
            assert!(in_place(source), "{source}");
        }
        for source in [
            "let state = patch event of erase \"a\" end",
            "let state = state - 1",
            "let state = state + 1 - 1",
            "let state = event + state",
            "let event.n = event.n + 1",
            "let event.n = event.n + event.m",
            "let state.a = patch state.b of erase \"a\" end",
            "let state[event.a] = merge state[event.b] of event end",
            "let x = merge state of x end",
            "let x = core::a::push(state, x)",
            "let state[core::a::push(1, x)] = patch state[core::a::push(1, x)] of erase \"a\" end",
            "let state = match state of case _ => state end",
        ] {
            assert!(!in_place(source), "{source}");
        }
    }
}
