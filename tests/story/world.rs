//! A world without a clock, a disk or a network: the engine, the rows that it wrote, and effects that wait for answers.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use remedyd::domain::{
    Alert, AlertState, Cluster, ClusterId, DriverId, Held, HostId, Identity, Instance, InstanceId, Labels, Link, Mode,
    NoticeId, Outcome, Principal, Remediation, SourceId, State, Timestamp, Transition,
};
use remedyd::engine::memory::Memory;
use remedyd::engine::settings::{Catalogue, CatalogueRow, ClusterPolicy, Settings, Source, XidAction};
use remedyd::engine::{
    Command, Configured, Delivery, Effect, EffectKind, Engine, Input, Past, Reply, Report, ReportStatus, Selector,
    Sighting,
};

use super::rows::Rows;
use super::{duration, pairs};

/// Stories begin here: far enough from zero that a time of a source can lie before it.
const START: i64 = 1_800_000_000_000_000;

pub struct World {
    pub(super) engine: Engine,
    pub(super) now: Timestamp,
    start: Timestamp,
    pub(super) settings: Settings,
    clusters: Vec<Cluster>,
    pub(super) instances: BTreeMap<InstanceId, Instance>,
    pub(super) rows: Rows,
    pub(super) waiting: VecDeque<Effect>,
    acts: usize,
    notices: usize,
    started: BTreeMap<Identity, Timestamp>,
    /// The last message.
    said: Delivery,
    refusal: Option<String>,
    seed: u64,
}

impl World {
    pub fn new() -> Self {
        let mut settings = Settings::default();
        settings.sources.insert(
            SourceId::parse("main").unwrap(),
            Source {
                cluster_labels: vec!["cluster".into()],
                instance_labels: vec!["node".into(), "instance".into()],
                default_cluster: None,
                has_api: false,
            },
        );
        settings.notices.insert(NoticeId::parse("chat").unwrap());
        let start = Timestamp::from_micros(START);
        Self {
            // No row stays open, so that every one that a story asks for was packed.
            engine: Engine::new([], 1).with_open_rows(0),
            now: start,
            start,
            settings,
            clusters: Vec::new(),
            instances: BTreeMap::new(),
            rows: Rows::default(),
            waiting: VecDeque::new(),
            acts: 0,
            notices: 0,
            started: BTreeMap::new(),
            said: delivery(),
            refusal: None,
            seed: 1,
        }
    }

    pub(super) fn input(&mut self, input: Input) -> Reply {
        let past = self.rows.past(&self.engine.wanted(self.now, &input));
        let step = self.engine.step(self.now, input, past);
        for change in &step.changes {
            self.rows.write(change);
        }
        for effect in step.effects {
            match &effect.kind {
                EffectKind::Notify(_) => {
                    self.notices += 1;
                    let settled = Input::Notified { effect_id: effect.id, failure: None };
                    let step = self.engine.step(self.now, settled, Past::default());
                    step.changes.iter().for_each(|change| drop(self.rows.write(change)));
                }
                EffectKind::Call(call) => {
                    self.acts += usize::from(call.verb.as_str() == "act");
                    self.waiting.push_back(effect);
                }
                EffectKind::Look(_) => self.waiting.push_back(effect),
            }
        }
        step.reply
    }

    /// Lets everything that is due until then happen, in its order.
    pub fn advance(&mut self, offset: std::time::Duration) {
        let until = self.start.plus(offset);
        assert!(until >= self.now, "stories go forward");
        while let Some(deadline) = self.engine.next_deadline().filter(|deadline| *deadline <= until) {
            self.now = self.now.max(deadline);
            self.input(Input::Tick);
        }
        self.now = until;
    }

    /// Lets what is due at this very moment happen, as the writer does after every turn.
    pub(super) fn turn(&mut self) {
        let offset = self.now.since(self.start);
        self.advance(offset);
    }

