//! The rule: windows over error events, alerts out.
