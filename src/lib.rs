//! **wirespike** finds web-server error spikes on the wire.
//!
//! It watches packets, reassembles the HTTP exchanges in them, writes an error event for every exchange that failed, runs
//! rules over what it saw, and writes an alert for what crosses a rule. This page is the map: the way of a packet through the
//! files, what is in each folder and what is not, and what always holds.
//!
//! # One straight line
//!
//! Each stage knows only the types of the stages before it, and nothing calls back:
//!
//! ```text
//! capture ─Packet▶ decode ─Segment▶ flow, tcp ─Chunk▶ stream ─Exchange▶ event ─Observation, ErrorEvent▶ detect
//!         ─Alert▶ verdict ─▶ document ─Batch▶ output
//! ```
//!
//! [`sensor`] puts the stages from `decode` to `detect` together, once on one thread ([`sensor::Sensor`]) and once over threads
//! ([`sensor::executor`]). [`run`] puts packets before it and outputs behind it: a replay of files, or a live run on
//! interfaces. [`settings`] and `cli` stand beside the line: they decide what each stage is made with.
//!
//! # The way of a packet
//!
//! | step | where |
//! |---|---|
//! | 1. A file's bytes, or the kernel's ring, become a batch of packets with time and link type. | `CaptureSet::fill` in `capture/files`, `LiveSource::fill` in `capture/live` |
//! | 2. The filter lets the packet in, and packet time moves on. A tick is due every second of it. | `sensor/intake.rs` |
//! | 3. An ordinary packet is decoded the short way, any other layer by layer: link, IP, fragments, tunnels. Out comes a segment of the innermost TCP. | `Decoder::decode_ordinary`, `Decoder::decode_other` in `decode` |
//! | 4. The segment's five-tuple is hashed once. The hash chooses one of sixteen shards and the place in its table. | `FlowKey::of`, `flow::hash` |
//! | 5. The connection puts the segment in its place. Bytes that are next go on at once, without a copy; others wait; a gap is declared when the receiver has acknowledged past it. | `FlowTable::push`, `tcp::Connection::segment` |
//! | 6. Each side's first bytes choose a parser by content. | `stream/probe.rs`, `stream/streams.rs` |
//! | 7. The parser reads messages and pairs responses with requests. An exchange is *decided* when its outcome is known, and *finished* when nothing more of it can come. | `stream/http1`, `stream/http2`, `stream/tls` |
//! | 8. The shard makes a record of it: an error goes on with its text, a success as a small observation. | `sensor/shard.rs`, `sensor/record.rs` |
//! | 9. On one thread, records are taken in the order of packets: is it an error, who was the client, whose log would it be in? | `sensor/evaluator.rs`, `event` |
//! | 10. Every rule observes it, and may raise an alert. A rule may also take turns: lengths and times of what TLS hides. | `detect` |
//! | 11. What is to be written becomes a document, and its bytes are made once. | `document` |
//! | 12. A sink takes batches of documents and says what it accepted. | `output` |
//!
//! # The folders
//!
//! | folder | what is there | what is not |
//! |---|---|---|
//! | [`capture`] | files (pcap, pcapng, compression, many as one timeline) and live interfaces | any look into a packet's bytes |
//! | [`decode`] | link layers, tags, IP, fragments, tunnels: one file for each | connections |
//! | [`tcp`] | one connection: reassembly, gaps, resets | which connection a segment belongs to |
//! | [`flow`] | which connection, and when it is over | what the bytes mean |
//! | [`exchange`] | [`Exchange`](exchange::Exchange), the one value that leaves protocols, its [`Observation`](exchange::Observation), and the [`Turn`](exchange::Turn) of what cannot be read | how it was parsed |
//! | [`stream`] | the probe, the parser trait, and the parsers: a folder for each | whether an exchange is an error |
//! | [`event`] | error or not, the true client, the dataset, masks, what identifies the [site](event::Site) | counting |
//! | [`detect`] | the rule trait, windows, groups, the pool of texts; a folder for each rule | words for people |
//! | [`verdict`] | what an alert's evidence looks like, the tool, next steps | counting |
//! | [`enrich`] | what local files know about an alert's client: databases, labelled networks, maintenance, past sightings | saving and loading sightings |
//! | [`evidence`] | which packets belong to an alert, the bound on them, the bytes of a pcapng file | reading captures, writing files |
//! | [`document`] | everything that is written, and its encoding; the alert's sentence; text and report for people | files and sockets |
//! | [`output`] | which outputs there are; a folder for each sink | the content of a document |
//! | [`sensor`] | the stages together; the executor with its threads | files, signals |
//! | [`run`] | replay, live, show; the files with the packets of alerts | how anything is found |
//! | `service` | signals, the service manager, the state file, the metrics endpoint, logs | the packet path |
//! | [`settings`] | every key once, with flag, default, reload and help | the stages' own defaults |
//! | `sandbox` | what the process may still do once it runs | |
//! | [`telemetry`] | counters and what is made of them | |
//! | [`keyed_hash`] | the hash of everything that a sender chooses | |
//!
//! # Where to add something
//!
//! - **A tunnel or link layer**: a file in `decode/tunnel` or `decode/link`, and a line in its list.
//! - **A protocol above TCP**: a file or folder in `stream` that implements its parser trait, and a line in `stream/registry.rs`.
//! - **A rule**: a file or folder in `detect/rules`, and a line in its list.
//! - **A sink**: a folder in `output/sinks`, and a line in its list.
//! - **A setting**: an entry in `settings/keys`, and the field that it fills.
//! - **A capture that shows a fault**: a folder in `pcaps`, which needs no code.
//!
//! Each of the first four has one that exists for tests alone, to show that it takes no more.
//!
//! # What always holds
//!
//! | invariant | the test that holds it |
//! |---|---|
//! | The line runs one way; the core does no I/O, reads no clock and starts no thread. | `tests/architecture.rs` |
//! | Time is packet time, a [`Timestamp`](time::Timestamp): a replay gives the same bytes each time. | `every_capture_gives_the_findings_of_the_reference` in `sensor/executor/tests.rs` |
//! | Findings are the same for any number of workers and any cut into batches. | `generated_traffic_gives_the_findings_of_the_reference`, same file |
//! | The same bytes give the same exchanges, however they were cut, reordered, repeated or wrapped. | `tests/property.rs` |
//! | Exchanges equal the server's own access log. | `exchanges_equal_the_access_log` in `tests/corpus.rs` |
//! | After a loss a response is never paired with a request that it does not answer. | `tests/property.rs` |
//! | The short way of decoding gives what the plain way gives. | `decode/tests/short_way.rs` |
//! | A rule's counts equal a naive recount; rules side by side do not disturb each other. | the tests in `detect` |
//! | Every limit is a number with a counter ([`telemetry`]), and floods stay within it. | `tests/attacks.rs` |
//! | No bytes from the wire cause a panic. | the fuzz targets in `tests/fuzz`, the lints in `Cargo.toml` |
//! | No output replaces an input. | the tests of `output/targets.rs`, `tests/cli.rs` |
//! | Events and alerts name servers, sensor and masked keys from one value. | [`event::Site`] is the only holder |
//! | No key of the settings stands in two places. | the tests in `settings` |

pub mod address;
pub(crate) mod byte_scan;
pub mod capture;
pub mod cli;
pub mod decode;
pub mod detect;
pub mod document;
pub mod enrich;
pub mod event;
pub mod evidence;
pub mod exchange;
pub mod flow;
pub mod keyed_hash;
pub mod output;
pub mod printable;
pub(crate) mod regular;
pub mod run;
pub(crate) mod sandbox;
pub mod sensor;
pub(crate) mod service;
pub mod settings;
pub mod stream;
pub mod tcp;
pub mod telemetry;
pub mod time;
pub mod verdict;

pub(crate) use telemetry::counters;