    pub fn configure(&mut self, edit: impl FnOnce(&mut Settings) -> Result<(), String>) -> Result<(), String> {
        edit(&mut self.settings)?;
        let settings = Arc::new(self.settings.clone());
        let (clusters, instances) = (self.clusters.clone(), self.instances.values().cloned().collect());
        self.input(Input::Configured(Box::new(Configured { settings, clusters, instances })));
        self.turn();
        Ok(())
    }

    pub fn source(&mut self, words: &[&str]) -> Result<(), String> {
        let source = self.settings.sources.values_mut().next().unwrap();
        source.has_api = words.contains(&"api");
        self.configure(|_| Ok(()))
    }

    /// `cluster ID [modes=a,b] [deadline=10m]`
    pub fn cluster(&mut self, words: &[&str]) -> Result<(), String> {
        let id = ClusterId::parse(words[0]).map_err(|error| error.to_string())?;
        let options = pairs(&words[1..])?;
        let modes: BTreeSet<Mode> = match options.get("modes") {
            Some(list) => list.split(',').map(|name| Mode::parse(name).ok_or(name)).collect::<Result<_, _>>()?,
            None => Mode::ALL.into(),
        };
        let act_deadline =
            options.get("deadline").map_or(Ok(std::time::Duration::from_secs(600)), |text| duration(text))?;
        self.clusters.retain(|cluster| cluster.id != id);
        self.clusters.push(Cluster { id: id.clone(), name: id.to_string() });
        let act = DriverId::parse("fix").unwrap();
        self.configure(|settings| {
            settings.clusters.insert(id, ClusterPolicy { act, modes, act_deadline });
            Ok(())
        })
    }

    /// `instance ID [name=] [host=] [generation=] [cluster=] [auto=false]`
    pub fn instance(&mut self, words: &[&str]) -> Result<(), String> {
        let id = InstanceId::parse(words[0]).map_err(|error| error.to_string())?;
        let options = pairs(&words[1..])?;
        let get = |key: &str, default: &str| options.get(key).map_or(default.to_owned(), Clone::clone);
        let instance = Instance {
            name: get("name", words[0]),
            cluster_id: ClusterId::parse(&get("cluster", self.clusters[0].id.as_str())).unwrap(),
            host_id: HostId::parse(&get("host", &format!("h-{id}"))).unwrap(),
            addresses: Vec::new(),
            provider_id: String::new(),
            pool: String::new(),
            generation: get("generation", "1"),
            domains: BTreeMap::new(),
            auto_remediation_enabled: get("auto", "true") == "true",
            id: id.clone(),
        };
        self.instances.insert(id, instance);
        self.configure(|_| Ok(()))
    }

    pub fn gone(&mut self, id: &str) -> Result<(), String> {
        self.instances.remove(&InstanceId::parse(id).unwrap());
        self.configure(|_| Ok(()))
    }

    /// `catalogue 79=HOST_AWARE 45=secondary …`
    pub fn catalogue(&mut self, words: &[&str]) -> Result<(), String> {
        let mut rows = BTreeMap::new();
        for (code, action) in pairs(words)? {
            let is_secondary = action == "secondary";
            let action = match action.as_str() {
                "NONE" => XidAction::Nothing,
                "RESTART_APP" => XidAction::RestartApp,
                "RESET_GPU" | "secondary" => XidAction::ResetGpu,
                "VM_ONLY" => XidAction::VmOnly,
                "HOST_AWARE" => XidAction::HostAware,
                "CONTACT_SUPPORT" => XidAction::ContactSupport,
                other => return Err(format!("no action {other}")),
            };
            let row = CatalogueRow { mnemonic: format!("XID_{code}"), action, is_secondary };
            rows.insert(code.parse().map_err(|_| "which code?")?, row);
        }
        self.configure(|settings| {
            settings.catalogue = Catalogue(rows);
            Ok(())
        })
    }

    /// `fires NAME k=v… [summary=…] [start=-30s|5m] & resolves NAME k=v… [end=…]`: one message, one or more alerts.
    /// Without `start`, a firing begins now and a reminder keeps its start. `by=` names the clusters of the sender's token.
    pub fn deliver<'a>(&mut self, alerts: impl Iterator<Item = &'a [&'a str]>) -> Result<(), String> {
        self.said = delivery();
        for words in alerts {
            let report = self.report(words)?;
            self.said.add(report);
        }
        self.hand_in().map(|_| ())
    }

