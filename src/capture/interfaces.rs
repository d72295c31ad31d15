//! The list of network interfaces, and how many packets each of them receives.
//!
//! In: libpcap's list of interfaces and the kernel's counters. Out: one [`Interface`] for each. Promises: no packet is read.
//! During the sample, interfaces are opened in promiscuous mode where the process has the permission, as a capture opens
//! them.

use std::{
    fmt, fs,
    net::IpAddr,
    sync::{Arc, atomic::AtomicU64},
    thread,
    time::Duration,
};

use pcap::Device;

use crate::capture::{
    filter::reason_of,
    live::{LiveError, LiveOptions, LiveSource},
};

/// One network interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Interface {
    /// The name for `-i`.
    pub name: String,
    /// Whether the interface is up.
    pub up: bool,
    /// Whether the interface is the loopback.
    pub loopback: bool,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Packets received during the sample; `None` where the kernel has no counter.
    pub arrived: Option<u64>,
    /// Whether this process has the permission to capture on the interface.
    pub permitted: bool,
}

/// Lists the network interfaces, and counts for the time `sample` how many packets each of them receives.
pub fn list(sample: Duration) -> Result<Vec<Interface>, LiveError> {
    let devices =
        Device::list().map_err(|error| LiveError::Other { interface: "list".into(), reason: reason_of(&error) })?;
    let devices: Vec<Device> = devices.into_iter().filter(|device| received(&device.name).is_some()).collect();
    let options = LiveOptions { ring_bytes: 1 << 20, ..LiveOptions::default() };
    let numbers = Arc::new(AtomicU64::new(0));
    let opened: Vec<_> =
        devices.iter().map(|device| LiveSource::open(&device.name, &options, Arc::clone(&numbers))).collect();
    let before: Vec<_> = devices.iter().map(|device| received(&device.name)).collect();
    thread::sleep(sample);
    let mut interfaces: Vec<Interface> = devices
        .into_iter()
        .zip(before)
        .zip(&opened)
        .map(|((device, before), opened)| Interface {
            up: device.flags.is_up(),
            loopback: device.flags.is_loopback(),
            addresses: device.addresses.iter().map(|address| address.addr).collect(),
            arrived: received(&device.name).zip(before).map(|(after, before)| after.saturating_sub(before)),
            permitted: !matches!(opened, Err(LiveError::Permission(_))),
            name: device.name,
        })
        .collect();
    interfaces.sort_by(|a, b| b.arrived.cmp(&a.arrived).then_with(|| a.name.cmp(&b.name)));
    Ok(interfaces)
}

/// The list as a table for people.
pub struct Table<'a> {
    /// The interfaces, in order.
    pub interfaces: &'a [Interface],
    /// How long arrivals were counted.
    pub sample: Duration,
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.interfaces.iter().map(|interface| interface.name.len()).max().unwrap_or(0).max(9);
        writeln!(f, "{:width$}  STATE  {:>18}  ADDRESSES", "INTERFACE", "ARRIVING")?;
        for interface in self.interfaces {
            let state = if interface.up { "up" } else { "down" };
            let arriving = match interface.arrived {
                Some(0) => "nothing".into(),
                Some(packets) => {
                    format!("{:.0} packets/s", packets as f64 / self.sample.as_secs_f64().max(f64::EPSILON))
                }
                None => "unknown".into(),
            };
            let addresses: Vec<String> = interface.addresses.iter().map(IpAddr::to_string).collect();
            writeln!(f, "{:width$}  {state:5}  {arriving:>18}  {}", interface.name, addresses.join(" "))?;
        }
        if self.interfaces.iter().any(|interface| !interface.permitted) {
            writeln!(f, "\nThis process may not capture: run as root, or setcap cap_net_raw=ep /path/to/wirespike")?;
        }
        Ok(())
    }
}

/// Packets the interface has received since it came up, by the kernel's count.
fn received(interface: &str) -> Option<u64> {
    // The name of a pseudo-device may contain any character; only real interfaces have a folder with their name.
    if interface.contains('/') {
        return None;
    }
    let text = fs::read_to_string(format!("/sys/class/net/{interface}/statistics/rx_packets")).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_listed() {
        let interfaces = list(Duration::from_millis(1)).unwrap();
        let loopback = interfaces.iter().find(|interface| interface.loopback).unwrap();
        assert_eq!(loopback.name, "lo");
        assert!(interfaces.iter().all(|interface| interface.arrived.is_some()));
    }

    #[test]
    fn the_table_says_what_arrives() {
        let quiet = Interface {
            name: "eth0".into(),
            up: true,
            loopback: false,
            addresses: vec!["192.0.2.1".parse().unwrap()],
            arrived: Some(0),
            permitted: false,
        };
        let busy = Interface { name: "mirror0".into(), arrived: Some(500), permitted: true, ..quiet.clone() };
        let text = Table { interfaces: &[busy, quiet], sample: Duration::from_millis(500) }.to_string();
        assert!(text.contains("mirror0    up         1000 packets/s  192.0.2.1"), "{text}");
        assert!(text.contains("nothing") && text.contains("setcap"), "{text}");
    }
}
