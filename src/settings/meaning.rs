//! What a value means.
//!
//! In: [`Given`], what was typed. Out: the type that a stage's settings hold, and back to TOML. Promises: a value that was read
//! cannot be of the wrong type any more; what [`Meaning::value`] writes, [`Meaning::read`] reads as the same value.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use ipnet::IpNet;

use crate::{
    capture::live::StampSource,
    decode::ChecksumPolicy,
    detect::Mode,
    event::{Dataset, Leg, MaskedKeys, Reason, ReasonSet, StatusSet, TrustedProxy},
    flow::FlowScope,
    output::AlertFormat,
    service::logging::LogFormat,
    tcp::OverlapPolicy,
    verdict::SeverityPolicy,
};

use super::{
    duration::{parse_duration, written},
    given::Given,
};

/// What the command line must know about a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kind {
    /// What a value looks like.
    pub shape: Shape,
    /// The words that are values, where only some are.
    pub choices: &'static [&'static str],
}

/// What a value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A whole number.
    Number,
    /// `true` or `false`.
    Switch,
    /// Text, or one of a few words.
    Text,
    /// A path.
    Path,
    /// A duration.
    Duration,
    /// A list.
    List,
}

impl Kind {
    const fn of(shape: Shape) -> Self {
        Self { shape, choices: &[] }
    }

    /// Returns whether a value that begins with `-` is a mistake in the value and not another flag.
    pub(crate) const fn may_be_negative(self) -> bool {
        matches!(self.shape, Shape::Number | Shape::Duration)
    }
}

/// A type that a key's value can have.
pub(super) trait Meaning: Sized + Clone + PartialEq {
    /// What the command line must know.
    const KIND: Kind;

    /// Reads what was typed; the error says what is wrong with it.
    fn read(given: &Given) -> Result<Self, String>;

    /// The value in TOML; `None` where there is none.
    fn value(&self) -> Option<toml::Value>;

    /// Returns whether another value of a list means the same.
    fn is_same(&self, other: &Self) -> bool {
        self == other
    }
}

/// The kind of a field's type.
pub(super) const fn kind_of<T, V: Meaning>(_: fn(&T) -> &V) -> Kind {
    V::KIND
}

macro_rules! numbers {
    ($($number:ty),*) => { $(
        impl Meaning for $number {
            const KIND: Kind = Kind::of(Shape::Number);

            fn read(given: &Given) -> Result<Self, String> {
                let number = match given {
                    Given::Toml(toml::Value::Integer(number)) => Self::try_from(*number).ok(),
                    _ => given.word().and_then(|word| word.trim().parse().ok()),
                };
                number.ok_or_else(|| format!("{given} is not a whole number from 0 to {}", Self::MAX))
            }

            fn value(&self) -> Option<toml::Value> {
                Some(toml::Value::Integer(i64::try_from(*self).unwrap_or(i64::MAX)))
            }
        }
    )* };
}

numbers!(u8, u16, u32, u64, usize);

impl Meaning for bool {
    const KIND: Kind = Kind { shape: Shape::Switch, choices: &["true", "false"] };

    fn read(given: &Given) -> Result<Self, String> {
        let switch = match given {
            Given::Toml(toml::Value::Boolean(switch)) => Some(*switch),
            _ => given.word().and_then(|word| word.parse().ok()),
        };
        switch.ok_or_else(|| format!("{given} is neither true nor false"))
    }

    fn value(&self) -> Option<toml::Value> {
        Some((*self).into())
    }
}

/// A type that is written as text.
macro_rules! texts {
    ($($kind:ty, $shape:ident, $what:literal, $read:expr, $written:expr;)*) => { $(
        impl Meaning for $kind {
            const KIND: Kind = Kind::of(Shape::$shape);

            fn read(given: &Given) -> Result<Self, String> {
                let read: fn(&str) -> Option<Self> = $read;
                given.text().and_then(read).ok_or_else(|| format!("{given} is not {}", $what))
            }

            fn value(&self) -> Option<toml::Value> {
                let written: fn(&Self) -> String = $written;
                Some(written(self).into())
            }
        }
    )* };
}

texts! {
    String, Text, "text", |text| Some(text.to_owned()), Self::clone;
    Duration, Duration, "a duration: numbers with units (ms, s, m, h, d), such as 11m or 1h30m",
        |text| parse_duration(text).ok(), |duration| written(*duration);
    SocketAddr, Text, "an address with a port, such as 127.0.0.1:9177", |text| text.parse().ok(), Self::to_string;
    IpNet, Text, "an address or a network, such as 192.0.2.10 or 192.0.2.0/24", network, written_network;
}

impl Meaning for PathBuf {
    const KIND: Kind = Kind::of(Shape::Path);

    fn read(given: &Given) -> Result<Self, String> {
        let path = given.text().filter(|text| !text.is_empty());
        path.map(Self::from).ok_or_else(|| format!("{given} is not a path"))
    }

