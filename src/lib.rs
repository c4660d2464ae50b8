//! Remediation daemon for GPU clusters: alerts come in, one proposal opens, a person approves it, one action is carried
//! out, its success is proven by the alerts that clear, and everything is written down.
//!
//! One door in ([`engine::Input`]), one memory ([`engine::Change`]), one door out ([`engine::Effect`]), one writer. All
//! decisions are in [`engine`], which is plain functions over plain data; every other room translates and carries.
//!
//! ```text
//!  Alertmanager ─▶ http/webhook ─┐                                             ┌─▶ executors ─▶ machines
//!  people ───────▶ http/together ┼─ Input ─▶ writer ▸ engine ─▶ Effect (after ─┼─▶ notices ───▶ people
//!  files ────────▶ config/watch ─┤               │ Change        the commit)   └─▶ sources ───▶ Alertmanagers
//!  results ──────▶ app/effects ──┘               ▼
//!                                     store: journal ▸ sled ─▶ http reads
//! ```
//!
//! # One alert
//!
//! What happens when a GPU falls off its bus, file by file:
//!
//! 1. `http/server/mod.rs` takes the connection and `http/routes.rs` knows the path and the role that it needs;
//!    `http/guard.rs` lets the caller in, whom `http/auth.rs` recognises by the token.
//! 2. `http/webhook.rs` takes the message in, `http/webhook_body.rs` takes it apart, and `http/webhook_alert.rs` makes a
//!    [`engine::Report`] of each alert, or a letter for the dead letters. `writer/inlet.rs` queues them, unless nothing is
//!    taken.
//! 3. `engine/mod.rs` is stepped with the delivery. `health/deliver.rs` takes each report; `health/episode.rs` says what it
//!    means for the episodes of its identity; `health/join.rs` finds its instance among `names.rs`; `signs/` reads its
//!    severity and its XID.
//! 4. The instance was touched, so `policy/evaluate.rs` looks at all its alerts; `policy/judge.rs` says what the rules and
//!    the XID catalogue want for each; `guard.rs` says whether a proposal may open.
//! 5. `remediation/open.rs` opens it, `lifecycle/transit.rs` gives it a version, a line of history and a notice, and
//!    `remediation/links.rs` links the alert. Every row was applied by `memory.rs` as `turn.rs` recorded it.
//! 6. `writer.rs`, which called the step where `store/room.rs` found room, commits it: `store/appender.rs` has its rows
//!    encoded by `store/codec.rs`, `store/journal/mod.rs` appends and syncs, and `store/sentinel.rs` notes how far that
//!    went. Only then is the message answered, and the notice leaves.
//! 7. `store/applier.rs` carries the rows into `store/database.rs`, as a batch of `store/batch.rs` with the index keys of
//!    `store/index.rs` and the count of `store/tally.rs`; from there `store/reader.rs` answers who asks. `app/observe.rs`
//!    has counted and logged it.
//! 8. `app/effects.rs` hands the notice to `notices/mod.rs`, whose `notices/webhook.rs` posts it.
//!
//! # One approval
//!
//! What happens when a person says yes in Together's CLI:
//!
//! 1. `http/together/mod.rs` reads the request into an [`engine::Command`].
//! 2. `engine/commands.rs` hands it on, `engine/authority.rs` knows who may, and `remediation/review.rs` approves: PENDING.
//! 3. It is due at once: `agenda.rs` asks `guard.rs` for a place in flight and lets `plan/start.rs` try. The machine must
//!    be the one that was approved, and its evidence must stand: a look leaves.
//! 4. `sources/mod.rs` reads the source's Alertmanagers through `providers/alertmanager.rs`; what they show comes back
//!    as an input, and the act begins: RUNNING, the intent and the call in one commit.
//! 5. `executors/mod.rs` finds the driver; `executors/command.rs` runs its program under the operation's lock, which is
//!    `executors/operation.rs`'s, and `executors/answer.rs` reads what it said.
//! 6. `plan/act.rs` takes the answer: done, try again, or ask. After `done`, `plan/verify.rs` waits for the alerts to clear
//!    and stay clear, looks once more, and says SUCCEEDED; or FAILED, with its reason.

pub mod app;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod domain;
pub mod engine;
pub mod executors;
pub mod http;
pub mod inventory;
pub mod notices;
pub mod probes;
pub mod providers;
pub mod sources;
pub mod store;
pub mod telemetry;
pub mod writer;
