//! Past sightings: the earlier alerts of each client.
//!
//! In: clients and the times of their alerts. Out: the first and the last alert before this one, and how many there were.
//! Promises: at most as many clients as allowed; the client whose last alert is the oldest goes first; the same alert read
//! again is not counted again, so a replay that is repeated says the same.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{address::Address, time::Timestamp};

/// The alerts of a client before one alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sighting {
    /// The time of the first.
    pub first_alert: Timestamp,
    /// The time of the last.
    pub last_alert: Timestamp,
    /// How many times there were alerts.
    pub alerts: u64,
}

/// The alerts of all clients.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sightings {
    clients: BTreeMap<Address, Seen>,
    /// The clients by the time of their last alert.
    by_last: BTreeSet<(Timestamp, Address)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Seen {
    first: Timestamp,
    last: Timestamp,
    /// The last one before `last`.
    before: Option<Timestamp>,
    alerts: u64,
}

impl Sightings {
    /// Notes an alert of a client and returns those before it. An alert older than the last one is known or too late: it is
    /// not counted, and nothing is returned.
    pub fn note(&mut self, client: Address, time: Timestamp) -> Option<Sighting> {
        let Some(seen) = self.clients.get_mut(&client) else {
            self.clients.insert(client, Seen { first: time, last: time, before: None, alerts: 1 });
            self.by_last.insert((time, client));
            return None;
        };
        if time > seen.last {
            self.by_last.remove(&(seen.last, client));
            self.by_last.insert((time, client));
            *seen = Seen { last: time, before: Some(seen.last), alerts: seen.alerts.saturating_add(1), ..*seen };
        }
        let last_alert = seen.before.filter(|_| time == seen.last)?;
        Some(Sighting { first_alert: seen.first, last_alert, alerts: seen.alerts.saturating_sub(1) })
    }

    /// Removes the clients whose last alerts are the oldest until at most `most` are left; returns how many went.
    pub fn shrink(&mut self, most: usize) -> u64 {
        let mut removed = 0;
        while self.clients.len() > most
            && let Some((_, client)) = self.by_last.pop_first()
        {
            self.clients.remove(&client);
            removed += 1;
        }
        removed
    }

    /// The number of clients.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Returns whether no client was seen.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }
}

impl Serialize for Sightings {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.clients.iter().map(|(client, seen)| (client.to_ip(), seen)))
    }
}

impl<'de> Deserialize<'de> for Sightings {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = Vec::<(std::net::IpAddr, Seen)>::deserialize(deserializer)?;
        let clients: BTreeMap<Address, Seen> = list.into_iter().map(|(ip, seen)| (ip.into(), seen)).collect();
        let by_last = clients.iter().map(|(client, seen)| (seen.last, *client)).collect();
        Ok(Self { clients, by_last })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIENT: Address = Address::v4([192, 0, 2, 1]);

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_parts(seconds, 0)
    }

    fn seen(first: u64, last: u64, alerts: u64) -> Option<Sighting> {
        Some(Sighting { first_alert: at(first), last_alert: at(last), alerts })
    }

    #[test]
    fn each_alert_is_told_of_those_before_it() {
        let mut sightings = Sightings::default();
        for (time, expected) in [
            (10, None),
            (10, None),
            (20, seen(10, 10, 1)),
            (20, seen(10, 10, 1)),
            (35, seen(10, 20, 2)),
            (20, None),
            (35, seen(10, 20, 2)),
        ] {
            assert_eq!(sightings.note(CLIENT, at(time)), expected, "{time}");
        }
        assert_eq!(sightings.note(Address::v4([192, 0, 2, 2]), at(40)), None);
    }

    #[test]
    fn the_oldest_go_first() {
        let mut sightings = Sightings::default();
        for last in 1..=4u8 {
            sightings.note(Address::v4([192, 0, 2, last]), at(last.into()));
        }
        sightings.note(CLIENT, at(9));
        assert_eq!((sightings.shrink(2), sightings.len()), (2, 2));
        assert_eq!(sightings.note(CLIENT, at(10)), seen(1, 9, 2));
        assert_eq!(sightings.note(Address::v4([192, 0, 2, 4]), at(10)), seen(4, 4, 1));
        assert_eq!(sightings.note(Address::v4([192, 0, 2, 2]), at(10)), None);
        assert_eq!(Sightings::default().shrink(0), 0);
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        let mut sightings = Sightings::default();
        sightings.note(CLIENT, at(1));
        sightings.note(CLIENT, at(2));
        sightings.note(Address::v6([0x20; 16]), at(2));
        let text = serde_json::to_string(&sightings).unwrap();
        assert_eq!(serde_json::from_str::<Sightings>(&text).unwrap(), sightings);
    }
}
