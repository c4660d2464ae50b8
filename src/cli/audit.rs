//! `remedyd audit verify`: is the journal what was written, every byte of it? `remedyd audit log`: who did what?

use std::io::{self, Write};
use std::path::Path;

use super::store::{Progress, failed};
use crate::store::offline::{Audit, Deed, audit, deeds};
use crate::store::{parse_chain, show_chain};

/// Exit status where the answer could not be printed.
const UNPRINTED: u8 = 1;

/// Reads `SEQ:HASH`, as it is printed.
///
/// # Errors
/// In words, what is wrong.
pub fn parse_head(text: &str) -> Result<(u64, [u8; 32]), String> {
    let head = text.split_once(':').and_then(|(seq, chain)| Some((seq.parse().ok()?, parse_chain(chain)?)));
    head.ok_or_else(|| format!("`{text}` is no head: write what an earlier `audit verify` printed, SEQ:HASH"))
}

/// Verifies the journal of the stopped store in `dir`: what it holds on `out` and exit status 0, or the damage on `err`.
pub fn verify(dir: &Path, head: Option<(u64, [u8; 32])>, out: &mut impl Write, err: &mut impl Write) -> u8 {
    let mut progress = Progress::new("turn");
    let found = audit(dir, head, &mut |seq| progress.at(seq));
    progress.end();
    match found {
        Ok(found) => show(dir, &found, out).map_or(UNPRINTED, |()| 0),
        Err(error) => failed(&error, err),
    }
}

/// Tells who did what in the stopped store in `dir`, a line each on `out`, and exit status 0; or why not, on `err`.
pub fn log(dir: &Path, out: &mut impl Write, err: &mut impl Write) -> u8 {
    let mut printed = Ok(());
    let read = deeds(dir, &mut |deed| {
        if printed.is_ok() {
            printed = show_deed(&deed, out);
        }
    });
    match read {
        Ok(()) => printed.map_or(UNPRINTED, |()| 0),
        Err(error) => failed(&error, err),
    }
}

fn show_deed(deed: &Deed, out: &mut impl Write) -> io::Result<()> {
    let Deed { seq, at, verb, principal, role, address, request_id, what } = deed;
    let role = role.map_or("-", crate::domain::Role::as_str);
    let address = address.map_or_else(|| "-".to_owned(), |address| address.to_string());
    writeln!(
        out,
        "{at} turn={seq} {verb} by {principal} ({role}) from {address} request={request_id}: {}",
        what.join("; ")
    )
}

fn show(dir: &Path, found: &Audit, out: &mut impl Write) -> io::Result<()> {
    let (records, segments) = (found.records, found.segments);
    writeln!(out, "{}: {records} turn(s) in {segments} segment(s), every byte as it was written", dir.display())?;
    if let (Some((first, since)), Some((last, until))) = (found.first, found.last) {
        writeln!(out, "turns {first} to {last}, from {since} to {until}")?;
        if first > 1 {
            writeln!(out, "the turns before {first} went by the journal's own word")?;
        }
    }
    if found.torn > 0 {
        writeln!(out, "{} byte(s) of a turn that was never acknowledged lie behind the end", found.torn)?;
    }
    if !found.agreed.is_empty() {
        writeln!(out, "agrees with {}", found.agreed.join(", "))?;
    }
    for why in &found.skipped {
        writeln!(out, "not compared: {why}")?;
    }
    writeln!(out, "head {}:{}", found.seq, show_chain(&found.chain))
}
