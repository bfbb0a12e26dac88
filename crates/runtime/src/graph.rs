//! Who reaches whom in a flow: found once, when it is linked.

use std::collections::{BTreeMap, BTreeSet};

/// A part of a flow, by its position among its sort.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Node {
    /// The source half of a connector.
    Source(usize),
    /// A pipeline.
    Pipeline(usize),
    /// The sink half of a connector.
    Sink(usize),
}

/// Ways that may lead from one source to one sink: more make draining slow, and nobody writes that.
const MAX_WAYS: usize = 10_000;

/// The links of a flow; the same link may stand twice.
#[derive(Debug, Default)]
pub(crate) struct Graph {
    links: BTreeMap<Node, Vec<Node>>,
}

impl Graph {
    pub(crate) fn link(&mut self, from: Node, to: Node) {
        self.links.entry(from).or_default().push(to);
    }

    /// The pipelines of a loop, if there is one.
    pub(crate) fn pipeline_loop(&self) -> Option<Vec<usize>> {
        let mut done = BTreeSet::new();
        let roots: Vec<Node> = self.links.keys().copied().collect();
        roots.into_iter().find_map(|root| self.find_loop(root, &mut done))
    }

    /// Depth first without recursion: flows may be long chains.
    fn find_loop(&self, root: Node, done: &mut BTreeSet<Node>) -> Option<Vec<usize>> {
        let mut path: Vec<(Node, usize)> = vec![(root, 0)];
        while let Some((node, next)) = path.last_mut() {
            let target = self.links.get(node).and_then(|targets| targets.get(*next)).copied();
            *next += 1;
            let Some(target) = target else {
                done.insert(*node);
                path.pop();
                continue;
            };
            if let Some(start) = path.iter().position(|(on_path, _)| *on_path == target) {
                let members = path.iter().skip(start);
                let pipelines = members.filter_map(|(node, _)| match node {
                    Node::Pipeline(index) => Some(*index),
                    Node::Source(_) | Node::Sink(_) => None,
                });
                return Some(pipelines.collect());
            }
            if !done.contains(&target) {
                path.push((target, 0));
            }
        }
        None
    }

    /// Number of ways from source `from` to each part that it reaches. The graph has no loop.
    ///
    /// # Errors
    /// If they are too many.
    pub(crate) fn ways(&self, from: usize) -> Result<BTreeMap<Node, usize>, TooManyWays> {
        let mut parts = BTreeMap::new();
        let mut open = vec![Node::Source(from)];
        let mut seen = 0;
        while let Some(node) = open.pop() {
            seen += 1;
            if seen > MAX_WAYS {
                return Err(TooManyWays);
            }
            if !matches!(node, Node::Source(_)) {
                *parts.entry(node).or_default() += 1;
            }
            open.extend(self.links.get(&node).into_iter().flatten());
        }
        Ok(parts)
    }

    /// The largest sum of the weights of pipelines that one way can pass. The graph has no loop.
    pub(crate) fn heaviest_way(&self, weight: impl Fn(usize) -> usize) -> usize {
        let mut ways_in: BTreeMap<Node, usize> = BTreeMap::new();
        self.links.values().flatten().for_each(|to| *ways_in.entry(*to).or_default() += 1);
        let mut ready: Vec<Node> =
            self.links.keys().filter(|node| !ways_in.contains_key(node)).copied().collect();
        let mut before: BTreeMap<Node, usize> = BTreeMap::new();
        let mut heaviest = 0;
        while let Some(node) = ready.pop() {
            let own = if let Node::Pipeline(index) = node { weight(index) } else { 0 };
            let sum = before.get(&node).copied().unwrap_or_default().saturating_add(own);
            heaviest = heaviest.max(sum);
            for to in self.links.get(&node).into_iter().flatten() {
                let there = before.entry(*to).or_default();
                *there = sum.max(*there);
                let Some(left) = ways_in.get_mut(to) else { continue };
                *left = left.saturating_sub(1);
                if *left == 0 {
                    ready.push(*to);
                }
            }
        }
        heaviest
    }
}

/// More ways than a flow may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooManyWays;

#[cfg(test)]
mod tests {
    use super::*;

    fn graph(links: &[(Node, Node)]) -> Graph {
        let mut graph = Graph::default();
        links.iter().for_each(|(from, to)| graph.link(*from, *to));
        graph
    }

    #[test]
    fn ways_are_counted_along_every_link() {
        use Node::{Pipeline, Sink, Source};
        let graph = graph(&[
            (Source(0), Pipeline(0)),
            (Source(0), Pipeline(0)),
            (Pipeline(0), Pipeline(1)),
            (Pipeline(0), Sink(4)),
            (Pipeline(1), Sink(4)),
            (Pipeline(1), Sink(5)),
        ]);
        assert_eq!(graph.pipeline_loop(), None);
        let ways = [(Pipeline(0), 2), (Pipeline(1), 2), (Sink(4), 4), (Sink(5), 2)];
        assert_eq!(graph.ways(0), Ok(ways.into_iter().collect()));
        assert_eq!(graph.heaviest_way(|pipeline| pipeline + 3), 7);
        assert_eq!(graph.heaviest_way(|pipeline| 3 - pipeline), 5);
        assert_eq!(graph.ways(1), Ok(BTreeMap::new()));
    }

    #[test]
    fn a_loop_names_its_pipelines_and_nothing_before_it() {
        use Node::{Pipeline, Source};
        let graph = graph(&[
            (Source(0), Pipeline(0)),
            (Pipeline(0), Pipeline(1)),
            (Pipeline(1), Pipeline(2)),
            (Pipeline(2), Pipeline(1)),
        ]);
        assert_eq!(graph.pipeline_loop(), Some(vec![1, 2]));
    }

    #[test]
    fn a_connector_between_two_pipelines_makes_no_loop() {
        use Node::{Pipeline, Sink, Source};
        assert_eq!(graph(&[(Source(0), Pipeline(0)), (Pipeline(0), Sink(0))]).pipeline_loop(), None);
    }

    #[test]
    fn ladders_of_doubled_links_are_refused() {
        use Node::{Pipeline, Source};
        let mut graph = Graph::default();
        graph.link(Source(0), Pipeline(0));
        for rung in 0..40 {
            graph.link(Pipeline(rung), Pipeline(rung + 1));
            graph.link(Pipeline(rung), Pipeline(rung + 1));
        }
        assert_eq!(graph.ways(0), Err(TooManyWays));
    }
}
