//! What the values of `[enrich]` mean.
//!
//! In: tables of labels and of maintenance windows as they were typed. Out: the types of [`enrich`](crate::enrich), and back to
//! TOML. Promises: a label that is to suppress or lower exists.

use ipnet::IpNet;

use super::{
    given::Given,
    meaning::{Kind, Meaning, Shape, alternatives},
};
use crate::{
    enrich::{Daily, EnrichSettings, Maintenance, NetworkLabels, NetworkSource, Period},
    time::Timestamp,
};

/// The keys of a maintenance window.
const WINDOW_KEYS: [&str; 6] = ["name", "start", "end", "daily", "days", "servers"];

/// Refuses a label in `suppress` or `lower` that no alert can get; the error comes with the key.
pub(super) fn require_known(settings: &EnrichSettings) -> Result<(), (&'static str, String)> {
    let known: Vec<String> = settings.labels().collect();
    for (key, list) in [("enrich.suppress", &settings.suppress), ("enrich.lower", &settings.lower)] {
        if let Some(label) = list.iter().find(|label| !known.contains(label)) {
            let known: Vec<&str> = known.iter().map(String::as_str).collect();
            return Err((key, format!("no alert can get the label {label:?}; the labels are {}", listed(&known))));
        }
    }
    Ok(())
}

fn listed(labels: &[&str]) -> String {
    alternatives(labels).replace(" or ", " and ")
}

/// A table of lists of networks and files.
impl Meaning for NetworkLabels {
    const KIND: Kind = Kind { shape: Shape::Text, choices: &[] };

    fn read(given: &Given) -> Result<Self, String> {
        let Given::Toml(toml::Value::Table(table)) = given else {
            return Err(format!("{given} is not a table of labels"));
        };
        let mut labels = Self::default();
        for (label, list) in table {
            let label = name(label)?;
            let entries =
                Vec::<String>::read(&Given::Toml(list.clone())).map_err(|error| format!("{label}: {error}"))?;
            if entries.iter().any(String::is_empty) {
                return Err(format!("{label}: an entry is empty"));
            }
            labels.add(label, entries.iter().map(|entry| NetworkSource::of(entry)).collect());
        }
        Ok(labels)
    }

    fn value(&self) -> Option<toml::Value> {
        let written = |source: &NetworkSource| match source {
            NetworkSource::Network(network) => network.value(),
            NetworkSource::File(path) => path.value(),
        };
        let lists = self.iter().map(|(label, sources)| {
            (label.to_owned(), toml::Value::Array(sources.iter().filter_map(written).collect()))
        });
        Some(toml::Value::Table(lists.collect()))
    }
}

/// A table with a name, a period and perhaps servers.
impl Meaning for Maintenance {
    const KIND: Kind = Kind { shape: Shape::Text, choices: &[] };

    fn read(given: &Given) -> Result<Self, String> {
        let Given::Toml(toml::Value::Table(table)) = given else {
            return Err(format!("{given} is not a table in braces"));
        };
        if let Some(unknown) = table.keys().find(|key| !WINDOW_KEYS.contains(&key.as_str())) {
            return Err(format!("a window has no '{unknown}', but {}", listed(&WINDOW_KEYS)));
        }
        let list = |key: &str| table.get(key).map(|value| Given::Toml(value.clone()));
        let text = |key: &str| list(key).map(|given| String::read(&given)).transpose();
        let name = name(&text("name")?.ok_or("a window has no name")?)?.to_owned();
        let days = list("days").map(|days| Vec::<String>::read(&days)).transpose()?;
        let time =
            |key: &str| table.get(key).map(|value| time(value).map_err(|error| format!("{key}: {error}"))).transpose();
        let period = match (text("daily")?, time("start")?, time("end")?) {
            (Some(times), None, None) => {
                Period::Daily(Daily::new(&times, &days.unwrap_or_default()).map_err(|error| error.to_string())?)
            }
            (None, Some(start), Some(end)) if days.is_none() => {
                if start >= end {
                    return Err(format!("'{name}' ends before it starts"));
                }
                Period::Once { start, end }
            }
            _ => return Err(format!("'{name}' needs start and end, or daily and perhaps days")),
        };
        let servers = list("servers").map(|servers| Vec::<IpNet>::read(&servers)).transpose()?.unwrap_or_default();
        Ok(Self { name, period, servers })
    }

