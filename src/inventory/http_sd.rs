//! Prometheus's `http_sd`: a list of targets that is asked for, and of which the last good answer is kept in a file.
//!
//! The loader reads what was kept, never the network: a load stays all or nothing, and a restart knows what was known. An
//! answer that cannot be read changes nothing, and neither does an empty one where there were targets: a service that has
//! lost its own sources says so, too.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::target_groups::{self, Group, NoGroups};
use crate::providers::http_client::{HttpClient, HttpError};

/// 100,000 targets with their labels fit.
const LIMIT_BYTES: usize = 32 << 20;

/// `[inventory.http_sd.<id>]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpSd {
    /// Where the list is.
    pub url: String,
    /// How often it is asked for.
    pub refresh: Duration,
    /// Who we say that we are.
    pub bearer: Option<Bearer>,
    /// Where the last good answer is kept.
    pub kept: PathBuf,
}

/// A bearer string, which nothing shows.
#[derive(Clone, PartialEq, Eq)]
pub struct Bearer(String);

impl std::fmt::Debug for Bearer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("Bearer")
    }
}

impl Bearer {
    /// Takes what a file holds, white space around it aside; nothing where it cannot be sent in a header.
    pub fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let fits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic());
        fits.then(|| Self(text.to_owned()))
    }
}

/// Why there is no list.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// There is no answer, or not a good one.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// The answer is not UTF-8.
    #[error("the answer is not UTF-8 text")]
    NotText,
}

impl HttpSd {
    /// The address as logs and mistakes tell it: a query may hold a secret.
    pub fn shown(&self) -> &str {
        self.url.split(['?', '#']).next().unwrap_or_default()
    }

    /// Asks once, as Prometheus does.
    ///
    /// # Errors
    /// It is not answered with a text.
    pub async fn fetch(&self, client: &HttpClient) -> Result<String, FetchError> {
        let every = self.refresh.as_secs_f64().to_string();
        let bearer = self.bearer.as_ref().map(|bearer| format!("Bearer {}", bearer.0));
        let mut headers = vec![("accept", "application/json"), ("x-prometheus-refresh-interval-seconds", &*every)];
        headers.extend(bearer.as_deref().map(|bearer| ("authorization", bearer)));
        let body = client.get_with(&self.url, &headers, LIMIT_BYTES).await?;
        String::from_utf8(body).map_err(|_| FetchError::NotText)
    }

    /// What was kept; nothing where nothing was ever answered.
    ///
    /// # Errors
    /// It is there and cannot be read.
    pub fn kept(&self) -> io::Result<Option<String>> {
        match fs::read_to_string(&self.kept) {
            Ok(text) => Ok(Some(text)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// When what is kept was last confirmed.
    pub fn confirmed_at(&self) -> Option<SystemTime> {
        fs::metadata(&self.kept).and_then(|meta| meta.modified()).ok()
    }

    /// At this time the answer is still what is kept.
    ///
    /// # Errors
    /// The file's time cannot be set.
    pub fn confirm(&self, at: SystemTime) -> io::Result<()> {
        File::options().write(true).open(&self.kept)?.set_modified(at)
    }

    /// Keeps an answer in place of the one before: after a crash it is either the one or the other.
    ///
    /// # Errors
    /// It cannot be written; the one before is still there.
    pub fn keep(&self, answer: &str) -> io::Result<()> {
        let folder = self.kept.parent().ok_or_else(|| io::Error::other("there is no folder for it"))?;
        fs::create_dir_all(folder)?;
        let fresh = self.kept.with_extension("fresh");
        let mut file = File::create(&fresh)?;
        file.write_all(answer.as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, &self.kept)?;
        File::open(folder)?.sync_all()
    }
}

/// What an answer is, beside what is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The same targets with the same labels, in whatever order.
    Unchanged,
    /// No target, where so many are known: not taken.
    Empty {
        /// So many.
        known: usize,
    },
    /// To be kept.
    New {
        /// So many targets were known.
        known: usize,
        /// So many are now.
        now: usize,
    },
}

/// Judges an answer by what is kept, which counts as nothing where it cannot be read.
///
/// # Errors
/// The answer is no list of target groups.
pub fn judge(kept: Option<&str>, answer: &str) -> Result<Verdict, NoGroups> {
    let answer = target_groups::parse(answer)?;
    let kept = kept.and_then(|kept| target_groups::parse(kept).ok());
    let now = targets(&answer);
    let known = kept.as_deref().map(targets);
    Ok(match known {
        Some(known) if known == now => Verdict::Unchanged,
        Some(known) if now.is_empty() => Verdict::Empty { known: known.len() },
        known => Verdict::New { known: known.map_or(0, |known| known.len()), now: now.len() },
    })
}

type Target<'a> = (&'a str, BTreeMap<&'a str, &'a str>);

fn targets(groups: &[Group]) -> BTreeSet<Target<'_>> {
    let mut targets = BTreeSet::new();
    for group in groups {
        let labels: BTreeMap<&str, &str> =
            group.labels.iter().map(|(name, placed)| (name.as_str(), placed.text.as_str())).collect();
        targets.extend(group.targets.iter().map(|target| (target.text.as_str(), labels.clone())));
    }
    targets
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::providers::peer::{Peer, Reply};

