//! Whether an answer is well.

use super::super::tcp::shown;
use super::exchange::Head;
use crate::config::checks::Http;
use crate::domain::Finding;

/// Everything that is wrong with an answer; its body counts only where all of it came.
pub(super) fn judge(spec: &Http, head: &Head, body: &[u8], is_whole: bool) -> Vec<Finding> {
    let mut findings = Vec::new();
    let status = head.status.as_u16();
    if !spec.status.iter().any(|range| range.contains(&status)) {
        findings.push(Finding::new("status", format!("status {}", head.status)));
    }
    for (name, pattern) in &spec.header_matches {
        let mut values = head.fields.get_all(name).iter().peekable();
        let detail = match values.peek() {
            None => format!("no field `{name}`"),
            Some(first) => {
                let detail = format!("field `{name}` {} does not match `{pattern}`", shown(first.as_bytes()));
                if values.any(|value| pattern.is_match(value.as_bytes())) {
                    continue;
                }
                detail
            }
        };
        findings.push(Finding::new("header", detail));
    }
    if is_whole {
        if let Some(pattern) = spec.body_matches.as_ref().filter(|pattern| !pattern.is_match(body)) {
            findings.push(Finding::new("body", format!("the body {} does not match `{pattern}`", shown(body))));
        }
        if let Some(pattern) = spec.body_not_matches.as_ref().filter(|pattern| pattern.is_match(body)) {
            findings.push(Finding::new("body", format!("the body matches `{pattern}`")));
        }
    }
    findings
}
