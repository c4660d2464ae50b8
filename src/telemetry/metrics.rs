//! Every metric that the daemon exports: name, help and labels, in one place.
//!
//! Label values come from enums or from configured ids, never from what a request carries, so that the number of series
//! is bounded by the configuration. Children with fixed labels exist from the start, at zero.

use std::collections::BTreeSet;
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    Encoder, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramTimer, HistogramVec, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::process::Process;
use super::store::Store;
use crate::domain::{Decided, HeldWhy, Mode, NoticeId, RuleId, SourceId, State, Timestamp, Trigger};

/// Name and help.
type Named = (&'static str, &'static str);

const BUILD_INFO: Named = ("remedyd_build_info", "Always 1; the labels say what is running.");
const RELOAD_SUCCESSFUL: Named =
    ("remedyd_config_last_reload_successful", "Whether the last attempt to load the configuration succeeded.");
const RELOAD_SUCCESS_TIME: Named = (
    "remedyd_config_last_reload_success_timestamp_seconds",
    "When the configuration was last loaded successfully, in seconds since the epoch.",
);
const ALERTS_RECEIVED: Named = ("remedyd_alerts_received_total", "Alerts in delivered messages, by source.");
const ALERTS_STORED: Named = ("remedyd_alerts_stored_total", "Received alerts that changed something, by source.");
const ALERTS_MERGED: Named = ("remedyd_alerts_merged_total", "Received alerts that said nothing new, by source.");
const ALERTS_DEAD: Named =
    ("remedyd_alerts_dead_lettered_total", "Received alerts that could not be read and are kept as they came.");
const REMEDIATIONS: Named =
    ("remedyd_remediations", "Live remediations by state; of terminal states, those that ended since the start.");
const OPENED: Named = ("remedyd_remediations_opened_total", "Remediations created, by trigger and first mode.");
const DURATION: Named = (
    "remedyd_remediation_duration_seconds",
    "From the start of a remediation (its creation, if it never started) to its end, by mode and final state.",
);
const APPROVAL_WAIT: Named =
    ("remedyd_approval_wait_seconds", "From the opening of a proposal to its approval or rejection.");
const DETECTION: Named =
    ("remedyd_detection_to_open_seconds", "From the start of the alert that opened a proposal to the proposal.");
const DECISIONS: Named = ("remedyd_decisions_total", "What policy did with a matching alert, by rule and decision.");
const HELD: Named = ("remedyd_held", "Nodes for which policy wants something that waits, by what is in the way.");
const PAUSED: Named =
    ("remedyd_paused", "Kill switches that are on: whether the one for everything is, and how many clusters' are.");
const FSYNC: Named = ("remedyd_journal_fsync_seconds", "How long the journal's fdatasync took.");
const LAG: Named = ("remedyd_store_applied_lag_changes", "Committed changes that readers cannot see yet.");
const EXECUTION: Named = (
    "remedyd_execution_enabled",
    "Whether this store may act: 0 after it was copied or restored, until an admin says so.",
);
const WRITABLE: Named = (
    "remedyd_store_writable",
    "Whether anything is taken: 0 while starting, without room on the disk, and where the journal is damaged.",
);
const NOTICES_SENT: Named = ("remedyd_notices_sent_total", "Notices that a receiver took.");
const NOTICES_FAILED: Named = ("remedyd_notices_failed_total", "Notices that were given up.");
const HTTP_REQUESTS: Named = ("remedyd_http_requests_total", "Requests served, by handler and status code.");
const HTTP_DURATION: Named = ("remedyd_http_request_duration_seconds", "How long requests took, by handler.");

/// From a disk that answers from its cache to one that is in trouble.
const FSYNC_BUCKETS: &[f64] = &[0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 1.0, 5.0];
/// From an indexed read to a client's time-out.
const HTTP_BUCKETS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];
/// From the one second that is promised to an alert that waited for its node to join.
const DETECTION_BUCKETS: &[f64] = &[0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0];
/// What people and machines take: seconds to a day.
const PATIENT_BUCKETS: &[f64] = &[5.0, 15.0, 60.0, 300.0, 900.0, 1800.0, 3600.0, 7200.0, 21600.0, 86400.0];

