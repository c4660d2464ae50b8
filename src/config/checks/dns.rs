//! `[checks.<id>.dns]`

/// Asks a name server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {}
