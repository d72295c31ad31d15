//! Where settings come from: a file, `--set`, and the flags of the settings table.
//!
//! In: arguments. Out: [`Sources`], as typed; of `show`, the flags that decrypt TLS.

use std::collections::BTreeMap;

use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, ValueHint, value_parser};

use crate::settings::{FlagSet, Sources, flags, given_flags};

/// The flags of settings; with `LIVE` also those that mean nothing to a replay.
#[derive(Debug, Clone)]
pub struct SourceArgs<const LIVE: bool>(pub Sources);

impl<const LIVE: bool> SourceArgs<LIVE> {
    const SET: FlagSet = if LIVE { FlagSet::Live } else { FlagSet::Replay };
}

impl<const LIVE: bool> Args for SourceArgs<LIVE> {
    fn augment_args(command: Command) -> Command {
        flags(command, Self::SET)
            .arg(
                Arg::new("config")
                    .long("config")
                    .value_name("FILE")
                    .value_parser(value_parser!(std::path::PathBuf))
                    .value_hint(ValueHint::FilePath)
                    .help_heading("Configuration")
                    .help("Configuration file (TOML); flags win over it"),
            )
            .arg(
                Arg::new("set")
                    .long("set")
                    .value_name("KEY=VALUE")
                    .action(ArgAction::Append)
                    .help_heading("Configuration")
                    .help("Set any key, for example limits.flows=200000; repeat for several")
                    .long_help(
                        "Set any key, for example limits.flows=200000; repeat for several\n\n\
                         `wirespike config` lists all keys. A value is TOML, or text, or a list with commas. It wins over the \
                         file; the key's own flag wins over it.",
                    ),
            )
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl<const LIVE: bool> FromArgMatches for SourceArgs<LIVE> {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let assignments = matches.get_many::<String>("set").into_iter().flatten().cloned().collect();
        let config = matches.get_one::<std::path::PathBuf>("config").cloned();
        Ok(Self(Sources { config, assignments, flags: given_flags(matches, Self::SET) }))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

/// The flags of settings that decrypt TLS, for a command that takes no others.
#[derive(Debug, Clone)]
pub struct TlsArgs(pub(super) BTreeMap<&'static str, Vec<String>>);

impl Args for TlsArgs {
    fn augment_args(command: Command) -> Command {
        flags(command, FlagSet::Tls)
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for TlsArgs {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        Ok(Self(given_flags(matches, FlagSet::Tls)))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}
