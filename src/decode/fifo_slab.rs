//! A slab that is also a queue.
//!
//! In: values. Out: any of them by its index, and the index of the oldest. Promises: every operation is O(1), and an
//! index stays valid until its value is removed. Using a value does not make it younger, so this is first in, first out
//! and not LRU.

/// A slab whose values are linked from the oldest to the newest.
#[derive(Debug)]
pub(super) struct FifoSlab<T> {
    nodes: Vec<Node<T>>,
    free: Vec<u32>,
    oldest: Option<u32>,
    newest: Option<u32>,
}

#[derive(Debug)]
struct Node<T> {
    /// `None` when the node is free.
    value: Option<T>,
    older: Option<u32>,
    newer: Option<u32>,
}

impl<T> FifoSlab<T> {
    pub(super) const fn new() -> Self {
        Self { nodes: Vec::new(), free: Vec::new(), oldest: None, newest: None }
    }

    /// Adds a value as the newest. Returns its index.
    pub(super) fn push(&mut self, value: T) -> u32 {
        let node = Node { value: Some(value), older: self.newest, newer: None };
        let index = match self.free.pop() {
            Some(index) => index,
            None => u32::try_from(self.nodes.len()).unwrap_or(u32::MAX),
        };
        match self.nodes.get_mut(index as usize) {
            Some(free) => *free = node,
            None => self.nodes.push(node),
        }
        match self.newest.replace(index) {
            Some(before) => self.link(before, |node| node.newer = Some(index)),
            None => self.oldest = Some(index),
        }
        index
    }

    /// Removes a value and returns it.
    pub(super) fn remove(&mut self, index: u32) -> Option<T> {
        let node = self.nodes.get_mut(index as usize)?;
        let value = node.value.take()?;
        let (older, newer) = (node.older, node.newer);
        match older {
            Some(older) => self.link(older, |node| node.newer = newer),
            None => self.oldest = newer,
        }
        match newer {
            Some(newer) => self.link(newer, |node| node.older = older),
            None => self.newest = older,
        }
        self.free.push(index);
        Some(value)
    }

    pub(super) fn get(&self, index: u32) -> Option<&T> {
        self.nodes.get(index as usize)?.value.as_ref()
    }

    pub(super) fn get_mut(&mut self, index: u32) -> Option<&mut T> {
        self.nodes.get_mut(index as usize)?.value.as_mut()
    }

    /// The index of the oldest value.
    pub(super) const fn oldest(&self) -> Option<u32> {
        self.oldest
    }

    /// Number of values.
    pub(super) const fn len(&self) -> usize {
        self.nodes.len() - self.free.len()
    }

    fn link(&mut self, index: u32, change: impl FnOnce(&mut Node<T>)) {
        if let Some(node) = self.nodes.get_mut(index as usize) {
            change(node);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_as_a_queue_with_removal(operations in prop::collection::vec((0u8..3, 0usize..8), 0..200)) {
            let mut slab = FifoSlab::new();
            let mut reference = VecDeque::new();
            for (number, (operation, at)) in operations.into_iter().enumerate() {
                match operation {
                    0 | 1 => reference.push_back((slab.push(number), number)),
                    _ if at < reference.len() => {
                        let (index, value) = reference.remove(at).unwrap();
                        prop_assert_eq!(slab.remove(index), Some(value));
                        prop_assert_eq!(slab.remove(index), None);
                    }
                    _ => {}
                }
                prop_assert_eq!(slab.len(), reference.len());
                prop_assert_eq!(slab.oldest(), reference.front().map(|&(index, _)| index));
            }
            while let Some(index) = slab.oldest() {
                prop_assert_eq!(slab.get(index).copied(), reference.pop_front().map(|(_, value)| value));
                slab.remove(index);
            }
            prop_assert!(reference.is_empty() && slab.newest.is_none());
        }
    }
}
