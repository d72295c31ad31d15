//! The stage from chunks to exchanges.

mod bodies;
mod fields;
mod losses;
mod outcomes;
mod properties;
mod tolerances;
