//! Columns: padded by the widest cell, the last one as long as it likes; colour only where it says something.

use std::io::{self, Write};

use super::text::safe;

/// Space between columns.
const GAP: usize = 3;

/// Rows of cells under named columns.
#[derive(Debug)]
pub struct Table {
    headers: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// An empty one with these columns.
    pub fn new(headers: &[&'static str]) -> Self {
        Self { headers: headers.to_vec(), rows: Vec::new() }
    }

    /// Adds a row; its cells are made safe for a terminal.
    pub fn row(&mut self, cells: Vec<String>) {
        let cell = |cell: String| if cell.is_empty() { "-".to_owned() } else { safe(&cell).into_owned() };
        self.rows.push(cells.into_iter().map(cell).collect());
    }

    /// How wide each column is.
    pub fn widths(&self) -> Vec<usize> {
        let width = |at: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
            cells.chain([self.headers[at].len()]).max().unwrap_or(0)
        };
        (0..self.headers.len()).map(width).collect()
    }

    /// Writes it, with columns at least as wide as `widths`.
    ///
    /// # Errors
    /// Whatever `out` says.
    pub fn write(&self, out: &mut impl Write, widths: &[usize], headers: bool, colours: bool) -> io::Result<()> {
        if headers {
            let cells: Vec<&str> = self.headers.clone();
            line(out, &cells, widths, false)?;
        }
        for row in &self.rows {
            let cells: Vec<&str> = row.iter().map(String::as_str).collect();
            line(out, &cells, widths, colours)?;
        }
        Ok(())
    }
}

fn line(out: &mut impl Write, cells: &[&str], widths: &[usize], colours: bool) -> io::Result<()> {
    let mut text = String::new();
    for (at, cell) in cells.iter().enumerate() {
        match colour(cell).filter(|_| colours) {
            Some(code) => text.push_str(&format!("\x1b[{code}m{cell}\x1b[0m")),
            None => text.push_str(cell),
        }
        if at + 1 < cells.len() {
            let width = widths.get(at).copied().unwrap_or(0);
            text.extend(std::iter::repeat_n(' ', width.saturating_sub(cell.chars().count()) + GAP));
        }
    }
    writeln!(out, "{}", text.trim_end())
}

/// Red for what went wrong, yellow for what waits for a person, green for what is well.
pub fn colour(cell: &str) -> Option<&'static str> {
    match cell {
        "FAILED" | "FAIL" | "FAILING" | "critical" => Some("31"),
        "PENDING_APPROVAL" | "FIRING" | "ERROR" | "INCONCLUSIVE" | "warning" => Some("33"),
        "RUNNING" | "QUARANTINING" | "QUARANTINED" => Some("36"),
        "SUCCEEDED" | "AUTO_RESOLVED" | "RESOLVED" | "PASS" | "HEALTHY" => Some("32"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(colours: bool, headers: bool) -> String {
        let mut table = Table::new(&["ID", "STATE", "REASON"]);
        table.row(vec!["i-7".into(), "FAILED".into(), "a\nb".into()]);
        table.row(vec!["i-12345".into(), String::new(), "because\u{1b}[2J".into()]);
        let mut out = Vec::new();
        table.write(&mut out, &table.widths(), headers, colours).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_line_up_and_hostile_cells_are_shown_by_number() {
        assert_eq!(
            shown(false, true),
            "ID        STATE    REASON\ni-7       FAILED   a\\nb\ni-12345   -        because\\u{1b}[2J\n"
        );
    }

    #[test]
    fn colour_changes_no_width() {
        assert_eq!(
            shown(true, false),
            "i-7       \x1b[31mFAILED\x1b[0m   a\\nb\ni-12345   -        because\\u{1b}[2J\n"
        );
    }
}
