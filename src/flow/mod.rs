//! Flows: which connection a segment belongs to, and when a connection is over.
//!
//! In: [`Segment`]s. Out: the flow's two reassembled streams, handed to a [`StreamConsumer`](crate::tcp::StreamConsumer).
//! Promises: flows, bytes and segments are capped; what is evicted is the longest quiet, and counted.

use crate::{address::Endpoint, decode::Segment};

/// Which way a segment goes, seen from the canonical order of the two endpoints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// From the lower endpoint to the upper.
    Ascending = 0,
    /// From the upper endpoint to the lower.
    Descending = 1,
}

impl Direction {
    /// The other way.
    pub const fn opposite(self) -> Self {
        match self {
            Self::Ascending => Self::Descending,
            Self::Descending => Self::Ascending,
        }
    }
}

/// The innermost 5-tuple in canonical order: both directions of a connection have the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FlowKey {
    /// The lower endpoint.
    pub lower: Endpoint,
    /// The upper endpoint.
    pub upper: Endpoint,
    /// VLAN or tunnel identifier where overlapping address spaces are told apart, else 0.
    pub scope: u32,
}

impl FlowKey {
    /// The key of a segment's flow, and which way the segment goes.
    #[inline]
    pub fn of(segment: &Segment<'_>, scope: u32) -> (Self, Direction) {
        if segment.source <= segment.destination {
            (Self { lower: segment.source, upper: segment.destination, scope }, Direction::Ascending)
        } else {
            (Self { lower: segment.destination, upper: segment.source, scope }, Direction::Descending)
        }
    }

    /// The endpoint that sends in this direction.
    pub const fn sender(&self, direction: Direction) -> Endpoint {
        match direction {
            Direction::Ascending => self.lower,
            Direction::Descending => self.upper,
        }
    }
}
