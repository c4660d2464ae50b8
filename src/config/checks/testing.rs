//! For tests of readers: one table, and the mistakes in it.

use std::path::Path;

use crate::config::document::Document;
use crate::config::mistake::{Mistake, Mistakes};
use crate::config::table::Table;

/// What a reader makes of these lines.
pub(super) fn reading<T>(text: &str, read: impl FnOnce(Table<'_>) -> Option<T>) -> (Option<T>, Vec<Mistake>) {
    let mistakes = Mistakes::default();
    let doc = Document::new(Path::new("a.toml"), text, &mistakes);
    let tree = doc.parse();
    let made = read(Table::root(&doc, &tree));
    (made, mistakes.into_result().err().unwrap_or_default())
}
