//! The types for numbers about the sensor itself.
//!
//! In: counts from the stages. Out: named counters and gauges, the [`Summary`](summary::Summary) of a run, and the
//! `Snapshot` of a running sensor. Promises: no I/O; other modules print or serve the numbers. A stage declares its counters
//! with `counters!`, and counts everything that it drops.

pub(crate) mod snapshot;
pub mod summary;
pub mod tally;

/// One counter: its name, what it counts, and its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// The name in snake case, unique within its stage.
    pub name: &'static str,
    /// What the counter counts, in one line for people.
    pub help: &'static str,
    /// The value.
    pub value: u64,
}

/// Declares a struct of `u64` counters with public fields, a method `merge` (adds another struct) and a method `counts`
/// (lists the counters by name).
macro_rules! counters {
    ($(#[$meta:meta])* pub struct $name:ident { $($(#[doc = $help:literal])+ $field:ident),* $(,)? }) => {
        $(#[$meta])*
        #[derive(Debug, Clone, Default, PartialEq, Eq)]
        #[allow(unreachable_pub, reason = "counters of a stage are public where the stage is")]
        pub struct $name { $($(#[doc = $help])+ pub $field: u64,)* }

        #[allow(unreachable_pub, reason = "as public as the struct, which may be in a private module")]
        impl $name {
            /// Adds the counts of `other`.
            #[allow(dead_code, reason = "a stage that runs once has nothing to add up")]
            pub fn merge(&mut self, other: &Self) {
                $(self.$field += other.$field;)*
            }

            /// The counters in order of declaration.
            pub fn counts(&self) -> Vec<$crate::telemetry::Count> {
                vec![$($crate::telemetry::Count {
                    name: stringify!($field),
                    help: concat!($($help),+).trim_ascii(),
                    value: self.$field,
                },)*]
            }
        }
    };
}
pub(crate) use counters;
