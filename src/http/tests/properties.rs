//! Whatever comes, however it is cut.
