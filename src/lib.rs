//! **wirespike** finds web-server error spikes on the wire.
//!
//! One straight line; each stage knows only the types of the stages before it, and nothing calls back:
//!
//! ```text
//! capture ─Packet▶ decode ─Segment▶ flow, tcp ─Chunk▶ stream ─Exchange▶ event ─ErrorEvent▶ detect ─Alert▶ document ▶ output
//! ```
//!
//! - [`decode`], [`flow`], [`tcp`], [`stream`], [`event`], [`detect`] and [`document`] do no I/O, read no clock and spawn
//!   nothing: bytes and packet time come in, values come out.
//! - [`sensor`] owns the threads of the packet path; [`service`] the only async code.
//! - Time is packet time, a [`Timestamp`](time::Timestamp).
//! - Every limit is a number with a counter ([`telemetry`]).

pub mod address;
pub(crate) mod byte_scan;
pub mod capture;
pub mod cli;
pub mod decode;
pub mod detect;
pub mod document;
pub mod event;
pub mod exchange;
pub mod flow;
pub mod output;
pub mod run;
pub(crate) mod sandbox;
pub mod sensor;
pub(crate) mod service;
pub mod settings;
pub mod stream;
pub mod tcp;
pub mod telemetry;
pub mod time;
