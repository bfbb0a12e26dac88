//! Questions about the shape of a graph.

use crate::build::{Draft, Edge};
use std::collections::{HashMap, HashSet};
use tremor_diagnostic::{Diagnostic, codes};

/// Removes nodes without way in or without way out, together with their edges, until none is left. Ports of the
/// graph itself stay.
pub(crate) fn remove_dead(nodes: &[Draft], edges: &mut Vec<Edge>) {
    loop {
        let sources: HashSet<usize> = edges.iter().map(|edge| edge.from).collect();
        let targets: HashSet<usize> = edges.iter().map(|edge| edge.to).collect();
        let is_port = |node: usize| nodes.get(node).is_some_and(|node| node.is_port);
        let before = edges.len();
        edges.retain(|edge| {
            (is_port(edge.from) || targets.contains(&edge.from))
                && (is_port(edge.to) || sources.contains(&edge.to))
        });
        if edges.len() == before {
            return;
        }
    }
}

/// Reports the nodes of a cycle, if there is one.
pub(crate) fn find_cycle(nodes: &[Draft], edges: &[Edge]) -> Option<Diagnostic> {
    let mut rest: Vec<&Edge> = edges.iter().collect();
    loop {
        let targets: HashSet<usize> = rest.iter().map(|edge| edge.to).collect();
        let before = rest.len();
        rest.retain(|edge| targets.contains(&edge.from));
        let sources: HashSet<usize> = rest.iter().map(|edge| edge.from).collect();
        rest.retain(|edge| sources.contains(&edge.to));
        if rest.is_empty() {
            return None;
        }
        if rest.len() == before {
            break;
        }
    }
    let label = |node: usize| nodes.get(node).map_or("?", |node| node.label.as_str());
    let lines: Vec<String> =
        rest.iter().map(|edge| format!("\n  {} -> {}", label(edge.from), label(edge.to))).collect();
    let message = format!("The nodes of this pipeline form a cycle:{}", lines.concat());
    Some(Diagnostic::error_without_position(codes::GRAPH_CYCLE, message))
}

/// `true` if no two branches ever meet again.
///
/// Then a batch may take one branch as a whole before it takes the next: every node and every port still sees the
/// results of one event before those of a later one.
pub(crate) fn branches_stay_apart(nodes: usize, edges: &[Edge]) -> bool {
    let mut next: HashMap<usize, Vec<usize>> = HashMap::new();
    for edge in edges {
        next.entry(edge.from).or_default().push(edge.to);
    }
    for branches in next.values().filter(|branches| branches.len() > 1) {
        let mut seen: HashSet<usize> = HashSet::with_capacity(nodes.min(64));
        for branch in branches {
            let mut reached = HashSet::new();
            let mut waiting = vec![*branch];
            while let Some(node) = waiting.pop() {
                if reached.insert(node) {
                    waiting.extend(next.get(&node).into_iter().flatten().copied());
                }
            }
            if !seen.is_disjoint(&reached) {
                return false;
            }
            seen.extend(reached);
        }
    }
    true
}
