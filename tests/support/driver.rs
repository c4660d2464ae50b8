//! A `command` driver that plays a provider: it keeps a ledger that the daemon cannot talk it out of.
//!
//! Each line is on disk before the driver goes on, so the ledger shows what really happened: `act KEY` when it was
//! called, `acted KEY` when the machine was touched, `query KEY` when it was asked, `undo KEY` when it was called to undo,
//! `undone KEY` when it had. How it behaves is read from a file at
//! each call, so a test changes its manner while the daemon runs.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use rustix::process::{Pid, Signal, kill_process};

use super::site::Site;

/// How the driver behaves. Whatever it is, a question is answered from the ledger unless the manner says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// Acts and says so.
    Done,
    /// Says `done` and touches nothing.
    Lies,
    /// Acts, and is killed before it can say so.
    LosesItsAnswer,
    /// Acts, and then says nothing until its deadline.
    Hangs,
    /// Acts only once [`Driver::open_gate`] was called, and says so.
    WaitsAtTheGate,
    /// Acts, is killed, and cannot tell when it is asked either.
    CannotTell,
    /// Acts, and undoes; is killed before it can say that it undid.
    LosesItsUndoing,
    /// Acts, and cannot undo.
    CannotUndo,
}

impl Manner {
    const fn word(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Lies => "lies",
            Self::LosesItsAnswer => "loses",
            Self::Hangs => "hangs",
            Self::WaitsAtTheGate => "gate",
            Self::CannotTell => "mute",
            Self::LosesItsUndoing => "loses-undo",
            Self::CannotUndo => "no-undo",
        }
    }
}

const SCRIPT: &str = r#"
set -eu
folder=$1
read -r call
note() { printf '%s %s\n' "$1" "$REMEDYD_OPERATION_KEY" >>"$folder/ledger"; sync "$folder/ledger"; }
answer() { printf '{"outcome":"%s","detail":"%s"}\n' "$1" "$2"; }
manner=$(cat "$folder/manner")
case $call in
*'"verb":"query"'*)
  note query
  if [ "$manner" = mute ]; then answer unknown "the backend keeps no record"
  elif grep -qx "undone $REMEDYD_OPERATION_KEY" "$folder/ledger"; then answer absent "the record shows it undone"
  elif grep -qx "acted $REMEDYD_OPERATION_KEY" "$folder/ledger"; then answer done "the record shows it"
  else answer absent "the record lacks it"
  fi
  exit ;;
*'"verb":"undo"'*)
  note undo
  if [ "$manner" = no-undo ]; then answer refused "a reboot cannot be taken back"; exit; fi
  note undone
  if [ "$manner" = loses-undo ]; then kill -KILL $$; fi
  answer done "undone once"
  exit ;;
*'"verb":"act"'*) ;;
*) exit 64 ;;
esac
note act
case $manner in
lies) answer done "nothing was touched"; exit ;;
gate) while [ ! -e "$folder/gate" ]; do [ -d "$folder" ] || exit; sleep 0.02; done ;;
esac
note acted
case $manner in
loses | mute) kill -KILL $$ ;;
hangs) sleep 3600 ;;
esac
answer done "acted once"
"#;

/// The driver's folder: script, manner, ledger.
pub struct Driver {
    folder: PathBuf,
}

impl Driver {
    /// Makes it the driver of the site's cluster, with a deadline such as `10m`.
    pub fn install(site: &Site, manner: Manner, deadline: &str) -> Self {
        let folder = site.path("driver");
        fs::create_dir_all(&folder).unwrap();
        let script = folder.join("act.sh");
        fs::write(&script, SCRIPT).unwrap();
        fs::write(folder.join("ledger"), "").unwrap();
        let lines = format!(
            "[drivers.vm.command]\nargv = [\"/bin/sh\", {:?}, {:?}]\ndeadline = \"{deadline}\"",
            script.display().to_string(),
            folder.display().to_string()
        );
        site.act_by("vm", &lines);
        let driver = Self { folder };
        driver.behave(manner);
        driver
    }

    /// Changes its manner, from the next call on.
    pub fn behave(&self, manner: Manner) {
        fs::write(self.folder.join("manner"), manner.word()).unwrap();
    }

    /// Lets everybody through who waits, or will.
    pub fn open_gate(&self) {
        fs::write(self.folder.join("gate"), "").unwrap();
    }

    /// Every line of the ledger.
    pub fn ledger(&self) -> Vec<String> {
        fs::read_to_string(self.folder.join("ledger")).unwrap().lines().map(str::to_owned).collect()
    }

    /// How often each thing happened in all: `act`, `acted`, `query`, `undo`, `undone`.
    pub fn count(&self, what: &str) -> usize {
        self.ledger().iter().filter(|line| line.split(' ').next() == Some(what)).count()
    }

    /// Kills everything of this site that a daemon left behind: programs of the driver, and what was about to become one.
    /// A power cut takes those with it.
    pub fn kill_all(&self) {
        loop {
            let running = named(self.folder.parent().unwrap());
            if running.is_empty() {
                return;
            }
            for id in running {
                // It may have ended meanwhile.
                let _ = Pid::from_raw(id).map(|id| kill_process(id, Signal::KILL));
            }
        }
    }

    /// The processes of this driver that run.
    pub fn running(&self) -> BTreeSet<i32> {
        named(&self.folder)
    }

    /// The ledger must show that no operation was called or carried out twice.
    pub fn assert_at_most_once(&self) {
        let ledger = self.ledger();
        let mut acts: Vec<&String> = ledger.iter().filter(|line| line.starts_with("act")).collect();
        let all = acts.len();
        acts.sort();
        acts.dedup();
        assert_eq!(acts.len(), all, "something was done twice: {ledger:?}");
    }
}

/// The processes whose command line names something in a folder.
fn named(folder: &Path) -> BTreeSet<i32> {
    let folder = folder.to_str().unwrap().as_bytes();
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let names_it = |id: &i32| {
        let line = fs::read(format!("/proc/{id}/cmdline")).unwrap_or_default();
        line.windows(folder.len()).any(|part| part == folder)
    };
    processes.filter_map(|name| name.parse().ok()).filter(names_it).collect()
}