    /// The last message once more, at the same moment: it says nothing new.
    pub fn deliver_again(&mut self) -> Result<(), String> {
        match self.hand_in()? {
            0 => Ok(()),
            stored => Err(format!("{stored} alerts of a message that came again changed something")),
        }
    }

    /// Says how many of the last message's alerts changed something.
    fn hand_in(&mut self) -> Result<u64, String> {
        let received = self.said.reports().len() as u64;
        let reply = self.input(Input::Delivered(self.said.clone()));
        let Reply::Received { stored, merged, dead_lettered } = reply else { return Err(format!("{reply:?}")) };
        let may_refuse = self.said.clusters.is_some();
        if stored + merged + dead_lettered != received || (dead_lettered > 0 && !may_refuse) {
            return Err(format!(
                "{received} alerts received, {stored} stored, {merged} merged, {dead_lettered} refused"
            ));
        }
        self.turn();
        Ok(stored)
    }

    fn report(&mut self, words: &[&str]) -> Result<Report, String> {
        let [verb @ ("fires" | "resolves"), name, rest @ ..] = words else {
            return Err("an alert fires or resolves".to_owned());
        };
        let fires = *verb == "fires";
        let mut options = pairs(rest)?;
        let given = options.remove("start");
        if let Some(by) = options.remove("by") {
            self.said.clusters = Some(by.split(',').map(|id| ClusterId::parse(id).unwrap()).collect());
        }
        let ended = options.remove("end");
        let annotations: Vec<(String, String)> = ["summary", "description"]
            .into_iter()
            .filter_map(|name| options.remove(name).map(|value| (name.to_owned(), value)))
            .collect();
        options.insert("alertname".into(), (*name).into());
        let labels = Labels::from_pairs(options);
        let identity = Identity::of(&SourceId::parse("main").unwrap(), &labels);
        let when = |text: &str| match text.strip_prefix('-') {
            Some(text) => duration(text).map(|span| self.start.minus(span)),
            None => duration(text).map(|span| self.start.plus(span)),
        };
        let started_at = match given {
            Some(text) => when(&text)?,
            None => self.started.get(&identity).copied().unwrap_or(self.now),
        };
        let ended_at = ended.map(|text| when(&text)).transpose()?.unwrap_or(self.now);
        if fires {
            self.started.insert(identity, started_at);
        } else {
            self.started.remove(&identity);
        }
        Ok(Report {
            status: if fires { ReportStatus::Firing } else { ReportStatus::Resolved },
            labels,
            annotations: Labels::from_pairs(annotations),
            truncated: false,
            started_at,
            ended_at: (!fires).then_some(ended_at),
            fingerprint: String::new(),
        })
    }

    fn ask(&mut self, principal: Principal, command: Command) -> Result<(), String> {
        self.settled_refusal()?;
        if let Reply::Refused(refusal) = self.input(Input::Asked(principal, command)) {
            self.refusal = Some(refusal.to_string());
        }
        self.turn();
        Ok(())
    }

    /// A refusal that the story does not mention is a mistake of the story or of the engine.
    pub fn settled_refusal(&mut self) -> Result<(), String> {
        self.refusal.take().map_or(Ok(()), |refusal| Err(format!("it was refused: {refusal}")))
    }

    pub fn refused(&mut self, part: &str) -> Result<(), String> {
        let refusal = self.refusal.take().ok_or("nothing was refused")?;
        if refusal.contains(part) { Ok(()) } else { Err(format!("it was refused: {refusal}")) }
    }

