//! People: they approve, reject, cancel, create and hold, at any moment, and several of them at once.

use std::collections::BTreeSet;
use std::time::Duration;

use remedyd::domain::{ClusterId, InstanceId, Mode, Principal, RemediationId, Role, State};
use remedyd::engine::{Command, Input, Selector};

use super::daemon::{Ack, Errand};
use super::world::{Coming, Turned, World};

impl World {
    /// One person does one thing.
    pub fn person(&mut self) -> Turned {
        match self.dice.upto(0, 12) {
            0..=5 => {
                let about = self.some_remediation();
                self.reviews(about)
            }
            6 | 7 => self.creates(),
            8 => self.holds(),
            9 if self.judge.disabled_since.is_some() => self.enables(Role::Approver),
            9 => self.lifts(),
            10 => self.switches(),
            // The fast one: whatever waits is approved.
            _ => self.approve_all(),
        }
    }

    /// Several do something about the same remediation, before any of them has an answer.
    pub fn race(&mut self) -> Turned {
        let about = self.some_remediation();
        self.tally.count("races");
        for _ in 0..self.dice.upto(2, 4) {
            match self.dice.upto(0, 7) {
                0 => self.holds_node_of(about)?,
                _ => self.reviews(about)?,
            }
        }
        Ok(())
    }

    /// Mostly one that waits; now and then one that ended long ago.
    fn some_remediation(&mut self) -> Option<RemediationId> {
        let memory = self.daemon.engine.memory();
        let live: BTreeSet<RemediationId> = memory.remediations().keys().copied().collect();
        if live.is_empty() || self.dice.one_in(10) {
            let known: Vec<RemediationId> = self.daemon.rows.remediations().map(|row| row.id).collect();
            return self.dice.one_of(known);
        }
        self.dice.one_of(live)
    }

    fn reviews(&mut self, about: Option<RemediationId>) -> Turned {
        let Some(id) = about else { return Ok(()) };
        let selector = Selector { cluster_id: None, instance_id: None, remediation: id.to_string() };
        let version = self.daemon.rows.remediation(id).map(|row| row.version);
        let comment = String::new();
        let command = match self.dice.upto(0, 9) {
            0..=5 => {
                let mode = self.dice.one_in(6).then(|| self.any_mode());
                // What they saw may be older than what is.
                let is_old = self.dice.one_in(8);
                let seen_version =
                    version.filter(|_| self.dice.one_in(2)).map(|now| if is_old { now.saturating_sub(1) } else { now });
                Command::Approve { selector, mode, comment, seen_version }
            }
            6 | 7 => Command::Reject { selector, comment, seen_version: version },
            _ => Command::Cancel { selector, comment, seen_version: None },
        };
        self.asks(command, Some(id))
    }

    fn any_mode(&mut self) -> Mode {
        self.dice.one_of(Mode::ALL).expect("there are modes")
    }

    fn creates(&mut self) -> Turned {
        let Some(instance) = self.dice.one_of(self.site.instances.clone()) else { return Ok(()) };
        let mode = self.any_mode();
        // Names that come again: the same request, or another one under the same name.
        let alias = self.dice.one_in(2).then(|| format!("ticket-{}", self.dice.upto(0, 9)));
        let is_retry = self.dice.one_in(3);
        let (cluster_id, instance_id) = (instance.cluster_id, instance.id);
        self.asks(Command::Create { cluster_id, instance_id, mode, reason: "by hand".into(), alias, is_retry }, None)
    }

    fn holds(&mut self) -> Turned {
        let Some(instance) = self.dice.one_of(self.site.instances.clone()) else { return Ok(()) };
        self.holds_node(instance.id)
    }

    fn holds_node_of(&mut self, about: Option<RemediationId>) -> Turned {
        let row = about.and_then(|id| self.daemon.rows.remediation(id));
        row.map(|row| row.instance_id().clone()).map_or(Ok(()), |instance| self.holds_node(instance))
    }

