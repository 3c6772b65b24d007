//! The tree over the log's leaves (RFC 9162 §2.1.1), as far as it is needed to show that the leaves are its leaves.
//! Tiles, checkpoints and proofs follow without a change of format.

use crate::hash::{Hash, leaf_hash};

/// The hash of an inner node: `HASH(0x01 || left || right)`.
#[must_use]
pub fn node_hash(left: &Hash, right: &Hash) -> Hash {
    Hash::of_parts(&[&[1], left.as_bytes(), right.as_bytes()])
}

/// A tree that grows by leaves and keeps only the hashes of its complete subtrees: one for each bit of its size.
#[derive(Clone, Debug, Default)]
pub struct Frontier {
    size: u64,
    complete: Vec<Hash>,
}

impl Frontier {
    /// The tree without leaves.
    #[must_use]
    pub const fn new() -> Self {
        Self { size: 0, complete: Vec::new() }
    }

    /// Adds a leaf by its hash.
    pub fn push(&mut self, leaf: Hash) {
        let mut hash = leaf;
        // Each trailing one of the size is a complete subtree as large as the one at hand.
        for _ in 0..self.size.trailing_ones() {
            if let Some(left) = self.complete.pop() {
                hash = node_hash(&left, &hash);
            }
        }
        self.complete.push(hash);
        self.size += 1;
    }

    /// How many leaves it has.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// The Merkle Tree Hash. RFC 9162 §2.1.1: of no leaves it is the hash of nothing.
    #[must_use]
    pub fn root(&self) -> Hash {
        let mut subtrees = self.complete.iter().rev().copied();
        let Some(last) = subtrees.next() else { return Hash::of(&[]) };
        subtrees.fold(last, |right, left| node_hash(&left, &right))
    }
}

/// The Merkle Tree Hash of some entries.
#[must_use]
pub fn root<'e>(entries: impl IntoIterator<Item = &'e [u8]>) -> Hash {
    let mut tree = Frontier::new();
    for entry in entries {
        tree.push(leaf_hash(entry));
    }
    tree.root()
}
