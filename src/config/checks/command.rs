//! `[checks.<id>.command]`

use super::super::table::Table;
use crate::domain::CheckId;

/// Runs a program of the operator's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Command {
    /// The check that it belongs to, which the program is told.
    pub check: CheckId,
    /// The program and its arguments.
    pub argv: Vec<String>,
}

pub(super) fn read(check: &CheckId, mut table: Table<'_>) -> Option<Command> {
    let argv = table.require("argv").and_then(|value| value.argv());
    table.finish();
    Some(Command { check: check.clone(), argv: argv? })
}