/// The values of `held{reason}`; [`HeldWhy::as_str`] gives nothing else.
const HELD_REASONS: [&str; 9] =
    ["for", "cooldown", "settle", "hold", "paused", "host_busy", "opted_out", "no_driver", "contact_support"];

/// How many alerts of one delivery went where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Changed something.
    pub stored: u64,
    /// Said nothing new.
    pub merged: u64,
    /// Could not be read.
    pub dead_lettered: u64,
}

/// All metrics; share it behind an `Arc`.
pub struct Metrics {
    registry: Registry,
    process: Process,
    store: Store,
    reload_successful: IntGauge,
    reload_success_time: Gauge,
    alerts: [IntCounterVec; 4],
    remediations: IntGaugeVec,
    opened: IntCounterVec,
    duration: HistogramVec,
    approval_wait: Histogram,
    detection: Histogram,
    decisions: IntCounterVec,
    held: IntGaugeVec,
    paused: IntGaugeVec,
    fsync: Histogram,
    lag: IntGauge,
    execution: IntGauge,
    writable: IntGauge,
    notices: [IntCounterVec; 2],
    http_requests: IntCounterVec,
    http_duration: HistogramVec,
    /// The label values that the last configuration brought, so that the next can take them away.
    known: std::sync::Mutex<Known>,
}

/// The configured names that are label values.
#[derive(Clone, Debug, Default)]
pub struct Known {
    /// `[sources.<id>]`
    pub sources: BTreeSet<SourceId>,
    /// `[rules.<id>]`
    pub rules: BTreeSet<RuleId>,
    /// `[notices.<id>]`
    pub receivers: BTreeSet<NoticeId>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Metrics")
    }
}

impl Metrics {
    /// Registers every family; `started` is when the process began.
    pub fn new(started: Timestamp) -> Self {
        Self::register(started).expect("names and labels are constants that differ from each other")
    }

