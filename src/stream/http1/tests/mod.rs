//! The stage from chunks to exchanges.

mod bodies;
mod fields;
mod harness;
mod losses;
mod outcomes;
mod properties;
mod tolerances;
