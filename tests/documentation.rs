//! The pages that users read, against what the program does.
//!
//! In: `README.md`, the pages under `packaging/`, `.github/` and `pcaps/`. What is checked: links lead somewhere, the index of
//! captures is complete, the alert in the README is the one that the example gives, every recipe runs.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::support::{Replay, case::Case, documents, root, skipped, wirespike};

/// The capture that `packaging/try` replays, and that the README shows the alert of.
const EXAMPLE: &str = "pcaps/nginx-gobuster/capture.pcap.gz";

fn read(path: impl AsRef<Path>) -> String {
    let path = root().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The contents of a page's code blocks in one language.
fn code_blocks(page: &str, language: &str) -> Vec<String> {
    let opening = format!("```{language}\n");
    page.split(&opening).skip(1).map(|rest| rest.split("```").next().unwrap().to_owned()).collect()
}

/// Every page in Markdown that people are meant to find, by its path in the repository.
fn pages() -> Vec<PathBuf> {
    let mut pages = vec![PathBuf::from("README.md"), PathBuf::from("pcaps/README.md")];
    for folder in ["packaging", "packaging/doc", ".github", ".github/ISSUE_TEMPLATE"] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = Path::new(folder).join(entry.unwrap().file_name());
            if path.extension().is_some_and(|extension| extension == "md") {
                pages.push(path);
            }
        }
    }
    pages
}

#[test]
fn every_link_leads_somewhere() {
    let mut broken = Vec::new();
    for path in pages() {
        let page = read(&path);
        let targets = page.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
        for target in targets.filter(|target| !target.starts_with("https://")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let file =
                if file.is_empty() { root().join(&path) } else { root().join(&path).parent().unwrap().join(file) };
            let is_there = file.exists() && (heading.is_empty() || anchors(&file).contains(&heading.to_owned()));
            if !is_there {
                broken.push(format!("{}: {target}", path.display()));
            }
        }
    }
    assert!(broken.is_empty(), "{broken:?}");
}

/// The anchors that a forge gives to a page's headings.
fn anchors(page: &Path) -> Vec<String> {
    let text = fs::read_to_string(page).unwrap();
    let headings = text.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let anchor = |heading: &str| {
        let kept = heading.to_lowercase().replace(' ', "-");
        kept.chars().filter(|c| c.is_alphanumeric() || *c == '-' || *c == '_').collect()
    };
    headings.map(anchor).collect()
}

#[test]
fn the_index_of_captures_is_complete() {
    let index = read("pcaps/README.md");
    let row = |line: &str| {
        let name = line.strip_prefix("| [")?.split(']').next()?.to_owned();
        let expected = line.trim_end_matches(" |").rsplit(" | ").next()?.to_owned();
        Some((name, expected))
    };
    let listed: BTreeMap<String, String> = index.lines().filter_map(row).collect();
    let count = |text: &str, of: &str| {
        let line = text.lines().find(|line| line.starts_with(of)).unwrap();
        line[of.len()..].trim().to_owned()
    };
    let recorded = Case::all().into_iter().map(|case| {
        let text = fs::read_to_string(case.folder.join("expected.txt")).unwrap();
        (case.name, ["exchanges", "events", "alerts"].map(|of| count(&text, of)).join(" / "))
    });
    assert_eq!(listed, recorded.collect(), "pcaps/README.md lists every folder, with exchanges / events / alerts");
}

#[test]
fn the_readme_shows_the_alert_of_the_example() {
    let shown = code_blocks(&read("README.md"), "jsonc").concat();
    let shown: Value = serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}:\n{shown}"));
    let replay = Replay::run::<&str>(&root().join(EXAMPLE), &[]).succeeded();
    let [alert] = &documents(&replay.alerts)[..] else { panic!("one alert, not\n{}", replay.alerts) };
    assert_eq!(shown, *alert, "README.md, \"An alert, part by part\"");
}

#[test]
fn the_readme_shows_the_shipper_configuration_that_is_installed() {
    assert_eq!(code_blocks(&read("README.md"), "yaml"), [read("packaging/doc/filebeat.yml")]);
}

#[test]
fn every_recipe_gives_something() {
    if Command::new("jq").arg("--version").output().is_err() {
        skipped("recipes of the README", "not installed: jq");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut replay = wirespike();
    replay.args(["replay", "--quiet"]);
    for (flag, name) in [("--alerts", "alerts.json"), ("--events", "events.json"), ("--exchanges", "access.json")] {
        replay.arg(flag).arg(folder.path().join(name));
    }
    assert!(replay.arg(EXAMPLE).status().unwrap().success());
    std::os::unix::fs::symlink(root().join("packaging"), folder.path().join("packaging")).unwrap();
    let readme = read("README.md");
    let recipes: Vec<&str> = readme.lines().filter(|line| line.starts_with("jq ")).collect();
    assert!(recipes.len() > 5, "{recipes:?}");
    for recipe in recipes {
        let output = Command::new("sh").args(["-c", recipe]).current_dir(&folder).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && complaint.is_empty() && !output.stdout.is_empty(), "{recipe}\n{complaint}");
    }
}
