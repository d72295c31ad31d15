//! A set of a few numbers.

/// Up to `N` different numbers. Those that do not fit are left out.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Few<const N: usize> {
    numbers: Vec<u32>,
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
        }
        fits
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        if self.numbers.is_empty() {
            self.numbers.clone_from(&other.numbers);
        } else if self.numbers.len() < N {
            other.numbers.iter().for_each(|number| _ = self.add(*number));
        }
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
