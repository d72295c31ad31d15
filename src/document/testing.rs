//! Documents in tests: each is checked against its published schema.

use serde_json::Value;

/// A schema of `packaging/schemas`.
pub(super) fn validator(schema: &str) -> jsonschema::Validator {
    jsonschema::validator_for(&serde_json::from_str(schema).unwrap()).unwrap()
}

/// Reads a document, which has one line and follows its schema.
pub(super) fn valid(line: &[u8], schema: &jsonschema::Validator) -> Value {
    let text = std::str::from_utf8(line).unwrap();
    assert_eq!(text.lines().count(), 1, "{text}");
    let value: Value = serde_json::from_str(text).unwrap();
    let problems: Vec<_> =
        schema.iter_errors(&value).map(|error| format!("{error} at {}", error.instance_path())).collect();
    assert!(problems.is_empty(), "{problems:?}\n{text}");
    value
}
