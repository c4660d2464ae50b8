//! What is on disk: the journal, which is the commit point, and sled, which answers every question.

pub mod query;
pub mod reader;

use crate::domain::Timestamp;
use crate::engine::{Change, Past, PastKey};
use crate::writer::Cause;

#[derive(Debug, thiserror::Error)]
#[error("stub")]
pub struct StoreError;

pub trait Port: Send {
    fn past(&self, keys: &[PastKey]) -> Result<Past, StoreError>;
    fn stage(&mut self, cause: &Cause, kind: &'static str, changes: &[Change]);
    fn lag(&self) -> Lag;
    fn commit(&mut self, at: Timestamp) -> Result<u64, StoreError>;
}

pub struct Lag { pub changes: u64 }
