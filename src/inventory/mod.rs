//! Who exists, according to others: what service discovery says of machines becomes instances. A change is an input like
//! any other; what it means for repairs is the engine's question.
//!
//! Prometheus's `file_sd` files and `http_sd` answers are taken as they are: [`http_sd`] fetches and keeps the latter,
//! [`target_groups`] reads both, [`machines`] makes one instance of all that is said of one machine. What the inventory's
//! own files describe is not described again.

pub mod http_sd;
pub mod machines;
pub mod target_groups;

pub use machines::{Gathered, Mapping, Remark, gather};
