//! How an interface is opened.
//!
//! In: the name of an interface, and [`LiveOptions`]. Out: an open capture of libpcap that does not block. Promises: each error says
//! what to do about it; packets have the time stamps of the interface's clock if it has one, or else the kernel's.

use std::time::Duration;

use pcap::{Active, Capture, Precision, TimestampType};

use super::socket;
use crate::capture::filter::{FilterError, link_type, reason_of};

/// The kernel hands over a part-filled block of the ring after this long.
const BLOCK_TIMEOUT_MILLIS: i32 = 20;

/// Which clock stamps packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StampSource {
    /// The kernel's clock, at the time when the kernel takes the packet over from the driver.
    #[default]
    Kernel,
    /// The interface's own clock, if it has one. Something must synchronise it with the system clock (`phc2sys`).
    Hardware,
}

/// How interfaces are opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveOptions {
    /// Whether to capture packets that are addressed to other hosts.
    pub promiscuous: bool,
    /// Most bytes captured of a packet.
    pub snap_length: u32,
    /// Size of the kernel's ring, bytes, for each interface and capture thread.
    pub ring_bytes: u32,
    /// BPF expression; empty for all packets.
    pub filter: String,
    /// Which clock stamps packets.
    pub stamps: StampSource,
    /// Longest wait for packets in [`LiveSource::fill`](super::LiveSource::fill).
    pub timeout: Duration,
    /// The number of the interface within the run. Every packet carries this number.
    pub number: u16,
}

impl Default for LiveOptions {
    fn default() -> Self {
        Self {
            promiscuous: true,
            snap_length: 262_144,
            ring_bytes: 64 << 20,
            filter: String::new(),
            stamps: StampSource::Kernel,
            timeout: Duration::from_millis(50),
            number: 0,
        }
    }
}

/// Why an interface cannot be captured.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// There is no such interface.
    #[error("interface {0} does not exist; `wirespike interfaces` lists those that can be captured")]
    NoSuchInterface(String),
    /// The process may not capture.
    #[error(
        "no permission to capture on {0}: run as root, or give the binary the capability: \
         setcap cap_net_raw=ep /path/to/wirespike"
    )]
    Permission(String),
    /// The filter is refused.
    #[error("interface {interface}: {source}")]
    Filter {
        /// The interface.
        interface: String,
        /// Why.
        source: FilterError,
    },
    /// Anything else that libpcap or the kernel says.
    #[error("interface {interface}: {reason}")]
    Other {
        /// The interface.
        interface: String,
        /// libpcap's or the kernel's reason.
        reason: String,
    },
}

/// Opens an interface for capture, with its filter.
pub(super) fn open_capture(interface: &str, options: &LiveOptions) -> Result<Capture<Active>, LiveError> {
    let opened = match options.stamps {
        StampSource::Kernel => activate(interface, options, None),
        // An interface with its own clock offers one of these two types. Any other interface gets the kernel's timestamps.
        StampSource::Hardware => activate(interface, options, Some(TimestampType::Adapter))
            .or_else(|_| activate(interface, options, Some(TimestampType::AdapterUnsynced)))
            .or_else(|_| activate(interface, options, None)),
    };
    let mut capture = opened.map_err(|error| explain(interface, &error))?;
    if !options.filter.is_empty() {
        let link_type = link_type(capture.get_datalink().0);
        capture.filter(&options.filter, true).map_err(|reason| LiveError::Filter {
            interface: interface.into(),
            source: FilterError::new(&options.filter, link_type, &reason),
        })?;
    }
    capture.setnonblock().map_err(|error| explain(interface, &error))
}

fn activate(
    interface: &str,
    options: &LiveOptions,
    stamps: Option<TimestampType>,
) -> Result<Capture<Active>, pcap::Error> {
    let inactive = Capture::from_device(interface)?
        // The interface `any` cannot be promiscuous. libpcap would warn about it, and a warning counts as an error here.
        .promisc(options.promiscuous && interface != "any")
        .snaplen(i32::try_from(options.snap_length).unwrap_or(i32::MAX))
        .buffer_size(i32::try_from(options.ring_bytes).unwrap_or(i32::MAX))
        .timeout(BLOCK_TIMEOUT_MILLIS)
        .precision(Precision::Nano);
    match stamps {
        Some(stamps) => inactive.tstamp_type(stamps).open(),
        None => inactive.open(),
    }
}

fn explain(interface: &str, error: &pcap::Error) -> LiveError {
    let reason = reason_of(error);
    if interface != "any" && socket::interface_index(interface).is_none() {
        LiveError::NoSuchInterface(interface.into())
    } else if ["permission", "Operation not permitted"].iter().any(|sign| reason.contains(sign)) {
        LiveError::Permission(interface.into())
    } else {
        LiveError::Other { interface: interface.into(), reason }
    }
}