    pub fn review(&mut self, verb: &str, words: &[&str]) -> Result<(), String> {
        let options = pairs(&words[1..])?;
        let (row, _) = self.newest(words[0]).ok_or("there is no remediation")?;
        let selector = Selector {
            cluster_id: Some(row.target.cluster_id.clone()),
            instance_id: None,
            remediation: row.id.to_string(),
        };
        let mode = options.get("mode").map(|name| Mode::parse(name).ok_or("which mode?")).transpose()?;
        let comment = options.get("comment").cloned().unwrap_or_default();
        let seen_version = options.get("version").map(|text| text.parse().unwrap());
        let command = match verb {
            "approve" => Command::Approve { selector, mode, comment, seen_version },
            "reject" => Command::Reject { selector, comment, seen_version },
            "abort" => {
                let reason = options.get("reason").cloned().unwrap_or_else(|| "wrong node".to_owned());
                Command::Abort { selector, reason }
            }
            _ => Command::Cancel { selector, comment, seen_version },
        };
        let command = if options.contains_key("retry") { Command::Again(Box::new(command)) } else { command };
        self.ask(Principal::local(), command)
    }

    /// `create i-7 reboot_vm [reason=] [id=] [retry=yes]`
    pub fn create(&mut self, words: &[&str]) -> Result<(), String> {
        let options = pairs(&words[2..])?;
        let instance_id = InstanceId::parse(words[0]).unwrap();
        let cluster_id =
            self.instances.get(&instance_id).map_or(self.clusters[0].id.clone(), |row| row.cluster_id.clone());
        let command = Command::Create {
            cluster_id,
            instance_id,
            mode: Mode::parse(words[1]).ok_or("which mode?")?,
            reason: options.get("reason").cloned().unwrap_or_default(),
            alias: options.get("id").cloned(),
            is_retry: options.contains_key("retry"),
        };
        self.ask(Principal::local(), command)
    }

    pub fn hold(&mut self, words: &[&str]) -> Result<(), String> {
        let instance_id = InstanceId::parse(words[0]).unwrap();
        let command = Command::Hold { instance_id, reason: "hands off".into(), span: duration(words[1])? };
        self.ask(Principal::local(), command)
    }

    pub fn unhold(&mut self, id: &str) -> Result<(), String> {
        let instance = InstanceId::parse(id).unwrap();
        let hold_id = self.engine.memory().hold_on(&instance).ok_or("it is not held")?.id;
        self.ask(Principal::local(), Command::Unhold { hold_id })
    }

