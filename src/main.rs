//! The binary: flags in, exit status out.

use std::process::ExitCode;

use clap::Parser;
use remedyd::cli::args::Cli;

fn main() -> ExitCode {
    Cli::parse().run()
}
