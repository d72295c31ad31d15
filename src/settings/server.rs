//! What is known of servers.
//!
//! In: the `[[server]]` sections as they were read. Out: names of servers for the site, datasets for the events. Promises: every
//! section says something, and no two give one address different names.

use std::collections::BTreeMap;

use ipnet::IpNet;

use crate::{
    address::Address,
    event::{Dataset, DatasetRule},
};

/// One `[[server]]` section; all conditions that are given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Server {
    /// Its address, or a network of servers.
    pub network: Option<IpNet>,
    /// Its port.
    pub port: Option<u16>,
    /// The host that requests name.
    pub host: Option<String>,
    /// Its dataset.
    pub dataset: Option<Dataset>,
    /// Its name.
    pub name: Option<String>,
}

/// What the sections say together.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// `host.name` by address.
    pub names: BTreeMap<Address, String>,
    /// Datasets, in the order of the sections.
    pub datasets: Vec<DatasetRule>,
}

/// Takes all sections together. An error comes with the section's index and the key it is about.
pub(super) fn known(servers: &[Server]) -> Result<Known, (usize, &'static str, String)> {
    let mut known = Known::default();
    for (index, server) in servers.iter().enumerate() {
        if server.name.is_none() && server.dataset.is_none() {
            return Err((index, "server.network", "the section says nothing; write name or dataset too".to_owned()));
        }
        if let Some(name) = &server.name {
            let complaint = |reason| (index, "server.name", format!("'{name}' {reason}"));
            if name.trim().is_empty() || name.chars().any(char::is_control) {
                return Err((index, "server.name", format!("{name:?} is not a name; write for example \"www1\"")));
            }
            let network = server.network.filter(|network| network.prefix_len() == network.max_prefix_len());
            let network = network.ok_or_else(|| {
                complaint("needs network to be a single address; write network = \"203.0.113.80\"".to_owned())
            })?;
            let address = Address::from(network.addr());
            if let Some(other) = known.names.get(&address).filter(|other| *other != name) {
                return Err(complaint(format!("is the second name of {address}, after '{other}'; leave one out")));
            }
            known.names.insert(address, name.clone());
        }
        if let Some(dataset) = server.dataset {
            let Server { network, port, host, .. } = server.clone();
            known.datasets.push(DatasetRule { network, port, host, dataset });
        }
    }
    Ok(known)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(network: &str, name: &str) -> Server {
        Server { network: network.parse().ok(), name: Some(name.to_owned()), ..Server::default() }
    }

    #[test]
    fn names_and_datasets_are_taken_together() {
        let dataset = Server { port: Some(8080), dataset: Some(Dataset::Tomcat), ..Server::default() };
        let known = known(&[server("192.0.2.1/32", "www1"), dataset, server("192.0.2.1/32", "www1")]).unwrap();
        assert_eq!(known.names.values().collect::<Vec<_>>(), ["www1"]);
        assert_eq!(known.datasets.len(), 1);
    }

    #[test]
    fn sections_that_contradict_or_say_nothing_are_refused() {
        for (servers, index, key, words) in [
            (vec![Server { port: Some(80), ..Server::default() }], 0, "server.network", "says nothing"),
            (vec![server("192.0.2.0/24", "www1")], 0, "server.name", "single address"),
            (vec![server("", "www1")], 0, "server.name", "single address"),
            (vec![server("192.0.2.1/32", "a\nb")], 0, "server.name", "is not a name"),
            (vec![server("192.0.2.1/32", "www1"), server("192.0.2.1/32", "www2")], 1, "server.name", "after 'www1'"),
        ] {
            let (at, about, reason) = known(&servers).unwrap_err();
            assert_eq!((at, about), (index, key));
            assert!(reason.contains(words), "{reason}");
        }
    }
}
