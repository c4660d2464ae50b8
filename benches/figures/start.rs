//! How soon a daemon is ready with 100,000 remediations in store: after a stop, and after a kill while it was written to.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use remedyd::clock::wall_clock;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::load::one_post;
use super::made::{FLEET, Made, stop};
use super::site::{Daemon, Site, wait};
use super::table::{Bar, Line, Spread, digits};

/// Remediations in store.
const RECORDS: usize = 100_000;
/// Who writes, and how many alerts are in a post.
const SENDERS: usize = 4;
const TOGETHER: usize = 64;
/// So many posts are answered before it is stopped or killed: each alert of the fleet once, and once more.
const POSTS: usize = 2 * FLEET.div_ceil(TOGETHER);

/// In each round: load and a stop, a start that counts, load and a kill, and another one.
pub async fn run(program: &Path, rounds: usize) -> (Vec<Line>, Value) {
    let made = Made::of(program, RECORDS).await;
    let site = Site::new(FLEET, "");
    made.place(&site);
    let (mut clean, mut killed) = (Vec::new(), Vec::new());
    let mut daemon = site.start(program).await;
    for round in 1..=rounds {
        eprintln!("start: round {round} of {rounds}");
        let senders = write(daemon.at).await;
        assert_eq!(senders.end().await, 0, "every post was answered");
        daemon.catch_up().await;
        stop(daemon).await;
        daemon = site.start(program).await;
        clean.push(daemon.ready.as_secs_f64());

        let senders = write(daemon.at).await;
        // It ends by SIGKILL, while posts are under way.
        drop(daemon);
        assert!(senders.end().await > 0, "it was killed while it was written to");
        daemon = site.start(program).await;
        killed.push(daemon.ready.as_secs_f64());
        all_there(&daemon).await;
    }
    let kinds = [("a clean stop", &clean), ("SIGKILL under load", &killed)];
    let lines = kinds.map(|(after, seconds)| {
        let what = format!("ready after {after}, {RECORDS} remediations, s");
        let most = digits(Spread::of(seconds.iter().copied()).most);
        Line::new(what, Bar::AtMost(2.0), Bar::AtMost(0.5), Spread::of(seconds.iter().copied())).beside(format!(
            "from spawn to the first 200 of /-/ready, page cache warm, with {FLEET} open alerts and proposals; slowest {most}"
        ))
    });
    (lines.into(), json!({ "clean_seconds": clean, "killed_seconds": killed }))
}

/// Those who write: they go on until they are not answered any more, or have nothing left.
struct Senders(JoinSet<bool>);

impl Senders {
    /// How many of them were cut off in a post.
    async fn end(self) -> usize {
        self.0.join_all().await.into_iter().filter(|was_cut_off| *was_cut_off).count()
    }
}

/// Sends each alert of the fleet as begun just now, in posts, again and again; returns after so many were answered with
/// 200 that each was there, while the next are under way.
async fn write(at: SocketAddr) -> Senders {
    let answered = Arc::new(AtomicUsize::new(0));
    let next = Arc::new(AtomicUsize::new(0));
    let mut senders = JoinSet::new();
    for _ in 0..SENDERS {
        let (answered, next) = (Arc::clone(&answered), Arc::clone(&next));
        senders.spawn(async move {
            let mut stream = TcpStream::connect(at).await.expect("it listens");
            // A few more than are waited for: there is something under way when it is killed.
            while answered.load(Ordering::Relaxed) < POSTS + 40 * SENDERS {
                let first = next.fetch_add(1, Ordering::Relaxed) % FLEET.div_ceil(TOGETHER) * TOGETHER;
                let post = one_post(first..(first + TOGETHER).min(FLEET), &wall_clock().to_string());
                // It was killed.
                let Some(status) = post_to(&mut stream, &post).await else { return true };
                assert_eq!(status, "200", "a post was refused");
                answered.fetch_add(1, Ordering::Relaxed);
            }
            false
        });
    }
    wait(|| async { answered.load(Ordering::Relaxed) >= POSTS }).await;
    Senders(senders)
}

/// The status of the answer; nothing where it broke off.
async fn post_to(stream: &mut TcpStream, post: &[u8]) -> Option<String> {
    stream.write_all(post).await.ok()?;
    let mut said = Vec::with_capacity(1_024);
    loop {
        if stream.read_buf(&mut said).await.ok()? == 0 {
            return None;
        }
        let text = String::from_utf8_lossy(&said);
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let head = head.to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        if body.len() >= length.map_or(0, |length| length.trim().parse().expect("a length")) {
            return head.split(' ').nth(1).map(str::to_owned);
        }
    }
}

/// What was acknowledged is in store: the remediations that ended, and a proposal for each node.
async fn all_there(daemon: &Daemon) {
    let proposals = daemon.metric("remedyd_remediations", "state=\"PENDING_APPROVAL\"").await;
    assert_eq!(proposals, FLEET as f64, "each node has its proposal");
    let (mut rows, mut token) = (0, String::new());
    loop {
        let page = daemon.get(&format!("/api/v1/remediations?page_size=1000&page_token={token}")).await;
        rows += page["remediations"].as_array().expect("a list").len();
        token = page["next_page_token"].as_str().expect("a token").to_owned();
        if token.is_empty() {
            break;
        }
        // It is scrubbed meanwhile, and answers others too.
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(rows, RECORDS + FLEET, "every remediation is there");
}
