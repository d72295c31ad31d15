//! The packaged configuration against what the program accepts.

use std::collections::BTreeSet;

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
    // The private key in the example is on no machine that tests run on, and `check` looks for it.
    for (command, text) in [("check", example.clone()), ("config", uncommented(&example))] {
        std::fs::write(&file, &text).unwrap();
        let output = wirespike().args([command, "--config"]).arg(&file).output().unwrap();
        assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
    }
}

/// The keys of a configuration, with their sections.
fn keys(toml: &str) -> BTreeSet<String> {
    let table: toml::Table = toml.parse().unwrap();
    let mut keys = BTreeSet::new();
    for (section, value) in table {
        let tables = match value {
            toml::Value::Table(table) => vec![table],
            toml::Value::Array(tables) => tables.into_iter().map(|table| table.as_table().unwrap().clone()).collect(),
            other => panic!("{section} is {other}"),
        };
        keys.extend(tables.iter().flat_map(|table| table.keys()).map(|key| format!("{section}.{key}")));
    }
    keys
}

#[test]
fn the_example_configuration_has_every_key() {
    let example = uncommented(&std::fs::read_to_string(root().join("packaging/wirespike.toml")).unwrap());
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wirespike.toml");
    std::fs::write(&file, &example).unwrap();
    let output = wirespike().args(["config", "--config"]).arg(&file).output().unwrap();
    let in_force = String::from_utf8(output.stdout).unwrap();
    assert!(keys(&example).len() > 60, "{:?}", keys(&example));
    assert_eq!(keys(&example), keys(&in_force));
    // Every key stands in the file, so every value comes from it.
    let elsewhere: Vec<_> = in_force
        .lines()
        .filter(|line| line.split(' ').nth(1) == Some("=") && !line.contains("wirespike.toml:"))
        .collect();
    assert!(elsewhere.is_empty(), "{elsewhere:?}");
}
