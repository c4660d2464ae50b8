//! The message of the webhook receiver, and what a receiver's answer means for it.
//!
//! One POST per notice, `Content-Type: application/json`, with the header `Idempotency-Key`: the notice's id, the same at
//! each repetition. The body:
//!
//! ```json
//! {
//!   "id": "0193…",
//!   "event": "opened",
//!   "occurred_at": "2026-11-20T18:01:02.000000Z",
//!   "remediation": {
//!     "id": "0193…", "cluster_id": "train-a", "instance_id": "i-7", "instance_name": "gpu-node-7", "host_id": "h-0042",
//!     "mode": "host_aware", "state": "PENDING_APPROVAL", "trigger": "automated", "version": 1, "reason": "…"
//!   },
//!   "summary": "…",
//!   "alerts": ["DmesgGpuFallenOffBus"]
//! }
//! ```
//!
//! `event` is `opened`, `changed` or `ended`. Fields may be added; none will be removed or change its meaning.

use serde::Serialize;

use crate::domain::{EffectId, Timestamp};
use crate::engine::Notice;
use crate::providers::http_client::{HttpClient, HttpError};

/// What became of one POST.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Posted {
    /// The receiver has it.
    Delivered,
    /// It may have it or not; again later, for this reason.
    Later(String),
    /// It will never take it, for this reason.
    Never(String),
}

/// Posts a message that [`body`] made.
pub(super) async fn post(client: &HttpClient, url: &str, id: EffectId, body: Vec<u8>) -> Posted {
    match client.post_json(url, &[("Idempotency-Key", &id.to_string())], body).await {
        Ok(()) => Posted::Delivered,
        Err(error) if is_passing(&error) => Posted::Later(error.to_string()),
        Err(error) => Posted::Never(error.to_string()),
    }
}

fn is_passing(error: &HttpError) -> bool {
    match error {
        HttpError::Transport(_) => true,
        HttpError::Status(status) => matches!(status, 408 | 429 | 500..=599),
        HttpError::Unbuildable(_) | HttpError::BadAddress(_) | HttpError::TooLong { .. } => false,
    }
}

#[derive(Serialize)]
struct Message<'a> {
    id: String,
    event: &'a str,
    occurred_at: String,
    remediation: About<'a>,
    summary: &'a str,
    alerts: &'a [String],
}

#[derive(Serialize)]
struct About<'a> {
    id: String,
    cluster_id: &'a str,
    instance_id: &'a str,
    instance_name: &'a str,
    host_id: &'a str,
    mode: &'a str,
    state: &'a str,
    trigger: &'a str,
    version: u64,
    reason: &'a str,
}

/// The message as it goes out.
pub(super) fn body(id: EffectId, occurred_at: Timestamp, notice: &Notice) -> Vec<u8> {
    let message = Message {
        id: id.to_string(),
        event: notice.event.as_str(),
        occurred_at: occurred_at.to_string(),
        remediation: About {
            id: notice.remediation_id.to_string(),
            cluster_id: notice.target.cluster_id.as_str(),
            instance_id: notice.target.instance_id.as_str(),
            instance_name: &notice.target.instance_name,
            host_id: notice.target.host_id.as_str(),
            mode: notice.mode.as_str(),
            state: notice.state.as_str(),
            trigger: notice.trigger.as_str(),
            version: notice.version,
            reason: &notice.reason,
        },
        summary: &notice.summary,
        alerts: &notice.alerts,
    };
    serde_json::to_vec(&message).expect("a message of strings and numbers has a JSON form")
}
