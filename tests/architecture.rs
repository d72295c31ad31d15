//! The shape of the source tree, as the design draws it.
//!
//! In: the files under `src/`. What is checked: no folder uses one that comes after it in the line, nothing in the core does
//! I/O or reads a clock, every file opens with what it does, none outgrows a reader.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::support::root;

/// Lines of code a file may have before its tests.
const MOST_LINES: usize = 500;

/// What each folder may use besides itself. The order is the order of the line.
const MAY_USE: &[(&str, &[&str])] = &[
    ("time", &[]),
    ("byte_scan", &[]),
    ("address", &[]),
    ("telemetry", &["time"]),
    ("capture", &["time", "telemetry"]),
    ("decode", &["time", "address", "telemetry", "capture"]),
    ("tcp", &["time", "address", "telemetry", "capture", "decode"]),
    ("flow", &["time", "address", "telemetry", "capture", "decode", "tcp"]),
    ("exchange", &["time", "address", "byte_scan", "capture", "decode"]),
    ("stream", &["time", "address", "telemetry", "capture", "decode", "tcp", "exchange"]),
    ("event", &["time", "address", "byte_scan", "telemetry", "capture", "decode", "exchange"]),
    ("detect", &["time", "address", "telemetry", "exchange", "event", "document"]),
    ("document", &["time", "address", "byte_scan", "telemetry", "capture", "decode", "exchange", "event"]),
    ("output", &["telemetry", "document"]),
];

/// Folders that do no I/O, read no clock and spawn nothing.
const CORE: &[&str] = &["decode", "flow", "tcp", "stream", "exchange", "event", "detect", "document"];

/// What the core may not name.
const EDGES: &[&str] = &[
    "std::fs",
    "stdin()",
    "stdout()",
    "stderr()",
    "std::thread",
    "std::process",
    "SystemTime",
    "Instant",
    "tokio",
    "println!",
    "std::env",
];

fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join("src"), &mut found);
    found.sort();
    found
}

/// A file's path under `src/`.
fn name(path: &Path) -> String {
    path.strip_prefix(root().join("src")).unwrap().to_string_lossy().into_owned()
}

/// The part of the line a file belongs to: its folder, or its own name at the top.
fn part(path: &Path) -> String {
    let name = name(path);
    name.split('/').next().unwrap().trim_end_matches(".rs").to_owned()
}

fn is_test_file(path: &Path) -> bool {
    let stem = path.file_stem().unwrap().to_string_lossy();
    stem == "tests" || stem.ends_with("_tests") || name(path).contains("/tests/")
}

/// The code before the tests, comments taken out.
fn code(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let before_tests = text.split("#[cfg(test)]\nmod ").next().unwrap();
    before_tests.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// The parts that a file names: `crate::part`, alone or in a `use crate::{…}` list.
fn used(code: &str) -> BTreeSet<String> {
    let mut parts = BTreeSet::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(list) = rest.strip_prefix('{') {
            let mut depth = 1;
            let end = list.find(|c| {
                depth += i32::from(c == '{') - i32::from(c == '}');
                depth == 0
            });
            parts.extend(top_level(&list[..end.unwrap_or(list.len())]));
        } else {
            parts.insert(word(rest));
        }
    }
    parts
}

/// The first word of each item of a list, lists inside it left out.
fn top_level(list: &str) -> Vec<String> {
    let mut depth = 0;
    list.split(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        c == ',' && depth == 0
    })
    .map(|item| word(item.trim_start()))
    .filter(|word| !word.is_empty())
    .collect()
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

#[test]
fn lists_of_imports_are_read() {
    assert_eq!(
        used("use crate::{\n    address::{Address, Endpoint},\n    flow::FlowKey,\n};\nlet x = crate::time::nanos(y);")
            .into_iter()
            .collect::<Vec<_>>(),
        ["address", "flow", "time"]
    );
}

#[test]
fn dependencies_go_one_way() {
    let mut complaints = Vec::new();
    for path in sources().into_iter().filter(|path| !is_test_file(path)) {
        let part = part(&path);
        let Some((_, allowed)) = MAY_USE.iter().find(|(known, _)| *known == part) else { continue };
        let known: BTreeSet<&str> = root_modules();
        for other in used(&code(&path)).iter().filter(|other| **other != part && known.contains(other.as_str())) {
            if !allowed.contains(&other.as_str()) {
                complaints.push(format!("{} uses crate::{other}", name(&path)));
            }
        }
    }
    assert!(complaints.is_empty(), "against the line of the design:\n{}", complaints.join("\n"));
}

fn root_modules() -> BTreeSet<&'static str> {
    ["cli", "settings", "sensor", "run", "service", "sandbox"]
        .into_iter()
        .chain(MAY_USE.iter().map(|(part, _)| *part))
        .collect()
}

#[test]
fn every_part_has_a_rule() {
    let known = root_modules();
    let parts: BTreeSet<String> = sources().iter().map(|path| part(path)).collect();
    let unknown: Vec<_> = parts
        .iter()
        .filter(|part| !known.contains(part.as_str()) && !["lib", "main"].contains(&part.as_str()))
        .collect();
    assert!(unknown.is_empty(), "say in this test what these may use: {unknown:?}");
}

#[test]
fn the_core_touches_no_edge() {
    let mut complaints = Vec::new();
    for path in sources().iter().filter(|path| CORE.contains(&part(path).as_str()) && !is_test_file(path)) {
        let code = code(path);
        complaints
            .extend(EDGES.iter().filter(|edge| code.contains(**edge)).map(|edge| format!("{}: {edge}", name(path))));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn every_file_says_what_it_does() {
    let silent: Vec<_> = sources()
        .into_iter()
        .filter(|path| !is_test_file(path) && !fs::read_to_string(path).unwrap().starts_with("//! "))
        .map(|path| name(&path))
        .collect();
    assert!(silent.is_empty(), "no //! header: {silent:?}");
}

#[test]
fn no_file_outgrows_its_reader() {
    let long: Vec<_> = sources()
        .into_iter()
        .filter(|path| !is_test_file(path))
        .map(|path| (code(&path).lines().count(), name(&path)))
        .filter(|(lines, _)| *lines > MOST_LINES)
        .collect();
    assert!(long.is_empty(), "more than {MOST_LINES} lines before the tests: {long:?}");
}

#[test]
fn nothing_is_left_for_later() {
    let words = ["todo!", "unimplemented!", "dbg!", "FIXME", concat!("TO", "DO"), "XXX"];
    let mut complaints = Vec::new();
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        complaints
            .extend(words.iter().filter(|word| text.contains(**word)).map(|word| format!("{}: {word}", name(&path))));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}
