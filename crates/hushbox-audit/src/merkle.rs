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

#[cfg(test)]
mod tests {
    use super::*;

    /// The leaves of the reference implementation's tests (google/certificate-transparency, merkletree).
    const LEAVES: [&str; 8] = [
        "",
        "00",
        "10",
        "2021",
        "3031",
        "40414243",
        "5051525354555657",
        "606162636465666768696a6b6c6d6e6f",
    ];

    /// And the roots of the trees of the first one, two, ... of them.
    const ROOTS: [&str; 8] = [
        "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
        "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
        "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
        "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
        "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
        "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
        "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
        "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
    ];

    #[test]
    fn trees_have_the_roots_of_the_reference() {
        let leaves: Vec<_> = LEAVES.iter().map(|leaf| hex::decode(leaf).unwrap()).collect();
        for (size, expected) in (1..).zip(ROOTS) {
            let tree = root(leaves[..size].iter().map(Vec::as_slice));
            assert_eq!(tree.to_string(), expected, "{size} leaves");
        }
    }

    /// RFC 9162 §2.1.1: the hash of an empty list is the hash of an empty string.
    #[test]
    fn a_tree_without_leaves_has_the_hash_of_nothing() {
        let nothing = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Frontier::new().root().to_string(), nothing);
    }

    /// RFC 9162 §2.1.1 as it is written: split at the largest power of two below the size.
    fn by_definition(leaves: &[Hash]) -> Hash {
        match leaves {
            [] => Hash::of(&[]),
            [leaf] => *leaf,
            leaves => {
                let (left, right) = leaves.split_at(leaves.len().next_power_of_two() / 2);
                node_hash(&by_definition(left), &by_definition(right))
            }
        }
    }

    #[test]
    fn growing_by_leaves_gives_the_tree_of_the_definition() {
        let mut tree = Frontier::new();
        let mut leaves = Vec::new();
        for index in 0..200_u32 {
            assert_eq!(tree.root(), by_definition(&leaves), "{index} leaves");
            let leaf = leaf_hash(&index.to_be_bytes());
            tree.push(leaf);
            leaves.push(leaf);
        }
        assert_eq!(tree.size(), 200);
    }
}
