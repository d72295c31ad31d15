//! The configuration in force.
//!
//! In: [`Loaded`]. Out: TOML that is itself a valid configuration of the same meaning; a comment behind each value says where it
//! came from. And the rules that exist, each with its settings. Promises: a value that is marked secret is not shown.

use super::{
    key::Key,
    keys::{self, server},
    load::{Loaded, Origins},
    rules::rules,
};
use crate::printable::printable;

/// The column at which comments begin, where the value leaves room.
const COMMENT: usize = 40;

impl Loaded {
    /// The settings as TOML, each line with where its value came from.
    pub fn to_toml(&self) -> String {
        let mut text = "# The settings in force. Behind each value: where it comes from.\n".to_owned();
        for section in keys::SECTIONS {
            text.push_str(&format!("\n# {}\n[{}]\n", section.about, section.name));
            for key in section.keys {
                text.push_str(&line(key, &self.settings, &self.origins, None));
            }
        }
        for (index, server) in self.settings.servers.iter().enumerate() {
            text.push_str(&format!("\n# {}\n[[{}]]\n", keys::ABOUT_SERVERS, server::SECTION));
            for key in server::KEYS.iter().filter(|key| key.written(server).is_some()) {
                text.push_str(&line(key, server, &self.origins, Some(index)));
            }
        }
        text
    }

    /// The rules that exist: name, on or off, what each finds, and its settings.
    pub fn rules_for_people(&self) -> String {
        let mut text = String::new();
        for rule in rules() {
            let state = if self.settings.rules.enabled.contains(rule.rule) { "on" } else { "off" };
            text.push_str(&format!("{} ({state}): {}\n", rule.rule.name(), rule.finds));
            for key in keys::SECTIONS.iter().filter(|section| section.name == rule.section).flat_map(|it| it.keys) {
                let value = key.written(&self.settings).unwrap_or_else(|| "(not set)".to_owned());
                let help = key.help.trim_start_matches(rule.rule.name()).trim_start_matches(": ");
                text.push_str(&format!("  {:<16} {value:<18} {help}\n", key.name));
            }
        }
        text
    }
}

fn line<T>(key: &Key<T>, target: &T, origins: &Origins, server: Option<usize>) -> String {
    let name = key.short_name();
    let assignment = match key.written(target) {
        Some(_) if key.secret => format!("# {name} is set and secret"),
        Some(value) => format!("{name} = {value}"),
        None => format!("# {name} = {}", key.example),
    };
    let origins: Vec<_> = origins.of(server, key.name).iter().map(ToString::to_string).collect();
    let origin = match (origins.as_slice(), key.written(target)) {
        ([], Some(_)) => "default".to_owned(),
        ([], None) => "not set; this is an example".to_owned(),
        (origins, _) => origins.join(", "),
    };
    // A path may hold what a comment must not.
    let origin = printable(&origin);
    format!("{assignment:<width$}# {origin}\n", width = COMMENT.max(assignment.chars().count() + 2))
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::settings::{Settings, Sources, key::Category, key::setting};

    fn loaded(text: &str, assignments: &[&str]) -> Loaded {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sensor.toml");
        std::fs::write(&path, text).unwrap();
        let assignments = assignments.iter().map(|&text| text.to_owned()).collect();
        let mut loaded = Sources { config: Some(path), assignments, ..Sources::default() }.load().unwrap();
        // The folder's name is another each time.
        loaded.settings.config_file = Some(PathBuf::from("sensor.toml"));
        loaded
    }

    fn values(toml: &str) -> toml::Table {
        toml.parse().unwrap()
    }

    #[test]
    fn what_is_printed_is_read_back_as_the_same_settings() {
        let text = "[rule]\nthreshold = 7\nwindow = \"90m\"\nsuppress = \"1h\"\n[events]\nstatuses = [\"4xx\", \"!404\"]\n\
                    [packets]\nfilter = \"tcp port 80\"\n[proxies]\ntrusted = [\"192.0.2.1\"]\nleg = \"client\"\n\
                    [[server]]\nnetwork = \"203.0.113.80\"\nname = \"www \\\"1\\\"\"\n[[server]]\nport = 8080\ndataset = \"iis\"\n";
        for (text, assignments) in [("", &[][..]), (text, &["rule.every=5m", "sensor.id=a#b"])] {
            let first = loaded(text, assignments);
            let printed = first.to_toml();
            let second = loaded(&printed, &[]);
            assert_eq!(values(&second.to_toml()), values(&printed));
            let all = |settings: &Settings| format!("{settings:?}");
            assert_eq!(all(&first.settings), all(&second.settings));
        }
    }

    #[test]
    fn each_value_says_where_it_came_from() {
        let printed =
            loaded("[rule]\nthreshold = 7\n\n[[server]]\nport = 80\ndataset = 'iis'\n", &["rule.every=5m"]).to_toml();
        let line = |start: &str| printed.lines().find(|line| line.starts_with(start)).unwrap().to_owned();
        assert!(line("threshold").ends_with("sensor.toml:2"), "{printed}");
        assert_eq!(line("every"), "every = \"5m\"                            # --set");
        assert_eq!(line("max_alerts"), "max_alerts = 100                        # default");
        assert_eq!(line("# suppress"), "# suppress = \"1h\"                       # not set; this is an example");
        assert!(line("port = 80").ends_with("sensor.toml:5"), "{printed}");
    }

    #[test]
    fn a_secret_is_not_shown() {
        let key = Key { secret: true, ..Key::new("x.token", Category::Output, "", setting!(filter)) };
        let settings = Settings { filter: Some("hunter2".to_owned()), ..Settings::default() };
        let shown = line(&key, &settings, &Origins::default(), None);
        assert!(shown.starts_with("# token is set and secret") && !shown.contains("hunter2"), "{shown}");
    }
}
