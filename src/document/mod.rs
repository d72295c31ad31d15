//! What is written.
//!
//! In: exchanges, error events. Out: ECS documents, one line of nested JSON each ([`EcsWriter`]).

mod community_id;
mod connection;
mod ecs;
mod fragments;
pub(crate) mod json;
mod pattern;

pub use ecs::{ECS_VERSION, EcsWriter};
pub(crate) use {community_id::community_id, ecs::write_agent};
