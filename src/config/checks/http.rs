//! `[checks.<id>.http]`

/// Asks for a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {}
