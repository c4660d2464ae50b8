//! Alertmanager's API v2, as far as we ask it: which alerts it holds at this moment.
//!
//! The question includes silenced and inhibited alerts and those that were not yet processed: to be silent about a fault
//! is not to have mended it.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::http_client::{HttpClient, HttpError};
use crate::domain::{Labels, Timestamp};

/// 100,000 alerts of the usual size fit twice.
const LIMIT_BYTES: usize = 64 * 1024 * 1024;

/// An alert that an Alertmanager holds. One that ended is not among its answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// As its source sent them.
    pub labels: Labels,
    /// Silenced or inhibited.
    pub suppressed: bool,
    /// When it began, in the source's time.
    pub starts_at: Timestamp,
    /// When it was last asserted, in the Alertmanager's time.
    pub updated_at: Timestamp,
}

/// Why an Alertmanager's alerts are not known.
#[derive(Debug, thiserror::Error)]
pub enum AlertmanagerError {
    /// It did not answer as it should.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// Its answer is not the API's.
    #[error("the answer is no list of alerts: {0}")]
    Unreadable(String),
}

/// Asks the Alertmanager at `base_url` (as configured, with its route prefix) for its alerts.
///
/// # Errors
/// It cannot be asked, or its answer is not to be understood: then nothing is known, which is not the same as no alerts.
pub async fn alerts(client: &HttpClient, base_url: &str) -> Result<Vec<Seen>, AlertmanagerError> {
    let url = format!(
        "{}/api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true",
        base_url.trim_end_matches('/')
    );
    let body = client.get(&url, LIMIT_BYTES).await?;
    let alerts: Vec<Alert> =
        serde_json::from_slice(&body).map_err(|error| AlertmanagerError::Unreadable(error.to_string()))?;
    alerts.into_iter().map(Seen::try_from).collect()
}

/// `gettableAlert` of Alertmanager's OpenAPI document; fields without use here are left out, later ones ignored.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Alert {
    labels: BTreeMap<Box<str>, Box<str>>,
    starts_at: String,
    updated_at: String,
    status: Status,
}

#[derive(Deserialize)]
struct Status {
    /// `unprocessed`, `active` or `suppressed`. Any other word means that the alert is there, and that is what counts.
    state: String,
}

impl TryFrom<Alert> for Seen {
    type Error = AlertmanagerError;

    fn try_from(alert: Alert) -> Result<Self, AlertmanagerError> {
        let time = |text: &str| Timestamp::parse(text).map_err(|bad| AlertmanagerError::Unreadable(bad.to_string()));
        Ok(Self {
            starts_at: time(&alert.starts_at)?,
            updated_at: time(&alert.updated_at)?,
            suppressed: alert.status.state == "suppressed",
            labels: Labels::from_pairs(alert.labels),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::peer::{Peer, Reply};
    use super::*;

    /// Recorded from Alertmanager 0.25: one active alert, one silenced.
    const RECORDED: &str = include_str!("../../tests/wire/alertmanager_alerts.json");

    async fn ask(body: &'static str) -> Result<Vec<Seen>, AlertmanagerError> {
        let peer = Peer::start(move |_| Reply::body(body)).await;
        alerts(&HttpClient::new().unwrap(), &peer.url("/")).await
    }

    #[tokio::test]
    async fn a_recorded_answer_is_read() {
        let seen = ask(RECORDED).await.unwrap();
        let summary: Vec<_> = seen.iter().map(|seen| (seen.labels.get("node").unwrap(), seen.suppressed)).collect();
        assert_eq!(summary, [("gpu-node-7", false), ("gpu-node-8", true)]);
        assert_eq!(seen[0].starts_at, Timestamp::parse("2026-11-20T18:01:02.5Z").unwrap());
        assert!(seen[0].updated_at > seen[0].starts_at);
    }

    #[tokio::test]
    async fn silenced_alerts_are_asked_for_under_the_configured_prefix() {
        let peer = Peer::start(|_| Reply::body("[]")).await;
        let client = HttpClient::new().unwrap();
        assert_eq!(alerts(&client, &peer.url("/am/")).await.unwrap(), []);
        assert_eq!(
            peer.requests()[0].target,
            "GET /am/api/v2/alerts?active=true&silenced=true&inhibited=true&unprocessed=true"
        );
    }

    #[tokio::test]
    async fn what_is_no_list_of_alerts_is_an_error_and_never_an_empty_list() {
        for body in ["", "<html>", "{}", "null", "[{}]", "[1]", "[{\"labels\":{\"a\":1}}]"] {
            let error = ask(body).await.unwrap_err();
            assert!(matches!(error, AlertmanagerError::Unreadable(_)), "{body}: {error}");
        }
        let bad_time = r#"[{"labels":{},"startsAt":"soon","updatedAt":"soon","status":{"state":"active"}}]"#;
        assert!(ask(bad_time).await.unwrap_err().to_string().contains("`soon`"));
    }
}
