//! The packaged configuration against what the program accepts.

use crate::support::{root, wirespike};

/// The example with every commented-out setting in force.
fn uncommented(example: &str) -> String {
    let setting = |line: &str| match line.strip_prefix("# ") {
        Some(rest) if rest.starts_with('[') || rest.split(' ').nth(1) == Some("=") => rest.to_owned(),
        _ => line.to_owned(),
    };
    example.lines().map(setting).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_line_of_the_example_configuration_is_accepted() {
    let path = root().join("packaging/wirespike.toml");
    let example = std::fs::read_to_string(path).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wirespike.toml");
    for text in [example.clone(), uncommented(&example)] {
        std::fs::write(&file, &text).unwrap();
        let output = wirespike().args(["check", "--config"]).arg(&file).output().unwrap();
        assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_example_configuration_has_every_key() {
    let example = uncommented(&std::fs::read_to_string(root().join("packaging/wirespike.toml")).unwrap());
    let sections = std::fs::read_to_string(root().join("src/config/file.rs")).unwrap();
    // Fields of sections stand eight blanks in, as `name: Type,`.
    let keys = sections.lines().filter_map(|line| line.strip_prefix("        ")?.split_once(": "));
    let keys: Vec<&str> =
        keys.map(|(key, _)| key).filter(|key| key.chars().all(|c| c.is_ascii_lowercase() || c == '_')).collect();
    assert!(keys.len() > 50, "{keys:?}");
    let missing: Vec<_> =
        keys.iter().filter(|key| !example.lines().any(|line| line.starts_with(&format!("{key} =")))).collect();
    assert!(missing.is_empty(), "{missing:?}");
}
