//! Active checks in stories: how they are configured, what their runs say, and what is believed because of them.

use std::time::Duration;

use remedyd::domain::matcher::Matchers;
use remedyd::domain::{
    AlertState, CheckId, CheckKind, Condition, Finding, InstanceId, Observation, Probed, Remediation, Severity, Trust,
    Verdict,
};
use remedyd::engine::settings::CheckPolicy;
use remedyd::engine::{ChecksOf, EffectKind, Input};

use super::world::World;
use super::{duration, pairs};

impl World {
    /// `check ssh every=30s failures=3 passes=2 [kind=tcp] [select=pool="gpu"]`; `check ssh off` takes it away.
    pub fn checks(&mut self, words: &[&str]) -> Result<(), String> {
        let id = CheckId::parse(words[0]).map_err(|error| error.to_string())?;
        if words[1..] == ["off"] {
            return self.configure(|settings| settings.checks.remove(&id).map(drop).ok_or("it is not there".into()));
        }
        let (mut failures_before, mut passes_before) = (3, 2);
        let (mut kind, mut select, mut round) = (CheckKind::Tcp, Matchers::default(), Duration::from_secs(30));
        for word in &words[1..] {
            let (key, value) = word.split_once('=').ok_or("key=value")?;
            let number = || value.parse().map_err(|_| format!("`{value}` is no number"));
            match key {
                "every" => round = duration(value)?,
                "failures" => failures_before = number()?,
                "passes" => passes_before = number()?,
                "kind" => {
                    kind = CheckKind::ALL.into_iter().find(|kind| kind.as_str() == value).ok_or("which kind?")?;
                }
                "select" => select = Matchers::parse(value).map_err(|error| error.to_string())?,
                other => return Err(format!("no check key {other}")),
            }
        }
        let severity = Severity::Critical;
        let policy = CheckPolicy { kind, select, failures_before, passes_before, severity, round };
        self.configure(|settings| {
            settings.checks.insert(id, policy);
            Ok(())
        })
    }

    /// `run ssh i-7 FAIL timeout & ssh i-8 PASS`: one batch, one or more runs. A finding is `NAME[:XID][@DEVICE]`; `sticky`
    /// says that all of them are; `seen=` names the devices that were seen alive, `generation=` another machine.
    pub fn run<'a>(&mut self, runs: impl Iterator<Item = &'a [&'a str]>) -> Result<(), String> {
        let runs = runs.map(|words| self.probed(words)).collect::<Result<_, _>>()?;
        self.input(Input::Probed { runs, on_demand: false });
        self.turn();
        Ok(())
    }

    fn probed(&self, words: &[&str]) -> Result<Probed, String> {
        let [check, instance, verdict, rest @ ..] = words else {
            return Err("a run has a check, an instance and a verdict".to_owned());
        };
        let (options, findings): (Vec<&str>, Vec<&str>) = rest.iter().partition(|word| word.contains('='));
        let options = pairs(&options)?;
        let instance_id = InstanceId::parse(instance).map_err(|error| error.to_string())?;
        let there = self.instances.get(&instance_id).ok_or("there is no such instance")?;
        let mut observation = observed(verdict, &findings)?;
        if let Some(seen) = options.get("seen") {
            observation.devices = seen.split(',').map(Into::into).collect();
        }
        if let Some(evidence) = options.get("evidence") {
            observation.evidence = evidence.replace('_', " ");
        }
        Ok(Probed {
            check: CheckId::parse(check).map_err(|error| error.to_string())?,
            generation: options.get("generation").unwrap_or(&there.generation).clone(),
            instance_id,
            started_at: self.now,
            ended_at: self.now,
            observation,
        })
    }

    /// `ssh=PASS`, `gpu=FAIL:lost@GPU-0`, `gpu=PASS/GPU-0,GPU-1` with the devices that were seen: what a check says that a
    /// remediation had run.
    pub(super) fn said_by(&self, word: &str, of: &ChecksOf) -> Result<Probed, String> {
        let (check, said) = word.split_once('=').ok_or("check=VERDICT")?;
        let (said, seen) =
            said.split_once('/').map_or((said, None), |(said, seen)| (said, Some(format!("seen={seen}"))));
        let (verdict, finding) = said.split_once(':').map_or((said, None), |(verdict, what)| (verdict, Some(what)));
        let words: Vec<&str> =
            [check, of.instance_id.as_str(), verdict].into_iter().chain(finding).chain(seen.as_deref()).collect();
        let run = self.probed(&words)?;
        if of.checks.contains(&run.check) { Ok(run) } else { Err(format!("the look does not run {check}")) }
    }

