//! What an alert's labels and texts say: how severe it is, which code it names, what a person should read.
//!
//! Plain readings of plain data, for every room; none of them decides anything.

mod annotation;
mod severity;
mod xid;

pub use annotation::annotation;
pub use severity::severity;
pub use xid::{Finding, finding};
