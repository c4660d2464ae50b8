//! `[checks.<id>.command]`

/// Runs a program of the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {}
