//! Tests of the stage that turns chunks into exchanges.

mod bodies;
mod fields;
mod losses;
mod outcomes;
mod properties;
mod relief;
mod roles;
mod tolerances;
mod two_readings;
