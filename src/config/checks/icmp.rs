//! `[checks.<id>.icmp]`

/// Sends echo requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Icmp {}
