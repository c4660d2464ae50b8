//! The binary: flags in, exit status out.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use remedyd::app::{self, Options};
use remedyd::cli;
use remedyd::config::Overrides;
use remedyd::domain::Role;
use remedyd::telemetry::logs;
use tracing::level_filters::LevelFilter;

/// Repairs GPU nodes: alerts in, one proposal, a person's word, one action, a verified end.
///
/// Start with `remedyd check` to see what a configuration amounts to, then `remedyd serve`.
#[derive(Debug, Parser)]
#[command(name = "remedyd", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the daemon until SIGTERM.
    Serve(Serve),
    /// Read the configuration and say what it amounts to, or list every mistake (exit 3).
    Check(Source),
    /// Make tokens for clients.
    #[command(subcommand)]
    Token(Token),
    /// Look after a store whose daemon is stopped.
    #[command(subcommand)]
    Store(Store),
}

/// What makes a configuration; the same for all who read it, so that they agree whether it is right.
#[derive(Debug, Args)]
struct Source {
    /// The main configuration file; other paths in it are relative to it.
    #[arg(long = "config.file", env = "REMEDYD_CONFIG_FILE", value_name = "PATH", default_value = DEFAULT_CONFIG)]
    config_file: PathBuf,
    /// Listen here instead of where the file says; may be repeated.
    #[arg(long = "web.listen-address", env = "REMEDYD_WEB_LISTEN_ADDRESS", value_name = "ADDR", value_delimiter = ',')]
    listen: Vec<SocketAddr>,
    /// Keep everything under this folder instead of where the file says.
    #[arg(long = "storage.path", env = "REMEDYD_STORAGE_PATH", value_name = "DIR")]
    storage_path: Option<PathBuf>,
}

impl Source {
    fn options(self) -> (PathBuf, Overrides) {
        let Self { config_file, listen, storage_path } = self;
        (config_file, Overrides { listen, storage_path })
    }
}

#[derive(Debug, Args)]
struct Serve {
    #[command(flatten)]
    source: Source,
    /// error, warn, info, debug or trace.
    #[arg(long = "log.level", env = "REMEDYD_LOG_LEVEL", value_name = "LEVEL", default_value = "info")]
    log_level: LevelFilter,
    /// How log lines look.
    #[arg(long = "log.format", env = "REMEDYD_LOG_FORMAT", value_enum, default_value_t = logs::Format::Logfmt)]
    log_format: logs::Format,
}

#[derive(Debug, Subcommand)]
enum Token {
    /// Make a token: it is printed once, and only its hash is kept.
    New(NewToken),
}

#[derive(Debug, Subcommand)]
enum Store {
    /// Let a store that was copied or restored act again. Make sure first that nobody else acts for the original: two
    /// daemons that believe in the same approvals would repair the same machines twice.
    Enable(Stopped),
}

#[derive(Debug, Args)]
struct Stopped {
    /// The folder of the store.
    #[arg(long = "storage.path", env = "REMEDYD_STORAGE_PATH", value_name = "DIR")]
    storage_path: PathBuf,
}

#[derive(Debug, Args)]
struct NewToken {
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

/// Where the package puts it.
const DEFAULT_CONFIG: &str = "/etc/remedyd/remedyd.toml";

fn roles() -> clap::builder::PossibleValuesParser {
    clap::builder::PossibleValuesParser::new(Role::ALL.map(Role::as_str))
}

fn main() -> ExitCode {
    match Cli::parse().verb {
        Verb::Serve(asked) => serve(asked),
        Verb::Check(asked) => {
            let (config_file, overrides) = asked.options();
            ExitCode::from(cli::check::check(&config_file, &overrides, &mut std::io::stdout(), &mut std::io::stderr()))
        }
        Verb::Token(Token::New(asked)) => new_token(asked),
        Verb::Store(Store::Enable(asked)) => enable(&asked),
    }
}

fn serve(asked: Serve) -> ExitCode {
    match logs::init(asked.log_level, asked.log_format) {
        Ok(sled) => {
            let (config_file, overrides) = asked.source.options();
            app::serve(&Options { config_file, overrides, sled })
        }
        Err(error) => {
            eprintln!("remedyd: {error}");
            ExitCode::FAILURE
        }
    }
}

fn new_token(asked: NewToken) -> ExitCode {
    let NewToken { role, name, clusters, tokens_file } = asked;
    let wanted = cli::token::NewToken { role, name, clusters, tokens_file };
    match cli::token::new_token(&wanted, &mut std::io::stdout(), &mut std::io::stderr()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("remedyd: {error}");
            ExitCode::from(2)
        }
    }
}

fn enable(asked: &Stopped) -> ExitCode {
    match cli::enable::enable(&asked.storage_path, &mut std::io::stdout()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("remedyd: {error}");
            ExitCode::from(app::EXIT_STORE)
        }
    }
}