    pub fn waiting_checks(&self) -> String {
        let looks = self.waiting.iter().filter_map(|effect| match &effect.kind {
            EffectKind::Look(look) => look.checks.as_ref(),
            EffectKind::Call(_) | EffectKind::Notify(_) => None,
        });
        let names: Vec<&str> = looks.take(1).flat_map(|of| &of.checks).map(CheckId::as_str).collect();
        names.join(",")
    }

    pub fn fault(&self) -> bool {
        self.engine.prober_fault(self.now).is_some()
    }

    pub fn runs(&self) -> usize {
        self.rows.runs().count()
    }

    pub fn belief(&self, check: &str, instance: &str) -> String {
        let is_it = |one: &&Condition| one.check.as_str() == check && one.instance_id.as_str() == instance;
        self.rows.conditions().find(is_it).map_or("unprobed", |condition| condition.belief.as_str()).to_owned()
    }

    /// Which check a remediation was opened by; its run must be there to be read, as a FAIL on that machine.
    pub fn opened_by(&self, row: &Remediation) -> Option<String> {
        let run = self.rows.run(row.opened_by_run?)?;
        let is_evidence = run.verdict == Verdict::Fail && run.instance_id == *row.instance_id();
        is_evidence.then(|| run.check.to_string())
    }

    /// What holds of checks in every story: an alert of theirs is open exactly where a finding is believed or doubted, and
    /// the run that it names is kept.
    pub(super) fn check_checks(&self) -> Result<(), String> {
        let open = |state: AlertState| {
            let alerts =
                self.rows.alerts().filter(move |alert| alert.source.as_str() == "checks" && alert.state == state);
            alerts.count()
        };
        let stand = |trust: Trust| {
            self.rows.conditions().flat_map(|one| &one.standing).filter(|standing| standing.trust == trust).count()
        };
        let is = (open(AlertState::Firing), open(AlertState::RefiredUnconfirmed));
        let should = (stand(Trust::Believed), stand(Trust::Doubted));
        if is != should {
            return Err(format!("{is:?} alerts of checks fire and are doubted, and {should:?} findings are"));
        }
        let lost = self.rows.alerts().find(|alert| alert.run_id.is_some_and(|id| self.rows.run(id).is_none()));
        lost.map_or(Ok(()), |alert| Err(format!("alert {} names a run that is not kept", alert.name())))
    }
}

fn observed(verdict: &str, words: &[&str]) -> Result<Observation, String> {
    let is_sticky = words.contains(&"sticky");
    let findings = words.iter().filter(|word| **word != "sticky").map(|word| finding(word, is_sticky));
    let findings = findings.collect::<Result<Vec<Finding>, String>>()?;
    Ok(match Verdict::parse(verdict).ok_or("which verdict?")? {
        Verdict::Fail if findings.is_empty() => return Err("a FAIL names what it found".to_owned()),
        Verdict::Fail => Observation::fail(findings, "it failed"),
        _ if !findings.is_empty() => return Err("only a FAIL finds anything".to_owned()),
        Verdict::Pass => Observation::pass("all is well"),
        Verdict::Inconclusive => Observation::inconclusive("it may mean anything"),
        Verdict::Error => Observation::error("no descriptor was free"),
        Verdict::Skipped => Observation::skipped("no such program"),
    })
}

/// `timeout`, `lost@GPU-0`, `xid:79@GPU-0`.
fn finding(word: &str, is_sticky: bool) -> Result<Finding, String> {
    let (what, device) = word.split_once('@').unwrap_or((word, ""));
    let (name, xid) = what.split_once(':').map_or((what, None), |(name, code)| (name, Some(code)));
    let known = ["timeout", "refused", "lost", "xid", "double_bit_ecc", "temperature"];
    let name = known.into_iter().find(|known| *known == name).ok_or_else(|| format!("no finding {name}"))?;
    let xid = xid.map(|code| code.parse().map_err(|_| format!("`{code}` is no XID"))).transpose()?;
    Ok(Finding { xid, is_sticky, ..Finding::new(name, "it was seen").on(device) })
}
