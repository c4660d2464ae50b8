//! What an operator sees from outside: metrics and log lines. Decides nothing, and nothing depends on its answers.

pub mod logs;
pub mod metrics;
pub mod service;
