//! Every word that people use for a severity, as one of the three that Together's API has.

use crate::domain::{Labels, Severity};

/// Words seen in public rule sets and recorded messages (FAULTS §2); everything else is a warning.
const TABLE: &[(Severity, &[&str])] = &[
    (
        Severity::Critical,
        &[
            "critical",
            "crit",
            "page",
            "p0",
            "p1",
            "sev0",
            "sev1",
            "high",
            "error",
            "err",
            "disaster",
            "emergency",
            "fatal",
            "alert",
        ],
    ),
    (
        Severity::Info,
        &["info", "information", "informational", "none", "notice", "debug", "ok", "low", "p4", "p5", "sev4", "sev5"],
    ),
];

/// The severity of an alert with these labels. Unknown and missing words are a warning: never dropped, never loud.
pub fn severity(labels: &Labels) -> Severity {
    let word = labels.get("severity").unwrap_or("").trim().to_ascii_lowercase();
    TABLE.iter().find(|(_, words)| words.contains(&word.as_str())).map_or(Severity::Warning, |(severity, _)| *severity)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_one_of_three() {
        for (word, expected) in [
            ("critical", Severity::Critical),
            ("CRITICAL", Severity::Critical),
            ("page", Severity::Critical),
            ("P1", Severity::Critical),
            ("warning", Severity::Warning),
            ("Warn", Severity::Warning),
            ("sev2", Severity::Warning),
            ("ticket", Severity::Warning),
            ("1", Severity::Warning),
            ("", Severity::Warning),
            ("none", Severity::Info),
            ("informational", Severity::Info),
        ] {
            assert_eq!(severity(&Labels::from_pairs([("severity", word)])), expected, "{word}");
        }
        assert_eq!(severity(&Labels::default()), Severity::Warning);
    }
}
