//! What can be written on the command line: verbs, flags and their help. What a verb does is in the file of its name.

mod asked;
mod client;
mod daemon;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use asked::{Form, Kind, Mode, Until, Wait};
pub use client::{Abort, Connection, Create, Decide, Describe, Described, Get, Hold, Lift, Switch};

use super::{client as verbs, manual};

/// Repairs GPU nodes: alerts in, one proposal, a person's word, one action, a verified end.
///
/// See it work with `remedyd demo`. Start with `remedyd check` to see what a configuration amounts to, then `remedyd serve`. Everything from `get` to
/// `resume` talks to a daemon that runs, here or elsewhere.
#[derive(Debug, Parser)]
#[command(name = "remedyd", version, max_term_width = 100, after_long_help = EXIT_STATUS)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

const EXIT_STATUS: &str = "Exit status:
  0  done
  1  failed, or what was waited for ended differently
  2  the command line is wrong
  3  the configuration, or the request, holds a mistake
  4  not found
  5  not possible in this state, or it has changed since it was looked at
  6  who asks is not known, or may not
  7  the daemon does not answer
  8  --wait came to its --timeout

`serve` and the verbs of a stopped store exit with 78 where the store cannot be used.";

/// The verbs, those of the daemon first.
#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the daemon until SIGTERM.
    Serve(daemon::Serve),
    /// See it work: the real daemon with a simulated fleet, for as long as you watch. Leaves nothing behind.
    Demo(crate::demo::Demo),
    /// Read the configuration and say what it amounts to, or list every mistake (exit 3).
    Check(daemon::Check),
    /// Make tokens for clients.
    #[command(subcommand)]
    Token(daemon::Token),
    /// Look after a store whose daemon is stopped.
    #[command(subcommand)]
    Store(daemon::Store),
    /// Prove what the audit trail says.
    #[command(subcommand)]
    Audit(daemon::Audit),
    /// List remediations, alerts, instances, holds, dead letters or pauses.
    Get(Get),
    /// Say everything about one remediation, instance or alert, and what may be done next.
    Describe(Describe),
    /// Ask for a repair.
    #[command(subcommand)]
    Create(client::What),
    /// Let proposals go ahead.
    Approve(Decide),
    /// Turn proposals down.
    Reject(Decide),
    /// Call off what has not begun.
    Cancel(Decide),
    /// Stop what has begun: it is undone where it can be, and ends FAILED.
    Abort(Abort),
    /// Let nothing touch a node for a while.
    Hold(Hold),
    /// End the holds on a node, or one hold by its id.
    Unhold(Lift),
    /// The kill switch: let nothing new begin, everywhere or in one cluster. What is under way goes on to its end.
    Pause(Switch),
    /// Turn the kill switch off again.
    Resume(Switch),
    /// Ask NVML for this machine's GPUs and print them as one line of JSON: what an nvml check runs.
    #[command(hide = true)]
    NvmlProbe,
    /// Print a page of the reference: what there is to configure, to measure, to ask and to say.
    Reference(daemon::Reference),
    /// Print the completions for a shell.
    #[command(after_help = manual::COMPLETION_EXAMPLES)]
    Completion {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Write the manual pages into a folder.
    #[command(after_help = manual::MAN_EXAMPLES)]
    Man {
        /// Where; pages of section 1 go into `DIR/man1`. It is made if it is missing.
        #[arg(value_name = "DIR")]
        dir: std::path::PathBuf,
    },
}

impl Cli {
    /// Does what was asked, and says with which status the process ends.
    pub fn run(self) -> ExitCode {
        use verbs::act;
        let status = match self.verb {
            Verb::Serve(asked) => return asked.run(),
            Verb::Demo(asked) => return crate::demo::run(&asked),
            Verb::Check(asked) => asked.run(),
            Verb::Token(asked) => asked.run(),
            Verb::Store(asked) => asked.run(),
            Verb::Audit(asked) => asked.run(),
            Verb::Get(asked) => verbs::run(&asked.connection, async |client| verbs::get::get(client, &asked).await),
            Verb::Describe(asked) => {
                verbs::run(&asked.connection, async |client| verbs::describe::describe(client, &asked).await)
            }
            Verb::Create(client::What::Remediation(asked)) => {
                verbs::run(&asked.connection, async |client| act::create(client, &asked).await)
            }
            Verb::Approve(asked) => decide(&asked, act::Word::Approve),
            Verb::Reject(asked) => decide(&asked, act::Word::Reject),
            Verb::Cancel(asked) => decide(&asked, act::Word::Cancel),
            Verb::Abort(asked) => verbs::run(&asked.connection, async |client| act::abort(client, &asked).await),
            Verb::Hold(asked) => {
                verbs::run(&asked.connection, async |client| verbs::switches::hold(client, &asked).await)
            }
            Verb::Unhold(asked) => {
                verbs::run(&asked.connection, async |client| verbs::switches::unhold(client, &asked).await)
            }
            Verb::Pause(asked) => switch(&asked, "pause"),
            Verb::Resume(asked) => switch(&asked, "resume"),
            Verb::NvmlProbe => crate::probes::nvml::child::ask(&mut std::io::stdout()).map_or(1, |()| 0),
            Verb::Reference(asked) => asked.run(),
            Verb::Completion { shell } => manual::completion(shell, &mut std::io::stdout()),
            Verb::Man { dir } => manual::write(&dir, &mut std::io::stderr()),
        };
        ExitCode::from(status)
    }
}

fn decide(asked: &Decide, word: verbs::act::Word) -> u8 {
    verbs::run(&asked.connection, async |client| verbs::act::decide(client, asked, word).await)
}

fn switch(asked: &Switch, verb: &'static str) -> u8 {
    verbs::run(&asked.connection, async |client| verbs::switches::switch(client, asked, verb).await)
}