    fn register(started: Timestamp) -> prometheus::Result<Self> {
        let registry = Registry::new();
        let registered = Families(&registry);
        let build_info = GaugeVec::new(opts(BUILD_INFO), &["version"])?;
        build_info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1.0);
        registered.family(&build_info)?;
        let metrics = Self {
            process: Process::register(&registry, started)?,
            store: Store::register(&registry)?,
            reload_successful: registered.int_gauge(RELOAD_SUCCESSFUL)?,
            reload_success_time: registered.gauge(RELOAD_SUCCESS_TIME)?,
            alerts: [
                registered.counters(ALERTS_RECEIVED, &["source"])?,
                registered.counters(ALERTS_STORED, &["source"])?,
                registered.counters(ALERTS_MERGED, &["source"])?,
                registered.counters(ALERTS_DEAD, &["source"])?,
            ],
            remediations: registered.int_gauges(REMEDIATIONS, &["state"])?,
            opened: registered.counters(OPENED, &["trigger", "mode"])?,
            duration: registered.histograms(DURATION, &["mode", "outcome"], PATIENT_BUCKETS)?,
            approval_wait: registered.histogram(APPROVAL_WAIT, PATIENT_BUCKETS)?,
            detection: registered.histogram(DETECTION, DETECTION_BUCKETS)?,
            decisions: registered.counters(DECISIONS, &["rule", "decision"])?,
            held: registered.int_gauges(HELD, &["reason"])?,
            paused: registered.int_gauges(PAUSED, &["scope"])?,
            fsync: registered.histogram(FSYNC, FSYNC_BUCKETS)?,
            lag: registered.int_gauge(LAG)?,
            execution: registered.int_gauge(EXECUTION)?,
            writable: registered.int_gauge(WRITABLE)?,
            notices: [
                registered.counters(NOTICES_SENT, &["receiver"])?,
                registered.counters(NOTICES_FAILED, &["receiver"])?,
            ],
            http_requests: registered.counters(HTTP_REQUESTS, &["handler", "code"])?,
            http_duration: registered.histograms(HTTP_DURATION, &["handler"], HTTP_BUCKETS)?,
            known: std::sync::Mutex::default(),
            registry,
        };
        metrics.start_at_zero();
        Ok(metrics)
    }

    /// Makes every child whose labels are enums, so that a rate has a first point to start from.
    fn start_at_zero(&self) {
        for state in State::ALL {
            self.remediations.with_label_values(&[state.as_str()]);
        }
        for mode in Mode::ALL {
            for trigger in [Trigger::Manual, Trigger::Automated] {
                self.opened.with_label_values(&[trigger.as_str(), mode.as_str()]);
            }
            for outcome in State::ALL.into_iter().filter(|state| state.is_terminal()) {
                self.duration.with_label_values(&[mode.as_str(), outcome.as_str()]);
            }
        }
        for reason in HELD_REASONS {
            self.held.with_label_values(&[reason]);
        }
        self.set_paused(false, 0);
    }

    /// A configuration is in force since `now`: its sources, rules and receivers get their series, those that left it
    /// lose theirs.
    pub fn configured(&self, next: Known, now: Timestamp) {
        self.reload_succeeded(now);
        let mut known = self.known.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        for family in &self.alerts {
            follow(family, known.sources.difference(&next.sources), &next.sources, SourceId::as_str);
        }
        for family in &self.notices {
            follow(family, known.receivers.difference(&next.receivers), &next.receivers, NoticeId::as_str);
        }
        for decision in Decided::ALL {
            for gone in known.rules.difference(&next.rules) {
                // It may never have counted anything.
                let _ = self.decisions.remove_label_values(&[gone.as_str(), decision.as_str()]);
            }
            for rule in &next.rules {
                self.decisions.with_label_values(&[rule.as_str(), decision.as_str()]);
            }
        }
        *known = next;
    }

    /// The files say at `now` what is in force.
    pub fn reload_succeeded(&self, now: Timestamp) {
        self.reload_successful.set(1);
        self.reload_success_time.set(now.as_micros() as f64 / 1e6);
    }

    /// A configuration was refused; the one before stays in force.
    pub fn reload_failed(&self) {
        self.reload_successful.set(0);
    }

    /// A delivery of a configured source is on disk.
    pub fn delivered(&self, source: &SourceId, taken: Taken) {
        let received = taken.stored + taken.merged + taken.dead_lettered;
        for (family, n) in self.alerts.iter().zip([received, taken.stored, taken.merged, taken.dead_lettered]) {
            family.with_label_values(&[source.as_str()]).inc_by(n);
        }
    }

    /// How many remediations are in `state`.
    pub fn set_remediations(&self, state: State, n: u64) {
        self.remediations.with_label_values(&[state.as_str()]).set(i64::try_from(n).unwrap_or(i64::MAX));
    }

    /// A remediation left one state, unless it is new, and came to another. Of states in which it ends, what ended since
    /// the start is counted.
    pub fn remediation_moved(&self, from: Option<State>, to: State) {
        if let Some(from) = from {
            self.remediations.with_label_values(&[from.as_str()]).dec();
        }
        self.remediations.with_label_values(&[to.as_str()]).inc();
    }

    /// A remediation was created.
    pub fn remediation_opened(&self, trigger: Trigger, mode: Mode) {
        self.opened.with_label_values(&[trigger.as_str(), mode.as_str()]).inc();
    }

    /// A remediation ended in `outcome`, a terminal state.
    pub fn remediation_ended(&self, mode: Mode, outcome: State, took: Duration) {
        self.duration.with_label_values(&[mode.as_str(), outcome.as_str()]).observe(took.as_secs_f64());
    }

    /// A proposal was approved or rejected after this wait.
    pub fn reviewed(&self, waited: Duration) {
        self.approval_wait.observe(waited.as_secs_f64());
    }

    /// A proposal was opened this long after its alert began.
    pub fn detected(&self, after: Duration) {
        self.detection.observe(after.as_secs_f64());
    }

    /// Policy did something with an alert that a configured rule matches.
    pub fn decided(&self, rule: &RuleId, decision: Decided) {
        self.decisions.with_label_values(&[rule.as_str(), decision.as_str()]).inc();
    }

    /// A node began to wait for `why`.
    pub fn held(&self, why: &HeldWhy) {
        self.held.with_label_values(&[why.as_str()]).inc();
    }

    /// A node waits for `why` no longer.
    pub fn unheld(&self, why: &HeldWhy) {
        self.held.with_label_values(&[why.as_str()]).dec();
    }

    /// Which kill switches are on: the one for everything, and so many of single clusters.
    pub fn set_paused(&self, is_everything: bool, clusters: u64) {
        self.paused.with_label_values(&["everything"]).set(is_everything.into());
        self.paused.with_label_values(&["cluster"]).set(i64::try_from(clusters).unwrap_or(i64::MAX));
    }

    /// The journal was synced.
    pub fn fsync(&self, took: Duration) {
        self.fsync.observe(took.as_secs_f64());
    }

    /// Whether anything is taken.
    pub fn set_writable(&self, is_writable: bool) {
        self.writable.set(is_writable.into());
    }

    /// All of the store was read and is what was written: how many rows of each kind, how many bytes on disk.
    pub fn scrubbed(&self, rows: &[(&'static str, u64)], bytes: u64) {
        self.store.scrubbed(rows, bytes);
    }

    /// A checkpoint of the turn at `at` was made, and is so long.
    pub fn checkpointed(&self, at: Timestamp, bytes: u64) {
        self.store.checkpointed(at, bytes);
    }

    /// A checkpoint was due and could not be made.
    pub fn not_checkpointed(&self) {
        self.store.not_checkpointed();
    }

    /// Whether this store may act.
    pub fn set_execution(&self, is_enabled: bool) {
        self.execution.set(is_enabled.into());
    }

    /// How many committed changes readers cannot see yet.
    pub fn set_lag(&self, changes: u64) {
        self.lag.set(i64::try_from(changes).unwrap_or(i64::MAX));
    }

    /// A configured receiver took a notice, or it was given up.
    pub fn notified(&self, receiver: &NoticeId, delivered: bool) {
        let [sent, failed] = &self.notices;
        let family = if delivered { sent } else { failed };
        family.with_label_values(&[receiver.as_str()]).inc();
    }

    /// Starts to time a request of `handler`, a name of the route table.
    pub fn request_began(&self, handler: &'static str) -> HistogramTimer {
        self.http_duration.with_label_values(&[handler]).start_timer()
    }

    /// Counts an answered request of `handler`, a name of the route table.
    pub fn request_ended(&self, handler: &'static str, code: u16) {
        self.http_requests.with_label_values(&[handler, code.to_string().as_str()]).inc();
    }

    /// Everything in the Prometheus text format.
    pub fn render(&self) -> Result<Vec<u8>, prometheus::Error> {
        self.process.refresh();
        let mut text = Vec::with_capacity(32 * 1024);
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(text)
    }
}

/// Removes the series of what left the configuration and makes those of what is in it.
fn follow<'a, Id: 'a>(
    family: &IntCounterVec,
    gone: impl Iterator<Item = &'a Id>,
    there: &BTreeSet<Id>,
    name: impl Fn(&Id) -> &str,
) {
    for id in gone {
        // Every known id was given its series below, so there is one to remove.
        let _ = family.remove_label_values(&[name(id)]);
    }
    for id in there {
        family.with_label_values(&[name(id)]);
    }
}

fn opts((name, help): Named) -> Opts {
    Opts::new(name, help)
}

/// Makes families and registers them.
struct Families<'a>(&'a Registry);

