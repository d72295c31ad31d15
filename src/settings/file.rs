//! From the text of a configuration file, and from `--set`, to values that have a key.
//!
//! In: TOML, or `KEY=VALUE`. Out: [`Assignment`]s. Promises: what is no key is refused with the line it stands in and the
//! nearest key that exists.

use std::path::Path;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    ConfigError, Settings,
    given::{Given, Origin},
    key::Key,
    keys::{self, server},
    server::Server,
};

/// A value that was given to a key.
#[derive(Debug)]
pub(super) struct Assignment {
    /// The key.
    pub target: Target,
    /// What was typed.
    pub given: Given,
    /// Where.
    pub origin: Origin,
}

/// What a value is for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target {
    /// A key of the settings.
    Settings(&'static Key<Settings>),
    /// A key of the server of this index.
    Server(usize, &'static Key<Server>),
    /// The beginning of a list of servers, which replaces another.
    Servers,
}

/// Reads a file's text.
///
/// # Errors
///
/// The first line that is wrong.
pub(super) fn read(path: &Path, text: &str) -> Result<Vec<Assignment>, ConfigError> {
    let refused = |error: toml::de::Error| {
        syntax(path, text, error.span().map_or(0, |span| span.start), first_line(error.message()))
    };
    let table = DeTable::parse(text).map_err(refused)?;
    let values: toml::Table = toml::from_str(text).map_err(refused)?;
    let mut reader = Reader { path, text, assignments: Vec::new() };
    let mut sections: Vec<_> = table.get_ref().iter().collect();
    sections.sort_by_key(|(name, _)| name.span().start);
    for (name, section) in sections {
        let value = values.get(name.get_ref().as_ref());
        reader.section(name.get_ref(), name.span().start, section, value)?;
    }
    Ok(reader.assignments)
}

/// Reads `KEY=VALUE`.
///
/// # Errors
///
/// An assignment without a key that exists.
pub(super) fn assignment(text: &str) -> Result<Vec<Assignment>, ConfigError> {
    let refused = |reason: String| ConfigError::Value { place: format!("--set {text}"), reason };
    let (name, typed) = text
        .split_once('=')
        .ok_or_else(|| refused("there is no value; write KEY=VALUE, such as rule.threshold=20".to_owned()))?;
    let (name, typed) = (name.trim(), typed.trim());
    let toml = toml::from_str::<toml::Table>(&format!("value = {typed}")).ok().and_then(|mut it| it.remove("value"));
    if name == server::SECTION {
        return servers_of(toml).map_err(refused);
    }
    let key = keys::find(name).ok_or_else(|| refused(unknown(name)))?;
    // `sensor.id=7` is text and `rule.reasons=http_status` a list, though TOML has a number and nothing there.
    let word = Given::Words(vec![typed.to_owned()]);
    let given = toml.map(Given::Toml).filter(|toml| (key.field.fill)(&mut Settings::default(), toml).is_ok());
    Ok(vec![Assignment { target: Target::Settings(key), given: given.unwrap_or(word), origin: Origin::Set }])
}

/// The servers of a list of tables.
fn servers_of(list: Option<toml::Value>) -> Result<Vec<Assignment>, String> {
    let Some(toml::Value::Array(servers)) = list else {
        return Err("not a list of servers; write server=[{network=\"203.0.113.80\", name=\"www1\"}]".to_owned());
    };
    let mut assignments =
        vec![Assignment { target: Target::Servers, given: Given::Words(Vec::new()), origin: Origin::Set }];
    for (index, server) in servers.into_iter().enumerate() {
        let toml::Value::Table(server) = server else { return Err(format!("{server} is not a table in braces")) };
        for (name, value) in server {
            let key = server_key(&name).ok_or_else(|| unknown(&format!("server.{name}")))?;
            let target = Target::Server(index, key);
            assignments.push(Assignment { target, given: Given::Toml(value), origin: Origin::Set });
        }
    }
    Ok(assignments)
}

fn server_key(name: &str) -> Option<&'static Key<Server>> {
    server::KEYS.iter().find(|key| key.short_name() == name)
}

/// What to say of a name that is no key.
fn unknown(name: &str) -> String {
    match keys::nearest(name) {
        Some(nearest) => format!("there is no key '{name}'; did you mean {nearest}?"),
        None => format!("there is no key '{name}'; `wirespike config` lists all keys"),
    }
}

struct Reader<'a> {
    path: &'a Path,
    text: &'a str,
    assignments: Vec<Assignment>,
}

