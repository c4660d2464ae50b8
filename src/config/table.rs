//! Reads TOML tables key by key: wrong types, bad values, missing and unknown keys become mistakes, and reading goes on.
//!
//! A reader takes the keys that it knows, then calls [`Table::finish`], which refuses whatever is left: a key that has no
//! effect is never accepted.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::path::{Path, PathBuf};
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::document::{Document, folder_of};
use super::glob::beside;
use super::{duration, size};

/// A value with its dotted path and its place.
#[derive(Clone)]
pub(super) struct Value<'a> {
    pub(super) doc: &'a Document<'a>,
    pub(super) key: String,
    key_span: Range<usize>,
    value: &'a Spanned<DeValue<'a>>,
}

/// A table that is being read; possibly merged from several files, so every entry knows its own.
pub(super) struct Table<'a> {
    doc: &'a Document<'a>,
    key: String,
    at: Range<usize>,
    entries: BTreeMap<&'a str, Value<'a>>,
    known: Vec<&'static str>,
}

impl<'a> Table<'a> {
    /// The top of a file.
    pub(super) fn root(doc: &'a Document<'a>, root: &'a Spanned<DeTable<'a>>) -> Self {
        Self::new(doc, String::new(), 0..0, root.get_ref())
    }

    fn new(doc: &'a Document<'a>, key: String, at: Range<usize>, table: &'a DeTable<'a>) -> Self {
        let entries = table.iter().map(|(name, value)| {
            let name_text: &'a str = name.get_ref();
            (name_text, Value { doc, key: join(&key, name_text), key_span: name.span(), value })
        });
        Self { doc, entries: entries.collect(), key, at, known: Vec::new() }
    }

    /// Takes over the entries of `later`, which win over entries of the same name.
    pub(super) fn merge(&mut self, later: Self) {
        self.entries.extend(later.entries);
    }

    /// The value of `name`, once; what was never asked for is unknown in the end.
    pub(super) fn take(&mut self, name: &'static str) -> Option<Value<'a>> {
        self.known.push(name);
        #[cfg(test)]
        super::keys::tests::note(&join(&self.key, name));
        self.entries.remove(name)
    }

    /// The value of `name`; a mistake where there is none.
    pub(super) fn require(&mut self, name: &'static str) -> Option<Value<'a>> {
        let taken = self.take(name);
        if taken.is_none() {
            self.doc.doubtful(self.at.clone(), &join(&self.key, name), "is missing, and there is no default for it");
        }
        taken
    }

    /// The table `name`, or an empty one.
    pub(super) fn table(&mut self, name: &'static str) -> Self {
        let found = self.take(name).and_then(|value| value.table());
        found.unwrap_or_else(|| Self {
            doc: self.doc,
            key: join(&self.key, name),
            at: self.at.clone(),
            entries: BTreeMap::new(),
            known: Vec::new(),
        })
    }

    /// All entries, whose names the file's author chose, as names of one kind.
    pub(super) fn named<I, E: Display>(self, parse: impl Fn(&str) -> Result<I, E>) -> Vec<(I, Value<'a>)> {
        let read = self.entries.into_iter().filter_map(|(name, value)| match parse(name) {
            Ok(id) => Some((id, value)),
            Err(err) => {
                value.doc.wrong(value.key_span.clone(), &value.key, err.to_string());
                None
            }
        });
        read.collect()
    }

    /// Whether everything was taken.
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Refuses what was not taken.
    pub(super) fn finish(self) {
        for value in self.entries.into_values() {
            let known: Vec<String> = self.known.iter().map(|name| format!("`{name}`")).collect();
            let place = if self.key.is_empty() { "at the top".to_owned() } else { format!("in [{}]", self.key) };
            let what = format!("is not a known key; known {place}: {}", known.join(", "));
            value.doc.wrong(value.key_span.clone(), &value.key, what);
        }
    }

    /// Notes a mistake about the table as a whole.
    pub(super) fn wrong(&self, what: impl Into<String>) {
        self.doc.wrong(self.at.clone(), &self.key, what);
    }

    /// Notes a warning about the table as a whole.
    pub(super) fn warn(&self, what: impl Into<String>) {
        self.doc.warn(self.at.clone(), &self.key, what);
    }
}

impl<'a> Value<'a> {
    /// Notes that the value is wrong.
    pub(super) fn wrong(&self, what: impl Into<String>) {
        self.doc.wrong(self.value.span(), &self.key, what);
    }

    /// Notes that the value names something that does not exist, as far as can be seen.
    pub(super) fn dangling(&self, what: impl Into<String>) {
        self.doc.doubtful(self.value.span(), &self.key, what);
    }

    /// Notes that the value is probably not meant.
    pub(super) fn warn(&self, what: impl Into<String>) {
        self.doc.warn(self.value.span(), &self.key, what);
    }

    /// Where the key itself stands: file, line, column.
    pub(super) fn place(&self) -> String {
        let (line, column) = self.doc.line_and_column(self.key_span.start);
        format!("{}:{line}:{column}", self.doc.path.display())
    }

    /// Notes a mistake about the key rather than its value.
    pub(super) fn wrong_key(&self, what: impl Into<String>) {
        self.doc.wrong(self.key_span.clone(), &self.key, what);
    }

    /// As a string.
    pub(super) fn string(&self) -> Option<&'a str> {
        match self.value.get_ref() {
            DeValue::String(text) => Some(text),
            other => self.wrong_type("a string", other),
        }
    }

    /// As a string that is not empty.
    pub(super) fn text(&self) -> Option<&'a str> {
        let text = self.string()?;
        if text.trim().is_empty() {
            self.wrong("must not be empty");
            return None;
        }
        Some(text)
    }