    fn value(&self) -> Option<toml::Value> {
        Some(self.to_string_lossy().into_owned().into())
    }

    /// `./keys`, `keys` and the absolute path are the same. Links are not followed, as they may change.
    fn is_same(&self, other: &Self) -> bool {
        let absolute = |path: &Self| std::path::absolute(path).unwrap_or_else(|_| path.clone());
        absolute(self) == absolute(other)
    }
}

/// An address is a network of one.
fn network(text: &str) -> Option<IpNet> {
    text.parse::<IpNet>().or_else(|_| text.parse::<IpAddr>().map(IpNet::from)).ok()
}

fn written_network(network: &IpNet) -> String {
    if network.prefix_len() == network.max_prefix_len() { network.addr().to_string() } else { network.to_string() }
}

/// A type whose values are a few words.
macro_rules! words {
    ($($kind:ident { $($word:literal = $value:ident),* $(,)? })*) => { $(
        impl Meaning for $kind {
            const KIND: Kind = Kind { shape: Shape::Text, choices: &[$($word),*] };

            fn read(given: &Given) -> Result<Self, String> {
                match given.text() {
                    $(Some($word) => Ok(Self::$value),)*
                    _ => Err(format!("{given} is not {}", alternatives(Self::KIND.choices))),
                }
            }

            fn value(&self) -> Option<toml::Value> {
                match self {
                    $(Self::$value => Some($word.into()),)*
                }
            }
        }
    )* };
}

words! {
    Mode { "scheduled" = Scheduled, "streaming" = Streaming }
    SeverityPolicy { "verdict" = Verdict, "constant" = Constant }
    Leg { "auto" = Auto, "all" = All, "client" = Client, "backend" = Backend }
    FlowScope { "none" = None, "vlan" = Vlan, "tunnel" = Tunnel }
    OverlapPolicy { "first" = First, "last" = Last }
    ChecksumPolicy { "auto" = Auto, "always" = Always, "never" = Never }
    StampSource { "kernel" = Kernel, "hardware" = Hardware }
    AlertFormat { "auto" = Auto, "text" = Text, "json" = Json }
    LogFormat { "text" = Text, "json" = Json }
}

