//! What an operator sees from outside: metrics and log lines. Decides nothing, and nothing depends on its answers.

pub mod access;
pub mod logs;
pub mod metrics;
mod process;
mod store;
