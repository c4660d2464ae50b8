//! Every question that is answered from sled, after it has caught up with what was committed when the question came.

use super::query::{AlertFilter, Cursor, HoldFilter, InstanceFilter, Order, Page, Paging, RemediationFilter, Visible};
use crate::domain::{
    Alert, Alias, Cluster, ClusterId, DeadLetter, Held, Hold, Instance, InstanceId, Record, Remediation, RemediationId,
    Transition,
};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// sled has not yet applied what was committed when the question came; a stale answer is never given.
    #[error("the store is catching up: try again in a moment")]
    Lagging,
    /// A row could not be read.
    #[error("the store cannot be read: {0}")]
    Broken(String),
}

/// A handle for readers; cheap to clone, safe to share.
#[derive(Clone, Debug)]
pub struct Reader {}

impl Reader {
    /// Waits until everything that is committed now can be read; at most 100 ms.
    pub async fn caught_up(&self) -> Result<(), ReadError> {
        Ok(())
    }
    /// The remediation with its links.
    pub fn remediation(&self, _id: RemediationId) -> Result<Option<Record>, ReadError> {
        Ok(None)
    }
    /// What a client's name stands for.
    pub fn alias(&self, _cluster: &ClusterId, _alias: &str) -> Result<Option<Alias>, ReadError> {
        Ok(None)
    }
    /// A page of remediations. An unfiltered page is full; a filtered one may be short where the scan budget ended.
    pub fn remediations(
        &self,
        _filter: &RemediationFilter,
        _order: Order,
        _paging: &Paging,
    ) -> Result<Page<Record>, ReadError> {
        Ok(Page { rows: Vec::new(), next: None::<Cursor> })
    }
    /// A remediation's history, oldest first.
    pub fn transitions(&self, _id: RemediationId) -> Result<Vec<Transition>, ReadError> {
        Ok(Vec::new())
    }
    /// The newest remediation of an instance.
    pub fn latest_remediation(&self, _instance: &InstanceId) -> Result<Option<Remediation>, ReadError> {
        Ok(None)
    }
    /// A page of alerts, newest first by the time at which we first heard of them.
    pub fn alerts(&self, _filter: &AlertFilter, _paging: &Paging) -> Result<Page<Alert>, ReadError> {
        Ok(Page { rows: Vec::new(), next: None })
    }
    /// A page of dead letters, newest first. They belong to no cluster: only who sees all sees them.
    pub fn dead_letters(&self, _visible: &Visible, _paging: &Paging) -> Result<Page<DeadLetter>, ReadError> {
        Ok(Page { rows: Vec::new(), next: None })
    }
    /// Every configured cluster that the asker sees, by id.
    pub fn clusters(&self, _visible: &Visible) -> Result<Vec<Cluster>, ReadError> {
        Ok(Vec::new())
    }
    /// One instance.
    pub fn instance(&self, _id: &InstanceId) -> Result<Option<Instance>, ReadError> {
        Ok(None)
    }
    /// A page of instances by id, each with what policy wants for it and why it waits.
    pub fn instances(
        &self,
        _filter: &InstanceFilter,
        _paging: &Paging,
    ) -> Result<Page<(Instance, Option<Held>)>, ReadError> {
        Ok(Page { rows: Vec::new(), next: None })
    }
    /// A page of holds, newest first.
    pub fn holds(&self, _filter: &HoldFilter, _paging: &Paging) -> Result<Page<Hold>, ReadError> {
        Ok(Page { rows: Vec::new(), next: None })
    }
}
