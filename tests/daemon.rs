//! The daemon as a process: real files, real programs, real signals.

mod dice;
mod support;

#[path = "daemon/abort.rs"]
mod abort;
#[path = "daemon/access.rs"]
mod access;
#[path = "daemon/configuration.rs"]
mod configuration;
#[path = "daemon/discovery.rs"]
mod discovery;
#[path = "daemon/drivers.rs"]
mod drivers;
#[path = "daemon/keeping.rs"]
mod keeping;
#[path = "daemon/notices.rs"]
mod notices;
#[path = "daemon/reload.rs"]
mod reload;
#[path = "daemon/reload_storm.rs"]
mod reload_storm;
#[path = "daemon/service.rs"]
mod service;
#[path = "daemon/store.rs"]
mod store;
#[path = "daemon/tokens.rs"]
mod tokens;
