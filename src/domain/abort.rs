//! What a person stopped after it had begun, and how far undoing it has come.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// A person's word that an operation is to stop, though its act has begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abort {
    /// Principal.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why, in their words.
    pub reason: String,
    /// The undoing; nothing as long as it is not known that there is something to undo.
    pub undo: Option<Undo>,
}

/// The undoing of one operation: durable as an intent before the first byte leaves, as the act was.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// When the intent was written.
    pub intended_at: Timestamp,
    /// After this no further call begins.
    pub deadline: Timestamp,
    /// How many calls came to nothing; the back-off's exponent.
    pub retries: u32,
}
