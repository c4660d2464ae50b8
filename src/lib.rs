//! Remediation daemon for GPU clusters.

pub mod cli;
pub mod config;
pub mod domain;
pub mod engine;
pub mod store;
pub mod writer;
