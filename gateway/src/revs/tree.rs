//! The tree of a document's revisions: pure, no storage.
//! Knows which leaf wins, which write would be a conflict, and what history to forget.

use std::cmp::Ordering;

use super::Rev;

/// One revision and the index of its parent.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Node {
    rev: Rev,
    parent: Option<usize>,
    deleted: bool,
}

/// All known revisions of one document.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    nodes: Vec<Node>,
}

/// What a replicated revision means for the tree.
#[derive(Debug, PartialEq, Eq)]
pub enum Placement {
    /// Already there: nothing to store.
    Known,
    /// May be added below this ancestor (`None`: a new branch).
    Below(Option<Rev>),
    /// Would be a second live branch.
    Conflict,
}

impl Tree {
    fn position(&self, rev: &str) -> Option<usize> {
        self.nodes.iter().position(|node| node.rev.as_str() == rev)
    }

    /// Whether the revision is in the tree, as leaf or ancestor.
    pub fn contains(&self, rev: &str) -> bool {
        self.position(rev).is_some()
    }

    /// Whether the revision is a tombstone; `None` when unknown.
    pub fn is_deleted(&self, rev: &str) -> Option<bool> {
        self.position(rev).map(|index| self.nodes[index].deleted)
    }

    fn leaf_indexes(&self) -> Vec<usize> {
        let mut has_child = vec![false; self.nodes.len()];
        for parent in self.nodes.iter().filter_map(|node| node.parent) {
            has_child[parent] = true;
        }
        (0..self.nodes.len()).filter(|&index| !has_child[index]).collect()
    }

    /// Leaves, the winner first.
    pub fn leaves(&self) -> Vec<(&Rev, bool)> {
        let mut leaves: Vec<(&Rev, bool)> =
            self.leaf_indexes().into_iter().map(|index| (&self.nodes[index].rev, self.nodes[index].deleted)).collect();
        leaves.sort_by(|(left, left_deleted), (right, right_deleted)| {
            let key = |rev: &Rev, deleted: bool| (!deleted, rev.generation(), rev.digest().to_owned());
            key(right, *right_deleted).cmp(&key(left, *left_deleted))
        });
        leaves
    }

    /// Live before deleted, then the higher generation, then the larger digest.
    pub fn winner(&self) -> Option<(&Rev, bool)> {
        self.leaves().into_iter().next()
    }

    /// Whether this revision is a leaf.
    pub fn is_leaf(&self, rev: &str) -> bool {
        self.leaves().iter().any(|(leaf, _)| leaf.as_str() == rev)
    }

    /// The revision and its ancestors, newest first.
    pub fn history(&self, rev: &str) -> Vec<Rev> {
        let mut at = self.position(rev);
        let mut history = Vec::new();
        while let Some(index) = at {
            history.push(self.nodes[index].rev.clone());
            at = self.nodes[index].parent;
        }
        history
    }

    /// Adds a revision below `parent`.
    pub fn add(&mut self, rev: Rev, parent: Option<&Rev>, deleted: bool) {
        let parent = parent.and_then(|parent| self.position(parent.as_str()));
        self.nodes.push(Node { rev, parent, deleted });
    }

    /// Adds a replicated history (newest first) below its newest known ancestor.
    pub fn add_history(&mut self, history: &[Rev], deleted: bool) {
        let known = history.iter().position(|rev| self.contains(rev.as_str()));
        let unknown = known.unwrap_or(history.len());
        let mut parent = known.and_then(|index| self.position(history[index].as_str()));
        for (index, rev) in history[..unknown].iter().enumerate().rev() {
            self.nodes.push(Node { rev: rev.clone(), parent, deleted: deleted && index == 0 });
            parent = Some(self.nodes.len() - 1);
        }
    }

    /// Judges a replicated revision by the conflict-free rule. `history` is newest first.
    pub fn place(&self, history: &[Rev], deleted: bool) -> Placement {
        let Some(newest) = history.first() else {
            return Placement::Conflict;
        };
        if self.contains(newest.as_str()) {
            return Placement::Known;
        }
        let Some((current, current_deleted)) = self.winner() else {
            return Placement::Below(None);
        };
        let ancestor = history.iter().find(|rev| self.contains(rev.as_str()));
        let allowed = match ancestor {
            Some(ancestor) if ancestor == current => true,
            Some(ancestor) => {
                deleted && self.is_leaf(ancestor.as_str()) && self.is_deleted(ancestor.as_str()) == Some(false)
            }
            None => current_deleted && !deleted,
        };
        if allowed { Placement::Below(ancestor.cloned()) } else { Placement::Conflict }
    }

