//! Tests of the stage that turns chunks into exchanges.

mod bodies;
mod fields;
mod losses;
mod outcomes;
mod properties;
mod tolerances;
