//! A backup that is taken at some time, and put back at another: what the daemon did since, it knows nothing of, while the
//! provider's ledger, the machines and the Alertmanagers are as they are (SAFETY I12, I14).

use std::time::Duration;

use remedyd::domain::{Principal, Role, Timestamp};
use remedyd::engine::{Command, Input};

use super::daemon::{Ack, Errand};
use super::model::Model;
use super::prober::Prober;
use super::rows::Rows;
use super::sabotage::Deed;
use super::world::{Coming, Turned, World};

pub struct Backup {
    rows: Rows,
    model: Model,
    prober: Prober,
    at: Timestamp,
}

impl World {
    /// Between two commits, as an export is taken.
    pub fn backs_up(&mut self) -> Turned {
        if !self.daemon.is_up {
            return Ok(());
        }
        self.commit()?;
        if self.daemon.is_up {
            let (rows, model, at) = (self.daemon.rows.clone(), self.model.clone(), self.now);
            self.backup = Some(Backup { rows, model, prober: self.prober.clone(), at });
            self.tally.count("backups");
        }
        Ok(())
    }

    /// The process ends, and another begins on what the backup holds. Drivers that run go on.
    pub fn restores(&mut self) {
        let Some(backup) = &self.backup else { return };
        self.daemon.rows = backup.rows.clone();
        self.model = backup.model.clone();
        self.prober.restored(&backup.prober);
        // What was under way then is late by as much.
        self.daemon.downtime += self.now.since(backup.at);
        self.note(|_| "a backup is restored".to_owned());
        self.tally.count("restores");
        self.epoch += 1;
        self.daemon.restored = Some(self.epoch);
        self.goes_down(Duration::from_secs(30));
        self.judge.restored(&self.daemon.rows, self.now);
        self.untold();
        let after = self.within(Duration::from_secs(60), Duration::from_secs(7200));
        self.later(after, Coming::Enable);
    }

    /// The first input of a process whose store was restored.
    pub fn says_restored(&mut self) -> Turned {
        if self.daemon.rows.execution().is_some_and(|execution| Some(execution.epoch) == self.daemon.restored) {
            self.daemon.restored = None;
        }
        match self.daemon.restored {
            Some(epoch) if !self.does(Deed::RestoreUnnoticed) => {
                self.turn(Input::Restored { epoch, why: "it was restored".to_owned() }, Ack::Nobody)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// After a crash: an admin's word that is not on disk was never given.
    pub fn forgets_enabling(&mut self) {
        let row = self.daemon.rows.execution();
        let is_disabled = row.is_some_and(|row| row.disabled_because.is_some())
            || self.daemon.restored.is_some_and(|epoch| row.is_none_or(|row| row.epoch != epoch));
        if is_disabled && self.judge.disabled_since.is_none() {
            self.judge.disabled_since = Some(self.now);
            self.later(Duration::from_secs(60), Coming::Enable);
        }
    }

    /// An admin lets it act again; or somebody who may not tries to.
    pub fn enables(&mut self, role: Role) -> Turned {
        let verb = if role == Role::Admin { "enable" } else { "enable without the right" };
        if self.daemon.is_up && role == Role::Admin {
            self.judge.may_act_again(self.now);
        }
        let principal = Principal { name: "ann".to_owned(), role, clusters: None };
        let errand = Errand { verb, about: None, seen: None, mode: None };
        self.turn(Input::Asked(principal, Command::Enable), Ack::Person(errand))?;
        // An answer that got lost is asked for again.
        if role == Role::Admin && (!self.daemon.is_up || self.judge.disabled_since.is_some()) {
            self.later(Duration::from_secs(60), Coming::Enable);
        }
        Ok(())
    }
}
