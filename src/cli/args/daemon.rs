//! The verbs of the daemon itself and of its files.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Subcommand, ValueEnum};
use tracing::level_filters::LevelFilter;

use crate::app::{self, Options};
use crate::cli;
use crate::cli::reference::{Page, man_page, markdown};
use crate::config::{Listen, Overrides};
use crate::domain::Role;
use crate::telemetry::logs;

/// The command line is wrong.
const USAGE: u8 = 2;

/// Where the package puts it.
const DEFAULT_CONFIG: &str = "/etc/remedyd/remedyd.toml";

/// What makes a configuration; the same for all who read it, so that they agree whether it is right.
#[derive(Debug, Args)]
pub(super) struct Source {
    /// The main configuration file; other paths in it are relative to it.
    #[arg(long = "config.file", env = "REMEDYD_CONFIG_FILE", hide_env_values = true, value_name = "PATH", default_value = DEFAULT_CONFIG)]
    config_file: PathBuf,
    /// Listen here, an address with its port or unix:PATH, instead of where the file says; may be repeated.
    #[arg(
        long = "web.listen-address",
        env = "REMEDYD_WEB_LISTEN_ADDRESS",
        hide_env_values = true,
        value_name = "ADDR",
        value_delimiter = ','
    )]
    listen: Vec<Listen>,
    /// Keep everything under this folder instead of where the file says.
    #[arg(long = "storage.path", env = "REMEDYD_STORAGE_PATH", hide_env_values = true, value_name = "DIR")]
    storage_path: Option<PathBuf>,
}

impl Source {
    fn options(self) -> (PathBuf, Overrides) {
        let Self { config_file, listen, storage_path } = self;
        (config_file, Overrides { listen, storage_path })
    }
}

#[derive(Debug, Args)]
pub(super) struct Check {
    #[command(flatten)]
    source: Source,
    /// Say only which active checks look at this instance, by its id or name, and what would come of them.
    #[arg(long, value_name = "INSTANCE")]
    instance: Option<String>,
}

impl Check {
    pub(super) fn run(self) -> u8 {
        let (config_file, overrides) = self.source.options();
        let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
        cli::check::check(&config_file, &overrides, self.instance.as_deref(), &mut out, &mut err)
    }
}

#[derive(Debug, Args)]
pub(super) struct Serve {
    #[command(flatten)]
    source: Source,
    /// error, warn, info, debug or trace.
    #[arg(
        long = "log.level",
        env = "REMEDYD_LOG_LEVEL",
        hide_env_values = true,
        value_name = "LEVEL",
        default_value = "info"
    )]
    log_level: LevelFilter,
    /// How log lines look.
    #[arg(long = "log.format", env = "REMEDYD_LOG_FORMAT", hide_env_values = true, value_enum, default_value_t = logs::Format::Auto)]
    log_format: logs::Format,
}

