//! Carries effects from the writer to the rooms that do them, and their results back in.
//!
//! Every effect is pending on disk until its result is, so nothing here has to remember anything: what is cut off by a
//! stop or a crash is asked for again at the next start. Each effect has a task of its own, so one that hangs holds up
//! nobody; how many run at once is for `executors/`, `sources/` and `notices/` to bound.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use super::checks::Probing;
use crate::clock::{Clock, Stopwatch};
use crate::config::Config;
use crate::domain::{EffectId, Outcome, Probed};
use crate::engine::{Call, ChecksOf, Effect, EffectKind, Input, Look, Sighting};
use crate::executors::Executors;
use crate::notices::{Notices, Told};
use crate::probes::runner::Which;
use crate::providers::http_client::HttpClient;
use crate::sources;
use crate::telemetry::metrics::Metrics;
use crate::writer::{Cause, Inlet};

/// How many readings of Alertmanagers run at once: a storm of repairs must not become a storm of requests.
const LOOKS: usize = 8;

/// The rooms that carry effects out.
pub struct Hands {
    /// Acts on machines.
    pub executors: Arc<Executors>,
    /// Tells people.
    pub notices: Arc<Notices>,
    /// Reads Alertmanagers.
    pub client: HttpClient,
    /// The way back in.
    pub inlet: Inlet,
    /// Who knows the Alertmanagers' addresses.
    pub config: watch::Receiver<Arc<Config>>,
    /// Engine time, for deadlines.
    pub clock: Arc<Clock>,
    /// Counts what came of it.
    pub metrics: Arc<Metrics>,
    /// Runs checks.
    pub probing: Probing,
}

/// Takes effects until the writer is gone.
pub async fn dispatch(hands: Arc<Hands>, mut effects: mpsc::UnboundedReceiver<Effect>) {
    let looks = Arc::new(Semaphore::new(LOOKS));
    let mut running = JoinSet::new();
    loop {
        tokio::select! {
            effect = effects.recv() => match effect {
                Some(effect) => begin(&hands, &looks, &mut running, effect),
                None => break,
            },
            Some(ended) = running.join_next() => {
                if let Err(error) = ended {
                    tracing::error!("a task that carried out an effect ended badly: {error}");
                }
            }
        }
    }
}

fn begin(hands: &Arc<Hands>, looks: &Arc<Semaphore>, running: &mut JoinSet<()>, effect: Effect) {
    let id = effect.id;
    let hands = Arc::clone(hands);
    match effect.kind {
        EffectKind::Notify(notice) => {
            if let Err(told) = hands.notices.hand_over(id, effect.created_at, notice) {
                running.spawn(async move { hands.told(told).await });
            }
        }
        EffectKind::Call(call) => {
            running.spawn(async move { hands.call(id, call).await });
        }
        EffectKind::Look(look) => {
            let looks = Arc::clone(looks);
            running.spawn(async move {
                hands.look(id, look, &looks).await;
            });
        }
    }
}

impl Hands {
    async fn call(&self, effect_id: EffectId, call: Call) {
        let left = call.deadline.since(self.clock.now());
        let verb = call.verb.as_str();
        tracing::info!(
            remediation.id = %call.remediation_id, instance.id = %call.target.instance_id,
            cluster.id = %call.target.cluster_id, driver = %call.driver, operation_key = call.operation_key, verb,
            "driver {} is asked to {verb} {} on {}", call.driver, call.mode, call.target.instance_name
        );
        let executors = Arc::clone(&self.executors);
        let principal = format!("driver:{}", call.driver);
        let asked = call.clone();
        let since = Stopwatch::start();
        // In a task of its own: whatever goes wrong in a driver's answer, there is a result.
        let answer = tokio::spawn(async move { executors.carry_out(&asked, left).await }).await;
        let (outcome, detail, generation, boot_id) = match answer {
            Ok(answer) => (answer.outcome, answer.detail, answer.generation, answer.boot_id),
            Err(error) => (Outcome::Unknown, format!("the call ended badly: {error}"), None, None),
        };
        self.metrics.driver_answered(&call.driver, verb, outcome, since.elapsed());
        tracing::info!(
            remediation.id = %call.remediation_id, instance.id = %call.target.instance_id,
            cluster.id = %call.target.cluster_id, driver = %call.driver, operation_key = call.operation_key, verb,
            outcome = outcome.as_str(),
            "driver {} answered {} to {verb}", call.driver, outcome.as_str()
        );
        self.report(principal, Input::Acted { effect_id, outcome, detail, generation, boot_id }).await;
    }

    async fn look(&self, effect_id: EffectId, look: Look, readings: &Semaphore) {
        // How many checks run at once is for the prober to say: a check that takes minutes keeps nobody from reading.
        let read = async {
            let _place = readings.acquire().await;
            self.read(&look).await
        };
        let (found, runs) = tokio::join!(read, self.observe(&look));
        let principal = look.wanted.keys().map(|source| source.as_str()).collect::<Vec<_>>().join(",");
        let principal = if look.wanted.is_empty() { "checks".to_owned() } else { format!("source:{principal}") };
        self.report(principal, Input::Looked { effect_id, found, runs }).await;
    }

    /// Runs the checks that are wanted. One that cannot be run has no result, and the engine asks again.
    async fn observe(&self, look: &Look) -> Vec<Probed> {
        let Some(ChecksOf { instance_id, checks }) = &look.checks else { return Vec::new() };
        let each = checks.iter().map(|check| {
            let (probing, which) = (self.probing.clone(), Which::These([check.clone()].into()));
            let instance_id = instance_id.clone();
            async move { probing.observe(instance_id, which).await }
        });
        let mut running: JoinSet<_> = each.collect();
        let mut runs = Vec::new();
        while let Some(ended) = running.join_next().await {
            match ended {
                Ok(Ok(mut found)) => runs.append(&mut found),
                Ok(Err(why)) => tracing::warn!(remediation.id = %look.remediation_id, "a check was not run: {why}"),
                Err(error) => tracing::error!("running a check ended badly: {error}"),
            }
        }
        runs
    }

    /// Reads the sources that are wanted.
    async fn read(&self, look: &Look) -> Result<Vec<Sighting>, String> {
        let addresses = self.config.borrow().alertmanagers.clone();
        let mut found: Result<Vec<Sighting>, String> = Ok(Vec::new());
        for (source, wanted) in &look.wanted {
            let urls = addresses.get(source).map_or(&[][..], Vec::as_slice);
            let looked = sources::look(&self.client, urls, source, wanted).await;
            self.metrics.source_read(source, looked.is_ok());
            match looked {
                Ok(mut sighted) => {
                    if let Ok(found) = &mut found {
                        found.append(&mut sighted);
                    }
                }
                Err(why) => found = Err(why),
            }
        }
        found
    }

    async fn told(&self, told: Told) {
        let Told { effect_id, receiver, failure } = told;
        self.metrics.notified(&receiver, failure.is_none());
        self.report(format!("notice:{receiver}"), Input::Notified { effect_id, failure }).await;
    }

    async fn report(&self, principal: String, input: Input) {
        // Stopping: the effect is still pending on disk.
        let _ = self.inlet.report(Cause::of(principal), input).await;
    }
}

/// Reports what became of notices.
pub async fn report_notices(hands: Arc<Hands>, mut told: mpsc::Receiver<Told>) {
    while let Some(told) = told.recv().await {
        hands.told(told).await;
    }
}
