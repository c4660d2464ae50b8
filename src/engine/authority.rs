//! Who may ask for what, and how much text a request may carry.

use super::refusal::Refusal;
use crate::domain::{Principal, Role};

/// The longest comment or reason that is taken, in bytes.
const LONGEST_TEXT: usize = 4096;

/// Refuses a caller without the role.
pub fn require(principal: &Principal, role: Role, verb: &'static str) -> Result<(), Refusal> {
    if principal.role.includes(role) {
        return Ok(());
    }
    Err(Refusal::NotAllowed { principal: principal.name.clone(), verb, needed: role.as_str() })
}

/// Refuses a text that is longer than is kept.
pub fn check_text(field: &'static str, text: &str) -> Result<(), Refusal> {
    if text.len() <= LONGEST_TEXT {
        return Ok(());
    }
    Err(Refusal::Invalid { field, why: format!("{} bytes; at most {LONGEST_TEXT} are kept", text.len()) })
}
