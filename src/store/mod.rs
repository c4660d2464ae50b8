//! What is on disk: the journal, which is the commit point, and sled, which answers every question.

pub mod query;
pub mod reader;