    const TWO: &str = r#"[{"targets": ["a:1", "b:1"], "labels": {"cluster": "c"}}]"#;

    #[test]
    fn an_empty_answer_is_taken_only_where_nothing_was_known() {
        for (kept, answer, verdict) in [
            (None, "[]", Verdict::New { known: 0, now: 0 }),
            (Some("[]"), "[]", Verdict::Unchanged),
            (Some("[]"), r#"[{"targets": []}]"#, Verdict::Unchanged),
            (Some(TWO), "[]", Verdict::Empty { known: 2 }),
            (Some(TWO), r#"[{"targets": [], "labels": {"cluster": "c"}}]"#, Verdict::Empty { known: 2 }),
            (Some(TWO), r#"[{"targets": ["a:1"]}]"#, Verdict::New { known: 2, now: 1 }),
            (Some("{"), TWO, Verdict::New { known: 0, now: 2 }),
            (None, TWO, Verdict::New { known: 0, now: 2 }),
        ] {
            assert_eq!(judge(kept, answer).unwrap(), verdict, "{kept:?} {answer}");
        }
        let shuffled =
            r#"[{"labels": {"cluster": "c"}, "targets": ["b:1"]}, {"targets": ["a:1"], "labels": {"cluster": "c"}}]"#;
        assert_eq!(judge(Some(TWO), shuffled).unwrap(), Verdict::Unchanged);
        assert!(judge(Some(TWO), "<html>").is_err() && judge(None, "").is_err());
    }

    #[test]
    fn what_is_kept_is_exchanged_whole_and_confirmed_without_a_change() {
        let folder = tempfile::tempdir().unwrap();
        let sd = HttpSd {
            url: "http://h/sd?key=s3cret".to_owned(),
            refresh: Duration::from_secs(60),
            bearer: Bearer::parse(" s3cret\n"),
            kept: folder.path().join("http_sd/dc1.json"),
        };
        assert_eq!((sd.kept().unwrap(), sd.confirmed_at()), (None, None));
        sd.keep(TWO).unwrap();
        sd.keep("[]").unwrap();
        assert_eq!(sd.kept().unwrap().as_deref(), Some("[]"));
        assert_eq!(fs::read_dir(folder.path().join("http_sd")).unwrap().count(), 1);
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(7);
        sd.confirm(at).unwrap();
        assert_eq!((sd.kept().unwrap().as_deref(), sd.confirmed_at()), (Some("[]"), Some(at)));
        assert_eq!(sd.shown(), "http://h/sd");
        assert!(!format!("{:?}", sd.bearer).contains("s3cret"));
    }

    #[tokio::test]
    async fn it_asks_as_prometheus_does_and_shows_its_token_to_nobody_else() {
        let elsewhere = Peer::start(|_| Reply::body(TWO)).await;
        let target = elsewhere.url("/sd");
        let peer = Peer::start(move |request| match request.target.as_str() {
            "GET /sd" => Reply::body(TWO),
            _ => Reply::status(302).header("Location", &target),
        })
        .await;
        let sd = |path| HttpSd {
            url: peer.url(path),
            refresh: Duration::from_millis(1500),
            bearer: Bearer::parse("s3cret"),
            kept: PathBuf::new(),
        };
        let client = HttpClient::new().unwrap();
        assert_eq!(sd("/sd").fetch(&client).await.unwrap(), TWO);
        let heard = &peer.requests()[0];
        assert_eq!(heard.header("x-prometheus-refresh-interval-seconds"), Some("1.5"));
        assert_eq!(heard.header("accept"), Some("application/json"));
        assert_eq!(heard.header("authorization"), Some("Bearer s3cret"));
        let error = sd("/moved").fetch(&client).await.unwrap_err();
        assert!(matches!(error, FetchError::Http(HttpError::Status(302))), "{error}");
        assert!(elsewhere.requests().is_empty());
    }
}