    fn value(&self) -> Option<toml::Value> {
        let mut table = toml::Table::new();
        table.insert("name".into(), self.name.clone().into());
        match &self.period {
            Period::Once { start, end } => {
                table.insert("start".into(), start.to_string().into());
                table.insert("end".into(), end.to_string().into());
            }
            Period::Daily(daily) => {
                table.insert("daily".into(), daily.times().into());
                if !daily.days().is_empty() {
                    table.insert("days".into(), daily.days().into());
                }
            }
        }
        if !self.servers.is_empty() {
            table.extend(self.servers.value().map(|servers| ("servers".to_owned(), servers)));
        }
        Some(toml::Value::Table(table))
    }
}

/// A label or the name of a window.
fn name(text: &str) -> Result<&str, String> {
    let is_name = !text.trim().is_empty() && text.len() <= 100 && !text.chars().any(char::is_control);
    is_name.then_some(text).ok_or_else(|| format!("{text:?} is not a name"))
}

/// A time with its zone, as RFC 3339 writes it; in quotes or as TOML's own.
fn time(value: &toml::Value) -> Result<Timestamp, String> {
    let text = match value {
        toml::Value::String(text) => text.clone(),
        toml::Value::Datetime(time) => time.to_string(),
        other => other.to_string(),
    };
    let parsed = text.parse::<jiff::Timestamp>().ok().and_then(|time| u64::try_from(time.as_nanosecond()).ok());
    parsed
        .map(Timestamp::from_nanos)
        .ok_or_else(|| format!("{text:?} is not a time with its zone, such as 2026-11-28T22:00:00Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<V: Meaning>(text: &str) -> Result<V, String> {
        let table: toml::Table = format!("value = {text}").parse().unwrap();
        V::read(&Given::Toml(table["value"].clone()))
    }

    #[test]
    fn tables_are_written_as_they_are_read() {
        for text in [r#"{ "Tor exits" = ["tor.txt"], office = ["192.0.2.0/24", "2001:db8::1"] }"#, "{}"] {
            let labels: NetworkLabels = read(text).unwrap();
            assert_eq!(labels.value().unwrap().to_string(), text);
        }
        for text in [
            r#"{ name = "night", daily = "22:00-02:00", days = ["sat", "sun"], servers = ["203.0.113.80"] }"#,
            r#"{ name = "night", daily = "22:00-02:00" }"#,
            r#"{ name = "move", start = "2026-11-28T22:00:00+01:00", end = 2026-11-29T00:00:00Z }"#,
        ] {
            let window: Maintenance = read(text).unwrap();
            assert_eq!(Maintenance::read(&Given::Toml(window.value().unwrap())), Ok(window));
        }
    }

    #[test]
    fn what_does_not_fit_is_told() {
        for (text, words) in [
            (r#"["192.0.2.1"]"#, "is not a table of labels"),
            (r#"{ x = "192.0.2.1" }"#, "x: '192.0.2.1' is not a list"),
            (r#"{ x = [""] }"#, "x: an entry is empty"),
            (r#"{ " " = [] }"#, "\" \" is not a name"),
        ] {
            let said = read::<NetworkLabels>(text).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
        for (text, words) in [
            ("1", "is not a table in braces"),
            (r#"{ daily = "22:00-23:00" }"#, "has no name"),
            (r#"{ name = "x" }"#, "'x' needs start and end"),
            (r#"{ name = "x", start = "2026-11-28T22:00:00Z" }"#, "'x' needs start and end"),
            (r#"{ name = "x", daily = "22:00-23:00", start = "2026-11-28T22:00:00Z" }"#, "'x' needs start and end"),
            (r#"{ name = "x", start = "22:00", end = "23:00" }"#, "start: \"22:00\" is not a time with its zone"),
            (r#"{ name = "x", start = 2026-11-29T22:00:00Z, end = 2026-11-28T22:00:00Z }"#, "ends before it starts"),
            (r#"{ name = "x", daily = "22-23" }"#, "is not a time of day"),
            (r#"{ name = "x", daily = "22:00-23:00", days = ["funday"] }"#, "not a weekday"),
            (r#"{ name = "x", dayly = "22:00-23:00" }"#, "a window has no 'dayly'"),
            (r#"{ name = "x", daily = "22:00-23:00", servers = ["www1"] }"#, "not an address or a network"),
        ] {
            let said = read::<Maintenance>(text).unwrap_err();
            assert!(said.contains(words), "{said}");
        }
    }

    #[test]
    fn a_label_that_decides_exists() {
        let mut settings = EnrichSettings { suppress: vec!["own_scanner".into()], ..EnrichSettings::default() };
        let (key, reason) = require_known(&settings).unwrap_err();
        assert_eq!(key, "enrich.suppress");
        assert!(reason.contains("\"own_scanner\"; the labels are anonymous_vpn"), "{reason}");
        settings.networks.add("own_scanner", Vec::new());
        settings.lower = vec!["tor_exit".into()];
        assert_eq!(require_known(&settings), Ok(()));
    }
}
