//! `[checks.<id>.command]`

use std::path::Path;

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
    let written = table.require("argv");
    table.finish();
    let value = written?;
    let items = value.list()?;
    let Some(program) = items.first() else {
        value.wrong("must name a program");
        return None;
    };
    if program.text().is_some_and(|path| !Path::new(path).is_absolute()) {
        program.wrong("the program must be an absolute path: there is no shell and no search path");
    }
    // Arguments may be empty; only the program must be there.
    let argv = items.iter().map(|item| item.string().map(str::to_owned)).collect::<Option<_>>()?;
    Some(Command { check: check.clone(), argv })
}