impl Reader<'_> {
    fn section(
        &mut self,
        name: &str,
        at: usize,
        section: &Spanned<DeValue<'_>>,
        value: Option<&toml::Value>,
    ) -> Result<(), ConfigError> {
        match (section.get_ref(), value) {
            (DeValue::Array(spans), Some(toml::Value::Array(values))) if name == server::SECTION => {
                for (index, (span, value)) in spans.iter().zip(values).enumerate() {
                    let (DeValue::Table(spans), toml::Value::Table(values)) = (span.get_ref(), value) else {
                        return Err(self.refused(at, "a server is a section; write [[server]]".to_owned()));
                    };
                    self.keys(name, spans, values, |name| Some(Target::Server(index, server_key(name)?)))?;
                }
                Ok(())
            }
            (DeValue::Table(_), _) if name == server::SECTION => {
                Err(self.refused(at, "a server stands in double brackets; write [[server]]".to_owned()))
            }
            (DeValue::Table(spans), Some(toml::Value::Table(values))) => {
                if keys::SECTIONS.iter().any(|section| section.name == name) {
                    return self
                        .keys(name, spans, values, |key| keys::find(&format!("{name}.{key}")).map(Target::Settings));
                }
                let names: Vec<_> = keys::SECTIONS.iter().map(|section| section.name).collect();
                Err(self.refused(at, format!("there is no section [{name}]; the sections are {}", names.join(", "))))
            }
            _ => Err(self.refused(at, unknown(name))),
        }
    }

    fn keys(
        &mut self,
        section: &str,
        spans: &DeTable<'_>,
        values: &toml::Table,
        target: impl Fn(&str) -> Option<Target>,
    ) -> Result<(), ConfigError> {
        let mut names: Vec<_> = spans.keys().collect();
        names.sort_by_key(|name| name.span().start);
        for name in names {
            let at = name.span().start;
            let (name, value) = (name.get_ref().as_ref(), values.get(name.get_ref().as_ref()));
            let (Some(target), Some(value)) = (target(name), value) else {
                return Err(self.refused(at, unknown(&format!("{section}.{name}"))));
            };
            let origin = Origin::File { path: self.path.to_owned(), line: line(self.text, at) };
            self.assignments.push(Assignment { target, given: Given::Toml(value.clone()), origin });
        }
        Ok(())
    }

    fn refused(&self, at: usize, reason: String) -> ConfigError {
        syntax(self.path, self.text, at, reason)
    }
}

fn syntax(path: &Path, text: &str, at: usize, reason: String) -> ConfigError {
    ConfigError::Syntax { path: path.to_owned(), line: line(text, at), reason }
}

/// The line of a byte, from 1.
fn line(text: &str, at: usize) -> usize {
    1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count()
}

fn first_line(text: &str) -> String {
    text.lines().next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(text: &str) -> String {
        read(Path::new("sensor.toml"), text).unwrap_err().to_string()
    }

    #[test]
    fn a_line_that_is_wrong_is_named() {
        for (text, expected) in [
            (
                "[rule]\nthreshold = 50\ntreshold = 5\n",
                "sensor.toml:3: there is no key 'rule.treshold'; did you mean rule.threshold?",
            ),
            ("threshold = 50\n", "sensor.toml:1: there is no key 'threshold'; did you mean rule.threshold?"),
            (
                "[rule]\n\nnothing = 5\n",
                "sensor.toml:3: there is no key 'rule.nothing'; `wirespike config` lists all keys",
            ),
            (
                "\n[[server]]\nadress = '192.0.2.1'\n",
                "sensor.toml:3: there is no key 'server.adress'; `wirespike config` lists all keys",
            ),
            ("[server]\nname = 'x'\n", "sensor.toml:1: a server stands in double brackets; write [[server]]"),
        ] {
            assert_eq!(complaint(text), expected);
        }
        assert!(complaint("[rule\n").starts_with("sensor.toml:1: "));
        assert!(
            complaint("[sensors]\nid = 'x'\n").starts_with("sensor.toml:1: there is no section [sensors]; the sec")
        );
        assert!(complaint("[rule]\nthreshold = 5\nthreshold = 6\n").starts_with("sensor.toml:3: duplicate key"));
    }

    #[test]
    fn each_value_comes_with_its_line() {
        let text = "rule.threshold = 7\n\n[[server]]\nport = 80\n[[server]]\nport = 81\n[sensor]\nid = 'x'\n";
        let lines: Vec<_> = read(Path::new("x"), text).unwrap().into_iter().map(|it| it.origin.to_string()).collect();
        assert_eq!(lines, ["x:1", "x:4", "x:6", "x:8"]);
    }

    #[test]
    fn set_takes_toml_or_words() {
        let given = |text: &str| assignment(text).unwrap().remove(0).given;
        assert_eq!(given("rule.threshold = 7"), Given::Toml(7.into()));
        assert_eq!(given("rule.window=5m"), Given::Words(vec!["5m".into()]));
        assert_eq!(given("sensor.id=7"), Given::Words(vec!["7".into()]));
        assert_eq!(given("tunnels.vxlan_ports=[1, 2]"), Given::Toml(toml::Value::Array(vec![1.into(), 2.into()])));
        assert_eq!(assignment("server=[{port=80}, {port=81, host='x'}]").unwrap().len(), 4);
        for (bad, words) in [
            ("rule.threshold", "write KEY=VALUE"),
            ("=4", "there is no key ''"),
            ("rule.nothing=1", "there is no key 'rule.nothing'"),
            ("rule.threshold.deep=1", "there is no key"),
            ("server=1", "not a list of servers"),
            ("server=[1]", "not a table"),
            ("server=[{nme='x'}]", "did you mean server.name?"),
        ] {
            let said = assignment(bad).unwrap_err().to_string();
            assert!(said.starts_with(&format!("--set {bad}: ")) && said.contains(words), "{said}");
        }
    }
}
