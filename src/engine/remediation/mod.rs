//! The life of a remediation: how it opens, grows, waits, and ends.
//!
//! Whether it may open or start is `guard`'s question, asked before; what the act is and whether it worked is `plan`'s.

mod again;
mod links;
mod manual;
mod open;
mod review;
mod waiting;

pub use again::done_before;
pub use links::{link, sync_links};
pub use manual::{Wanted, create};
pub use open::{Opening, open, raise};
pub use review::{abort, approve, cancel, reject};
pub use waiting::{expire, probed, resolve};
