//! The typed annotation that people read: what Together's API calls title, description and summary line.

use super::super::settings::Catalogue;
use crate::domain::{Alert, Annotation, XidEvent};

/// Title from `summary`, description from `description`, summary line from `evidence` (CONTRACT §2.3); where one is
/// missing, the alert's own name or labels stand in, so that no field is ever empty of meaning.
pub fn annotation(alert: &Alert, catalogue: &Catalogue) -> Annotation {
    let text = |name: &str| alert.annotations.get(name).map(str::trim).filter(|text| !text.is_empty());
    let xid = alert.xid;
    let name = if alert.name().is_empty() { "alert without a name" } else { alert.name() };
    let title = text("summary").unwrap_or(name).to_owned();
    let summary_line = text("evidence").and_then(|evidence| evidence.lines().next()).map_or_else(
        || match xid {
            Some(code) => format!("xid {code} x1"),
            None => name.to_owned(),
        },
        str::to_owned,
    );
    let mnemonic = |code: u32| catalogue.0.get(&code).map_or_else(String::new, |row| row.mnemonic.clone());
    Annotation {
        title,
        description: text("description").unwrap_or_default().to_owned(),
        summary_line,
        xids: xid.map(|code| XidEvent { code, mnemonic: mnemonic(code), count: 1 }).into_iter().collect(),
        slurm_reason: slurm_reason(alert),
    }
}

/// Slurm exporters put the reason of a drained node into a label, our own rules into an annotation.
fn slurm_reason(alert: &Alert) -> Option<String> {
    let is_slurm = alert.name().to_ascii_lowercase().starts_with("slurm");
    let reason = alert.annotations.get("reason").or_else(|| alert.labels.get("reason"))?;
    is_slurm.then(|| reason.to_owned())
}
