//! `remedyd store check|export|import|rebuild`: what can be done with a store whose daemon is stopped.

use std::error::Error;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use crate::app::EXIT_STORE;
use crate::store::StoreError;
use crate::store::offline;

/// Exit status where something is damaged, or could not be done.
const FAILED: u8 = 1;

/// How often the progress is shown: a few times a second.
const SHOWN: u64 = 1 << 14;

/// Says on a terminal how far something is.
pub struct Progress {
    what: &'static str,
    is_seen: bool,
    is_shown: bool,
}

impl Progress {
    /// Of things called `what`.
    pub fn new(what: &'static str) -> Self {
        Self { what, is_seen: io::stderr().is_terminal(), is_shown: false }
    }

    /// It has come to number `n`.
    pub fn at(&mut self, n: u64) {
        if self.is_seen && n.is_multiple_of(SHOWN) {
            eprint!("\r{} {n}", self.what);
            self.is_shown = true;
        }
    }

    /// It is over.
    pub fn end(&mut self) {
        if self.is_shown {
            eprint!("\r\x1b[K");
        }
    }
}

/// Says what failed, and the exit status of that.
pub fn failed(error: &StoreError, err: &mut impl Write) -> u8 {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    // There is nowhere else to say it.
    let _ = writeln!(err, "remedyd: {error}{cause}");
    match error {
        StoreError::Locked { .. } | StoreError::NoStore { .. } => EXIT_STORE,
        _ => FAILED,
    }
}

/// Reads every part of the store in `dir`: a line for each on `out`, and exit status 0 where nothing is wrong.
pub fn check(dir: &Path, out: &mut impl Write, err: &mut impl Write) -> u8 {
    let mut progress = Progress::new("looked at");
    let checked = offline::check(dir, &mut |n| progress.at(n));
    progress.end();
    let checked = match checked {
        Ok(checked) => checked,
        Err(error) => return failed(&error, err),
    };
    let said = checked.parts.iter().try_for_each(|part| match &part.found {
        Ok(holds) => writeln!(out, "{}: sound, {holds}", part.name),
        Err(error) => {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            writeln!(out, "{}: DAMAGED, {error}{cause}", part.name)
        }
    });
    if said.is_ok() && checked.is_sound() { 0 } else { FAILED }
}

/// Writes everything that the store in `dir` holds into `file`; `-` is `out`.
pub fn export(dir: &Path, file: &Path, out: &mut impl Write, err: &mut impl Write) -> u8 {
    let named = Some(file).filter(|file| *file != Path::new("-"));
    match offline::export(dir, named, out) {
        Ok(moved) => {
            let (rows, bytes, seq) = (moved.rows, moved.bytes, moved.seq);
            said(writeln!(err, "wrote {rows} row(s), {bytes} byte(s), up to turn {seq}"))
        }
        Err(error) => failed(&error, err),
    }
}

/// Makes a store in `dir` of what [`export`] wrote into `file`.
pub fn import(dir: &Path, file: &Path, out: &mut impl Write, err: &mut impl Write) -> u8 {
    let moved = match offline::import(dir, file) {
        Ok(moved) => moved,
        Err(error) => return failed(&error, err),
    };
    let mut text = format!("read {} row(s) up to turn {}\n", moved.rows, moved.seq);
    text.push_str("the store acts on nothing until `remedyd store enable`\n");
    said(out.write_all(text.as_bytes()))
}

/// Builds sled anew.
pub fn rebuild(dir: &Path, out: &mut impl Write, err: &mut impl Write) -> u8 {
    match offline::rebuild_sled(dir) {
        Ok(()) => said(writeln!(out, "sled was built anew; what it was is in sled.damaged")),
        Err(error) => failed(&error, err),
    }
}

fn said(written: io::Result<()>) -> u8 {
    written.map_or(FAILED, |()| 0)
}
