//! Arguments to configuration to run to exit code.
//!
//! In: the command line. Out: 0 when the run did what was asked, alerts or not; 2 when it could not, with one line on
//! standard error. A closed pipe on standard output is success.

use std::{io::Write, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::{CommandFactory, Parser, error::ErrorKind};
use wirespike::{
    capture::interfaces,
    cli::{CheckArgs, Command, CommandLine, manual},
    output,
    printable::printable,
    run::{Completion, RunError, check_tls, live, replay, show},
};

/// How long `interfaces` listens for arriving packets.
const INTERFACE_SAMPLE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => return usage(&error),
    };
    match run(line.command) {
        Ok(Completion::Complete) => ExitCode::SUCCESS,
        Ok(Completion::Incomplete) => ExitCode::from(2),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wirespike: {}", printable(&in_one_line(&error)));
            ExitCode::from(2)
        }
    }
}

/// Shows help or version, or says in one line what is wrong with the arguments.
fn usage(error: &clap::Error) -> ExitCode {
    if error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        eprintln!("wirespike: {}", printable(&mistake(&error.to_string())));
        return ExitCode::from(2);
    }
    if !error.use_stderr()
        && let Err(closed) = output::require_standard_output("help")
    {
        eprintln!("wirespike: {closed}");
        return ExitCode::from(2);
    }
    let shown = error.print();
    if error.use_stderr() || shown.is_err() { ExitCode::from(2) } else { ExitCode::SUCCESS }
}

/// What clap says of a mistake in several lines, in one: the mistake, the tip, and where to read on.
fn mistake(said: &str) -> String {
    let parts =
        said.lines().take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more")).map(str::trim);
    let parts: Vec<_> = parts.filter(|part| !part.is_empty()).map(|part| part.trim_start_matches("error: ")).collect();
    let command = said.lines().find_map(|line| line.strip_prefix("Usage: wirespike ")?.split(' ').next());
    let command = command.filter(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()));
    let help = command.map_or_else(|| "wirespike --help".to_owned(), |command| format!("wirespike {command} --help"));
    format!("{}; see `{help}`", parts.join("; ").replace(":; ", ": ").replace("; [", " ["))
}

/// An error and its causes; a cause that the error says itself is not said again.
fn in_one_line(error: &anyhow::Error) -> String {
    let mut line = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if line.is_empty() {
            line = cause;
        } else if !line.contains(&cause) {
            line = format!("{line}: {cause}");
        }
    }
    line
}

fn run(command: Command) -> anyhow::Result<Completion> {
    match command {
        Command::Replay(args) => Ok(replay::run(&args.settings()?, &args.inputs())?),
        Command::Live(args) => {
            let interfaces = args.interfaces.clone();
            Ok(live::run(live::Watch { interfaces, configuration: Box::new(move || args.settings()) })?)
        }
        Command::Show(args) => {
            Ok(show::run(&args.settings()?, &args.id, &args.alerts, &args.captures, args.packets.as_deref())?)
        }
        Command::Check(args) => check(&args),
        Command::Config(sources) => print(sources.0.load()?.to_toml().as_bytes()),
        Command::Rules(sources) => print(sources.0.load()?.rules_for_people().as_bytes()),
        Command::Interfaces => {
            let interfaces = interfaces::list(INTERFACE_SAMPLE)?;
            let table = interfaces::Table { interfaces: &interfaces, sample: INTERFACE_SAMPLE };
            print(table.to_string().as_bytes())
        }
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut CommandLine::command(), "wirespike", &mut script);
            print(&script)
        }
        Command::Man => {
            let page = manual::page().context("cannot render the manual page")?;
            print(page.as_bytes())
        }
    }
}

fn check(args: &CheckArgs) -> anyhow::Result<Completion> {
    let loaded = args.load()?;
    for warning in check_tls(&loaded.settings.tls)? {
        eprintln!("wirespike: {}", printable(&warning));
    }
    let path = args.config.display().to_string();
    print(format!("{}: the configuration is valid\n", printable(&path)).as_bytes())
}

fn print(bytes: &[u8]) -> anyhow::Result<Completion> {
    output::require_standard_output("what was asked for")?;
    let mut out = std::io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush())?;
    Ok(Completion::Complete)
}

fn is_closed_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == std::io::ErrorKind::BrokenPipe)
            || cause.downcast_ref::<RunError>().is_some_and(RunError::is_closed_pipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("cannot serve metrics: {source}")]
    struct SaysItsSource {
        source: std::io::Error,
    }

    #[test]
    fn no_error_says_its_cause_twice() {
        let cause = || std::io::Error::other("address in use");
        assert_eq!(in_one_line(&SaysItsSource { source: cause() }.into()), "cannot serve metrics: address in use");
        let with_context = anyhow::Error::from(cause()).context("cannot render the manual page");
        assert_eq!(in_one_line(&with_context), "cannot render the manual page: address in use");
    }

    #[test]
    fn a_mistake_in_the_arguments_is_one_line() {
        for (typed, said) in [
            (
                &["wirespike", "replay", "--treshold", "5", "x"][..],
                "unexpected argument '--treshold' found; tip: a similar argument exists: '--threshold'; see `wirespike replay --help`",
            ),
            (
                &["wirespike", "replay"],
                "the following required arguments were not provided: <CAPTURE>...; see `wirespike replay --help`",
            ),
            (
                &["wirespike", "replay", "x", "--mode"],
                "a value is required for '--mode <MODE>' but none was supplied [possible values: scheduled, streaming]; see \
                 `wirespike --help`",
            ),
            (
                &["wirespike", "reply"],
                "unrecognized subcommand 'reply'; tip: a similar subcommand exists: 'replay'; see `wirespike --help`",
            ),
            (
                &["wirespike", "replay", "-q", "-v", "x"],
                "the argument '--quiet' cannot be used with '--verbose...'; see `wirespike replay --help`",
            ),
        ] {
            assert_eq!(mistake(&CommandLine::try_parse_from(typed).unwrap_err().to_string()), said);
        }
    }
}
