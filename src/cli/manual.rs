//! The manual page.
//!
//! In: the command line and its examples. Out: wirespike(1) in roff: the program, a section for each command with its options, then
//! what every manual page has.

use std::io;

use clap::CommandFactory;
use clap_mangen::Man;

use super::{CommandLine, examples};

/// Files, and what they are.
const FILES: &[(&str, &str)] = &[
    ("/etc/wirespike/wirespike.toml", "The configuration of the packaged service; every key is documented in it."),
    ("/etc/wirespike/interfaces", "The interfaces that the packaged service watches."),
    ("/var/lib/wirespike/alerts.jsonl", "The alerts of the packaged service, one JSON object a line."),
    ("/var/lib/wirespike/windows.state", "The open windows of the packaged service, kept across restarts."),
    ("/usr/share/wirespike/schemas/", "JSON schemas of alerts, events and exchanges."),
];

const EXIT_STATUS: &[(&str, &str)] = &[
    ("0", "The run did what was asked, alerts or not. Also when the reader of standard output left before the end."),
    (
        "2",
        "It could not: wrong usage or configuration, or input that is unreadable or breaks off. One line on standard error says \
         what, where, and what to do. Of a capture that breaks off, everything before the break was used.",
    ),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    ("RUST_LOG", "The level from which on logs are written: error, warn, info, debug or trace. Wins over -q and -v."),
    ("NO_COLOR", "Alerts on a terminal have no colours where this is set."),
    ("COLUMNS", "The width of alerts on a terminal, from 60 to 120; 80 where it is not set."),
    ("NOTIFY_SOCKET, WATCHDOG_USEC", "Set by systemd: where readiness and the watchdog's signal go."),
];

const SEE_ALSO: &str = "tcpdump(8), pcap-filter(7), systemctl(1), jq(1)";

/// The page.
///
/// # Errors
///
/// None that writing to memory does not have.
pub fn page() -> io::Result<String> {
    let mut command = CommandLine::command();
    command.build();
    let man = Man::new(command.clone());
    let mut page = rendered(|out| {
        man.render_title(out)?;
        man.render_name_section(out)?;
        man.render_synopsis_section(out)?;
        man.render_description_section(out)?;
        man.render_options_section(out)?;
        man.render_subcommands_section(out)
    })?;
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        let name = subcommand.get_name();
        // Examples have a section of their own.
        let man = Man::new(subcommand.clone());
        let section = rendered(|out| {
            man.render_synopsis_section(out)?;
            man.render_description_section(out)?;
            man.render_options_section(out)
        })?;
        page = page.replace(&format!("wirespike\\-{name}(1)"), &format!("wirespike {name}"));
        page.push_str(&format!(".SH \"WIRESPIKE {}\"\n{}", name.to_uppercase(), section.replace(".SH ", ".SS ")));
        if name == "live" {
            page.push_str(&notes());
        }
    }
    // `help` is a command of the command line alone.
    if let Some((before, after)) = page.split_once(".TP\nwirespike\\-help(1)\n") {
        let (_, after) = after.split_once('\n').unwrap_or_default();
        page = format!("{before}{after}");
    }
    page.push_str(&example_section());
    page.push_str(&list_section("FILES", FILES));
    page.push_str(&list_section("EXIT STATUS", EXIT_STATUS));
    page.push_str(&list_section("ENVIRONMENT", ENVIRONMENT));
    page.push_str(&format!(".SH \"SEE ALSO\"\n{}\n", escaped(SEE_ALSO)));
    Ok(page)
}

fn rendered(render: impl FnOnce(&mut Vec<u8>) -> io::Result<()>) -> io::Result<String> {
    let mut out = Vec::new();
    render(&mut out)?;
    String::from_utf8(out).map_err(io::Error::other)
}

/// What `live --help` says of signals and state.
fn notes() -> String {
    let paragraphs = super::live_notes();
    let paragraphs = paragraphs.iter().map(|text| format!(".PP\n{}\n", escaped(text)));
    format!(".SS NOTES\n{}", paragraphs.collect::<String>())
}

fn example_section() -> String {
    let mut section = ".SH EXAMPLES\n".to_owned();
    for (line, does) in examples::EXAMPLES.iter().flat_map(|(_, examples)| *examples) {
        section.push_str(&format!(".TP\n\\fB{}\\fR\n{}\n", escaped(line), escaped(does)));
    }
    section
}

fn list_section(title: &str, items: &[(&str, &str)]) -> String {
    let title = if title.contains(' ') { format!("\"{title}\"") } else { title.to_owned() };
    let mut section = format!(".SH {title}\n");
    for (name, text) in items {
        section.push_str(&format!(".TP\n\\fB{}\\fR\n{}\n", escaped(name), escaped(text)));
    }
    section
}

/// Text in which roff finds no requests of its own.
fn escaped(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_has_what_every_page_has() {
        let page = page().unwrap();
        for section in [
            "NAME",
            "SYNOPSIS",
            "DESCRIPTION",
            "OPTIONS",
            "EXAMPLES",
            "FILES",
            "\"EXIT STATUS\"",
            "ENVIRONMENT",
            "\"SEE ALSO\"",
        ] {
            assert_eq!(page.matches(&format!(".SH {section}\n")).count(), 1, "{section}");
        }
        for command in ["REPLAY", "LIVE", "SHOW", "CHECK", "CONFIG", "RULES", "INTERFACES", "COMPLETIONS", "MAN"] {
            assert!(page.contains(&format!(".SH \"WIRESPIKE {command}\"\n")), "{command}");
        }
        assert!(!page.contains("help(1)"));
        assert!(page.contains(".TH wirespike 1"), "{}", &page[..200]);
    }

    #[test]
    fn every_command_has_an_example_that_is_a_valid_command_line() {
        let command = CommandLine::command();
        for subcommand in command.get_subcommands() {
            assert!(!examples::of(subcommand.get_name()).is_empty(), "{}", subcommand.get_name());
        }
        for (line, _) in examples::EXAMPLES.iter().flat_map(|(_, examples)| *examples) {
            let line = line.trim_start_matches("sudo ").split(" > ").next().unwrap();
            let line = if line.starts_with("wirespike man |") { "wirespike man" } else { line };
            let typed = line.rsplit(" | ").next().unwrap();
            if typed.ends_with("--help") {
                continue;
            }
            CommandLine::command()
                .try_get_matches_from(words(typed))
                .unwrap_or_else(|error| panic!("{typed}: {error}"));
        }
    }

    /// The words of a line as a shell splits it, single quotes respected.
    fn words(line: &str) -> Vec<String> {
        let mut words = Vec::new();
        for (index, part) in line.split('\'').enumerate() {
            if index % 2 == 1 {
                let word: &mut String = words.last_mut().unwrap();
                word.push_str(part);
            } else {
                let begins = part.starts_with(' ') || words.is_empty();
                for (number, word) in part.trim().split(' ').enumerate() {
                    if number > 0 || begins {
                        words.push(word.to_owned());
                    } else if let Some(last) = words.last_mut() {
                        last.push_str(word);
                    }
                }
                if part.ends_with(' ') {
                    words.push(String::new());
                }
            }
        }
        words.retain(|word| !word.is_empty());
        words
    }
}
