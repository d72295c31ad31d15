//! What was typed.
//!
//! In: words of the command line, values of a TOML file. Out: [`Given`], a value as it was written, and its [`Origin`].
//! [`Meaning`](super::meaning::Meaning) turns the one into what it means; errors name the other.

use std::{fmt, path::PathBuf};

/// A value as it was written.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Given {
    /// Words of the command line; several where a flag was repeated.
    Words(Vec<String>),
    /// A value of the configuration file, or of `--set` where that is TOML.
    Toml(toml::Value),
}

impl Given {
    /// The text of a single word or of a TOML string.
    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Words(words) => match words.as_slice() {
                [word] => Some(word),
                _ => None,
            },
            Self::Toml(value) => value.as_str(),
        }
    }

    /// The single word of the command line. A TOML string is not a word: a number in quotes is text.
    pub(super) fn word(&self) -> Option<&str> {
        if let Self::Words(_) = self { self.text() } else { None }
    }

    /// The items of a TOML list, or of words that commas separate.
    pub(super) fn items(&self) -> Option<Vec<Self>> {
        match self {
            Self::Words(words) => {
                let items = words.iter().flat_map(|word| word.split(',')).map(str::trim);
                Some(items.filter(|item| !item.is_empty()).map(|item| Self::Words(vec![item.to_owned()])).collect())
            }
            Self::Toml(toml::Value::Array(items)) => Some(items.iter().cloned().map(Self::Toml).collect()),
            Self::Toml(_) => None,
        }
    }

    /// These items, and then those of `more`.
    pub(super) fn extended(&self, more: &Self) -> Option<Self> {
        let items = self.items()?.into_iter().chain(more.items()?);
        let as_toml = |item| match item {
            Self::Toml(value) => value,
            Self::Words(words) => toml::Value::String(words.concat()),
        };
        Some(Self::Toml(toml::Value::Array(items.map(as_toml).collect())))
    }
}

impl fmt::Display for Given {
    /// The value as errors quote it: on one line, shortened.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const MOST: usize = 80;
        let text = match self {
            Self::Words(words) => words.join(","),
            Self::Toml(toml::Value::String(text)) => text.clone(),
            Self::Toml(value) => value.to_string(),
        };
        let mut shown: String = text.chars().take(MOST).collect();
        if shown.len() < text.len() {
            shown.push('…');
        }
        write!(f, "'{}'", shown.escape_debug().to_string().replace("\\'", "'").replace("\\\"", "\""))
    }
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Origin {
    /// A line of the configuration file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// `--set KEY=VALUE`.
    Set,
    /// The key's own flag, by its long name.
    Flag(&'static str),
}

impl Origin {
    /// How an error names the value of `key` that was given here.
    pub(super) fn place(&self, key: &str) -> String {
        match self {
            Self::File { .. } => format!("{self}: {key}"),
            Self::Set => format!("--set {key}"),
            Self::Flag(_) => self.to_string(),
        }
    }
}

impl fmt::Display for Origin {
    /// As `wirespike config` says it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Set => f.write_str("--set"),
            Self::Flag(flag) => write!(f, "--{flag}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Given {
        Given::Words(words.iter().map(|&word| word.to_owned()).collect())
    }

    #[test]
    fn lists_are_toml_lists_or_words_between_commas() {
        let toml = Given::Toml(toml::Value::Array(vec!["a".into(), 1.into()]));
        assert_eq!(words(&["a, b", "c"]).items(), Some(vec![words(&["a"]), words(&["b"]), words(&["c"])]));
        assert_eq!(toml.items(), Some(vec![Given::Toml("a".into()), Given::Toml(1.into())]));
        assert_eq!(Given::Toml("a,b".into()).items(), None);
        let both = toml.extended(&words(&["c"])).unwrap();
        assert_eq!(both, Given::Toml(toml::Value::Array(vec!["a".into(), 1.into(), "c".into()])));
    }

    #[test]
    fn what_is_quoted_stays_on_one_line() {
        assert_eq!(words(&["a\nb"]).to_string(), "'a\\nb'");
        assert_eq!(Given::Toml("don't".into()).to_string(), "'don't'");
        assert_eq!(words(&["x".repeat(200).as_str()]).to_string().chars().count(), 83);
    }
}
