//! The deadlines of a remediation.

use super::super::settings::Policy;
use crate::domain::check;
use crate::domain::{AutoResolve, Due, DueWhy, Link, Remediation, State, Timestamp, Trigger};

/// When the engine has to look at a remediation next, and why. A pure function of the row, so that a restart knows the
/// same deadlines.
pub fn due(row: &Remediation, links: &[Link], policy: &Policy) -> Option<Due> {
    let at = |at: Timestamp, why: DueWhy| Some(Due { at, why });
    let clear_since = row.clear_since.filter(|_| !links.is_empty());
    let resolve = clear_since
        .filter(|_| row.trigger == Trigger::Automated && row.auto_resolve != AutoResolve::Never)
        .and_then(|since| {
            // Its checks are asked first, and again where they do not pass.
            let asked = row.next_try.filter(|_| row.auto_resolve == AutoResolve::Probe);
            let resolve = since.plus(policy.compact_ttl);
            at(asked.map_or(resolve, |next_try| next_try.max(resolve)), DueWhy::Resolve)
        });
    let is_asking = row.auto_resolve == AutoResolve::Probe && row.awaits.is_some();
    let resolves = resolve.filter(|_| !is_asking);
    match row.state {
        State::PendingApproval => {
            resolves.into_iter().chain(at(row.created_at.plus(policy.proposal_ttl), DueWhy::Expire)).min()
        }
        State::Pending => {
            let approved_at = row.review.as_ref().map_or(row.created_at, |review| review.at);
            let start = approved_at.plus(policy.dispatch_delay);
            let start = row.next_try.map_or(start, |next_try| next_try.max(start));
            // While alerts are clear the repair waits to resolve; while a question is out it waits for the answer.
            let start =
                Some(Due { at: start, why: DueWhy::Start }).filter(|_| row.awaits.is_none() && resolve.is_none());
            resolves.into_iter().chain(start).min()
        }
        State::Running => {
            let attempt = row.attempt.as_ref()?;
            // Once a person has aborted it, nothing is proven any more: it is asked about or undone.
            let Some(done_at) = attempt.done_at.filter(|_| attempt.abort.is_none()) else {
                return row.next_try.filter(|_| row.awaits.is_none()).and_then(|next_try| at(next_try, DueWhy::Retry));
            };
            let fails = at(done_at.plus(policy.verify_within), DueWhy::VerifyWithin);
            let soaked = clear_since.filter(|_| row.awaits.is_none()).and_then(|since| {
                let soaked = since.max(done_at).plus(policy.soak);
                at(row.next_try.map_or(soaked, |next_try| next_try.max(soaked)), DueWhy::Soak)
            });
            let has_failing_checks =
                links.iter().any(|link| link.source.as_str() == check::SOURCE && link.cleared_at.is_none());
            let rechecked = row.next_try.unwrap_or(done_at).max(done_at);
            let recheck = has_failing_checks.then(|| at(rechecked, DueWhy::Recheck)).flatten();
            let recheck = recheck.filter(|_| row.awaits.is_none());
            soaked.into_iter().chain(recheck).chain(fails).min()
        }
        State::Quarantining
        | State::Quarantined
        | State::Succeeded
        | State::Failed
        | State::Cancelled
        | State::AutoResolved => None,
    }
}