impl Families<'_> {
    fn family(&self, family: &(impl Collector + Clone + 'static)) -> prometheus::Result<()> {
        self.0.register(Box::new(family.clone()))
    }

    fn gauge(&self, named: Named) -> prometheus::Result<Gauge> {
        let gauge = Gauge::with_opts(opts(named))?;
        self.family(&gauge)?;
        Ok(gauge)
    }

    fn int_gauge(&self, named: Named) -> prometheus::Result<IntGauge> {
        let gauge = IntGauge::with_opts(opts(named))?;
        self.family(&gauge)?;
        Ok(gauge)
    }

    fn int_gauges(&self, named: Named, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        let gauges = IntGaugeVec::new(opts(named), labels)?;
        self.family(&gauges)?;
        Ok(gauges)
    }

    fn counters(&self, named: Named, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        let counters = IntCounterVec::new(opts(named), labels)?;
        self.family(&counters)?;
        Ok(counters)
    }

    fn histogram(&self, (name, help): Named, buckets: &[f64]) -> prometheus::Result<Histogram> {
        let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?;
        self.family(&histogram)?;
        Ok(histogram)
    }

    fn histograms(&self, (name, help): Named, labels: &[&str], buckets: &[f64]) -> prometheus::Result<HistogramVec> {
        let histograms = HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?;
        self.family(&histograms)?;
        Ok(histograms)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn known(sources: &[&str], receivers: &[&str]) -> Known {
        Known {
            sources: sources.iter().map(|name| SourceId::parse(name).unwrap()).collect(),
            rules: BTreeSet::new(),
            receivers: receivers.iter().map(|name| NoticeId::parse(name).unwrap()).collect(),
        }
    }

    fn text(metrics: &Metrics) -> String {
        String::from_utf8(metrics.render().unwrap()).unwrap()
    }

    #[test]
    fn every_child_with_enum_labels_is_there_from_the_start() {
        let text = text(&Metrics::new(Timestamp::from_micros(0)));
        for line in [
            "remedyd_remediations{state=\"PENDING_APPROVAL\"} 0",
            "remedyd_remediations_opened_total{mode=\"host_aware\",trigger=\"automated\"} 0",
            "remedyd_remediation_duration_seconds_count{mode=\"vm_only\",outcome=\"SUCCEEDED\"} 0",
            "remedyd_held{reason=\"cooldown\"} 0",
            "remedyd_config_last_reload_successful 0",
            "process_start_time_seconds 0",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn series_follow_the_configuration() {
        let metrics = Metrics::new(Timestamp::from_micros(0));
        metrics.configured(known(&["a", "b"], &["chat"]), Timestamp::from_micros(1_500_000));
        metrics.delivered(&SourceId::parse("b").unwrap(), Taken { stored: 2, merged: 3, dead_lettered: 4 });
        metrics.configured(known(&["b"], &["pager"]), Timestamp::from_micros(2_500_000));
        metrics.notified(&NoticeId::parse("pager").unwrap(), false);
        let shown = text(&metrics);
        for (family, n) in [("received", 9), ("stored", 2), ("merged", 3), ("dead_lettered", 4)] {
            assert!(shown.contains(&format!("remedyd_alerts_{family}_total{{source=\"b\"}} {n}\n")), "{shown}");
        }
        assert!(!shown.contains("source=\"a\"") && !shown.contains("chat"), "{shown}");
        assert!(shown.contains("remedyd_notices_failed_total{receiver=\"pager\"} 1\n"));
        assert!(shown.contains("remedyd_config_last_reload_success_timestamp_seconds 2.5\n"));
        assert!(shown.contains("remedyd_config_last_reload_successful 1\n"));
        metrics.reload_failed();
        assert!(text(&metrics).contains("remedyd_config_last_reload_successful 0\n"));
    }

    #[test]
    fn every_reason_to_hold_has_its_series() {
        let metrics = Metrics::new(Timestamp::from_micros(0));
        let before = text(&metrics).matches("remedyd_held{").count();
        for why in [
            HeldWhy::For,
            HeldWhy::Cooldown,
            HeldWhy::Settle,
            HeldWhy::Paused,
            HeldWhy::OptedOut,
            HeldWhy::ContactSupport,
        ] {
            metrics.held(&why);
            metrics.unheld(&why);
        }
        assert_eq!(text(&metrics).matches("remedyd_held{").count(), before);
    }
}