impl Serve {
    pub(super) fn run(self) -> ExitCode {
        match logs::init(self.log_level, self.log_format) {
            Ok(sled) => {
                let (config_file, overrides) = self.source.options();
                app::serve(&Options { config_file, overrides, sled })
            }
            Err(error) => {
                eprintln!("remedyd: {error}");
                ExitCode::FAILURE
            }
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Token {
    /// Make a token: it is printed once, and only its hash is kept.
    New(NewToken),
}

impl Token {
    pub(super) fn run(self) -> u8 {
        let Self::New(NewToken { role, name, clusters, tokens_file }) = self;
        let wanted = cli::token::NewToken { role, name, clusters, tokens_file };
        match cli::token::new_token(&wanted, &mut std::io::stdout(), &mut std::io::stderr()) {
            Ok(()) => 0,
            Err(error) => {
                eprintln!("remedyd: {error}");
                2
            }
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct NewToken {
    /// What it may do.
    #[arg(long, value_parser = roles())]
    role: String,
    /// Whose it is; shown as who asked and who approved.
    #[arg(long)]
    name: String,
    /// In which cluster; may be repeated. None: in all.
    #[arg(long = "cluster", value_name = "ID")]
    clusters: Vec<String>,
    /// Add it to this file; otherwise the lines to add are printed.
    #[arg(long, value_name = "PATH")]
    tokens_file: Option<PathBuf>,
}

fn roles() -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(Role::ALL.map(Role::as_str))
}

#[derive(Debug, Subcommand)]
pub(super) enum Store {
    /// Let a store that was copied or restored act again. Make sure first that nobody else acts for the original: two
    /// daemons that believe in the same approvals would repair the same machines twice.
    Enable(Stopped),
    /// Read every part of the store to its end, and compare them: exit 0 where nothing is wrong, 1 where something is.
    Check(Stopped),
    /// Write all rows into one file (`-`: standard output), with a hash over all of it.
    Export(Exchanged),
    /// Make a store of such a file in an empty folder. It acts on nothing until `store enable`.
    Import(Exchanged),
    /// Build sled anew from the newest checkpoint and the journal. The daemon does that by itself where it finds damage.
    Rebuild(Stopped),
}

impl Store {
    pub(super) fn run(self) -> u8 {
        let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
        match self {
            Self::Enable(asked) => match cli::enable::enable(&asked.storage_path, &mut out) {
                Ok(()) => 0,
                Err(error) => {
                    eprintln!("remedyd: {error}");
                    app::EXIT_STORE
                }
            },
            Self::Check(asked) => cli::store::check(&asked.storage_path, &mut out, &mut err),
            Self::Export(Exchanged { store, file }) => {
                cli::store::export(&store.storage_path, &file, &mut out, &mut err)
            }
            Self::Import(Exchanged { store, file }) => {
                cli::store::import(&store.storage_path, &file, &mut out, &mut err)
            }
            Self::Rebuild(asked) => cli::store::rebuild(&asked.storage_path, &mut out, &mut err),
        }
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Read every byte of the journal of a store whose daemon is stopped: exit 0 where it is what was written and nothing is
    /// missing, 1 where not, with file and offset, 78 where it could not be looked at. Prints the head, SEQ:HASH; whoever
    /// keeps that elsewhere can prove later that nothing before it was changed.
    Verify(Verify),
    /// Tell who did what in a store whose daemon is stopped: a line for each request that changed something, with its time,
    /// verb, principal, role, address and request id.
    Log(Stopped),
}

impl Audit {
    pub(super) fn run(self) -> u8 {
        let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
        match self {
            Self::Verify(Verify { store, head }) => cli::audit::verify(&store.storage_path, head, &mut out, &mut err),
            Self::Log(Stopped { storage_path }) => cli::audit::log(&storage_path, &mut out, &mut err),
        }
    }
}

#[derive(Debug, Args)]
pub(super) struct Reference {
    /// Which page.
    #[arg(value_enum)]
    page: Page,
    /// Markdown, or a manual page (of `config`: remedyd.toml(5)).
    #[arg(short = 'o', long = "output", value_enum, default_value_t = Print::Markdown)]
    output: Print,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Print {
    Markdown,
    Man,
}

impl Reference {
    pub(super) fn run(self) -> u8 {
        let text = match (self.output, self.page) {
            (Print::Markdown, page) => markdown(page, super::Cli::command()),
            (Print::Man, Page::Config) => man_page(),
            (Print::Man, Page::Metrics | Page::Api | Page::Cli) => {
                eprintln!("remedyd: only `config` is a manual page of its own");
                return USAGE;
            }
        };
        let mut out = std::io::stdout();
        // Whoever reads may have seen enough.
        out.write_all(text.as_bytes()).map_or(1, |()| 0)
    }
}

#[derive(Debug, Args)]
pub(super) struct Verify {
    #[command(flatten)]
    store: Stopped,
    /// A head that was printed earlier: the journal has to hold that turn, as it was.
    #[arg(long, value_name = "SEQ:HASH", value_parser = cli::audit::parse_head)]
    head: Option<(u64, [u8; 32])>,
}

#[derive(Debug, Args)]
pub(super) struct Exchanged {
    #[command(flatten)]
    store: Stopped,
    /// The file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

#[derive(Debug, Args)]
pub(super) struct Stopped {
    /// The folder of the store.
    #[arg(long = "storage.path", env = "REMEDYD_STORAGE_PATH", hide_env_values = true, value_name = "DIR")]
    storage_path: PathBuf,
}
