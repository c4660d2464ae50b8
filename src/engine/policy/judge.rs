//! What one alert calls for: the rules that match it, and what its XID has to say about their modes (DESIGN §4.3).

use super::super::settings::{Enforce, Rule, Settings, XidAction};
use super::super::signs::finding;
use crate::domain::{Alert, Instance, Mode, RuleId};

/// What an alert calls for by one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This repair.
    Repair(Mode),
    /// Nothing by itself; inside a burst it belongs to the remediation that another code opened.
    Nothing,
    /// A person should look: NVIDIA says to contact support.
    ContactSupport,
}

/// Every matching rule that is not off, in order of rule ids, with its verdict.
pub fn judge<'a>(
    settings: &'a Settings,
    instance: &'a Instance,
    alert: &'a Alert,
) -> impl Iterator<Item = (&'a RuleId, &'a Rule, Verdict)> {
    let view = View::of(instance, alert);
    let by_code = code_verdict(settings, alert);
    settings.rules.iter().filter(|(_, rule)| rule.enforce != Enforce::Off).filter_map(move |(id, rule)| {
        if !rule.matchers.matches(|name| view.value_of(name)) {
            return None;
        }
        let verdict = by_code.or(rule.mode.map(Verdict::Repair))?;
        Some((id, rule, verdict))
    })
}

/// What matchers see: the alert's labels, and in front of them the derived ones.
struct View<'a> {
    alert: &'a Alert,
    instance: &'a Instance,
    xid: String,
}

impl<'a> View<'a> {
    fn of(instance: &'a Instance, alert: &'a Alert) -> View<'a> {
        View { alert, instance, xid: alert.xid.map_or_else(String::new, |code| code.to_string()) }
    }

    fn value_of(&self, name: &str) -> &str {
        match name {
            "xid" if !self.xid.is_empty() => &self.xid,
            "severity" => self.alert.severity.as_str(),
            "cluster" => self.instance.cluster_id.as_str(),
            "pool" => &self.instance.pool,
            _ => match name.strip_prefix("domain_") {
                Some(kind) => self.instance.domains.get(kind).map_or("", String::as_str),
                None => self.alert.labels.get(name).unwrap_or(""),
            },
        }
    }
}

/// What the code says, before any rule's own mode: the driver's verdict, then the catalogue.
fn code_verdict(settings: &Settings, alert: &Alert) -> Option<Verdict> {
    let found = finding(&alert.labels, &alert.annotations);
    // NVML: 0 none, 1 GPU reset, 2 node reboot, 3 drain P2P, 4 drain and reset, 5 IMEX domain recovery, 6 bus reset,
    // 7 system reboot (FAULTS §1). 3 and 5 concern the fabric, not this node: a condition only.
    match found.recovery_action {
        Some(1 | 2 | 4 | 6 | 7) => return Some(Verdict::Repair(Mode::RebootVm)),
        Some(3 | 5) => return Some(Verdict::Nothing),
        Some(_) | None => {}
    }
    let row = settings.catalogue.0.get(&found.xid?)?;
    Some(match row.action {
        XidAction::Nothing | XidAction::RestartApp => Verdict::Nothing,
        XidAction::ResetGpu | XidAction::RebootVm => Verdict::Repair(Mode::RebootVm),
        XidAction::VmOnly => Verdict::Repair(Mode::VmOnly),
        XidAction::HostAware => Verdict::Repair(Mode::HostAware),
        XidAction::ContactSupport => Verdict::ContactSupport,
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::{self, alert, instance, rule, settings};
    use super::*;
    use crate::domain::Labels;

    fn verdicts(alert: &Alert) -> Vec<(String, Verdict)> {
        let mut settings = settings();
        settings.catalogue = testing::catalogue(&[
            (79, XidAction::HostAware),
            (31, XidAction::RestartApp),
            (48, XidAction::ResetGpu),
            (54, XidAction::ContactSupport),
        ]);
        settings.rules.extend([
            rule("a-xid", &["alertname=\"DmesgXidError\""], Some(Mode::RebootVm), Enforce::Propose),
            rule("b-any-xid", &["xid=~\".+\""], Some(Mode::VmOnly), Enforce::Shadow),
            rule("c-off", &["alertname=\"DmesgXidError\""], None, Enforce::Off),
            rule(
                "d-leaf",
                &["domain_leaf=\"leaf-3\"", "severity=\"critical\"", "pool=\"h100\""],
                Some(Mode::HostAware),
                Enforce::Propose,
            ),
        ]);
        let mut host = instance("i-7", "train-a", "gpu-node-7", &[]);
        host.pool = "h100".into();
        host.domains.insert("leaf".into(), "leaf-3".into());
        judge(&settings, &host, alert).map(|(id, _, verdict)| (id.to_string(), verdict)).collect()
    }

    fn xid_alert(xid: Option<u32>) -> Alert {
        let mut sick = alert("x");
        let mut labels = vec![("alertname".to_owned(), "DmesgXidError".to_owned())];
        labels.extend(xid.map(|code| ("xid".to_owned(), code.to_string())));
        sick.labels = Labels::from_pairs(labels);
        sick.xid = xid;
        sick.severity = crate::domain::Severity::Warning;
        sick
    }

    #[test]
    fn the_catalogue_goes_before_the_rules_mode() {
        for (xid, expected) in [
            (None, Verdict::Repair(Mode::RebootVm)),
            (Some(79), Verdict::Repair(Mode::HostAware)),
            (Some(48), Verdict::Repair(Mode::RebootVm)),
            (Some(31), Verdict::Nothing),
            (Some(54), Verdict::ContactSupport),
            (Some(999), Verdict::Repair(Mode::RebootVm)),
        ] {
            assert_eq!(verdicts(&xid_alert(xid))[0], ("a-xid".to_owned(), expected), "{xid:?}");
        }
    }

    #[test]
    fn the_drivers_own_verdict_goes_before_the_catalogue() {
        for (action, expected) in [
            ("1", Verdict::Repair(Mode::RebootVm)),
            ("3", Verdict::Nothing),
            ("5", Verdict::Nothing),
            ("7", Verdict::Repair(Mode::RebootVm)),
            ("0", Verdict::Repair(Mode::HostAware)),
        ] {
            let mut sick = xid_alert(Some(79));
            sick.annotations = Labels::from_pairs([("recovery_action", action)]);
            assert_eq!(verdicts(&sick)[0].1, expected, "{action}");
        }
    }

    #[test]
    fn off_removes_only_itself_and_derived_labels_match() {
        let mut sick = xid_alert(Some(79));
        sick.severity = crate::domain::Severity::Critical;
        let ids: Vec<String> = verdicts(&sick).into_iter().map(|(id, _)| id).collect();
        assert_eq!(ids, ["a-xid", "b-any-xid", "d-leaf"]);
    }
}
