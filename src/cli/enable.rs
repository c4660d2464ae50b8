//! `remedyd store enable`: gives a stopped store that was copied or restored its right to act back.

use std::io::{self, Write};
use std::path::Path;

use crate::clock::Clock;
use crate::domain::Principal;
use crate::engine::{Command, Engine, Input, Past, Reply, SYSTEM};
use crate::store::{self, Opened, Port, Restored, StoreError};
use crate::writer::Cause;

/// Why the store was not enabled.
#[derive(Debug, thiserror::Error)]
pub enum NotEnabled {
    /// The store does not open, or cannot be written to.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Its journal is damaged.
    #[error("{0}")]
    ReadOnly(String),
    /// There is no store to enable.
    #[error("{0} holds no store")]
    Nothing(String),
    /// Nobody could be told.
    #[error("cannot print")]
    Unprinted(#[from] io::Error),
}

/// Writes it into the journal as a deed of whoever has the folder.
///
/// # Errors
/// The store is in use, damaged or not there; nothing was changed.
pub fn enable(dir: &Path, out: &mut impl Write) -> Result<(), NotEnabled> {
    if !dir.join("store.id").exists() && !dir.join("journal").exists() {
        return Err(NotEnabled::Nothing(dir.display().to_string()));
    }
    let opening = store::open(dir, store::Options::default())?;
    let Opened { live, mut appender, last, restored, .. } =
        opening.for_writing().map_err(|store| NotEnabled::ReadOnly(store.why))?;
    let clock = Clock::start(last.at);
    let mut engine = Engine::new(&live, uuid::Uuid::new_v4().as_u64_pair().0);
    let local = Principal::local();
    let before = restored.map(|Restored { epoch, why }| (SYSTEM.to_owned(), Input::Restored { epoch, why }));
    let asked = (local.name.clone(), Input::Asked(local, Command::Enable));
    let mut is_enabled = false;
    for (principal, input) in before.into_iter().chain([asked]) {
        let kind = input.kind();
        let step = engine.step(clock.now(), input, Past::default());
        is_enabled = step.reply == Reply::Done && !step.changes.is_empty();
        appender.stage(&Cause::of(principal), kind, &step.changes);
    }
    appender.commit(clock.now())?;
    appender.close()?;
    let epoch = engine.memory().execution().map_or(1, |execution| execution.epoch);
    let what = if is_enabled { "may act again" } else { "could act already" };
    writeln!(out, "{}: life {epoch} of the store {what}", dir.display())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn enabled(dir: &Path) -> String {
        let mut out = Vec::new();
        enable(dir, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_copied_store_may_act_again_and_one_that_may_is_left_as_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let store = dir.path().join("store");
        let nothing = enable(&store, &mut Vec::new()).unwrap_err().to_string();
        assert_eq!(nothing, format!("{} holds no store", store.display()));
        store::open(&store, store::Options::default()).unwrap().for_writing().unwrap().appender.close().unwrap();
        assert!(enabled(&store).ends_with(": life 1 of the store could act already\n"));
        // As a copy has it: another file.
        fs::copy(store.join("store.id"), store.join("copy")).unwrap();
        fs::rename(store.join("copy"), store.join("store.id")).unwrap();
        assert!(enabled(&store).ends_with(": life 2 of the store may act again\n"));
        let opened = store::open(&store, store::Options::default()).unwrap().for_writing().unwrap();
        assert_eq!(opened.restored, None);
        let engine = Engine::new(&opened.live, 1);
        assert_eq!(engine.memory().execution().unwrap().disabled_because, None);
    }
}
