//! Questions about the shape of a graph.

use crate::build::{Draft, Edge};
use std::collections::{HashMap, HashSet};
use tremor_diagnostic::{Diagnostic, codes};

/// Removes nodes without way in or without way out, together with their edges, until none is left. Ports of the
/// graph itself stay.
pub(crate) fn remove_dead(nodes: &[Draft], edges: &mut Vec<Edge>) {
    let is_port = |node: usize| nodes.get(node).is_some_and(|node| node.is_port);
    let keep = prune(edges, is_port);
    let mut keep = keep.into_iter();
    edges.retain(|_| keep.next().unwrap_or(true));
}

/// Reports the nodes of a cycle, if there is one.
pub(crate) fn find_cycle(nodes: &[Draft], edges: &[Edge]) -> Option<Diagnostic> {
    // What is left when even ports need a way in and a way out lies on cycles or between them.
    let keep = prune(edges, |_| false);
    let rest: Vec<&Edge> = edges.iter().zip(keep).filter(|(_, keep)| *keep).map(|(edge, _)| edge).collect();
    if rest.is_empty() {
        return None;
    }
    let label = |node: usize| nodes.get(node).map_or("?", |node| node.label.as_str());
    let lines: Vec<String> =
        rest.iter().map(|edge| format!("\n  {} -> {}", label(edge.from), label(edge.to))).collect();
    let message = format!("The nodes of this pipeline form a cycle:{}", lines.concat());
    Some(Diagnostic::error_without_position(codes::GRAPH_CYCLE, message))
}

/// The edges at one node, by index, and how many of them still count.
#[derive(Default)]
struct Around {
    edges_in: Vec<usize>,
    edges_out: Vec<usize>,
    live_in: usize,
    live_out: usize,
}

/// Takes away nodes without way in or out, again and again, except those that `stays` protects; tells for each edge
/// whether it is left.
fn prune(edges: &[Edge], stays: impl Fn(usize) -> bool) -> Vec<bool> {
    let mut keep = vec![true; edges.len()];
    let mut around: HashMap<usize, Around> = HashMap::new();
    for (index, edge) in edges.iter().enumerate() {
        let from = around.entry(edge.from).or_default();
        from.edges_out.push(index);
        from.live_out += 1;
        let to = around.entry(edge.to).or_default();
        to.edges_in.push(index);
        to.live_in += 1;
    }
    let mut waiting: Vec<usize> = around.keys().copied().collect();
    while let Some(node) = waiting.pop() {
        let Some(here) = around.get(&node) else { continue };
        if stays(node) || here.live_in > 0 && here.live_out > 0 {
            continue;
        }
        let attached: Vec<usize> = here.edges_in.iter().chain(&here.edges_out).copied().collect();
        for index in attached {
            let Some(keep) = keep.get_mut(index) else { continue };
            if !std::mem::take(keep) {
                continue;
            }
            let Some(edge) = edges.get(index) else { continue };
            if let Some(from) = around.get_mut(&edge.from) {
                from.live_out -= 1;
            }
            if let Some(to) = around.get_mut(&edge.to) {
                to.live_in -= 1;
            }
            waiting.push(if edge.from == node { edge.to } else { edge.from });
        }
    }
    keep
}

/// For each node its position in an order in which every edge leads onwards. The graph has no cycle.
pub(crate) fn positions(nodes: usize, edges: &[Edge]) -> Vec<usize> {
    let mut ways_in = vec![0_usize; nodes];
    let mut next: HashMap<usize, Vec<usize>> = HashMap::new();
    for edge in edges {
        next.entry(edge.from).or_default().push(edge.to);
        if let Some(ways_in) = ways_in.get_mut(edge.to) {
            *ways_in += 1;
        }
    }
    let mut ready: Vec<usize> = (0..nodes).filter(|node| ways_in.get(*node) == Some(&0)).collect();
    let mut positions = vec![0; nodes];
    let mut position = 0;
    while let Some(node) = ready.pop() {
        if let Some(place) = positions.get_mut(node) {
            *place = position;
        }
        position += 1;
        for target in next.get(&node).into_iter().flatten() {
            let Some(ways_in) = ways_in.get_mut(*target) else { continue };
            *ways_in -= 1;
            if *ways_in == 0 {
                ready.push(*target);
            }
        }
    }
    positions
}

/// How many of the `counted` nodes one way can pass. `positions` are those of [`positions`].
pub(crate) fn in_row(positions: &[usize], edges: &[Edge], counted: &HashSet<usize>) -> usize {
    let position = |node: usize| positions.get(node).copied().unwrap_or_default();
    let mut edges: Vec<&Edge> = edges.iter().collect();
    edges.sort_unstable_by_key(|edge| position(edge.from));
    let mut passed: HashMap<usize, usize> = counted.iter().map(|node| (*node, 1)).collect();
    for Edge { from, to, .. } in edges {
        let before = passed.get(from).copied().unwrap_or_default();
        let here = before + usize::from(counted.contains(to));
        let there = passed.entry(*to).or_default();
        *there = here.max(*there);
    }
    passed.into_values().max().unwrap_or_default()
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