    /// `pause [CLUSTER] [by=CLUSTER]`, `resume [CLUSTER]`; `by=` names the cluster of the asker's token.
    pub fn switch(&mut self, verb: &str, words: &[&str]) -> Result<(), String> {
        let (named, options): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| !word.contains('='));
        let cluster = |id: &str| ClusterId::parse(id).map_err(|error| error.to_string());
        let cluster_id = named.first().map(|id| cluster(id)).transpose()?;
        let clusters = pairs(&options)?.get("by").map(|id| cluster(id)).transpose()?;
        let principal = Principal { clusters: clusters.map(|id| [id].into()), ..Principal::local() };
        let reason = "power work".to_owned();
        let command = match verb {
            "pause" => Command::Pause { cluster_id, reason },
            _ => Command::Resume { cluster_id, reason },
        };
        self.ask(principal, command)
    }

    /// `look [active|silenced|absent|unreachable] [ssh=PASS] [gpu=FAIL:lost@GPU-0/GPU-0,GPU-1]`: what the sources show, absent where
    /// nothing is said, and what the checks say that were run; one that is not named did not run.
    pub fn answer_look(&mut self, words: &[&str]) -> Result<(), String> {
        let (how, runs): (Vec<&str>, Vec<&str>) = words.iter().partition(|word| !word.contains('='));
        let how = how.first().copied().unwrap_or("absent");
        let at = self.waiting.iter().position(|effect| matches!(effect.kind, EffectKind::Look(_)));
        let effect = at.and_then(|at| self.waiting.remove(at)).ok_or("no look is waiting")?;
        let EffectKind::Look(look) = &effect.kind else { unreachable!() };
        let sightings =
            |muted| look.wanted.values().flatten().map(|identity| Sighting { identity: *identity, muted }).collect();
        let found = match how {
            "active" => Ok(sightings(false)),
            "silenced" => Ok(sightings(true)),
            "absent" => Ok(Vec::new()),
            "unreachable" => Err("connection refused".to_owned()),
            other => return Err(format!("a look cannot be {other}")),
        };
        let runs = match &look.checks {
            Some(of) => runs.into_iter().map(|word| self.said_by(word, of)).collect::<Result<_, _>>()?,
            None if runs.is_empty() => Vec::new(),
            None => return Err("the look has no checks run".to_owned()),
        };
        self.input(Input::Looked { effect_id: effect.id, found, runs });
        self.turn();
        Ok(())
    }

    /// `driver done|refused|transient|unknown|absent [generation=2]`
    pub fn answer_call(&mut self, words: &[&str]) -> Result<(), String> {
        let at = self.waiting.iter().position(|effect| matches!(effect.kind, EffectKind::Call(_)));
        let effect = at.and_then(|at| self.waiting.remove(at)).ok_or("no call is waiting")?;
        let outcome = [Outcome::Done, Outcome::Refused, Outcome::Transient, Outcome::Unknown, Outcome::Absent]
            .into_iter()
            .find(|outcome| outcome.as_str() == words[0])
            .ok_or("which outcome?")?;
        let options = pairs(&words[1..])?;
        self.input(Input::Acted {
            effect_id: effect.id,
            outcome,
            detail: "said so".into(),
            generation: options.get("generation").cloned(),
            boot_id: None,
        });
        self.turn();
        Ok(())
    }

    /// The process ends and another one begins: memory is folded from the rows, effects that were pending come again.
    ///
    /// A call that was out is asked about. So that the story goes on as it was told, the backend knows nothing of it yet
    /// and it is called again, with the same key: one act, however often the daemon restarts. After an abort it is not
    /// called again, nor while something is paused: the question stays, and the story's answer is the answer to that. What was being undone stands as yet.
    pub fn restart(&mut self) {
        let was = self.waiting_call();
        self.begin(None);
        let is_aborted = self.engine.memory().remediations().values().any(|record| {
            let row = &record.remediation;
            row.awaits.is_some() && row.attempt.as_ref().is_some_and(|attempt| attempt.abort.is_some())
        });
        if was.as_deref() == Some("undo") {
            assert_eq!(self.waiting_call().as_deref(), Some("query"), "an undoing that was out is asked about first");
            self.answer_call(&["done"]).unwrap();
        } else if was.as_deref() == Some("act") && !is_aborted && self.engine.memory().pauses().is_empty() {
            assert_eq!(self.waiting_call().as_deref(), Some("query"), "a call that was out is asked about first");
            self.answer_call(&["absent"]).unwrap();
            self.acts -= usize::from(self.waiting_call().as_deref() == Some("act"));
        }
    }

    /// The process ends, and another one finds that its store was copied or restored in between.
    pub fn restored(&mut self) {
        let epoch = 1 + self.engine.memory().execution().map_or(1, |execution| execution.epoch);
        self.begin(Some(Input::Restored { epoch, why: "it was copied".to_owned() }));
    }

    /// An admin lets a restored store act.
    pub fn enable(&mut self) -> Result<(), String> {
        self.ask(Principal::local(), Command::Enable)
    }

    fn begin(&mut self, first: Option<Input>) {
        self.seed += 1;
        self.engine = Engine::new(self.rows.live(), self.seed).with_open_rows(0);
        self.waiting.clear();
        if let Some(first) = first {
            self.input(first);
        }
        let settings = Arc::new(self.settings.clone());
        let (clusters, instances) = (self.clusters.clone(), self.instances.values().cloned().collect());
        self.input(Input::Configured(Box::new(Configured { settings, clusters, instances })));
        self.input(Input::Started);
        self.turn();
    }

    pub fn newest(&self, instance: &str) -> Option<(Remediation, Vec<Link>)> {
        let row = self.rows.remediations().filter(|row| row.instance_id().as_str() == instance).last()?;
        let links = self.rows.links(row.id).cloned().collect();
        Some((row.clone(), links))
    }

    pub fn live(&self, instance: &str) -> Option<(Remediation, Vec<Link>)> {
        self.newest(instance).filter(|(row, _)| !row.state.is_terminal())
    }

    pub fn records(&self, instance: &str) -> usize {
        self.rows.remediations().filter(|row| row.instance_id().as_str() == instance).count()
    }

    pub fn held(&self, instance: &str) -> Option<String> {
        let held: Option<&Held> = self.engine.memory().held().get(&InstanceId::parse(instance).ok()?);
        held.map(|held| held.why.as_str().to_owned())
    }

    pub fn alert_state(&self, name: &str) -> String {
        let newest = self.rows.alerts().filter(|alert| is_called(alert, name)).max_by_key(|alert| alert.episode);
        newest.map_or("unknown".into(), |alert| alert.state.as_str().into())
    }

    pub fn open_episode(&self, name: &str) -> String {
        let open = self.engine.memory().alerts().values().find(|alert| is_called(alert, name));
        open.map_or("nothing".into(), |alert| alert.state.as_str().into())
    }

    pub fn waiting_call(&self) -> Option<String> {
        self.waiting.iter().find_map(|effect| match &effect.kind {
            EffectKind::Call(call) => Some(call.verb.as_str().to_owned()),
            _ => None,
        })
    }

    pub fn waiting_look(&self) -> bool {
        self.waiting.iter().any(|effect| matches!(effect.kind, EffectKind::Look(_)))
    }

    pub fn acts(&self) -> usize {
        self.acts
    }

    pub fn notices(&self) -> usize {
        self.notices
    }

    /// What holds in every story, after every line.
    pub fn check(&self) -> Result<(), String> {
        let mut folded = Memory::default();
        self.rows.live().for_each(|change| folded.apply(change));
        if &folded != self.engine.memory() {
            return Err("memory is not the fold of the stored rows".into());
        }
        let mut places: BTreeSet<String> = BTreeSet::new();
        for row in self.rows.remediations().filter(|row| !row.state.is_terminal()) {
            for place in [format!("instance {}", row.instance_id()), format!("host {}", row.target.host_id)] {
                if !places.insert(place.clone()) {
                    return Err(format!("two live remediations on {place} (I9)"));
                }
            }
        }
        for row in self.rows.remediations() {
            let steps: Vec<&Transition> = self.rows.transitions(row.id).collect();
            let versions: Vec<u64> = steps.iter().map(|step| step.version).collect();
            if versions != (1..=row.version).collect::<Vec<_>>() {
                return Err(format!("versions {versions:?} of a remediation at version {} (I3)", row.version));
            }
            if steps.last().map(|step| step.to) != Some(row.state) || row.ended_at.is_some() != row.state.is_terminal()
            {
                return Err("history and state disagree (I2)".into());
            }
            let clear = self.rows.links(row.id).all(|link| link.cleared_at.is_some());
            if matches!(row.state, State::AutoResolved) && !clear {
                return Err("resolved by itself while a linked alert is not clear (I21)".into());
            }
        }
        for effect in &self.waiting {
            if !self.rows.is_pending(effect.id) {
                return Err("an effect is out that has no pending row".into());
            }
        }
        self.check_checks()?;
        let lost = self.rows.alerts().find(|alert| {
            alert.state == AlertState::Firing
                && alert.instance().is_some_and(|id| {
                    self.engine.memory().live_on(id).is_some_and(|live| {
                        alert.remediation_id == Some(live.remediation.id)
                            && !live
                                .links
                                .iter()
                                .any(|link| link.identity == alert.identity && link.cleared_at.is_none())
                    })
                })
        });
        lost.map_or(Ok(()), |alert| Err(format!("alert {} fires and its link says it is clear (I23)", alert.name())))
    }
}

/// Whether an alert is called `NAME`, or `NAME@INSTANCE`.
fn is_called(alert: &Alert, name: &str) -> bool {
    let (name, on) = name.split_once('@').map_or((name, None), |(name, on)| (name, Some(on)));
    alert.name() == name && on.is_none_or(|on| alert.instance().is_some_and(|id| id.as_str() == on))
}

/// A message of no alerts.
fn delivery() -> Delivery {
    let source = SourceId::parse("main").unwrap();
    Delivery::new(source, None)
}
