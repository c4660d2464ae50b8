//! `[checks.<id>.tcp]`

/// Connects to a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcp {}
