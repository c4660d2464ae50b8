//! Makes families and registers them.

use std::collections::BTreeSet;

use prometheus::core::Collector;
use prometheus::{
    Counter, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Opts, Registry,
};

/// Name and help.
pub(super) type Named = (&'static str, &'static str);

/// Where families are registered.
pub(super) struct Families<'a>(pub(super) &'a Registry);

impl Families<'_> {
    fn family<T: Collector + Clone + 'static>(&self, family: T) -> prometheus::Result<T> {
        self.0.register(Box::new(family.clone()))?;
        Ok(family)
    }

    pub(super) fn gauge(&self, named: Named) -> prometheus::Result<Gauge> {
        self.family(Gauge::with_opts(opts(named))?)
    }

    pub(super) fn int_gauge(&self, named: Named) -> prometheus::Result<IntGauge> {
        self.family(IntGauge::with_opts(opts(named))?)
    }

    pub(super) fn gauges(&self, named: Named, labels: &[&str]) -> prometheus::Result<GaugeVec> {
        self.family(GaugeVec::new(opts(named), labels)?)
    }

    pub(super) fn int_gauges(&self, named: Named, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        self.family(IntGaugeVec::new(opts(named), labels)?)
    }

    pub(super) fn counter(&self, named: Named) -> prometheus::Result<Counter> {
        self.family(Counter::with_opts(opts(named))?)
    }

    pub(super) fn int_counter(&self, named: Named) -> prometheus::Result<IntCounter> {
        self.family(IntCounter::with_opts(opts(named))?)
    }

    pub(super) fn counters(&self, named: Named, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        self.family(IntCounterVec::new(opts(named), labels)?)
    }

    pub(super) fn histogram(&self, (name, help): Named, buckets: &[f64]) -> prometheus::Result<Histogram> {
        self.family(Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?)
    }

    pub(super) fn histograms(
        &self,
        (name, help): Named,
        labels: &[&str],
        buckets: &[f64],
    ) -> prometheus::Result<HistogramVec> {
        self.family(HistogramVec::new(HistogramOpts::new(name, help).buckets(buckets.to_vec()), labels)?)
    }
}

fn opts((name, help): Named) -> Opts {
    Opts::new(name, help)
}

/// A whole number as gauges have it.
pub(super) fn whole(n: u64) -> i64 {
    i64::try_from(n).unwrap_or(i64::MAX)
}

/// Families whose series follow the configuration: one for each of its names, times labels that are enums.
pub(super) trait Follows {
    /// Makes a child, at zero.
    fn begin(&self, labels: &[&str]);
    /// Takes a child away; it may not be there.
    fn end(&self, labels: &[&str]);
}

macro_rules! follows {
    ($($family:ty),*) => {$(
        impl Follows for $family {
            fn begin(&self, labels: &[&str]) {
                let _ = self.with_label_values(labels);
            }

            fn end(&self, labels: &[&str]) {
                // It may never have counted anything.
                let _ = self.remove_label_values(labels);
            }
        }
    )*};
}

follows!(GaugeVec, IntCounterVec, IntGaugeVec, HistogramVec);

/// Removes the series of what left the configuration and makes those of what is in it; `further` are the values of the
/// labels behind the name, one row a series.
pub(super) fn follow<Id: Ord>(
    family: &impl Follows,
    before: &BTreeSet<Id>,
    there: &BTreeSet<Id>,
    name: impl Fn(&Id) -> &str,
    further: &[Vec<&str>],
) {
    let labels = |id| further.iter().map(move |rest| (id, rest));
    for (id, rest) in before.difference(there).flat_map(labels) {
        family.end(&[&[name(id)], &rest[..]].concat());
    }
    for (id, rest) in there.iter().flat_map(labels) {
        family.begin(&[&[name(id)], &rest[..]].concat());
    }
}
