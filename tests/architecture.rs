//! The shape of the source tree, as `src/lib.rs` and the design draw it.
//!
//! In: the files under `src/` and the manifest. What is checked: every folder uses only folders that come before it in the
//! line, and only those listed for it; the core does no I/O, reads no clock and spawns nothing; no sink is named outside
//! `output/` and the settings; every crate that the project was given does work in the product; every file opens with what it
//! does, none outgrows a reader, nothing is left for later.

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use crate::support::root;

/// Lines of code a file may have before its tests.
const MAX_LINES: usize = 500;

/// The parts of the program in the order of the line, each with the parts it uses. A part is a folder of `src/`, or a file at
/// its top. No part may use one that is listed after it, none may use one that is not listed for it, and a permission that
/// nobody needs is taken away.
const LINE: &[(&str, &[&str])] = &[
    ("time", &[]),
    ("byte_scan", &[]),
    ("printable", &[]),
    ("regular", &[]),
    ("address", &[]),
    ("telemetry", &[]),
    ("keyed_hash", &[]),
    ("capture", &["time", "telemetry"]),
    ("decode", &["time", "address", "telemetry", "keyed_hash", "capture"]),
    ("tcp", &["time", "address", "telemetry", "capture", "decode"]),
    ("flow", &["time", "address", "telemetry", "keyed_hash", "capture", "decode", "tcp"]),
    ("evidence", &["time", "address", "telemetry", "keyed_hash", "capture", "decode"]),
    ("exchange", &["time", "address", "byte_scan", "capture", "decode"]),
    ("stream", &["time", "address", "telemetry", "keyed_hash", "capture", "tcp", "exchange"]),
    ("event", &["time", "address", "byte_scan", "telemetry", "keyed_hash", "capture", "exchange"]),
    ("detect", &["time", "address", "telemetry", "keyed_hash", "exchange", "event"]),
    ("verdict", &["time", "address", "telemetry", "keyed_hash", "exchange", "event", "detect"]),
    ("enrich", &["time", "address", "regular", "telemetry", "detect"]),
    (
        "document",
        &[
            "time",
            "address",
            "byte_scan",
            "printable",
            "telemetry",
            "capture",
            "decode",
            "exchange",
            "event",
            "detect",
            "verdict",
            "enrich",
        ],
    ),
    ("output", &["regular", "telemetry", "document"]),
    (
        "sensor",
        &[
            "time",
            "address",
            "telemetry",
            "keyed_hash",
            "capture",
            "decode",
            "tcp",
            "flow",
            "exchange",
            "stream",
            "event",
            "detect",
            "verdict",
        ],
    ),
    ("sandbox", &["regular"]),
    ("service", &["printable", "regular", "telemetry"]),
    (
        "settings",
        &[
            "time",
            "printable",
            "address",
            "regular",
            "capture",
            "decode",
            "tcp",
            "flow",
            "stream",
            "event",
            "detect",
            "verdict",
            "enrich",
            "output",
            "sensor",
            "service",
        ],
    ),
    (
        "run",
        &[
            "time",
            "printable",
            "telemetry",
            "keyed_hash",
            "capture",
            "decode",
            "evidence",
            "regular",
            "address",
            "tcp",
            "stream",
            "event",
            "detect",
            "verdict",
            "enrich",
            "document",
            "output",
            "sensor",
            "sandbox",
            "service",
            "settings",
        ],
    ),
    ("cli", &["capture", "settings"]),
    ("lib", &[]),
    ("main", &["printable", "capture", "output", "run", "cli"]),
];

/// Parts that do no I/O, read no clock and spawn nothing.
const CORE: &[&str] = &[
    "time",
    "byte_scan",
    "printable",
    "address",
    "decode",
    "tcp",
    "flow",
    "evidence",
    "exchange",
    "stream",
    "event",
    "detect",
    "verdict",
    "document",
];

/// Names that mean I/O, a clock or a thread.
const OUTSIDE_WORLD: &[&str] = &[
    "std::fs",
    "std::net::Tcp",
    "std::net::Udp",
    "stdin()",
    "stdout()",
    "stderr()",
    "std::thread",
    "std::process",
    "SystemTime",
    "Instant",
    "tokio",
    "crossbeam_channel",
    "println!",
    "print!",
    "std::env",
];

