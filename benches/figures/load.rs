//! The load: one alert for each node, sent again and again, of which some change at every sending.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use remedyd::clock::{Clock, Stopwatch};
use remedyd::domain::Timestamp;
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use super::http::{self, Connection};
use super::site::node;

/// Whose language the load speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Alertmanager's webhook, version 4.
    Remedyd,
    /// `POST /api/v2/alerts`, as Prometheus sends it.
    Alertmanager,
}

impl Peer {
    const fn path(self) -> &'static str {
        match self {
            Self::Remedyd => "/api/v1/webhooks/alertmanager",
            Self::Alertmanager => "/api/v2/alerts",
        }
    }
}

/// What Alertmanager says around the alerts of a message.
const MESSAGE: &[u8] = br#"{"version":"4","groupKey":"{}:{alertname=\"DmesgGpuFallenOffBus\"}","truncatedAlerts":0,"status":"firing","receiver":"remedyd","groupLabels":{"alertname":"DmesgGpuFallenOffBus"},"commonLabels":{"alertname":"DmesgGpuFallenOffBus","cluster":"fleet","job":"node-problem-detector","phc":"true","severity":"critical"},"commonAnnotations":{"runbook_url":"https://runbooks.example.com/gpu/fallen-off-bus"},"externalURL":"http://alertmanager.example.com:9093","alerts":["#;

/// One alert, and where it stands.
struct Alert {
    /// Its labels and annotations as JSON, and what never changes.
    text: String,
    is_firing: bool,
    started_at: String,
    ended_at: String,
}

impl Alert {
    fn new(number: usize, now: &str) -> Self {
        let name = node(number);
        let text = format!(
            r#""labels":{{"alertname":"DmesgGpuFallenOffBus","cluster":"fleet","node":"{name}","instance":"{name}:9100","job":"node-problem-detector","gpu":"{}","rack":"r{:04}","severity":"critical","phc":"true"}},"annotations":{{"summary":"GPU fell off the bus on {name}","description":"NVRM: Xid (PCI:0000:4e:00): 79, GPU has fallen off the bus on {name}, seen in the kernel log.","runbook_url":"https://runbooks.example.com/gpu/fallen-off-bus"}},"generatorURL":"http://prometheus.example.com/graph?g0.expr=increase%28problem_counter%5B5m%5D%29+%3E+0&g0.tab=1""#,
            number % 8,
            number / 32
        );
        Self { text, is_firing: true, started_at: now.to_owned(), ended_at: String::new() }
    }

    /// It ends, or begins again.
    fn turn_over(&mut self, now: &str) {
        self.is_firing = !self.is_firing;
        if self.is_firing {
            self.started_at = now.to_owned();
        } else {
            self.ended_at = now.to_owned();
        }
    }

    fn write(&self, peer: Peer, number: usize, out: &mut Vec<u8>) {
        let status = if self.is_firing { "firing" } else { "resolved" };
        match peer {
            Peer::Remedyd => {
                let end = if self.is_firing { "0001-01-01T00:00:00Z" } else { &self.ended_at };
                put(out, &["{\"status\":\"", status, "\",", &self.text]);
                put(out, &[",\"startsAt\":\"", &self.started_at, "\",\"endsAt\":\"", end]);
                let mut fingerprint = String::with_capacity(16);
                let _ = write!(fingerprint, "{number:016x}");
                put(out, &["\",\"fingerprint\":\"", &fingerprint, "\"}"]);
            }
            Peer::Alertmanager => {
                put(out, &["{", &self.text, ",\"startsAt\":\"", &self.started_at, "\""]);
                if !self.is_firing {
                    put(out, &[",\"endsAt\":\"", &self.ended_at, "\""]);
                }
                out.push(b'}');
            }
        }
    }
}

