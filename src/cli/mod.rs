//! The verbs of the one binary: flags in `args`, and for each verb what it prints and how it exits.

pub mod args;
pub mod audit;
pub mod check;
mod checks;
pub mod client;
pub mod enable;
pub mod manual;
pub mod reference;
pub mod store;
pub mod token;
