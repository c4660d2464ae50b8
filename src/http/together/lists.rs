//! What Together's clients call modes, states, triggers and orders.

use crate::domain::{Mode, Severity, State, Trigger};
use crate::http::error::Fault;
use crate::http::query::Query;
use crate::store::query::{Order, RemediationFilter};

/// The name of a mode on Together's wire.
pub(in crate::http) const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::RebootVm => "REMEDIATION_MODE_REBOOT_VM",
        Mode::VmOnly => "REMEDIATION_MODE_VM_ONLY",
        Mode::HostAware => "REMEDIATION_MODE_HOST_AWARE",
        Mode::HostPowerCycle => "REMEDIATION_MODE_HOST_POWER_CYCLE",
        Mode::EvictWithoutReplacement => "REMEDIATION_MODE_EVICT_WITHOUT_REPLACEMENT",
    }
}

/// The name of a trigger on Together's wire.
pub(in crate::http) const fn trigger_name(trigger: Trigger) -> &'static str {
    match trigger {
        Trigger::Manual => "REMEDIATION_TRIGGER_MANUAL",
        Trigger::Automated => "REMEDIATION_TRIGGER_AUTOMATED",
    }
}

/// The name of a severity on Together's wire.
pub(in crate::http) const fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "PHC_SEVERITY_INFO",
        Severity::Warning => "PHC_SEVERITY_WARNING",
        Severity::Critical => "PHC_SEVERITY_CRITICAL",
    }
}

/// Every mode's name, for people who sent another.
pub(super) fn modes() -> String {
    format!("one of {}", Mode::ALL.map(mode_name).join(", "))
}

/// The mode of a body.
pub(super) fn wanted_mode(text: &str) -> Result<Mode, Fault> {
    read_mode(text).ok_or_else(|| {
        let text: String = text.chars().take(64).collect();
        Fault::invalid(format!("mode: `{text}` is not {}", modes()))
    })
}

fn read_mode(text: &str) -> Option<Mode> {
    Mode::ALL.into_iter().find(|mode| mode_name(*mode) == text)
}

fn read_trigger(text: &str) -> Option<Trigger> {
    [Trigger::Manual, Trigger::Automated].into_iter().find(|trigger| trigger_name(*trigger) == text)
}

/// The filters and the order of a list. Parameters that are not ours are other versions' and are ignored.
pub(super) fn read(query: &Query) -> Result<(RemediationFilter, Order), Fault> {
    let states = format!("one of {}", State::ALL.map(State::as_str).join(", "));
    let triggers = format!("one of {}", [Trigger::Manual, Trigger::Automated].map(trigger_name).join(", "));
    let filter = RemediationFilter {
        states: query.many("state", &states, State::parse)?,
        modes: query.many("mode", &modes(), read_mode)?,
        triggers: query.many("trigger", &triggers, read_trigger)?,
        ..RemediationFilter::default()
    };
    let wanted = "create_time or update_time, followed by asc or desc";
    let order = query.read("order_by", wanted, read_order)?.unwrap_or_default();
    Ok((filter, order))
}

/// A field without a direction ascends, as everywhere in APIs of this kind (AIP-132).
fn read_order(text: &str) -> Option<Order> {
    let mut words = text.split_ascii_whitespace();
    let by_update = match words.next()? {
        "create_time" => false,
        "update_time" => true,
        _ => return None,
    };
    let ascending = match words.next() {
        None | Some("asc") => true,
        Some("desc") => false,
        Some(_) => return None,
    };
    words.next().is_none().then_some(Order { by_update, ascending })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_names_on_the_wire_and_no_others() {
        assert_eq!(wanted_mode("REMEDIATION_MODE_VM_ONLY"), Ok(Mode::VmOnly));
        for bad in ["VM_ONLY", "vm_only", "REMEDIATION_MODE_UNSPECIFIED", ""] {
            assert!(wanted_mode(bad).is_err(), "{bad}");
        }
        let list = |text: &str| read(&Query::parse(Some(text)));
        let (filter, order) = list("state=PENDING%2CRUNNING&trigger=REMEDIATION_TRIGGER_MANUAL&projectId=p").unwrap();
        assert_eq!(filter.states, [State::Pending, State::Running].into());
        assert_eq!(filter.triggers, [Trigger::Manual].into());
        assert_eq!(order, Order { by_update: false, ascending: false });
        for bad in ["state=pending", "mode=VM_ONLY", "trigger=MANUAL", "order_by=order_by", "order_by=create_time+up"] {
            assert!(list(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn orders_have_a_field_and_a_direction() {
        for (text, by_update, ascending) in [
            ("create_time+desc", false, false),
            ("create_time%20asc", false, true),
            ("update_time+desc", true, false),
            ("update_time", true, true),
            ("", false, false),
        ] {
            let (_, order) = read(&Query::parse(Some(&format!("order_by={text}")))).unwrap();
            assert_eq!(order, Order { by_update, ascending }, "{text}");
        }
        assert_eq!(read_order("create_time asc, update_time desc"), None);
    }
}
