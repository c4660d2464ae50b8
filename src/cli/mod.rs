//! The verbs of the one binary, as plain functions: what they print and how they exit. Flags are `main.rs`'s matter.

pub mod audit;
pub mod check;
pub mod enable;
pub mod reference;
pub mod store;
pub mod token;
