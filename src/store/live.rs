//! The rows that memory is folded from at start, and no others.

use super::StoreError;
use super::codec::{BadRow, decode};
use super::index::{Index, LIVE};
use super::keys::{self, Kind};
use super::scan;
use crate::engine::Change;

/// Every live row, parents before what belongs to them.
///
/// # Errors
/// A row cannot be read, or an index names one that is not there.
pub fn read(db: &sled::Db) -> Result<Vec<Change>, StoreError> {
    let mut live = Vec::new();
    for kind in [Kind::Execution, Kind::Horizon, Kind::Pause, Kind::Cluster, Kind::Instance, Kind::NodeMemory] {
        under(db, &[kind.byte()], &mut live)?;
    }
    named(db, &Index::HoldLive.prefix(&[]), &mut live)?;
    let mut remediations = Vec::new();
    of_clusters(db, Index::ClusterPhase, &mut remediations)?;
    // Each with its links right behind it: whoever folds them has it at hand.
    for change in remediations {
        let links = match &change {
            Change::Remediation(row) => Some(keys::links(row.id)),
            _ => None,
        };
        live.push(change);
        if let Some(links) = links {
            under(db, &links, &mut live)?;
        }
    }
    of_clusters(db, Index::ClusterAlert, &mut live)?;
    for kind in [Kind::Condition, Kind::Held, Kind::Pending] {
        under(db, &[kind.byte()], &mut live)?;
    }
    Ok(live)
}

fn under(db: &sled::Db, prefix: &[u8], live: &mut Vec<Change>) -> Result<(), StoreError> {
    for found in db.scan_prefix(prefix) {
        let (key, value) = found?;
        live.push(decode(&key, Some(&value))?);
    }
    Ok(())
}

fn of_clusters(db: &sled::Db, index: Index, live: &mut Vec<Change>) -> Result<(), StoreError> {
    for cluster in scan::longer(db, &index.prefix(&[]))? {
        named(db, &Index::longer(&cluster, LIVE.as_bytes()), live)?;
    }
    Ok(())
}

fn named(db: &sled::Db, prefix: &[u8], live: &mut Vec<Change>) -> Result<(), StoreError> {
    for found in db.scan_prefix(prefix) {
        let (_, key) = found?;
        let value = db.get(&key)?.ok_or_else(|| BadRow::new(&key, "an index names it, and it is not there"))?;
        live.push(decode(&key, Some(&value))?);
    }
    Ok(())
}
