//! What happens because time passed: every deadline has a row that says why.

use super::memory::Subject;
use super::turn::Turn;
use super::{SYSTEM, guard, health, holds, plan, remediation, retention};
use crate::domain::{ClusterId, DueWhy, RemediationId};

/// How many deadlines one step takes; the writer comes again at once while more are due.
pub(super) const AT_ONCE: usize = 256;

/// Does what is due.
pub fn tick(turn: &mut Turn<'_>) {
    let due: Vec<Subject> = turn
        .memory()
        .agenda()
        .iter()
        .take_while(|(at, _)| *at <= turn.now())
        .take(AT_ONCE)
        .map(|(_, subject)| subject.clone())
        .collect();
    for subject in due {
        match subject {
            Subject::Remediation(id) => remediation_due(turn, id),
            Subject::Horizons => retention::advance(turn),
            Subject::Condition(whose) => health::ripen(turn, &whose.0, &whose.1),
            Subject::Hold(id) => holds::end(turn, id, SYSTEM),
            Subject::Instance(id) => {
                turn.touched.insert(id);
            }
        }
    }
}

fn remediation_due(turn: &mut Turn<'_>, id: RemediationId) {
    let Some(record) = turn.memory().remediations().get(&id) else { return };
    let Some(due) = record.remediation.due.filter(|due| due.at <= turn.now()) else { return };
    match due.why {
        DueWhy::Resolve => remediation::resolve(turn, id),
        DueWhy::Expire => remediation::expire(turn, id),
        DueWhy::Start => start(turn, id),
        DueWhy::Retry => plan::retry(turn, id),
        DueWhy::Recheck => plan::recheck(turn, id),
        DueWhy::Soak => plan::soaked(turn, id),
        DueWhy::VerifyWithin => plan::too_late(turn, id),
    }
}

/// Asks the guard, then starts or waits.
pub fn start(turn: &mut Turn<'_>, id: RemediationId) {
    let Some(record) = turn.memory().remediations().get(&id) else { return };
    let may_start = guard::may_start(turn.memory(), &turn.settings().limits, &record.remediation);
    plan::start(turn, id, may_start);
}

/// A place in flight may be free: those that wait for one ask again, oldest first.
pub fn start_waiting(turn: &mut Turn<'_>, cluster: &ClusterId) {
    let waiting: Vec<RemediationId> = turn
        .memory()
        .to_start(cluster)
        .map(|record| &record.remediation)
        .filter(|row| row.waits_for.is_some())
        .filter(|row| row.awaits.is_none() && row.validating_since.is_none())
        .filter(|row| matches!(row.due, Some(due) if due.why == DueWhy::Start))
        .map(|row| row.id)
        .collect();
    for id in waiting {
        // The others are told so already, and ask again by themselves.
        if guard::has_place(turn.memory(), &turn.settings().limits, cluster).is_err() {
            break;
        }
        start(turn, id);
    }
}
