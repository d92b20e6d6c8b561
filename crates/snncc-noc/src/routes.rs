//! Trees that packets follow, in flat arrays. Trees are made once and shared by any number of packets.

use crate::network::Network;

/// A tree of [`Routes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TreeId(pub(crate) u32);

/// A link of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The branch that it continues: an earlier one of the list, or `None`: it begins at the source.
    pub parent: Option<u32>,
    /// The link.
    pub link: u32,
}

/// A sink of a tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The branch at whose far end it is; `None`: at the source.
    pub branch: Option<u32>,
    /// The sink.
    pub sink: u32,
    /// Time for which a packet is served there, besides that of the message.
    pub service_ps: u64,
}

/// A node of a tree: the source, or the far end of a link.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Node {
    /// `u32::MAX` for the source.
    pub(crate) link: u32,
    /// Nodes that follow.
    pub(crate) children: (u32, u32),
    pub(crate) leaves: (u32, u32),
}

/// A leaf as stored.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StoredLeaf {
    pub(crate) sink: u32,
    /// Its place in the list that the tree was made of.
    pub(crate) position: u32,
    pub(crate) service_ps: u64,
}

/// Trees of packets.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    pub(crate) nodes: Vec<Node>,
    pub(crate) leaves: Vec<StoredLeaf>,
    /// Node of the source of each tree, and its number of leaves.
    pub(crate) trees: Vec<(u32, u32)>,
}

impl Routes {
    /// No trees.
    pub fn new() -> Self {
        Self::default()
    }

    /// A path to one sink.
    pub fn add_path(&mut self, links: &[u32], sink: u32, service_ps: u64) -> TreeId {
        let parent = |at: usize| at.checked_sub(1).map(|at| at as u32);
        let branches: Vec<Branch> =
            links.iter().enumerate().map(|(at, link)| Branch { parent: parent(at), link: *link }).collect();
        self.add_tree(&branches, &[Leaf { branch: parent(links.len()), sink, service_ps }])
    }

    /// A tree. The order of branches and leaves does not matter, except that a branch comes after its parent, and that leaves
    /// are spoken of by their place in the list.
    ///
    /// # Panics
    /// If a branch does not come after its parent, or a leaf is at no branch.
    pub fn add_tree(&mut self, branches: &[Branch], leaves: &[Leaf]) -> TreeId {
        let first = self.nodes.len() as u32;
        let mut parents: Vec<(u32, u32, u32)> = Vec::with_capacity(branches.len());
        for (at, branch) in (0_u32..).zip(branches) {
            assert!(branch.parent.is_none_or(|parent| parent < at), "bug in snncc: a branch before its parent");
            parents.push((branch.parent.map_or(0, |parent| parent + 1), branch.link, at + 1));
        }
        // By parent, then link; number 0 is the source, number i + 1 the branch i.
        parents.sort_unstable();
        let mut at_leaf: Vec<(u32, u32, u32)> = Vec::with_capacity(leaves.len());
        for (position, leaf) in (0_u32..).zip(leaves) {
            let number = leaf.branch.map_or(0, |branch| branch + 1);
            assert!(number as usize <= branches.len(), "bug in snncc: a leaf at no branch");
            at_leaf.push((number, leaf.sink, position));
        }
        at_leaf.sort_unstable();
        // Breadth first: the children of a node lie side by side.
        let range = |list: &[(u32, u32, u32)], number: u32| {
            let begin = list.partition_point(|entry| entry.0 < number);
            (begin, begin + list[begin..].partition_point(|entry| entry.0 == number))
        };
        let mut open = std::collections::VecDeque::from([(0_u32, u32::MAX)]);
        let mut made = first + 1;
        while let Some((number, link)) = open.pop_front() {
            let (begin, end) = range(&parents, number);
            open.extend(parents[begin..end].iter().map(|(_, link, child)| (*child, *link)));
            let children = (made, made + (end - begin) as u32);
            made = children.1;
            let (begin, end) = range(&at_leaf, number);
            let first_leaf = self.leaves.len() as u32;
            self.leaves.extend(at_leaf[begin..end].iter().map(|&(_, sink, position)| StoredLeaf {
                sink,
                position,
                service_ps: leaves[position as usize].service_ps,
            }));
            self.nodes.push(Node { link, children, leaves: (first_leaf, self.leaves.len() as u32) });
        }
        self.trees.push((first, leaves.len() as u32));
        TreeId(self.trees.len() as u32 - 1)
    }

    /// Number of leaves of a tree.
    pub fn leaves(&self, tree: TreeId) -> u32 {
        self.trees[tree.0 as usize].1
    }

    /// Calls `visit` with each leaf at or behind a node.
    pub(crate) fn visit_leaves(&self, node: u32, visit: &mut impl FnMut(&StoredLeaf)) {
        let mut open = vec![node];
        while let Some(node) = open.pop() {
            let Node { children, leaves, .. } = self.nodes[node as usize];
            self.leaves[leaves.0 as usize..leaves.1 as usize].iter().for_each(&mut *visit);
            open.extend(children.0..children.1);
        }
    }

    /// Time on the links to each leaf of a tree, by the order of its list, if nothing else moves.
    pub fn unloaded_ps(&self, network: &Network, tree: TreeId) -> Vec<u64> {
        let (root, count) = self.trees[tree.0 as usize];
        let mut times = vec![0; count as usize];
        let mut open = vec![(root, 0_u64)];
        while let Some((node, time)) = open.pop() {
            let Node { children, leaves, .. } = self.nodes[node as usize];
            for leaf in &self.leaves[leaves.0 as usize..leaves.1 as usize] {
                times[leaf.position as usize] = time;
            }
            for child in children.0..children.1 {
                let link = self.nodes[child as usize].link;
                open.push((child, time.saturating_add(network.links[link as usize].latency_ps)));
            }
        }
        times
    }
}
