//! The server of the real daemon: TLS, socket files, systemd's sockets, and storms.
//!
//! What a storm prints are its figures; `cargo test --test server -- --nocapture storm` shows them.
//! `REMEDYD_TEST_SLOW`, `REMEDYD_TEST_OVERSIZED` and `REMEDYD_TEST_APPROVALS` make it larger, `REMEDYD_TEST_RESTARTS` the
//! posting over restarts longer.

mod dice;
mod support;

#[path = "server/activation.rs"]
mod activation;
#[path = "server/answers.rs"]
mod answers;
#[path = "server/socket_file.rs"]
mod socket_file;
#[path = "server/storm.rs"]
mod storm;
#[path = "server/tls.rs"]
mod tls;
