//! The functional core: what a signal means, what would repair it, whether that may happen, and what happens next.
//!
//! One door in ([`Input`]), one memory ([`memory::Memory`], changed only by its `apply(&Change)`), one door out
//! ([`Effect`]). [`Engine::step`] is a plain function of what it is given: no clock, no disk, no network, no await.
//! The rooms call one way only: `health → policy → guard → remediation → plan`.

pub mod change;
pub mod effect;
pub mod input;
pub mod past;
pub mod refusal;
pub mod settings;

pub use change::Change;
pub use effect::{Call, CallVerb, Effect, EffectKind, Look, Notice, NoticeEvent};
pub use input::{
    Command, Configured, DeadReport, Delivery, Input, LookPurpose, Report, ReportStatus, Selector, Sighting,
};
pub use past::{Past, PastKey};
pub use refusal::{Refusal, Reply};
pub use settings::Settings;