fn put(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

/// All alerts of a fleet, in posts of so many.
pub struct Load {
    peer: Peer,
    at: SocketAddr,
    posts: Vec<Mutex<Post>>,
    next: AtomicUsize,
    clock: Clock,
}

/// The alerts that always go together.
struct Post {
    first: usize,
    alerts: Vec<Alert>,
    /// How many alerts of it were sent, ever.
    sent: usize,
    request: Vec<u8>,
    body: Vec<u8>,
}

impl Post {
    /// The next request: some of the alerts change before it, in turn.
    fn next(&mut self, peer: Peer, churn: usize, now: &str) -> &[u8] {
        for number in 0..self.alerts.len() {
            self.sent += 1;
            if is_struck(self.first + number, self.sent, churn) {
                self.alerts[number].turn_over(now);
            }
        }
        self.write(peer);
        &self.request
    }

    fn write(&mut self, peer: Peer) {
        let (first, body) = (self.first, &mut self.body);
        body.clear();
        body.extend_from_slice(if peer == Peer::Remedyd { MESSAGE } else { b"[" });
        for (number, alert) in self.alerts.iter().enumerate() {
            if number > 0 {
                body.push(b',');
            }
            alert.write(peer, first + number, body);
        }
        body.extend_from_slice(if peer == Peer::Remedyd { b"]}" } else { b"]" });
        self.request.clear();
        http::begin(&mut self.request, "POST", peer.path(), body.len());
        self.request.extend_from_slice(body);
    }
}

/// Whether an alert is one of the `churn` of 1,000 that change at this sending: as if by chance, and the same in each run.
fn is_struck(number: usize, sent: usize, churn: usize) -> bool {
    let mixed = ((number as u64) << 32 | sent as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 32) % 1000 < churn as u64
}

/// What a load came to.
#[derive(Clone, Debug, Default)]
pub struct Sent {
    pub alerts: u64,
    /// What was not answered with 200.
    pub refused: u64,
    pub wall: Duration,
    /// How long each post took, in microseconds, sorted.
    pub micros: Vec<u32>,
}

impl Sent {
    pub fn alerts_per_second(&self) -> f64 {
        self.alerts as f64 / self.wall.as_secs_f64()
    }

    /// In milliseconds, the time that so many of 1,000 posts keep.
    pub fn millis(&self, of_1000: usize) -> f64 {
        quantile(&self.micros, of_1000)
    }
}

/// In milliseconds; `micros` is sorted.
pub fn quantile(micros: &[u32], of_1000: usize) -> f64 {
    let at = (micros.len() * of_1000).div_ceil(1000).saturating_sub(1);
    micros.get(at).map_or(f64::NAN, |micros| f64::from(*micros) / 1e3)
}

impl Load {
    /// One alert for each of `nodes` nodes, `together` of them in a post.
    pub fn new(peer: Peer, at: SocketAddr, nodes: usize, together: usize) -> Self {
        let clock = Clock::start(None);
        let now = clock.now().to_string();
        let posts = (0..nodes).step_by(together).map(|first| {
            let alerts = (first..(first + together).min(nodes)).map(|number| Alert::new(number, &now)).collect();
            Mutex::new(Post { first, alerts, sent: 0, request: Vec::new(), body: Vec::new() })
        });
        Self { peer, at, posts: posts.collect(), next: AtomicUsize::new(0), clock }
    }

    /// Every alert once; what is refused for want of room is sent again, as Alertmanager does.
    pub async fn send_all(self: &Arc<Self>) -> Sent {
        let left = self.posts.len();
        self.send(4, 0, true, move |_, post| post < left).await
    }

    /// As fast as it is answered, `in_flight` posts at a time, for as long as `span`. Of 1,000 alerts `churn` end or begin again
    /// at each sending.
    pub async fn send_for(self: &Arc<Self>, in_flight: usize, churn: usize, span: Duration) -> Sent {
        self.send(in_flight, churn, false, move |elapsed, _| elapsed < span).await
    }

    async fn send(
        self: &Arc<Self>,
        in_flight: usize,
        churn: usize,
        insists: bool,
        goes_on: impl Fn(Duration, usize) -> bool + Copy + Send + 'static,
    ) -> Sent {
        let mut connections = Vec::new();
        for _ in 0..in_flight {
            connections.push(Connection::open(self.at).await);
        }
        let (watch, count) = (Stopwatch::start(), Arc::new(AtomicUsize::new(0)));
        let mut senders = JoinSet::new();
        for mut connection in connections {
            let (load, count) = (self.clone(), count.clone());
            senders.spawn(async move {
                let mut sent = Sent::default();
                while goes_on(watch.elapsed(), count.fetch_add(1, Ordering::Relaxed)) {
                    let which = load.next.fetch_add(1, Ordering::Relaxed) % load.posts.len();
                    let mut post = load.posts[which].lock().await;
                    let now = if churn > 0 { load.now().to_string() } else { String::new() };
                    let request = post.next(load.peer, churn, &now);
                    let begin = watch.elapsed();
                    let mut status = connection.tell(request).await;
                    while status == 503 && insists {
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        status = connection.tell(request).await;
                    }
                    sent.micros.push((watch.elapsed() - begin).as_micros() as u32);
                    sent.alerts += post.alerts.len() as u64;
                    sent.refused += u64::from(status != 200);
                }
                sent
            });
        }
        let mut all = Sent::default();
        for sent in senders.join_all().await {
            all.alerts += sent.alerts;
            all.refused += sent.refused;
            all.micros.extend(sent.micros);
        }
        all.wall = watch.elapsed();
        all.micros.sort_unstable();
        all
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }
}

/// One post of the alerts of these nodes, as a request.
pub fn one_post(nodes: std::ops::Range<usize>, now: &str) -> Vec<u8> {
    let (first, alerts) = (nodes.start, nodes.map(|number| Alert::new(number, now)).collect());
    let mut post = Post { first, alerts, sent: 0, request: Vec::new(), body: Vec::new() };
    post.write(Peer::Remedyd);
    post.request
}
