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
    assert!(uncommented(&example).lines().filter(|line| !line.starts_with('#')).count() > 30);
}
