//! What is true: which alerts fire, since when, on which instance.
//!
//! A source tells us about alerts in any order, more than once, and sometimes wrongly. This room turns that into
//! episodes (SAFETY §1.5, R5–R8) and joins them to instances. What an alert calls for is `policy`'s question.

mod checks;
mod deliver;
mod episode;
mod join;

pub use checks::{probed, ripen};
pub use deliver::{deliver, rejoin, wanted};
