//! `catalog/xid.csv`: what NVIDIA's codes are called and what they call for.
//!
//! The shipped table is compiled in; a file that the configuration names replaces it as a whole. Columns that explain a
//! row (`description severity hardware_suspect source`) are for its readers; the rest decides.

use std::collections::BTreeMap;
use std::path::Path;

use super::mistake::{Mistake, Mistakes};
use crate::engine::settings::{Catalogue, CatalogueRow, XidAction};

/// The table that ships.
pub(super) const SHIPPED: &str = include_str!("../../config/catalog/xid.csv");

/// The columns that decide, and those that explain.
const NEEDED: [&str; 4] = ["code", "mnemonic", "recommended_action", "secondary"];
const EXPLAINING: [&str; 4] = ["description", "severity", "hardware_suspect", "source"];

/// Reads a whole table; `path` is for messages.
pub(super) fn read(text: &str, path: &Path, mistakes: &Mistakes) -> Catalogue {
    let wrong = |line: u64, key: &str, what: String| {
        let line = usize::try_from(line).unwrap_or(usize::MAX);
        mistakes.add(Mistake { file: path.to_owned(), line, column: 1, key: key.to_owned(), what });
    };
    let mut rows = BTreeMap::new();
    let mut reader = csv::ReaderBuilder::new().from_reader(text.as_bytes());
    let headers = match reader.headers() {
        Ok(headers) => headers.clone(),
        Err(err) => {
            wrong(1, "header", err.to_string());
            return Catalogue(rows);
        }
    };
    for name in headers.iter().filter(|name| !NEEDED.contains(name) && !EXPLAINING.contains(name)) {
        // A comma too many makes a column without a name, which could be no key of a message.
        let (key, what) =
            if name.is_empty() { ("header", "has a column without a name") } else { (name, "is not a known column") };
        wrong(1, key, format!("{what}; known are {} and {}", NEEDED.join(", "), EXPLAINING.join(", ")));
    }
    let column = |name: &str| {
        let found = headers.iter().position(|header| header == name);
        if found.is_none() {
            wrong(1, name, "is missing; every row needs it".to_owned());
        }
        found
    };
    let [Some(code), Some(mnemonic), Some(action), Some(secondary)] = NEEDED.map(column) else {
        return Catalogue(rows);
    };
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(err) => {
                wrong(err.position().map_or(1, csv::Position::line), "row", err.to_string());
                continue;
            }
        };
        let line = record.position().map_or(1, csv::Position::line);
        let field = |n: usize| record.get(n).unwrap_or_default();
        let number =
            field(code).parse::<u32>().map_err(|_| wrong(line, "code", format!("`{}` is no code", field(code))));
        let what_for = parse_action(field(action)).map_err(|what| wrong(line, "recommended_action", what));
        let is_secondary = parse_yes_no(field(secondary)).map_err(|what| wrong(line, "secondary", what));
        let (Ok(number), Ok(action), Ok(is_secondary)) = (number, what_for, is_secondary) else { continue };
        let row = CatalogueRow { mnemonic: field(mnemonic).to_owned(), action, is_secondary };
        if rows.insert(number, row).is_some() {
            wrong(line, "code", format!("`{number}` has a row already"));
        }
    }
    Catalogue(rows)
}

fn parse_yes_no(text: &str) -> Result<bool, String> {
    match text {
        "yes" => Ok(true),
        "no" => Ok(false),
        _ => Err(format!("`{text}` is neither yes nor no")),
    }
}

fn parse_action(text: &str) -> Result<XidAction, String> {
    match text {
        "NONE" => Ok(XidAction::Nothing),
        "RESTART_APP" => Ok(XidAction::RestartApp),
        "RESET_GPU" => Ok(XidAction::ResetGpu),
        "REBOOT_VM" => Ok(XidAction::RebootVm),
        "VM_ONLY" => Ok(XidAction::VmOnly),
        "HOST_AWARE" => Ok(XidAction::HostAware),
        "CONTACT_SUPPORT" => Ok(XidAction::ContactSupport),
        _ => Err(format!(
            "`{text}` is none of NONE, RESTART_APP, RESET_GPU, REBOOT_VM, VM_ONLY, HOST_AWARE, CONTACT_SUPPORT"
        )),
    }
}
