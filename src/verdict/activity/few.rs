//! A set of a few numbers, with a count of those that did not fit.

/// Up to `N` different numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Few<const N: usize> {
    numbers: Vec<u32>,
    /// Whether there were more numbers than the set holds.
    more: bool,
}

impl<const N: usize> Default for Few<N> {
    fn default() -> Self {
        Self { numbers: Vec::new(), more: false }
    }
}

impl<const N: usize> Few<N> {
    /// Adds a number. Returns whether it is new.
    #[inline]
    pub(super) fn add(&mut self, number: u32) -> bool {
        // The number that comes again and again is the last one.
        if self.numbers.last() == Some(&number) || self.numbers.contains(&number) {
            return false;
        }
        let fits = self.numbers.len() < N;
        if fits {
            self.numbers.push(number);
        } else {
            self.more = true;
        }
        fits
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        other.numbers.iter().for_each(|number| _ = self.add(*number));
        self.more |= other.more;
    }

    pub(super) fn contains(&self, number: u32) -> bool {
        self.numbers.contains(&number)
    }

    /// The number of different numbers, at least.
    pub(super) fn count(&self) -> u64 {
        self.numbers.len() as u64
    }

    pub(super) fn bytes(&self) -> usize {
        self.numbers.capacity() * size_of::<u32>()
    }
}
