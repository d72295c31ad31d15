//! The bound on one alert's packets.
//!
//! In: the size of each packet, in order. Out: where it goes. Promises: of packets that take more bytes than the bound, the first
//! ones are kept up to half of it and the last ones from a quarter to half of it, without knowing how many will come; what lies
//! between is counted.
//!
//! The last packets are kept in two segments of a quarter each. When the newer segment is full, the older one is dropped and
//! a new one begins.

/// A number of packets, and the bytes that they take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Amount {
    /// Packets.
    pub packets: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Amount {
    fn add(&mut self, bytes: u64) {
        self.packets += 1;
        self.bytes += bytes;
    }

    fn merge(&mut self, other: Self) {
        self.packets += other.packets;
        self.bytes += other.bytes;
    }
}

/// Where a packet goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// To the first packets.
    First,
    /// To the newer segment of the last packets.
    Last,
    /// The newer segment takes the place of the older one, which is dropped. The packet begins a new segment.
    LastAfterTurn,
    /// The packet is larger than a segment and is left out.
    Nowhere,
}

/// The bound, and what it has let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    most: u64,
    first: Amount,
    older: Amount,
    newer: Amount,
    left_out: Amount,
    /// Whether packets go to the end now.
    is_beginning_full: bool,
}

impl Bound {
    /// A bound of `most` bytes.
    pub fn new(most: u64) -> Self {
        let none = Amount::default();
        Self { most, first: none, older: none, newer: none, left_out: none, is_beginning_full: false }
    }

    /// Decides where the next packet goes.
    pub fn place(&mut self, bytes: u64) -> Place {
        let (half, quarter) = (self.most / 2, self.most / 4);
        if !self.is_beginning_full && self.first.bytes + bytes <= half {
            self.first.add(bytes);
            return Place::First;
        }
        self.is_beginning_full = true;
        if bytes > quarter {
            self.left_out.add(bytes);
            return Place::Nowhere;
        }
        let turns = self.newer.bytes + bytes > quarter;
        if turns {
            self.left_out.merge(self.older);
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer.add(bytes);
        if turns { Place::LastAfterTurn } else { Place::Last }
    }

    /// What is kept.
    pub fn kept(&self) -> Amount {
        let mut kept = self.first;
        kept.merge(self.older);
        kept.merge(self.newer);
        kept
    }

    /// What is left out between the first and the last packets.
    pub fn left_out(&self) -> Amount {
        self.left_out
    }

    /// The number of packets before those that are left out.
    pub fn first_packets(&self) -> u64 {
        self.first.packets
    }

    /// The bound itself in bytes.
    pub fn most(&self) -> u64 {
        self.most
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;

    /// Which packets are kept of packets of these sizes, by their numbers.
    fn kept(most: u64, sizes: &[u64]) -> (Bound, Vec<usize>) {
        let mut bound = Bound::new(most);
        let (mut first, mut segments) = (Vec::new(), VecDeque::from([Vec::new(), Vec::new()]));
        for (number, &size) in sizes.iter().enumerate() {
            let place = bound.place(size);
            match place {
                Place::First => first.push(number),
                Place::Last | Place::LastAfterTurn => {
                    if place == Place::LastAfterTurn {
                        segments.pop_front();
                        segments.push_back(Vec::new());
                    }
                    segments[1].push(number);
                }
                Place::Nowhere => {}
            }
        }
        let numbers = first.into_iter().chain(segments.into_iter().flatten()).collect();
        (bound, numbers)
    }

    #[test]
    fn what_fits_is_kept_whole() {
        let (bound, numbers) = kept(400, &[100; 4]);
        assert_eq!(numbers, [0, 1, 2, 3]);
        assert_eq!((bound.kept(), bound.left_out()), (Amount { packets: 4, bytes: 400 }, Amount::default()));
    }

    #[test]
    fn of_what_does_not_fit_the_middle_is_left_out() {
        let (bound, numbers) = kept(400, &[50; 100]);
        assert_eq!(numbers, [0, 1, 2, 3, 96, 97, 98, 99]);
        assert_eq!(bound.left_out(), Amount { packets: 92, bytes: 92 * 50 });
        assert_eq!(bound.first_packets(), 4);
    }

    proptest! {
        #[test]
        fn the_bound_holds_and_everything_is_counted(
            most in 0_u64..5_000,
            sizes in prop::collection::vec(1_u64..300, 0..200),
        ) {
            let (bound, numbers) = kept(most, &sizes);
            prop_assert!(bound.kept().bytes <= most);
            prop_assert_eq!(bound.kept().bytes, numbers.iter().map(|&number| sizes[number]).sum::<u64>());
            prop_assert_eq!(bound.kept().packets + bound.left_out().packets, sizes.len() as u64);
            let total: u64 = sizes.iter().sum();
            prop_assert_eq!(bound.kept().bytes + bound.left_out().bytes, total);
            // A beginning without a hole, and an end without a hole where no packet is larger than a segment.
            if most >= 4 * 300 && total > most {
                prop_assert!(bound.kept().bytes > most / 2);
                prop_assert_eq!(numbers.last(), Some(&(sizes.len() - 1)));
                let holes = numbers.windows(2).filter(|pair| pair[0] + 1 != pair[1]).count();
                prop_assert!(holes <= 1);
            }
        }
    }
}
