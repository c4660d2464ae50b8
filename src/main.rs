//! The binary: flags in, exit status out.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};
use remedyd::app::{self, Options};
use remedyd::cli;
use remedyd::config::Overrides;
use remedyd::demo::{self, Demo};
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
    /// See it work: the real daemon with a simulated fleet, for as long as you watch. Leaves nothing behind.
    Demo(Demo),
    /// Read the configuration and say what it amounts to, or list every mistake (exit 3).
    Check(Source),
    /// Make tokens for clients.
    #[command(subcommand)]
    Token(Token),
    /// Look after a store whose daemon is stopped.
    #[command(subcommand)]
    Store(Store),
    /// Prove what the audit trail says.
    #[command(subcommand)]
    Audit(Audit),
    /// Print a page of the reference: what there is to configure, to measure, to ask and to say.
    Reference(Reference),
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
    /// Read every part of the store to its end, and compare them: exit 0 where nothing is wrong, 1 where something is.
    Check(Stopped),
    /// Write all rows into one file (`-`: standard output), with a hash over all of it.
    Export(Exchanged),
    /// Make a store of such a file in an empty folder. It acts on nothing until `store enable`.
    Import(Exchanged),
    /// Build sled anew from the newest checkpoint and the journal. The daemon does that by itself where it finds damage.
    Rebuild(Stopped),
}

#[derive(Debug, Subcommand)]
enum Audit {
    /// Read every byte of the journal of a store whose daemon is stopped: exit 0 where it is what was written and nothing is
    /// missing, 1 where not, with file and offset, 78 where it could not be looked at. Prints the head, SEQ:HASH; whoever
    /// keeps that elsewhere can prove later that nothing before it was changed.
    Verify(Verify),
}

#[derive(Debug, Args)]
struct Reference {
    /// Which page.
    #[arg(value_enum)]
    page: cli::reference::Page,
    /// Markdown, or a manual page (of `config`: remedyd.toml(5)).
    #[arg(short = 'o', long = "output", value_enum, default_value_t = Print::Markdown)]
    output: Print,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Print {
    Markdown,
    Man,
}

#[derive(Debug, Args)]
struct Verify {
    #[command(flatten)]
    store: Stopped,
    /// A head that was printed earlier: the journal has to hold that turn, as it was.
    #[arg(long, value_name = "SEQ:HASH", value_parser = cli::audit::parse_head)]
    head: Option<(u64, [u8; 32])>,
}

#[derive(Debug, Args)]
struct Exchanged {
    #[command(flatten)]
    store: Stopped,
    /// The file.
    #[arg(value_name = "FILE")]
    file: PathBuf,
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
        Verb::Demo(asked) => demo::run(&asked),
        Verb::Check(asked) => {
            let (config_file, overrides) = asked.options();
            ExitCode::from(cli::check::check(&config_file, &overrides, &mut std::io::stdout(), &mut std::io::stderr()))
        }
        Verb::Token(Token::New(asked)) => new_token(asked),
        Verb::Reference(asked) => reference(&asked),
        Verb::Store(asked) => store(asked),
        Verb::Audit(Audit::Verify(Verify { store, head })) => ExitCode::from(cli::audit::verify(
            &store.storage_path,
            head,
            &mut std::io::stdout(),
            &mut std::io::stderr(),
        )),
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

fn reference(asked: &Reference) -> ExitCode {
    use std::io::Write;

    use cli::reference::{Page, man_page, markdown};
    let text = match (asked.output, asked.page) {
        (Print::Markdown, page) => markdown(page, Cli::command()),
        (Print::Man, Page::Config) => man_page(),
        (Print::Man, Page::Metrics | Page::Api | Page::Cli) => {
            eprintln!("remedyd: only `config` is a manual page of its own");
            return ExitCode::from(2);
        }
    };
    match std::io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
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

fn store(asked: Store) -> ExitCode {
    let (mut out, mut err) = (std::io::stdout(), std::io::stderr());
    ExitCode::from(match asked {
        Store::Enable(asked) => return enable(&asked),
        Store::Check(asked) => cli::store::check(&asked.storage_path, &mut out, &mut err),
        Store::Export(Exchanged { store, file }) => cli::store::export(&store.storage_path, &file, &mut out, &mut err),
        Store::Import(Exchanged { store, file }) => cli::store::import(&store.storage_path, &file, &mut out, &mut err),
        Store::Rebuild(asked) => cli::store::rebuild(&asked.storage_path, &mut out, &mut err),
    })
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
