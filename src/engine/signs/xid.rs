//! Which NVIDIA XID an alert is about, and what the driver itself asks for.
//!
//! In most public rules the code is in the sample's value, so a message carries it only in text, if at all (FAULTS §2).
//! The order is: label `xid`, `err_code`, `XID`; then text by pattern; a bare number is never a code.

use std::sync::LazyLock;

use regex::Regex;

use crate::domain::Labels;

/// What an alert says about a GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Finding {
    /// The code.
    pub xid: Option<u32>,
    /// The recovery action that the driver asks for: NVML's `DCGM_FI_DEV_GET_GPU_RECOVERY_ACTION`, or XID 154's text.
    pub recovery_action: Option<u32>,
}

/// `NVRM: Xid (PCI:0000:5d:00): 79, pid=…`, `XID 79`, `Xid=79`, `xid: 79`.
static XID_IN_TEXT: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)\bxid\b(?:\s*\((?:PCI:)?[0-9a-f:.]+\))?\s*(?:[:=#]|error|code|event)?\s*[:=#]?\s*(\d{1,5})\b")
        .expect("the pattern is a constant and its test compiles it")
});

/// The driver's own words for a code that it cannot print any more (XID 79 without a number).
static FELL_OFF_BUS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?i)GPU has fallen off the bus").expect("the pattern is a constant"));

/// XID 154: `GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)`.
static RECOVERY_ACTION: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)recovery action changed from\s+0x[0-9a-f]+\s*(?:\([^)]*\))?\s*to\s+0x([0-9a-f]{1,2})\b")
        .expect("the pattern is a constant and its test compiles it")
});

/// Reads labels first, then the annotations' text.
pub fn finding(labels: &Labels, annotations: &Labels) -> Finding {
    let from_label = ["xid", "err_code", "XID"].into_iter().find_map(|name| code(labels.get(name)?));
    let texts =
        || ["evidence", "description", "summary", "message"].into_iter().filter_map(|name| annotations.get(name));
    let from_text = || texts().find_map(|text| code(XID_IN_TEXT.captures(text)?.get(1)?.as_str()));
    let from_words = || texts().any(|text| FELL_OFF_BUS.is_match(text)).then_some(79);
    let named = ["recovery_action", "gpu_recovery_action"]
        .into_iter()
        .find_map(|name| labels.get(name).or_else(|| annotations.get(name))?.trim().parse().ok());
    let told =
        || texts().find_map(|text| u32::from_str_radix(RECOVERY_ACTION.captures(text)?.get(1)?.as_str(), 16).ok());
    Finding { xid: from_label.or_else(from_text).or_else(from_words), recovery_action: named.or_else(told) }
}

/// A code is a whole number above zero; exporters write `79`, some templates `79.0`.
fn code(text: &str) -> Option<u32> {
    let digits = text.trim();
    let digits = digits.strip_suffix(".0").unwrap_or(digits);
    digits.parse().ok().filter(|code| (1..100_000).contains(code))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(labels: &[(&str, &str)], annotations: &[(&str, &str)]) -> Finding {
        finding(&Labels::from_pairs(labels.iter().copied()), &Labels::from_pairs(annotations.iter().copied()))
    }

    #[test]
    fn the_code_is_found_where_exporters_and_rules_put_it() {
        for (labels, annotations, expected) in [
            (vec![("xid", "79")], vec![], Some(79)),
            (vec![("err_code", "74")], vec![("description", "Xid (PCI:0000:18:00): 13, x")], Some(74)),
            (vec![("xid", "63.0")], vec![], Some(63)),
            (
                vec![],
                vec![("description", "NVRM: Xid (PCI:0000:5d:00): 79, pid=1743, GPU has fallen off the bus.")],
                Some(79),
            ),
            (vec![], vec![("description", "NVRM: Xid (PCI:0002:00:00): 13, pid=2519562, name=python3")], Some(13)),
            (vec![], vec![("summary", "GPU Xid 79")], Some(79)),
            (vec![], vec![("summary", "XID error 31 on GPU 2")], Some(31)),
            (vec![], vec![("description", "the GPU has fallen off the bus and cannot be reached")], Some(79)),
            (vec![], vec![("summary", "GPU 3 lost 79 links")], None),
            (vec![("xid", "none")], vec![("summary", "XID error on GPU 0")], None),
            (vec![("xid", "0")], vec![], None),
            (vec![("gpu", "79")], vec![("description", "79")], None),
        ] {
            assert_eq!(of(&labels, &annotations).xid, expected, "{labels:?} {annotations:?}");
        }
    }

    #[test]
    fn the_drivers_own_verdict_is_read_from_label_annotation_or_text() {
        assert_eq!(of(&[], &[("recovery_action", "2")]).recovery_action, Some(2));
        assert_eq!(of(&[("recovery_action", "1")], &[]).recovery_action, Some(1));
        let text =
            "Xid (PCI:0000:5d:00): 154, GPU recovery action changed from 0x0 (None) to 0x2 (Node Reboot Required)";
        let found = of(&[], &[("description", text)]);
        assert_eq!((found.xid, found.recovery_action), (Some(154), Some(2)));
    }
}
