//! What should be done: which repair the alerts of one instance call for, by the rules.
//!
//! `judge` reads one alert; [`evaluate()`] reads all alerts of an instance, asks `guard` whether a proposal may open, and
//! has `remediation` open it, raise it or link to it. Everything that is wanted and does not happen leaves a
//! [`crate::domain::Held`] row that says why and until when.

mod evaluate;
mod judge;

pub use evaluate::evaluate;
pub use judge::{Verdict, judge};
