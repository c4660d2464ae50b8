//! Requests: how many, how they were answered, how long that took.

use prometheus::{HistogramTimer, HistogramVec, IntCounterVec};

use super::Metrics;
use super::families::{Families, Named};

const REQUESTS: Named = (
    "remedyd_http_requests_total",
    "Requests served, by handler and status code. 401 and 403 are callers that were not let in, 503 is work that was not taken.",
);
const DURATION: Named = ("remedyd_http_request_duration_seconds", "How long requests took, by handler.");

/// From an indexed read to a client's time-out.
const BUCKETS: &[f64] = &[0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0, 30.0];

/// The families.
pub(super) struct Requests {
    requests: IntCounterVec,
    duration: HistogramVec,
}

impl Requests {
    pub(super) fn register(families: &Families<'_>) -> prometheus::Result<Self> {
        Ok(Self {
            requests: families.counters(REQUESTS, &["handler", "code"])?,
            duration: families.histograms(DURATION, &["handler"], BUCKETS)?,
        })
    }
}

/// What alerts are about: there at zero from the start, so that the first one is a step.
const WATCHED: [&str; 4] = ["401", "403", "500", "503"];

impl Metrics {
    /// `handler` is a name of the route table.
    pub fn handler(&self, handler: &'static str) {
        for code in WATCHED {
            self.requests.requests.with_label_values(&[handler, code]);
        }
    }

    /// Starts to time a request of `handler`, a name of the route table.
    pub fn request_began(&self, handler: &'static str) -> HistogramTimer {
        self.requests.duration.with_label_values(&[handler]).start_timer()
    }

    /// Counts an answered request of `handler`, a name of the route table.
    pub fn request_ended(&self, handler: &'static str, code: u16) {
        self.requests.requests.with_label_values(&[handler, code.to_string().as_str()]).inc();
    }
}
