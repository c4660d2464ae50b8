//! The names of all findings, by the kind of check that makes them: what rules can match as `finding`.

use super::gpu::Condition;
use crate::domain::CheckKind;

/// What the probes of `kind` may find. The programs of a `command` check may name further findings of their own.
pub fn of(kind: CheckKind) -> Vec<&'static str> {
    let gpu = || Condition::ALL.iter().map(|condition| condition.as_str());
    match kind {
        CheckKind::Tcp => vec!["refused", "timeout", "unreachable", "reset", "banner"],
        CheckKind::Http => vec![
            "refused",
            "timeout",
            "unreachable",
            "reset",
            "status",
            "body",
            "header",
            "certificate",
            "tls",
            "protocol",
        ],
        CheckKind::Icmp => vec!["timeout", "unreachable", "loss"],
        CheckKind::Dns => vec!["refused", "timeout", "unreachable", "reset", "rcode", "answer"],
        CheckKind::Command => vec!["command_failed", "hung"],
        CheckKind::DcgmExporter => gpu().chain(["exporter_down"]).collect(),
        CheckKind::Nvml => gpu().chain(["hung"]).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use super::*;

    /// The string constants of a source file that become findings.
    fn named(text: &str) -> Vec<String> {
        let text = text.split("#[cfg(test)]").next().unwrap_or_default();
        let starts = [
            "Finding::new(\"",
            "Trouble::node(\"",
            "const HUNG: &str = \"",
            "const FAILED: &str = \"",
            "const DOWN: &str = \"",
        ];
        let after = starts.iter().flat_map(|start| text.split(start).skip(1));
        after.map(|rest| rest.split('"').next().unwrap_or_default().to_owned()).collect()
    }

    fn sources(folder: &Path, texts: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if path.is_dir() {
                sources(&path, texts);
            } else if !name.ends_with("tests.rs") {
                texts.push(fs::read_to_string(path).unwrap());
            }
        }
    }

    #[test]
    fn every_name_that_a_probe_writes_is_listed() {
        let mut texts = Vec::new();
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/probes"), &mut texts);
        let listed: Vec<&str> = CheckKind::ALL.into_iter().flat_map(of).collect();
        let written: Vec<String> = texts.iter().flat_map(|text| named(text)).collect();
        assert!(written.len() >= 12, "{written:?}");
        let unknown: Vec<&String> = written.iter().filter(|name| !listed.contains(&name.as_str())).collect();
        assert!(unknown.is_empty(), "add to src/config/checks/findings.rs, and to a shipped rule: {unknown:?}");
    }
}