/// The crates that the project was given, each of which does the work it is best at.
const GIVEN_CRATES: &[&str] = &["pcap", "etherparse", "httparse", "tokio", "clap", "serde_json", "hashbrown"];

/// Every source file under `src/`, in order of path.
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

/// The files of the product: tests and what is compiled for tests alone are left out.
fn product() -> impl Iterator<Item = PathBuf> {
    sources().into_iter().filter(|path| !is_test_file(path))
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

/// Whether a file is compiled for tests or fuzzing alone: by its name, or because its `mod` line says so.
fn is_test_file(path: &Path) -> bool {
    let stem = path.file_stem().unwrap().to_string_lossy().into_owned();
    if ["tests", "testing"].contains(&stem.as_str()) || stem.ends_with("_tests") || name(path).contains("/tests/") {
        return true;
    }
    let folder = path.parent().unwrap();
    let (module, parent) = match stem.as_str() {
        "mod" => (folder.file_name().unwrap().to_string_lossy().into_owned(), folder.parent().unwrap()),
        _ => (stem, folder),
    };
    let beside = parent.file_name().map(|name| parent.with_file_name(format!("{}.rs", name.to_string_lossy())));
    let declared = [Some(parent.join("mod.rs")), Some(parent.join("lib.rs")), beside];
    declared
        .into_iter()
        .flatten()
        .filter_map(|file| fs::read_to_string(file).ok())
        .any(|text| is_for_tests(&text, &module))
}

/// Whether the text declares the module behind `#[cfg(test)]` or `#[cfg(any(test, …))]`.
fn is_for_tests(text: &str, module: &str) -> bool {
    let lines: Vec<&str> = text.lines().collect();
    let declares = |line: &str| {
        let line = line.trim_start();
        let line = line.strip_prefix("pub(crate) ").or_else(|| line.strip_prefix("pub ")).unwrap_or(line);
        let line = line.strip_prefix("pub(super) ").unwrap_or(line);
        line == format!("mod {module};") || line == format!("mod {module} {{")
    };
    let conditions =
        |at: usize| lines[..at].iter().rev().map(|line| line.trim()).take_while(|line| line.starts_with("#["));
    lines
        .iter()
        .enumerate()
        .filter(|(_, line)| declares(line))
        .any(|(at, _)| conditions(at).any(|line| line.starts_with("#[cfg(test)") || line.starts_with("#[cfg(any(test")))
}

/// The code before the tests, comments taken out.
fn code(path: &Path) -> String {
    without_tests(&fs::read_to_string(path).unwrap())
}

fn without_tests(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]\nmod ").next().unwrap();
    before_tests.lines().map(|line| line.split("//").next().unwrap()).collect::<Vec<_>>().join("\n")
}

/// The parts that a file names: `crate::part`, alone or in a `use crate::{…}` list.
fn used(code: &str) -> BTreeSet<String> {
    let mut parts = BTreeSet::new();
    for prefix in ["crate::", "wirespike::"] {
        for (at, _) in code.match_indices(prefix) {
            let is_whole_word = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
            if is_whole_word {
                parts.extend(first_words(&code[at + prefix.len()..]));
            }
        }
    }
    parts
}

/// The first word of a path, or of each path of a list.
fn first_words(rest: &str) -> Vec<String> {
    let Some(list) = rest.strip_prefix('{') else { return vec![word(rest)] };
    let mut depth = 1;
    let end = list.find(|c| {
        depth += i32::from(c == '{') - i32::from(c == '}');
        depth == 0
    });
    top_level(&list[..end.unwrap_or(list.len())])
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

/// The parts named in `LINE`.
fn known_parts() -> BTreeSet<&'static str> {
    LINE.iter().map(|(part, _)| *part).collect()
}

/// Every use of one part by another, with the file that has it.
fn uses() -> Vec<(String, String, String)> {
    let known = known_parts();
    let mut found = Vec::new();
    for path in product() {
        let part = part(&path);
        for other in used(&code(&path)) {
            // The macro that declares a stage's counters.
            let other = if other == "counters" { "telemetry".to_owned() } else { other };
            if other != part && known.contains(other.as_str()) {
                found.push((part.clone(), other, name(&path)));
            }
        }
    }
    found
}

