//! Arguments to configuration to run to exit code.
//!
//! In: the command line. Out: 0 when the run did what was asked, alerts or not; 2 when it could not, with one line on
//! standard error. A closed pipe on standard output is success.

use std::{io::Write, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::{CommandFactory, Parser};
use wirespike::{
    capture::interfaces,
    cli::{CheckArgs, Command, CommandLine},
    output,
    run::{Completion, RunError, live, replay},
    settings::Settings,
};

/// How long `interfaces` listens for arriving packets.
const INTERFACE_SAMPLE: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let line = match CommandLine::try_parse() {
        Ok(line) => line,
        Err(error) => {
            if !error.use_stderr()
                && let Err(closed) = output::require_standard_output("help")
            {
                eprintln!("wirespike: {closed}");
                return ExitCode::from(2);
            }
            let shown = error.print();
            return if error.use_stderr() || shown.is_err() { ExitCode::from(2) } else { ExitCode::SUCCESS };
        }
    };
    match run(line.command) {
        Ok(Completion::Complete) => ExitCode::SUCCESS,
        Ok(Completion::Incomplete) => ExitCode::from(2),
        Err(error) if is_closed_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wirespike: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(command: Command) -> anyhow::Result<Completion> {
    match command {
        Command::Replay(args) => {
            let settings = Settings::for_replay(&args)?;
            Ok(replay::run(&settings, &args.captures)?)
        }
        Command::Live(args) => Ok(live::run(args)?),
        Command::Check(args) => check(&args),
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
            let page = manual().context("cannot render the manual page")?;
            print(page.as_bytes())
        }
    }
}

/// The manual page: the program's own, then a section for each command with its options.
fn manual() -> anyhow::Result<String> {
    let mut command = CommandLine::command();
    command.build();
    let mut page = Vec::new();
    clap_mangen::Man::new(command.clone()).render(&mut page)?;
    let mut page = String::from_utf8(page)?;
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        let (mut section, man) = (Vec::new(), clap_mangen::Man::new(subcommand.clone()));
        man.render_synopsis_section(&mut section)?;
        man.render_description_section(&mut section)?;
        man.render_options_section(&mut section)?;
        man.render_extra_section(&mut section)?;
        let section = String::from_utf8(section)?.replace(".SH ", ".SS ");
        let name = subcommand.get_name();
        page = page.replace(&format!("wirespike\\-{name}(1)"), &format!("wirespike {name}"));
        page.push_str(&format!(".SH \"WIRESPIKE {}\"\n{section}", name.to_uppercase()));
    }
    Ok(page)
}

fn check(args: &CheckArgs) -> anyhow::Result<Completion> {
    Settings::from_file(&args.config)?;
    print(format!("{}: the configuration is valid\n", args.config.display()).as_bytes())
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
