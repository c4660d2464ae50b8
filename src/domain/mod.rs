//! The plain nouns everybody speaks: typed ids, time, labels and matchers, alert, check, remediation, instance, hold.
//!
//! Nothing here does I/O, reads a clock, awaits, or knows a wire form. Outside text becomes one of these types once, at
//! the edge, and two ids cannot be swapped afterwards.

pub mod abort;
pub mod alert;
pub mod attempt;
pub mod check;
pub mod decided;
pub mod execution;
pub mod hold;
pub mod horizon;
pub mod ids;
pub mod instance;
pub mod labels;
pub mod matcher;
mod matcher_lexer;
pub mod mode;
pub mod pause;
pub mod principal;
pub mod remediation;
pub mod run;
pub mod time;

pub use abort::{Abort, Undo};
pub use alert::{Alert, AlertState, Annotation, DeadLetter, Episode, Severity, XidEvent};
pub use attempt::{Attempt, Outcome, Step};
pub use check::{CheckKind, Finding, Measurement, Observation, Probed, Quantity, Verdict};
pub use decided::Decided;
pub use execution::Execution;
pub use hold::{Held, HeldWhy, Hold};
pub use horizon::{Horizon, Horizons};
pub use ids::{
    AlertId, CheckId, ClusterId, DeadLetterId, DiscoveryId, DriverId, EffectId, FindingName, HoldId, HostId, Identity,
    InstanceId, NoticeId, RemediationId, RuleId, RunId, SourceId,
};
pub use instance::{Cluster, Instance, NodeMemory, Repair};
pub use labels::Labels;
pub use mode::Mode;
pub use pause::{Pause, Resumed};
pub use principal::{Principal, Role};
pub use remediation::{
    Alias, AutoResolve, Due, DueWhy, Failure, FailureCode, Link, Record, Remediation, Review, State, Target,
    Transition, Trigger,
};
pub use run::{Belief, Condition, Run, RunWhy, Standing, Streak, Trust};
pub use time::Timestamp;
