//! The page of the configuration, from the table that the loader is held to.

use super::{head, row};
use crate::config::keys::{KEYS, Key, Otherwise};

const INTRODUCTION: &str = "# Configuration\n\n\
    Made by `remedyd reference config`. Paths are relative to the main file. Durations read `90d`, `24h`, `1h30m`, `5s`, \
    `250ms`; sizes `256MiB`. `<name>` is a name of yours. A key that has no effect is refused, and `remedyd check` lists \
    every mistake with file, line and column. Everything but `[server]` and `[storage]` is taken over by a reload.\n";

/// The tables in the order of the reference, each with its keys.
fn tables() -> Vec<(&'static str, Vec<&'static Key>)> {
    let mut tables: Vec<(&str, Vec<&Key>)> = Vec::new();
    for key in KEYS {
        let (table, _) = key.table_and_name();
        match tables.iter_mut().find(|(known, _)| *known == table) {
            Some((_, keys)) => keys.push(key),
            None => tables.push((table, vec![key])),
        }
    }
    tables
}

/// The whole page.
pub(super) fn markdown() -> String {
    let mut page = INTRODUCTION.to_owned();
    let mut file = "";
    for (table, keys) in tables() {
        let here = keys.first().map_or("", |key| key.file());
        if file != here {
            file = here;
            page.push_str(&format!("\n## `{file}`\n"));
        }
        page.push_str(&format!("\n### `[{table}]`\n\n{}", head(&["key", "takes", "without it", "since", "meaning"])));
        for key in &keys {
            let (_, name) = key.table_and_name();
            page.push_str(&row([&*format!("`{name}`"), key.takes, &without(key), key.since, key.meaning]));
        }
        page.push_str(&format!("\n```toml\n{}```\n", example(table, &keys)));
    }
    page
}

fn without(key: &Key) -> String {
    match key.default {
        Otherwise::Required => "required".to_owned(),
        Otherwise::Is(value) => format!("`{value}`"),
        Otherwise::Means(words) => words.to_owned(),
    }
}

/// Keys that leave others of their table without effect, so that one example cannot show both.
const BESIDE_NONE: [&str; 8] = [
    "checks.<name>.cron",
    "checks.<name>.zone",
    "checks.<name>.http.method",
    "checks.<name>.http.insecure",
    "checks.<name>.dns.server",
    "checks.<name>.dns.rcode",
    "checks.<name>.dcgm_exporter.conditions",
    "checks.<name>.nvml.conditions",
];

/// The table as somebody might write it, with a name for each that is theirs to choose.
fn example(table: &str, keys: &[&Key]) -> String {
    let name = match table.split('.').next() {
        Some("sources") => "main",
        Some("clusters") => "train-a",
        Some("drivers") if table.ends_with("command") => "vm",
        Some("drivers") => "rehearse",
        Some("notices") => "chat",
        Some("checks") => "ssh",
        Some("rules") => "gpu-fell-off-bus",
        Some("instances") => "i-7",
        Some("clients") => "ci",
        _ => "ann",
    };
    let mut text = format!("[{}]\n", table.replace("<name>", name).replace("<id>", name));
    for key in keys.iter().filter(|key| !BESIDE_NONE.contains(&key.path)) {
        let (_, own) = key.table_and_name();
        text.push_str(&format!("{} = {}\n", own.replace("<kind>", "rack"), key.example));
    }
    text
}

/// `remedyd.toml(5)`, in roff.
pub fn man_page() -> String {
    let version = env!("CARGO_PKG_VERSION");
    let mut page = format!(
        ".TH REMEDYD.TOML 5 \"\" \"remedyd {version}\"\n.SH NAME\nremedyd.toml \\- configuration of remedyd\n\
         .SH DESCRIPTION\nPaths are relative to the main file. A key that has no effect is refused;\n\
         .B remedyd check\nlists every mistake with file, line and column.\n"
    );
    let mut file = "";
    for (table, keys) in tables() {
        let here = keys.first().map_or("", |key| key.file());
        if file != here {
            file = here;
            page.push_str(&format!(".SH {}\n", roff(&file.to_uppercase())));
        }
        page.push_str(&format!(".SS [{}]\n", roff(table)));
        for key in keys {
            let (_, name) = key.table_and_name();
            let without = match key.default {
                Otherwise::Required => "Required.".to_owned(),
                Otherwise::Is(value) => format!("Default: {value}"),
                Otherwise::Means(words) => format!("Without it: {words}."),
            };
            let (takes, meaning, without) = (roff(key.takes), roff(key.meaning), roff(&without));
            page.push_str(&format!(".TP\n\\fB{}\\fR ({takes})\n{meaning}\n{without}\n", roff(name)));
        }
    }
    page.push_str(".SH SEE ALSO\n.BR remedyd (1)\n");
    page
}

/// Text that roff prints as it is: no line of it begins with a request.
fn roff(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-");
    if text.starts_with(['.', '\'']) { format!("\\&{text}") } else { text }
}
