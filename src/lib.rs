//! **wirespike** finds web-server error spikes on the wire.
//!
//! One straight line; each stage knows only the types of the stages before it, and nothing calls back:
//!
//! ```text
//! capture ──Packet──▶ decode ──Segment──▶ flow/tcp ──Chunk──▶ http ──Exchange──▶ event ──ErrorEvent──▶ detect ──Alert──▶ output
//! ```
//!
//! - [`decode`], [`flow`], [`tcp`], [`http`], [`event`] and [`detect`] do no I/O, read no clock and spawn nothing: bytes and
//!   packet time come in, values come out.
//! - [`pipeline`] owns the only threads; [`output`] and the edges the only async code.
//! - Time is packet time, a [`Timestamp`](time::Timestamp).
//! - Every limit is a number with a counter ([`telemetry`]).

pub mod address;
pub mod capture;
pub mod cli;
pub mod config;
pub mod decode;
pub mod detect;
pub mod event;
pub mod flow;
pub mod http;
pub mod output;
pub mod pipeline;
pub mod sandbox;
pub mod state;
pub mod tcp;
pub mod telemetry;
pub mod time;
