//! The documented example file and the README's list, against the settings table.
//!
//! Both are made from the table. Where a test here fails, the table was changed: `WIRESPIKE_BLESS=1 cargo test --lib
//! settings::documents` writes them anew.

use std::{fs, path::PathBuf};

use super::{
    Settings,
    key::{Key, Reload, Takes},
    keys::{self, server},
    server::Server,
};

/// Where the packaged service keeps what it writes.
const PACKAGED: [(&str, &str); 2] = [
    ("output.alerts", r#""/var/lib/wirespike/alerts.jsonl""#),
    ("live.state", r#""/var/lib/wirespike/windows.state""#),
];

const BLESS: &str = "WIRESPIKE_BLESS=1 cargo test --lib settings::documents";

const LIST: (&str, &str) = ("<!-- settings:begin -->\n", "<!-- settings:end -->");

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Comment lines of at most `width` characters.
fn comment(text: &str, width: usize) -> String {
    let mut lines = String::new();
    for paragraph in text.lines() {
        // Examples that stand in columns stay as they are.
        if paragraph.starts_with("  ") {
            lines.push_str(&format!("# {paragraph}\n"));
            continue;
        }
        let mut line = "#".to_owned();
        for word in paragraph.split_whitespace() {
            if line.len() + 1 + word.len() > width {
                lines.push_str(&format!("{line}\n"));
                line = "#".to_owned();
            }
            line.push_str(&format!(" {word}"));
        }
        lines.push_str(&format!("{line}\n"));
    }
    lines
}

fn described<T>(key: &Key<T>, default: Option<String>) -> String {
    let restart = if key.reload == Reload::OnRestart { " (restart)" } else { "" };
    // The section says already which rule it is.
    let [help, long] = [key.help, key.long].map(|text| {
        text.replace("error_spike: ", "").replace("encrypted_scan: ", "").replace(" Concerns error_spike only.", "")
    });
    let mut letters = help.chars();
    let first = letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default();
    let mut text = format!("\n{}", comment(&format!("{first}{}{restart}.", letters.as_str()), 110));
    if !long.is_empty() {
        text.push_str(&comment(&long, 110));
    }
    let packaged = PACKAGED.iter().find(|(name, _)| *name == key.name);
    match (packaged, default) {
        (Some((_, value)), _) => text.push_str(&format!("{} = {value}\n", key.short_name())),
        (None, Some(default)) => text.push_str(&format!("# {} = {default}\n", key.short_name())),
        (None, None) => text.push_str(&format!("# {} = {}\n", key.short_name(), key.example)),
    }
    text
}

fn example_file() -> String {
    let mut text = comment(
        "Configuration of wirespike. Everything is optional; what is commented out shows the default, or an example where \
         nothing is set. Check a change with `wirespike check --config FILE`; `wirespike config --config FILE` shows what is \
         in force. A running service takes a change over with `systemctl reload wirespike`; what is marked (restart) waits \
         for a restart, and the log names those keys that were changed.\nThis file is made from the settings table.",
        110,
    );
    let defaults = Settings::default();
    for section in keys::SECTIONS {
        text.push_str(&format!("\n{}[{}]\n", comment(section.about, 110), section.name));
        for key in section.keys {
            text.push_str(&described(key, key.written(&defaults).filter(|value| value != "[]")));
        }
    }
    text.push_str(&format!("\n{}# [[{}]]\n", comment(keys::ABOUT_SERVERS, 110), server::SECTION));
    for key in server::KEYS {
        text.push_str(&described(key, None));
    }
    text
}

fn readme_list() -> String {
    let mut text = "| key | flag | default | |\n|---|---|---|---|\n".to_owned();
    let defaults = Settings::default();
    for section in keys::SECTIONS {
        for key in section.keys {
            text.push_str(&row(key, key.written(&defaults)));
        }
    }
    for key in server::KEYS {
        text.push_str(&row(key, key.written(&Server::default())));
    }
    text
}

fn row<T>(key: &Key<T>, default: Option<String>) -> String {
    /// Longer defaults stand in the example file.
    const MOST: usize = 40;
    let flag = key.flag.map_or_else(String::new, |flag| match flag.takes {
        Takes::Nothing { .. } => format!("`--{}`", flag.long),
        Takes::Value | Takes::Values => format!("`--{} {}`", flag.long, key.value_name.replace('|', "\\|")),
    });
    let default = match default {
        None => String::new(),
        Some(default) if default == "[]" => String::new(),
        Some(default) if default.len() > MOST => "see the example".to_owned(),
        Some(default) => format!("`{default}`"),
    };
    let restart = if key.reload == Reload::OnRestart { " (restart)" } else { "" };
    format!("| `{}` | {flag} | {default} | {}{restart} |\n", key.name, key.help.replace('|', "\\|"))
}

/// Compares a file with what it should be, or writes it anew.
fn agrees(path: &str, current: &str, expected: &str) {
    if current == expected {
        return;
    }
    if std::env::var_os("WIRESPIKE_BLESS").is_some() {
        fs::write(root().join(path), expected).unwrap();
        return;
    }
    let differing = current.lines().zip(expected.lines()).position(|(line, other)| line != other);
    let line = 1 + differing.unwrap_or_else(|| current.lines().count().min(expected.lines().count()));
    panic!("{path}:{line} is not what the settings table says; write it anew with `{BLESS}`");
}

#[test]
fn the_example_file_is_what_the_table_says() {
    let path = "packaging/wirespike.toml";
    agrees(path, &fs::read_to_string(root().join(path)).unwrap(), &example_file());
}

#[test]
fn the_list_in_the_readme_is_what_the_table_says() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let (begin, end) = LIST;
    let (before, rest) = readme.split_once(begin).expect("the README has the line <!-- settings:begin -->");
    let (_, after) = rest.split_once(end).expect("the README has the line <!-- settings:end -->");
    agrees("README.md", &readme, &format!("{before}{begin}\n{}\n{end}{after}", readme_list()));
}
