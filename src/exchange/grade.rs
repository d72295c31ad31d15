//! How well an exchange is supported by what was seen of its connection.
//!
//! In: nothing; the protocol parsers set the grade with what reassembly knows. Out: [`Grade`]. Promises: nobody reaches a
//! better grade than [`Grade::OneWay`] with packets of one side alone.

/// The grade of the evidence behind an exchange, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Grade {
    /// The handshake was seen both ways, and each side acknowledged what the other sent.
    Handshake,
    /// The capture joined the connection midway, and both sides agree about its sequence numbers.
    TwoWay,
    /// Only one side was seen, or its checksums are wrong, or nothing acknowledges it. A single sender can forge it.
    #[default]
    OneWay,
}

impl Grade {
    /// All grades, best first.
    pub const ALL: [Self; 3] = [Self::Handshake, Self::TwoWay, Self::OneWay];

    /// The name in documents.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Handshake => "handshake",
            Self::TwoWay => "two_way",
            Self::OneWay => "one_way",
        }
    }

    /// Returns whether errors of this grade count as confirmed: one sender alone cannot have forged them.
    pub const fn is_confirmed(self) -> bool {
        !matches!(self, Self::OneWay)
    }
}