    /// Forgets revisions further than `limit` from every leaf.
    pub fn prune(&mut self, limit: usize) {
        if self.nodes.len() <= limit {
            return;
        }
        let mut keep = vec![false; self.nodes.len()];
        for leaf in self.leaf_indexes() {
            let mut at = Some(leaf);
            for _ in 0..limit {
                let Some(index) = at else { break };
                keep[index] = true;
                at = self.nodes[index].parent;
            }
        }
        let mut moved = vec![None; self.nodes.len()];
        let mut kept = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            if keep[index] {
                moved[index] = Some(kept.len());
                let parent = node.parent.and_then(|parent| moved[parent]);
                kept.push(Node { parent, ..node.clone() });
            }
        }
        self.nodes = kept;
    }

    /// Revisions a replicator may use as a base for `rev`: leaves of a lower generation, parents of leaves of the same.
    pub fn possible_ancestors(&self, rev: &Rev) -> Vec<String> {
        let mut found: Vec<String> = Vec::new();
        for index in self.leaf_indexes() {
            let leaf = &self.nodes[index];
            let node = match leaf.rev.generation().cmp(&rev.generation()) {
                Ordering::Less => Some(leaf),
                Ordering::Equal => leaf.parent.map(|parent| &self.nodes[parent]),
                Ordering::Greater => None,
            };
            if let Some(text) = node.map(|node| node.rev.to_string())
                && !found.contains(&text)
            {
                found.push(text);
            }
        }
        found
    }

    /// Compact text: one `rev parent deleted` line per revision, parents first.
    pub fn encode(&self) -> String {
        let mut out = String::with_capacity(self.nodes.len() * 42);
        for node in &self.nodes {
            out.push_str(node.rev.as_str());
            out.push(' ');
            if let Some(parent) = node.parent {
                out.push_str(&parent.to_string());
            }
            out.push_str(if node.deleted { " d\n" } else { " \n" });
        }
        out
    }

    /// Reads [`Tree::encode`]'s text; damaged lines are left out.
    pub fn decode(text: &str) -> Self {
        let mut nodes: Vec<Node> = Vec::new();
        for line in text.lines() {
            let mut fields = line.rsplitn(3, ' ');
            let deleted = fields.next() == Some("d");
            let parent = fields.next().and_then(|parent| parent.parse().ok());
            let Some(rev) = fields.next().and_then(Rev::parse) else {
                continue;
            };
            let parent = parent.filter(|&parent| parent < nodes.len());
            nodes.push(Node { rev, parent, deleted });
        }
        Self { nodes }
    }
}

#[cfg(test)]
mod tests {
    use super::{Placement, Rev, Tree};

    fn revs(texts: &[&str]) -> Vec<Rev> {
        texts.iter().filter_map(|text| Rev::parse(text)).collect()
    }

    #[test]
    fn only_the_current_revision_may_be_extended() {
        let mut tree = Tree::default();
        tree.add_history(&revs(&["3-c", "2-b", "1-a"]), false);
        assert_eq!(tree.place(&revs(&["2-b", "1-a"]), false), Placement::Known);
        assert_eq!(tree.place(&revs(&["3-x", "2-b", "1-a"]), false), Placement::Conflict);
        assert_eq!(tree.place(&revs(&["1-z"]), false), Placement::Conflict);
        let below = Placement::Below(Rev::parse("3-c"));
        assert_eq!(tree.place(&revs(&["5-e", "4-d", "3-c"]), false), below);
    }

    #[test]
    fn a_live_branch_beats_a_longer_tombstone() {
        let mut tree = Tree::default();
        tree.add_history(&revs(&["5-d", "4-c"]), true);
        assert_eq!(tree.place(&revs(&["1-n"]), true), Placement::Conflict);
        assert_eq!(tree.place(&revs(&["1-n"]), false), Placement::Below(None));
        tree.add_history(&revs(&["1-n"]), false);
        assert_eq!(tree.winner().map(|(rev, _)| rev.to_string()), Some("1-n".to_owned()));
        assert_eq!(Tree::decode(&tree.encode()), tree);
    }

    #[test]
    fn pruning_keeps_the_limit() {
        let mut tree = Tree::default();
        for generation in 1..=31 {
            let parent = tree.winner().map(|(rev, _)| rev.clone());
            tree.add(Rev::new(generation, "x"), parent.as_ref(), false);
            tree.prune(20);
        }
        assert_eq!(tree.history("31-x").len(), 20);
    }

    #[test]
    fn ancestors_of_an_equal_generation_are_parents() {
        let mut tree = Tree::default();
        tree.add_history(&revs(&["2-bb", "1-aa"]), false);
        let asked = Rev::new(2, "zz");
        assert_eq!(tree.possible_ancestors(&asked), ["1-aa"]);
        assert_eq!(tree.possible_ancestors(&Rev::new(3, "zz")), ["2-bb"]);
        assert!(tree.possible_ancestors(&Rev::new(1, "zz")).is_empty());
    }
}
