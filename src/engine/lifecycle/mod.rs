//! The one way to change a remediation: which state may follow which, what every change leaves behind, and when the
//! engine looks again. `remediation` and `plan` decide; this only keeps the books.

mod due;
mod table;
mod transit;

pub use due::due;
pub use table::{Verb, next};
pub use transit::{amend, begin, transit};