#[test]
fn imports_are_read() {
    let code = "use crate::{\n    address::{Address, Endpoint},\n    flow::FlowKey,\n};\nlet x = crate::time::nanos(y);\nuse other_crate::tcp;";
    assert_eq!(used(code).into_iter().collect::<Vec<_>>(), ["address", "flow", "time"]);
    assert!(without_tests("use crate::a;\n#[cfg(test)]\nmod tests { use crate::b; }") == "use crate::a;");
    let declared = "mod plain;\n#[cfg(test)]\npub(crate) mod testing;\n#[cfg(any(test, fuzzing))]\nmod model;\n";
    assert_eq!(["plain", "testing", "model"].map(|module| is_for_tests(declared, module)), [false, true, true]);
}

#[test]
fn every_part_is_in_the_line() {
    let known = known_parts();
    let parts: BTreeSet<String> = sources().iter().map(|path| part(path)).collect();
    let unlisted: Vec<_> = parts.iter().filter(|part| !known.contains(part.as_str())).collect();
    assert!(unlisted.is_empty(), "give these a place in LINE: {unlisted:?}");
    let gone: Vec<_> = known.iter().filter(|part| !parts.contains(**part)).collect();
    assert!(gone.is_empty(), "take these out of LINE: {gone:?}");
}

#[test]
fn the_line_runs_one_way() {
    for (at, (part, allowed)) in LINE.iter().enumerate() {
        let before: BTreeSet<&str> = LINE[..at].iter().map(|(part, _)| *part).collect();
        let later: Vec<_> = allowed.iter().filter(|other| !before.contains(**other)).collect();
        assert!(later.is_empty(), "{part} may not use what comes after it: {later:?}");
    }
}

#[test]
fn parts_use_what_is_listed_for_them_and_nothing_else() {
    let uses = uses();
    let allowed = |part: &str| LINE.iter().find(|(known, _)| *known == part).map_or(&[][..], |(_, allowed)| *allowed);
    let against: Vec<_> = uses
        .iter()
        .filter(|(part, other, _)| !allowed(part).contains(&other.as_str()))
        .map(|(_, other, file)| format!("{file} uses crate::{other}"))
        .collect();
    assert!(against.is_empty(), "against the line:\n{}", against.join("\n"));
    let needed: BTreeSet<(&str, &str)> = uses.iter().map(|(part, other, _)| (part.as_str(), other.as_str())).collect();
    let idle: Vec<_> = LINE
        .iter()
        .flat_map(|(part, allowed)| allowed.iter().map(move |other| (*part, *other)))
        .filter(|pair| !needed.contains(pair))
        .collect();
    assert!(idle.is_empty(), "permissions that nobody needs: {idle:?}");
}

#[test]
fn the_core_touches_no_outside_world() {
    let mut complaints = Vec::new();
    for path in product().filter(|path| CORE.contains(&part(path).as_str())) {
        let code = code(&path);
        let named = OUTSIDE_WORLD.iter().filter(|what| code.contains(**what));
        complaints.extend(named.map(|what| format!("{}: {what}", name(&path))));
    }
    assert!(complaints.is_empty(), "{}", complaints.join("\n"));
}

#[test]
fn no_sink_is_named_outside_the_output() {
    let named: Vec<_> = product()
        .filter(|path| !["output", "settings"].contains(&part(path).as_str()))
        .filter(|path| code(path).contains("sinks"))
        .map(|path| name(&path))
        .collect();
    assert!(named.is_empty(), "outputs are asked for by what is written, not by sink: {named:?}");
}

#[test]
fn every_given_crate_works_in_the_product() {
    for given in GIVEN_CRATES {
        let users: Vec<_> = product()
            .filter(|path| {
                let code = code(path);
                let path_to = format!("{given}::");
                code.match_indices(&path_to)
                    .any(|(at, _)| !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
            })
            .map(|path| name(&path))
            .collect();
        assert!(!users.is_empty(), "{given} is in the manifest, and no file of the product uses it");
    }
}

#[test]
fn every_file_says_what_it_does() {
    let silent: Vec<_> = product()
        .filter(|path| !fs::read_to_string(path).unwrap().starts_with("//! "))
        .map(|path| name(&path))
        .collect();
    assert!(silent.is_empty(), "no //! header: {silent:?}");
}

#[test]
fn no_file_outgrows_its_reader() {
    let long: Vec<_> = product()
        .map(|path| (code(&path).lines().count(), name(&path)))
        .filter(|(lines, _)| *lines > MAX_LINES)
        .collect();
    assert!(long.is_empty(), "more than {MAX_LINES} lines before the tests: {long:?}");
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
