//! The rows that memory is folded from at start, and no others.

use super::StoreError;
use super::codec::{BadRow, decode};
use super::dossier;
use super::index::{Index, LIVE};
use super::keys::Kind;
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
    of_clusters(db, Index::ClusterPhase, &mut live)?;
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

/// The rows that an index names, each remediation with its links right behind it: whoever folds them has it at hand.
fn named(db: &sled::Db, prefix: &[u8], live: &mut Vec<Change>) -> Result<(), StoreError> {
    for found in db.scan_prefix(prefix) {
        let (_, key) = found?;
        let is_lost = || BadRow::new(&key, "an index names it, and it is not there");
        if Kind::of(&key) == Some(Kind::Remediation) {
            let rows = dossier::of::<StoreError>(db, &key, &[Kind::Remediation, Kind::Link])?;
            // It comes first: its kind has the smaller byte.
            rows.first_key_value().filter(|(first, _)| key == **first).ok_or_else(is_lost)?;
            for (key, value) in rows {
                live.push(decode(&key, Some(&value))?);
            }
        } else {
            let value = db.get(&key)?.ok_or_else(is_lost)?;
            live.push(decode(&key, Some(&value))?);
        }
    }
    Ok(())
}