    fn holds_node(&mut self, instance_id: InstanceId) -> Turned {
        let span = Duration::from_secs(self.dice.upto(60, 7200));
        self.asks(Command::Hold { instance_id, reason: "hands off".into(), span }, None)
    }

    fn lifts(&mut self) -> Turned {
        let holds: Vec<_> = self.daemon.engine.memory().holds().values().cloned().collect();
        let Some(hold) = self.dice.one_of(holds) else { return Ok(()) };
        self.lifts_hold(&hold.instance_id);
        self.asks(Command::Unhold { hold_id: hold.id }, None)
    }

    /// The kill switch, of everything or of one cluster. Mostly it is turned off again soon.
    fn switches(&mut self) -> Turned {
        let on: Vec<Option<ClusterId>> = self.daemon.engine.memory().pauses().keys().cloned().collect();
        if !on.is_empty() {
            let cluster_id = self.dice.one_of(on).flatten();
            return self.resumes(cluster_id);
        }
        let of_node = self.dice.one_of(self.site.instances.clone()).map(|instance| instance.cluster_id);
        let cluster_id = of_node.filter(|_| !self.dice.one_in(3));
        if !self.dice.one_in(4) {
            let after = self.within(Duration::from_secs(10), Duration::from_secs(900));
            self.later(after, Coming::Resume(cluster_id.clone()));
        }
        let command = Command::Pause { cluster_id, reason: "power work".into() };
        self.asks_as(Role::Admin, command, None)
    }

    pub fn resumes(&mut self, cluster_id: Option<ClusterId>) -> Turned {
        self.judge.resumes(&cluster_id);
        self.asks_as(Role::Admin, Command::Resume { cluster_id, reason: "done".into() }, None)
    }

    /// Turns every kill switch off.
    pub fn resume_all(&mut self) -> Turned {
        for cluster_id in self.daemon.engine.memory().pauses().keys().cloned().collect::<Vec<_>>() {
            self.resumes(cluster_id)?;
        }
        Ok(())
    }

    /// Approves everything that waits, as it is.
    pub fn approve_all(&mut self) -> Turned {
        for (id, version) in self.waiting() {
            let selector = Selector { cluster_id: None, instance_id: None, remediation: id.to_string() };
            let comment = "go".to_owned();
            let command = Command::Approve { selector, mode: None, comment, seen_version: Some(version) };
            self.asks(command, Some(id))?;
        }
        Ok(())
    }

    /// Lifts every hold.
    pub fn lift_all(&mut self) -> Turned {
        for hold in self.daemon.engine.memory().holds().values().cloned().collect::<Vec<_>>() {
            self.lifts_hold(&hold.instance_id);
            self.asks(Command::Unhold { hold_id: hold.id }, None)?;
        }
        Ok(())
    }

    fn waiting(&self) -> Vec<(RemediationId, u64)> {
        let live = self.daemon.engine.memory().remediations().values().map(|record| &record.remediation);
        live.filter(|row| row.state == State::PendingApproval).map(|row| (row.id, row.version)).collect()
    }

    fn asks(&mut self, command: Command, about: Option<RemediationId>) -> Turned {
        self.asks_as(Role::Approver, command, about)
    }

    fn asks_as(&mut self, role: Role, command: Command, about: Option<RemediationId>) -> Turned {
        let name = ["ann", "ben", "eve"][self.dice.upto(0, 2) as usize].to_owned();
        let verb = command.verb();
        self.tally.count(verb);
        let principal = Principal { name, role, clusters: None };
        let (seen, mode) = match &command {
            Command::Approve { seen_version, mode, .. } => (*seen_version, *mode),
            Command::Create { mode, .. } => (None, Some(*mode)),
            Command::Reject { .. }
            | Command::Cancel { .. }
            | Command::Abort { .. }
            | Command::Hold { .. }
            | Command::Unhold { .. }
            | Command::Pause { .. }
            | Command::Resume { .. }
            | Command::Enable
            | Command::Again(_) => (None, None),
        };
        self.turn(Input::Asked(principal, command), Ack::Person(Errand { verb, about, seen, mode }))
    }
}
