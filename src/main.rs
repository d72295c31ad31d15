//! Arguments to configuration to run to exit code.

fn main() {}
