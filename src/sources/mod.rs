//! Asks Alertmanagers what they say at this moment, and makes one answer of what the members of a pair say.
//!
//! Whether that confirms a repair or calls it off is the engine's question. What always holds here: that an alert is there
//! is proved by one member, that it is not there by all of them.

use std::collections::{BTreeMap, BTreeSet};

use tokio::task::JoinSet;

use crate::domain::{Identity, SourceId};
use crate::engine::Sighting;
use crate::providers::alertmanager::{self, Seen};
use crate::providers::http_client::HttpClient;

/// Reads all members of a source at once and says which of the `wanted` alerts are there, in order of their identities.
///
/// An alert is muted if every member that shows it shows it suppressed.
///
/// # Errors
/// A wanted alert was not seen and not every member could be read; or the source has no members. The text names, by its
/// place in the configuration, the member that failed: its address may hold a secret.
pub async fn look(
    client: &HttpClient,
    base_urls: &[String],
    source: &SourceId,
    wanted: &[Identity],
) -> Result<Vec<Sighting>, String> {
    if base_urls.is_empty() {
        return Err(format!("source `{source}` has no Alertmanagers that could be asked"));
    }
    let mut reading = JoinSet::new();
    for (place, url) in base_urls.iter().enumerate() {
        let (client, url) = (client.clone(), url.clone());
        reading.spawn(async move { (place, alertmanager::alerts(&client, &url).await) });
    }
    let wanted: BTreeSet<Identity> = wanted.iter().copied().collect();
    let mut muted = BTreeMap::new();
    let mut failures = BTreeMap::new();
    for read in reading.join_all().await {
        match read {
            (_, Ok(alerts)) => note(&mut muted, source, &wanted, alerts),
            (place, Err(error)) => {
                failures.insert(place, error);
            }
        }
    }
    if muted.len() < wanted.len() && !failures.is_empty() {
        let members = base_urls.len();
        let words = failures.iter().map(|(place, error)| format!("member {} of {members}: {error}", place + 1));
        return Err(format!("source `{source}`: {}", words.collect::<Vec<_>>().join("; ")));
    }
    Ok(muted.into_iter().map(|(identity, muted)| Sighting { identity, muted }).collect())
}

fn note(muted: &mut BTreeMap<Identity, bool>, source: &SourceId, wanted: &BTreeSet<Identity>, alerts: Vec<Seen>) {
    for alert in alerts {
        let identity = Identity::of(source, &alert.labels);
        if wanted.contains(&identity) {
            *muted.entry(identity).or_insert(true) &= alert.suppressed;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Labels;
    use crate::providers::peer::{Peer, Reply};

    fn main_source() -> SourceId {
        SourceId::parse("main").unwrap()
    }

    fn of(node: &str) -> Identity {
        Identity::of(&main_source(), &Labels::from_pairs([("alertname", "Down"), ("node", node)]))
    }

    /// A member that shows these nodes' alerts, with their states.
    async fn member(alerts: &[(&str, &str)]) -> Peer {
        let rows: Vec<String> = alerts
            .iter()
            .map(|(node, state)| {
                format!(
                    r#"{{"labels":{{"node":"{node}","alertname":"Down"}},"startsAt":"2026-11-20T18:00:00Z",
                        "updatedAt":"2026-11-20T18:01:00Z","status":{{"state":"{state}"}}}}"#
                )
            })
            .collect();
        let body = format!("[{}]", rows.join(","));
        Peer::start(move |_| Reply::body(&body)).await
    }

    async fn broken() -> Peer {
        Peer::start(|_| Reply::status(503)).await
    }

    async fn looked(members: &[&Peer], wanted: &[Identity]) -> Result<Vec<(Identity, bool)>, String> {
        let urls: Vec<String> = members.iter().map(|peer| peer.url("")).collect();
        let found = look(&HttpClient::new().unwrap(), &urls, &main_source(), wanted).await?;
        Ok(found.into_iter().map(|sighting| (sighting.identity, sighting.muted)).collect())
    }

    #[tokio::test]
    async fn only_wanted_alerts_are_reported_and_suppressed_ones_are_there() {
        let one = member(&[("a", "active"), ("b", "suppressed"), ("c", "active"), ("d", "unprocessed")]).await;
        let mut expected = vec![(of("a"), false), (of("b"), true), (of("d"), false)];
        expected.sort();
        assert_eq!(looked(&[&one], &[of("a"), of("b"), of("d"), of("gone")]).await.unwrap(), expected);
    }

    #[tokio::test]
    async fn one_member_proves_presence_and_all_members_prove_muting() {
        let (left, right) = (member(&[("a", "suppressed")]).await, member(&[("a", "active"), ("b", "active")]).await);
        let mut expected = vec![(of("a"), false), (of("b"), false)];
        expected.sort();
        assert_eq!(looked(&[&left, &right], &[of("a"), of("b")]).await.unwrap(), expected);
        assert_eq!(looked(&[&left, &left], &[of("a")]).await.unwrap(), [(of("a"), true)]);
    }

    #[tokio::test]
    async fn absence_needs_every_member() {
        let (good, bad) = (member(&[("a", "active")]).await, broken().await);
        assert_eq!(looked(&[&good, &bad], &[of("a")]).await.unwrap(), [(of("a"), false)]);
        let error = looked(&[&good, &bad], &[of("a"), of("b")]).await.unwrap_err();
        assert_eq!(error, "source `main`: member 2 of 2: HTTP status 503");
        assert_eq!(looked(&[&good, &good], &[of("b")]).await.unwrap(), []);
    }

    #[tokio::test]
    async fn a_source_without_members_knows_nothing() {
        assert!(looked(&[], &[of("a")]).await.unwrap_err().contains("no Alertmanagers"));
    }

    #[tokio::test]
    async fn an_alert_of_another_source_is_another_alert() {
        let one = member(&[("a", "active")]).await;
        let other = SourceId::parse("other").unwrap();
        let found = look(&HttpClient::new().unwrap(), &[one.url("")], &other, &[of("a")]).await;
        assert_eq!(found, Ok(vec![]));
    }
}
