//! The command line of the settings table.
//!
//! In: the table. Out: clap arguments, one a key that has a flag, under the heading of its category; and, of parsed arguments,
//! the words as they were typed. Promises: reads no value. Shells complete the words that a key takes.

use std::collections::BTreeMap;

use clap::{
    Arg, ArgAction, ArgMatches, Command, ValueHint,
    builder::{PossibleValue, TypedValueParser},
    error::Error,
};

use super::{
    Settings,
    key::{Flag, Key, Takes},
    keys,
    meaning::{Kind, Shape},
};

/// Which keys a command takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FlagSet {
    /// Those that mean something to a replay.
    Replay,
    /// All.
    Live,
    /// Those that say how TLS in captures is decrypted.
    Tls,
}

/// Adds the flags to a command.
pub(crate) fn flags(command: Command, set: FlagSet) -> Command {
    let defaults = Settings::default();
    taken(set).fold(command, |command, (key, flag)| command.arg(argument(key, flag, &defaults)))
}

/// The words behind each flag that was given, by the key's name.
pub(crate) fn given_flags(matches: &ArgMatches, set: FlagSet) -> BTreeMap<&'static str, Vec<String>> {
    let given = taken(set).filter_map(|(key, flag)| {
        if let Takes::Nothing { .. } = flag.takes {
            return matches.get_flag(key.name).then(|| (key.name, Vec::new()));
        }
        Some((key.name, matches.get_many::<String>(key.name)?.cloned().collect()))
    });
    given.collect()
}

/// Live capture comes first where it is taken: its headings shall stand at the top.
fn taken(set: FlagSet) -> impl Iterator<Item = (&'static Key<Settings>, Flag)> {
    let with_flag = || keys::all().filter_map(|key| Some((key, key.flag?)));
    let live = with_flag().filter(move |(key, _)| key.category.is_live() && set == FlagSet::Live);
    let others = with_flag().filter(|(key, _)| !key.category.is_live());
    live.chain(others.filter(move |(key, _)| set != FlagSet::Tls || key.name.starts_with("tls.")))
}

fn argument(key: &'static Key<Settings>, flag: Flag, defaults: &Settings) -> Arg {
    let kind = (key.field.kind)();
    let help = match (flag.takes, key.typed(defaults).filter(|text| !text.is_empty())) {
        (Takes::Nothing { help, .. }, _) => help.to_owned(),
        (Takes::Values, _) => format!("{}; repeat for several", key.help),
        (Takes::Value, Some(default)) => format!("{} [default: {default}]", key.help),
        (Takes::Value, None) => key.help.to_owned(),
    };
    let mut arg = Arg::new(key.name).long(flag.long).help_heading(key.category.heading());
    if let Some(short) = flag.short {
        arg = arg.short(short);
    }
    if !key.long.is_empty() {
        arg = arg.long_help(format!("{help}\n\n{}", key.long));
    }
    arg = arg.help(help);
    match flag.takes {
        Takes::Nothing { .. } => arg.action(ArgAction::SetTrue),
        Takes::Value => value(arg, key, kind).action(ArgAction::Set),
        Takes::Values => value(arg, key, kind).action(ArgAction::Append),
    }
}

fn value(arg: Arg, key: &Key<Settings>, kind: Kind) -> Arg {
    arg.value_name(key.value_name)
        .value_parser(AnyWord(kind.choices))
        .value_hint(if kind.shape == Shape::Path { ValueHint::FilePath } else { ValueHint::Other })
        .allow_hyphen_values(kind.may_be_negative())
}

/// Takes any word, and tells help and shells which are known: what a word means is decided elsewhere, by the same code as in a
/// file.
#[derive(Debug, Clone, Copy)]
struct AnyWord(&'static [&'static str]);

impl TypedValueParser for AnyWord {
    type Value = String;

    fn parse_ref(&self, command: &Command, _: Option<&Arg>, value: &std::ffi::OsStr) -> Result<String, Error> {
        let text = value.to_str().map(str::to_owned);
        text.ok_or_else(|| Error::new(clap::error::ErrorKind::InvalidUtf8).with_cmd(command))
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        (!self.0.is_empty()).then(|| Box::new(self.0.iter().copied().map(PossibleValue::new)) as Box<_>)
    }
}
