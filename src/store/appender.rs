//! The writer's port to the store: see the past, stage the steps of a turn, commit it.

use std::fs::File;
use std::net::IpAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::applier::Applier;
use super::batch::Row;
use super::codec::{Encoder, Entry};
use super::database::{self, Applied, Turn};
use super::identity::{self, Identity};
use super::index;
use super::journal::{Draft, Journal};
use super::lock::Lock;
use super::overlay::Overlay;
use super::past::Stored;
use super::progress::Progress;
use super::room::Room;
use super::sentinel::{Mark, Sentinel};
use super::{Port, StoreError};
use crate::clock::Stopwatch;
use crate::domain::{Role, Timestamp};
use crate::engine::{Change, EffectKind, Past, PastKey};
use crate::writer::Cause;

/// The one writing end of an open store.
pub struct Appender {
    pub(super) dir: PathBuf,
    pub(super) journal: Journal,
    pub(super) sentinel: Sentinel,
    pub(super) room: Room,
    /// The life that begins, while it is not on disk that it may not act.
    pub(super) adopts: Option<Identity>,
    pub(super) applier: Applier,
    pub(super) stored: Stored,
    pub(super) overlay: Arc<Overlay>,
    pub(super) progress: Arc<Progress>,
    pub(super) db: sled::Db,
    pub(super) synced: Box<dyn Fn(Duration) + Send>,
    pub(super) lock: Arc<Lock>,
    pub(super) draft: Draft,
    pub(super) encoder: Encoder,
    /// What the turn has written so far.
    pub(super) rows: Vec<Row>,
    /// The turn lets an act out.
    pub(super) has_act: bool,
    /// The turn begins another life of the store.
    pub(super) has_begun: bool,
    /// A commit is under way or has failed; then nothing is taken any more.
    pub(super) failed: bool,
}

/// A step's cause as the journal keeps it.
#[derive(Serialize)]
struct Recorded<'a> {
    principal: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    request_id: Option<&'a str>,
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Role>,
    #[serde(skip_serializing_if = "Option::is_none")]
    address: Option<IpAddr>,
}

impl Port for Appender {
    fn past(&mut self, keys: &[PastKey]) -> Result<Past, StoreError> {
        self.stored.past(keys)
    }

    fn stage(&mut self, cause: &Cause, kind: &'static str, changes: &[Change]) {
        if changes.is_empty() {
            return;
        }
        self.has_act |= changes.iter().any(is_act);
        self.has_begun |= changes.iter().any(|change| matches!(change, Change::Execution(_)));
        let entries: Vec<Entry> = changes.iter().map(|change| self.encoder.encode(change)).collect();
        let Cause { principal, request_id, role, address } = cause;
        let request_id = request_id.as_deref();
        let recorded = Recorded { principal, request_id, kind, role: *role, address: *address };
        self.draft.add(&recorded, &entries);
        self.overlay.put(self.journal.seq() + 1, &entries);
        for (entry, change) in entries.into_iter().zip(changes) {
            self.stored.staged(change);
            self.rows.push(Row { entry, index: index::keys(change) });
        }
    }

    fn commit(&mut self, at: Timestamp) -> Result<u64, StoreError> {
        if self.failed || self.applier.has_ended() {
            return Err(StoreError::Stopped);
        }
        if self.draft.is_empty() {
            return Ok(self.journal.seq());
        }
        self.failed = true;
        self.progress.begin_commit();
        let draft = std::mem::take(&mut self.draft);
        let rows = std::mem::take(&mut self.rows);
        let synced = &self.synced;
        let seq = self.journal.append(draft, at, |file: &File| {
            let watch = Stopwatch::start();
            file.sync_data()?;
            synced(watch.elapsed());
            Ok(())
        })?;
        let chain = self.journal.chain();
        self.sentinel.note(Mark { seq, chain })?;
        if std::mem::take(&mut self.has_act) {
            self.sentinel.sync()?;
        }
        if let Some(identity) = self.adopts.take_if(|_| self.has_begun) {
            identity::write(&self.dir, identity)?;
        }
        self.has_begun = false;
        self.progress.commit(seq, rows.len());
        self.applier.send(Turn { applied: Applied { seq, at, chain }, rows })?;
        self.failed = false;
        Ok(seq)
    }

    fn room(&mut self) -> Result<Result<(), String>, StoreError> {
        self.room.is_there()
    }

    fn is_behind(&self) -> bool {
        self.progress.lag().is_much()
    }
}

fn is_act(change: &Change) -> bool {
    matches!(change, Change::Pending(effect) if matches!(effect.kind, EffectKind::Call(_)))
}

impl Appender {
    /// Waits until sled has every committed turn, and syncs it; the journal gets an empty last segment, so that sled alone
    /// holds everything. The folder is free once the last reader has gone too.
    ///
    /// # Errors
    /// sled failed. Nothing is lost: the journal has every turn.
    pub fn close(self) -> Result<(), StoreError> {
        let Self { applier, db, lock, mut journal, dir, .. } = self;
        applier.close();
        db.flush()?;
        // In this order: an empty last segment says that sled is durable.
        let synced = database::sync(&dir.join("sled")).map_err(|error| error.to_string());
        if let Err(error) = synced.and_then(|()| journal.end_segment().map_err(|error| error.to_string())) {
            // The next start looks at all of sled, and goes on from there; a full disk is a reason.
            tracing::warn!("the store was not ended: {error}");
        }
        drop(lock);
        Ok(())
    }
}