/// `a, b or c`.
pub(super) fn alternatives(words: &[&str]) -> String {
    match words {
        [] => String::new(),
        [word] => (*word).to_owned(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// The short names of datasets: those of error logs without their ending.
impl Meaning for Dataset {
    const KIND: Kind = Kind { shape: Shape::Text, choices: &["nginx", "apache", "apache_tomcat", "iis", "http"] };

    fn read(given: &Given) -> Result<Self, String> {
        let dataset = given.text().and_then(Self::from_name);
        dataset.ok_or_else(|| format!("{given} is not {}", alternatives(Self::KIND.choices)))
    }

    fn value(&self) -> Option<toml::Value> {
        Some(self.name().trim_end_matches(".error").into())
    }
}

impl<V: Meaning> Meaning for Option<V> {
    const KIND: Kind = V::KIND;

    fn read(given: &Given) -> Result<Self, String> {
        V::read(given).map(Some)
    }

    fn value(&self) -> Option<toml::Value> {
        self.as_ref().and_then(V::value)
    }
}

impl<V: Meaning> Meaning for Vec<V> {
    const KIND: Kind = Kind { shape: Shape::List, choices: V::KIND.choices };

    fn read(given: &Given) -> Result<Self, String> {
        let items = given.items().ok_or_else(|| format!("{given} is not a list"))?;
        let mut values = Self::with_capacity(items.len());
        for item in items {
            let value = V::read(&item)?;
            if values.iter().any(|known: &V| known.is_same(&value)) {
                return Err(format!("{item} is listed twice"));
            }
            values.push(value);
        }
        Ok(values)
    }

    fn value(&self) -> Option<toml::Value> {
        Some(toml::Value::Array(self.iter().filter_map(V::value).collect()))
    }
}

/// A network of proxies, with or without the header that they write.
impl Meaning for TrustedProxy {
    const KIND: Kind = Kind::of(Shape::Text);

    fn read(given: &Given) -> Result<Self, String> {
        let text = given.text().ok_or_else(|| format!("{given} is not text"))?;
        text.parse::<Self>().map_err(|error| error.to_string())
    }

    fn value(&self) -> Option<toml::Value> {
        Some(self.to_string().into())
    }
}

/// A list of keys.
impl Meaning for MaskedKeys {
    const KIND: Kind = Kind::of(Shape::List);

    fn read(given: &Given) -> Result<Self, String> {
        Vec::read(given).map(Self::new)
    }

    fn value(&self) -> Option<toml::Value> {
        self.as_slice().to_vec().value()
    }
}

/// A list of statuses, ranges and classes of them.
impl Meaning for StatusSet {
    const KIND: Kind = Kind::of(Shape::List);

    fn read(given: &Given) -> Result<Self, String> {
        let items = given.items().ok_or_else(|| format!("{given} is not a list"))?;
        let item = |item: &Given| match item {
            Given::Toml(toml::Value::Integer(status)) => Ok(status.to_string()),
            item => item.text().map(str::to_owned).ok_or_else(|| format!("{item} is not a status")),
        };
        let items = items.iter().map(item).collect::<Result<Vec<_>, _>>()?;
        items.join(",").parse::<Self>().map_err(|error| error.to_string())
    }

    fn value(&self) -> Option<toml::Value> {
        let mut ranges = Vec::new();
        let mut statuses = (100..=599).filter(|&status| self.contains(status)).peekable();
        while let Some(first) = statuses.next() {
            let mut last = first;
            while let Some(next) = statuses.next_if(|&status| status == last + 1) {
                last = next;
            }
            ranges.push(if first == last { first.to_string() } else { format!("{first}-{last}") }.into());
        }
        Some(toml::Value::Array(ranges))
    }
}

/// A list of reasons.
impl Meaning for ReasonSet {
    const KIND: Kind = Kind {
        shape: Shape::List,
        choices: &["http_status", "no_response", "malformed_request", "tls_alert", "grpc_status"],
    };

    fn read(given: &Given) -> Result<Self, String> {
        let items = given.items().ok_or_else(|| format!("{given} is not a list"))?;
        let reason = |item: &Given| {
            let reason = item.text().and_then(Reason::from_name);
            reason.ok_or_else(|| format!("{item} is not {}", alternatives(Self::KIND.choices)))
        };
        items.iter().map(reason).collect()
    }

    fn value(&self) -> Option<toml::Value> {
        let reasons = Reason::ALL.into_iter().filter(|&reason| self.contains(reason));
        Some(toml::Value::Array(reasons.map(|reason| reason.name().into()).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word<V: Meaning>(word: &str) -> Result<V, String> {
        V::read(&Given::Words(vec![word.to_owned()]))
    }

    fn toml<V: Meaning>(text: &str) -> Result<V, String> {
        let table: toml::Table = format!("value = {text}").parse().unwrap();
        V::read(&Given::Toml(table["value"].clone()))
    }

    #[test]
    fn a_value_of_the_wrong_type_is_told_what_it_is_not() {
        for (complaint, expected) in [
            (word::<u32>("many").unwrap_err(), "'many' is not a whole number from 0 to 4294967295"),
            (word::<u32>("-1").unwrap_err(), "'-1' is not a whole number from 0 to 4294967295"),
            (toml::<u8>("256").unwrap_err(), "'256' is not a whole number from 0 to 255"),
            (toml::<u32>("\"50\"").unwrap_err(), "'50' is not a whole number from 0 to 4294967295"),
            (toml::<bool>("1").unwrap_err(), "'1' is neither true nor false"),
            (toml::<String>("7").unwrap_err(), "'7' is not text"),
            (word::<Mode>("both").unwrap_err(), "'both' is not scheduled or streaming"),
            (word::<Dataset>("caddy").unwrap_err(), "'caddy' is not nginx, apache, apache_tomcat, iis or http"),
            (toml::<Vec<u16>>("4789").unwrap_err(), "'4789' is not a list"),
            (toml::<Vec<u16>>("[1, 2, 1]").unwrap_err(), "'1' is listed twice"),
            (word::<Vec<PathBuf>>("k,./k").unwrap_err(), "'./k' is listed twice"),
            (toml::<StatusSet>("[[]]").unwrap_err(), "'[]' is not a status"),
            (word::<StatusSet>("700").unwrap_err(), "`700` is not within 100 to 599"),
            (word::<PathBuf>("").unwrap_err(), "'' is not a path"),
        ] {
            assert_eq!(complaint, expected);
        }
    }

    #[test]
    fn what_is_written_is_read_as_the_same() {
        fn same<V: Meaning + std::fmt::Debug>(text: &str, expected: &str) {
            let value: V = word(text).unwrap();
            let written = value.value().unwrap();
            assert_eq!(written.to_string(), expected);
            assert_eq!(V::read(&Given::Toml(written)).unwrap(), value);
        }
        same::<StatusSet>("4xx, !404, 500, 502-504", r#"["400-403", "405-500", "502-504"]"#);
        same::<StatusSet>("!4xx", "[]");
        same::<ReasonSet>("tls_alert,http_status", r#"["http_status", "tls_alert"]"#);
        same::<Vec<IpNet>>("192.0.2.10,2001:db8::/32", r#"["192.0.2.10", "2001:db8::/32"]"#);
        same::<Option<Duration>>("90s", r#""1m30s""#);
        same::<Option<SocketAddr>>("[::1]:9177", r#""[::1]:9177""#);
        same::<Dataset>("apache_tomcat.error", r#""apache_tomcat""#);
        same::<Vec<u16>>("4789, 8472", "[4789, 8472]");
    }
}
