//! Acts on machines: carries one call to its driver, once, and says what happened.
//!
//! Whether a machine is sick, who approved and what comes next are the engine's questions. What always holds here: an
//! answer other than `unknown` is the truth as far as the driver knows it, and a call that was never made says so.

mod answer;
mod command;
mod dry_run;
mod operation;

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

pub use answer::Answer;

use crate::config::Driver;
use crate::domain::DriverId;
use crate::engine::{Call, CallVerb};

/// Every configured driver.
#[derive(Debug)]
pub struct Executors {
    drivers: RwLock<Arc<BTreeMap<DriverId, Driver>>>,
    commands: command::Commands,
    rehearsals: dry_run::Rehearsals,
}

impl Executors {
    /// Takes the drivers, and the folder for the lock files of running operations, which is made if it is missing.
    /// Lock files that nobody holds are left over from an earlier process and go. Only the holder of the store's lock may
    /// call this: it alone acts.
    ///
    /// # Errors
    /// The folder cannot be made or read.
    pub fn new(drivers: BTreeMap<DriverId, Driver>, operations_dir: PathBuf) -> io::Result<Self> {
        Ok(Self {
            drivers: RwLock::new(Arc::new(drivers)),
            commands: command::Commands::new(operations_dir)?,
            rehearsals: dry_run::Rehearsals::default(),
        })
    }

    /// Takes other drivers after a reload. Calls under way go on with what they began with.
    pub fn replace_drivers(&self, drivers: BTreeMap<DriverId, Driver>) {
        *self.drivers.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(drivers);
    }

    /// Makes one call and says what happened. `left` is the time until the call's deadline: nothing goes on beyond it.
    pub async fn carry_out(&self, call: &Call, left: Duration) -> Answer {
        let drivers = Arc::clone(&self.drivers.read().unwrap_or_else(PoisonError::into_inner));
        let Some(driver) = drivers.get(&call.driver) else {
            return Answer::never(call.verb, format!("there is no driver `{}` in the configuration", call.driver));
        };
        let (Driver::DryRun { modes, .. } | Driver::Command { modes, .. }) = driver;
        // A question is asked and an operation undone even so: it may have begun before a reload narrowed the modes.
        if call.verb == CallVerb::Act && !modes.contains(&call.mode) {
            return Answer::never(call.verb, format!("driver `{}` does not do {}", call.driver, call.mode));
        }
        if left.is_zero() {
            return Answer::not_yet(call.verb, "the deadline had passed before the call began");
        }
        match driver {
            Driver::DryRun { takes, .. } => self.rehearsals.carry_out(call, *takes, left).await,
            Driver::Command { argv, deadline, .. } => self.commands.carry_out(call, argv, left.min(*deadline)).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::domain::{ClusterId, HostId, InstanceId, Mode, Outcome, RemediationId, Step, Target, Timestamp};

    /// A call of driver `d` about operation `key`.
    pub(super) fn call(verb: CallVerb, key: &str) -> Call {
        Call {
            remediation_id: RemediationId::new(uuid::Uuid::from_u128(7)),
            driver: DriverId::parse("d").unwrap(),
            verb,
            operation_key: key.to_owned(),
            step: Step::Act,
            mode: Mode::HostAware,
            target: Target {
                cluster_id: ClusterId::parse("train-a").unwrap(),
                instance_id: InstanceId::parse("i-7").unwrap(),
                instance_name: "gpu-node-7".to_owned(),
                host_id: HostId::parse("h-0042").unwrap(),
                provider_id: "vm-1".to_owned(),
                generation: "1".to_owned(),
            },
            addresses: vec!["127.0.0.7".to_owned()],
            reason: "a \"quoted\"\nreason".to_owned(),
            deadline: Timestamp::from_micros(60_000_000),
        }
    }

    fn executors(driver: Driver) -> (Executors, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let drivers = BTreeMap::from([(DriverId::parse("d").unwrap(), driver)]);
        (Executors::new(drivers, folder.path().join("operations")).unwrap(), folder)
    }

    fn no_such_program(modes: &[Mode]) -> Driver {
        Driver::Command {
            argv: vec!["/nonexistent/driver".to_owned()],
            deadline: Duration::from_secs(10),
            modes: modes.iter().copied().collect(),
        }
    }

    #[tokio::test]
    async fn a_mode_that_the_driver_lacks_is_refused_but_its_question_is_asked() {
        let (executors, _folder) = executors(no_such_program(&[Mode::RebootVm]));
        let left = Duration::from_secs(10);
        let answer = executors.carry_out(&call(CallVerb::Act, "k"), left).await;
        assert_eq!((answer.outcome, answer.detail.as_str()), (Outcome::Refused, "driver `d` does not do host_aware"));
        for (verb, outcome) in [(CallVerb::Query, Outcome::Unknown), (CallVerb::Undo, Outcome::Refused)] {
            let answer = executors.carry_out(&call(verb, "k"), left).await;
            assert_eq!(answer.outcome, outcome);
            assert!(answer.detail.contains("/nonexistent/driver"), "{}", answer.detail);
        }
    }

    #[tokio::test]
    async fn a_driver_that_left_the_configuration_is_refused_and_its_operations_stay_unknown() {
        let (executors, _folder) = executors(no_such_program(&Mode::ALL));
        executors.replace_drivers(BTreeMap::new());
        let left = Duration::from_secs(10);
        assert_eq!(executors.carry_out(&call(CallVerb::Act, "k"), left).await.outcome, Outcome::Refused);
        assert_eq!(executors.carry_out(&call(CallVerb::Query, "k"), left).await.outcome, Outcome::Unknown);
    }

    #[tokio::test]
    async fn a_call_after_its_deadline_is_not_made() {
        let modes = BTreeSet::from([Mode::HostAware]);
        let (executors, _folder) = executors(Driver::DryRun { takes: Duration::ZERO, modes });
        let answer = executors.carry_out(&call(CallVerb::Act, "k"), Duration::ZERO).await;
        assert_eq!(answer.outcome, Outcome::Transient);
        let answer = executors.carry_out(&call(CallVerb::Query, "k"), Duration::from_secs(1)).await;
        assert_eq!(answer.outcome, Outcome::Absent);
    }
}
