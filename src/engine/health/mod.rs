//! What is true: which alerts fire, since when, on which instance.
//!
//! A source tells us about alerts in any order, more than once, and sometimes wrongly. This room turns that into
//! episodes (SAFETY §1.5, R5–R8) and joins them to instances. What an alert calls for is `policy`'s question.

mod belief;
mod check_alert;
mod checks;
mod deliver;
mod episode;
mod join;

pub use checks::{Asker, probed, prober_fault, recheck, restarted, ripen, say, spend, wanted_by_runs, wanted_by_time};
pub use deliver::{deliver, rejoin, wanted};
pub use join::join;
