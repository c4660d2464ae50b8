//! Remediation daemon for GPU clusters.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod domain;
pub mod engine;
pub mod executors;
pub mod http;
pub mod notices;
pub mod providers;
pub mod sources;
pub mod store;
pub mod telemetry;
pub mod writer;
