//! The verbs that talk to a daemon which runs.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};

use super::asked::{Form, Kind, Mode, Wait, verdict};
use crate::config::duration;
use crate::domain::Verdict;

/// Which daemon, and who asks.
#[derive(Clone, Debug, Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// Where the daemon listens: http://…, https://… or unix:/PATH.
    #[arg(
        long,
        env = "REMEDYD_SERVER",
        hide_env_values = true,
        value_name = "URL",
        default_value = "http://127.0.0.1:9720"
    )]
    pub server: String,
    /// The file that holds the bearer token; else it is read from REMEDYD_TOKEN. It is never given on the command line,
    /// where every user of the machine could read it.
    #[arg(long, env = "REMEDYD_TOKEN_FILE", hide_env_values = true, value_name = "PATH")]
    pub token_file: Option<PathBuf>,
    /// A PEM file with the CA of the daemon's certificate, where the system does not trust it already.
    #[arg(long, env = "REMEDYD_CA_FILE", hide_env_values = true, value_name = "PATH")]
    pub ca_file: Option<PathBuf>,
    /// A PEM file with a client certificate, for a daemon that knows people by theirs.
    #[arg(long, env = "REMEDYD_CERT_FILE", hide_env_values = true, value_name = "PATH", requires = "key_file")]
    pub cert_file: Option<PathBuf>,
    /// The PEM file with that certificate's key.
    #[arg(long, env = "REMEDYD_KEY_FILE", hide_env_values = true, value_name = "PATH", requires = "cert_file")]
    pub key_file: Option<PathBuf>,
}

/// `get`
#[derive(Debug, Args)]
#[command(after_help = GET_EXAMPLES)]
pub struct Get {
    /// What.
    pub kind: Kind,
    /// Only these; the beginning of an id is enough where it names one.
    #[arg(value_name = "ID")]
    pub ids: Vec<String>,
    /// Only what these matchers hold for, written as Alertmanager writes them.
    #[arg(short = 'l', long, value_name = "MATCHERS")]
    pub selector: Option<String>,
    /// Only of this instance: remediations, alerts, holds, runs, conditions.
    #[arg(short = 'i', long, value_name = "ID", conflicts_with = "ids")]
    pub instance: Option<String>,
    /// Only of this check: runs, conditions.
    #[arg(long, value_name = "ID", conflicts_with = "ids")]
    pub check: Option<String>,
    /// Only with this verdict: runs.
    #[arg(long, value_parser = verdict, conflicts_with = "ids")]
    pub verdict: Option<Verdict>,
    /// Only of whom is believed that they fail: conditions.
    #[arg(long, conflicts_with = "ids")]
    pub failing: bool,
    /// How they are shown.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Form,
    /// No line with the names of the columns.
    #[arg(long)]
    pub no_headers: bool,
    /// By which field; `age` is newest first.
    #[arg(long, value_name = "FIELD")]
    pub sort_by: Option<String>,
    /// At most so many; 0: all.
    #[arg(long, value_name = "N", default_value_t = 500)]
    pub limit: usize,
    /// Go on, and print what is new or has changed, until ^C.
    #[arg(short, long, conflicts_with_all = ["ids", "sort_by"])]
    pub watch: bool,
    /// How often to look while watching.
    #[arg(long, value_name = "SPAN", default_value = "2s", value_parser = duration::parse, requires = "watch")]
    pub every: Duration,
    #[command(flatten)]
    pub connection: Connection,
}

const GET_EXAMPLES: &str =
    "Matchers see the fields of a row by short names (id, state, mode, cluster, instance, name, host,
rule, trigger, reason, severity, alertname, source, held …), the labels of an alert, and pool and
failure domains of its instance (pool, rack, leaf …). What a row lacks has the empty value.

Examples:
  remedyd get remediations -l 'state=\"PENDING_APPROVAL\"'
  remedyd get alerts -l 'rack=\"r7\",severity!=\"info\"' -o wide
  remedyd get remediations -w
  remedyd get remediations -o name -l 'state=~\"RUNNING|PENDING\"'
  remedyd get instances i-7 -o json
  remedyd get runs -i i-7 --verdict FAIL
  remedyd get conditions --failing";

/// `describe`
#[derive(Debug, Args)]
#[command(after_help = DESCRIBE_EXAMPLES)]
pub struct Describe {
    /// What.
    pub kind: Described,
    /// Which; the beginning of an id is enough where it names one.
    #[arg(value_name = "ID")]
    pub id: String,
    #[command(flatten)]
    pub connection: Connection,
}

const DESCRIBE_EXAMPLES: &str = "Examples:
  remedyd describe remediation 01987c2e
  remedyd describe instance i-7
  remedyd describe run 01987c2e";

/// What can be described.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Described {
    /// A repair: what, why, its evidence, its history, what it waits for.
    Remediation,
    /// A node: where it is, what fires on it, what checks say of it, what keeps it from being repaired, what was done.
    Instance,
    /// An alert: what was said, and what became of it.
    Alert,
    /// A run of an active check: what was asked, what came back, what it measured.
    Run,
}

/// `create`
#[derive(Debug, Subcommand)]
pub enum What {
    /// A repair of one instance, which needs nobody's approval and starts as soon as the limits allow.
    Remediation(Create),
}

