//! Whether this store may act on machines at all.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// The right to act. A store that was copied or restored loses it: the machines may have another master by now, and what
/// the store believes of them may be old. A store without such a row never lost it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Execution {
    /// Which life of the store this is about: 1 for the first, one more for each copy or restore.
    pub epoch: u64,
    /// Why nothing may act; nothing where everything may.
    pub disabled_because: Option<String>,
    /// Since when.
    pub changed_at: Timestamp,
    /// Who disabled or enabled it; `remedyd` for the engine.
    pub changed_by: String,
}
