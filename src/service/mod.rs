//! What a long-running sensor needs around it: signals and the service manager, the state file, the metrics endpoint, logs.

pub(crate) mod edge;
pub(crate) mod logging;
pub mod metrics;
pub mod state;