/// `create remediation`
#[derive(Debug, Args)]
#[command(after_help = CREATE_EXAMPLES)]
pub struct Create {
    /// Which machine.
    pub instance: String,
    /// What is to be done; host_power_cycle and evict_without_replacement take the role approver.
    #[arg(long, value_enum)]
    pub mode: Mode,
    /// Why, in words.
    #[arg(short = 'm', long)]
    pub reason: String,
    /// In which cluster the machine has to be.
    #[arg(long, value_name = "ID")]
    pub cluster: Option<String>,
    /// A name of your own for it: the same request under the same name is made once, however often it is sent.
    #[arg(long, value_name = "NAME")]
    pub id: Option<String>,
    /// How it is shown.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Form,
    #[command(flatten)]
    pub wait: Wait,
    #[command(flatten)]
    pub connection: Connection,
}

const CREATE_EXAMPLES: &str = "Examples:
  remedyd create remediation i-7 --mode reboot_vm -m 'hangs since the driver update'
  remedyd create remediation i-7 --mode vm_only -m 'INC-4711' --id INC-4711 --wait --timeout 30m";

/// `approve`, `reject`, `cancel`
#[derive(Debug, Args)]
#[command(after_help = DECIDE_EXAMPLES)]
pub struct Decide {
    /// Which remediations; the beginning of an id is enough where it names one.
    #[arg(value_name = "ID", required_unless_present = "selector")]
    pub ids: Vec<String>,
    /// Every waiting one that these matchers hold for, after a look at exactly which.
    #[arg(short = 'l', long, value_name = "MATCHERS", conflicts_with_all = ["ids", "version"])]
    pub selector: Option<String>,
    /// What you have to say; it goes into the history.
    #[arg(short = 'm', long, value_name = "TEXT", default_value = "")]
    pub comment: String,
    /// The version that you saw: whatever changed since then is refused (exit 5). `describe` shows it.
    #[arg(long, value_name = "N")]
    pub version: Option<u64>,
    /// approve: this repair instead of the proposed one.
    #[arg(long, value_enum)]
    pub mode: Option<Mode>,
    /// Ask no question before a selector is carried out.
    #[arg(short, long)]
    pub yes: bool,
    /// Refuse to touch more than so many at once.
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub max: usize,
    #[command(flatten)]
    pub wait: Wait,
    #[command(flatten)]
    pub connection: Connection,
}

const DECIDE_EXAMPLES: &str =
    "With an id the version that stands at that moment is sent along, unless --version says which one
you saw. With a selector the list is shown first, each with its version, and exactly that list is
carried out.

Examples:
  remedyd approve 01987c2e --version 1 -m 'job is drained'
  remedyd approve 01987c2e --wait --timeout 30m
  remedyd approve -l 'rule=\"gpu-fell-off-bus\",rack=\"r7\"'
  remedyd reject 01987c2e -m 'false alarm, cable was reseated'";

/// `abort`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  remedyd abort 01987c2e -m 'wrong node' --wait")]
pub struct Abort {
    /// Which remediation; the beginning of its id is enough where it names one.
    #[arg(value_name = "ID")]
    pub id: String,
    /// Why it has to stop.
    #[arg(short = 'm', long, value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    pub wait: Wait,
    #[command(flatten)]
    pub connection: Connection,
}

/// `hold`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  remedyd hold i-7 --for 2h -m 'disk swap'")]
pub struct Hold {
    /// Which node.
    pub instance: String,
    /// How long: 90m, 2h, 3d; at most 90d.
    #[arg(long = "for", value_name = "SPAN")]
    pub span: String,
    /// Why nobody may touch it.
    #[arg(short = 'm', long, value_name = "TEXT")]
    pub reason: String,
    #[command(flatten)]
    pub connection: Connection,
}

/// `unhold`
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  remedyd unhold i-7")]
pub struct Lift {
    /// Which node, or which hold by its id.
    #[arg(value_name = "INSTANCE|HOLD")]
    pub which: String,
    #[command(flatten)]
    pub connection: Connection,
}

/// `pause`, `resume`
#[derive(Debug, Args)]
#[command(after_help = SWITCH_EXAMPLES)]
pub struct Switch {
    /// Only this cluster; else the switch for everything.
    #[arg(long, value_name = "ID")]
    pub cluster: Option<String>,
    /// Why; `pause` needs it.
    #[arg(short = 'm', long, value_name = "TEXT", default_value = "")]
    pub reason: String,
    #[command(flatten)]
    pub connection: Connection,
}

const SWITCH_EXAMPLES: &str =
    "Each cluster has a switch of its own beside the one for everything; it takes both to be off.

Examples:
  remedyd pause -m 'power work in hall 2'
  remedyd pause --cluster train-a -m 'fabric upgrade'
  remedyd resume -m 'power is back'";

/// `probe`
#[derive(Debug, Subcommand)]
pub enum Probe {
    /// Run the active checks of an instance now, and say what they found. The runs count as all others do.
    Run(ProbeRun),
}

/// `probe run`
#[derive(Debug, Args)]
#[command(after_help = PROBE_EXAMPLES)]
pub struct ProbeRun {
    /// Which node.
    pub instance: String,
    /// Only this check.
    #[arg(long, value_name = "ID")]
    pub check: Option<String>,
    /// How the runs are shown; as a table with their findings and evidence.
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Form,
    /// How long to wait for them; then exit 8.
    #[arg(long, value_name = "SPAN", default_value = "5m", value_parser = duration::parse)]
    pub timeout: Duration,
    #[command(flatten)]
    pub connection: Connection,
}

const PROBE_EXAMPLES: &str =
    "Exit status: 0 where every check passed, 9 where one failed, and 1 where none failed and not all of them passed.

Examples:
  remedyd probe run i-7
  remedyd probe run i-7 --check ssh -o json";