    /// As a string that `parse` understands.
    pub(super) fn parsed<T, E: Display>(&self, parse: impl Fn(&str) -> Result<T, E>) -> Option<T> {
        parse(self.string()?).map_err(|err| self.wrong(err.to_string())).ok()
    }

    /// As a duration.
    pub(super) fn duration(&self) -> Option<Duration> {
        match self.value.get_ref() {
            DeValue::String(text) => duration::parse(text).map_err(|err| self.wrong(err.to_string())).ok(),
            other => self.wrong_type("a duration in quotes, such as \"5m\"", other),
        }
    }

    /// As an amount of bytes.
    pub(super) fn size(&self) -> Option<u64> {
        match self.value.get_ref() {
            DeValue::String(text) => size::parse(text).map_err(|err| self.wrong(err.to_string())).ok(),
            other => self.wrong_type("a size in quotes, such as \"256MiB\"", other),
        }
    }

    /// As true or false.
    pub(super) fn boolean(&self) -> Option<bool> {
        match self.value.get_ref() {
            DeValue::Boolean(value) => Some(*value),
            other => self.wrong_type("true or false", other),
        }
    }

    /// As a whole number in `range`.
    pub(super) fn number(&self, range: RangeInclusive<u32>) -> Option<u32> {
        let DeValue::Integer(written) = self.value.get_ref() else {
            return self.wrong_type("a whole number", self.value.get_ref());
        };
        let number = u32::from_str_radix(written.as_str(), written.radix()).ok().filter(|n| range.contains(n));
        if number.is_none() {
            self.wrong(format!("must be a whole number from {} to {}, not {written}", range.start(), range.end()));
        }
        number
    }

    /// Whether it is a whole number, for a key that takes a number or a text.
    pub(super) fn is_number(&self) -> bool {
        matches!(self.value.get_ref(), DeValue::Integer(_))
    }

    /// A path as the file of this value writes it: relative to the file's folder.
    pub(super) fn beside(&self, path: &str) -> PathBuf {
        beside(&folder_of(self.doc.path), path)
    }

    /// As a list.
    pub(super) fn list(&self) -> Option<Vec<Value<'a>>> {
        let DeValue::Array(items) = self.value.get_ref() else {
            return self.wrong_type("a list", self.value.get_ref());
        };
        let item = |value| Value { doc: self.doc, key: self.key.clone(), key_span: self.key_span.clone(), value };
        Some(items.iter().map(item).collect())
    }

    /// A program by its absolute path, and its arguments.
    pub(super) fn argv(&self) -> Option<Vec<String>> {
        let items = self.list()?;
        let Some(program) = items.first() else {
            self.wrong("must name a program");
            return None;
        };
        if program.text().is_some_and(|path| !Path::new(path).is_absolute()) {
            program.wrong("the program must be an absolute path: there is no shell and no search path");
        }
        // Arguments may be empty; only the program must be there.
        items.iter().map(|item| item.string().map(str::to_owned)).collect()
    }

    /// As a list of strings that are not empty, each with its place.
    pub(super) fn texts(&self) -> Option<Vec<(&'a str, Value<'a>)>> {
        let items = self.list()?;
        Some(items.into_iter().filter_map(|item| item.text().map(|text| (text, item))).collect())
    }

    /// As a table; mistakes about it as a whole stand at its key.
    pub(super) fn table(&self) -> Option<Table<'a>> {
        match self.value.get_ref() {
            DeValue::Table(table) => Some(Table::new(self.doc, self.key.clone(), self.key_span.clone(), table)),
            other => self.wrong_type("a table", other),
        }
    }

    fn wrong_type<T>(&self, wanted: &str, found: &DeValue<'_>) -> Option<T> {
        let found = match found {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "a whole number",
            DeValue::Float(_) => "a fraction",
            DeValue::Boolean(_) => "true or false",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "a list",
            DeValue::Table(_) => "a table",
        };
        self.wrong(format!("must be {wanted}, not {found}"));
        None
    }
}

/// The dotted path as TOML would write it: a part that is no bare key stands in quotes.
fn join(path: &str, name: &str) -> String {
    let is_bare = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    let name = if is_bare { name.to_owned() } else { format!("{name:?}") };
    if path.is_empty() { name } else { format!("{path}.{name}") }
}
