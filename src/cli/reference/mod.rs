//! `remedyd reference`: what there is to configure, to measure, to ask and to say, made from the code that does it.
//!
//! Nothing here is written by hand but the sentences around the tables, so the pages cannot say what is not so.

mod configuration;
mod interface;
mod metrics;
mod verbs;

use clap::ValueEnum;

pub use configuration::man_page;

/// A page of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Page {
    /// Every key of every file.
    Config,
    /// Every metric of `/metrics`.
    Metrics,
    /// Every path, and who may.
    Api,
    /// Every verb and flag.
    Cli,
}

impl Page {
    /// Every page.
    pub const ALL: [Self; 4] = [Self::Config, Self::Metrics, Self::Api, Self::Cli];

    /// Its name on the command line and as a file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Metrics => "metrics",
            Self::Api => "api",
            Self::Cli => "cli",
        }
    }
}

/// A page in Markdown; `program` is the command line as it is parsed.
pub fn markdown(page: Page, program: clap::Command) -> String {
    match page {
        Page::Config => configuration::markdown(),
        Page::Metrics => metrics::markdown(),
        Page::Api => interface::markdown(),
        Page::Cli => verbs::markdown(program),
    }
}

/// A row of a Markdown table: no bar ends a cell early, no line a row.
fn row<'a>(cells: impl IntoIterator<Item = &'a str>) -> String {
    let cells = cells.into_iter().map(|cell| cell.replace('|', "\\|").replace('\n', " "));
    format!("| {} |\n", cells.collect::<Vec<_>>().join(" | "))
}

/// A table's head.
fn head(titles: &[&str]) -> String {
    let rule: Vec<&str> = titles.iter().map(|_| "---").collect();
    format!("{}|{}|\n", row(titles.iter().copied()), rule.join("|"))
}
