//! blackbox_exporter, asked as Prometheus asks it: over HTTP, on connections that stay open.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::Request;
use hyper::client::conn::http1::{self, SendRequest};
use hyper_util::rt::TokioIo;
use remedyd::clock::Stopwatch;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::super::measured::{Figures, MEASURED, Process};
use super::ours::address;
use super::{CONCURRENCY, NODES};

/// It, in a process of its own.
pub struct Exporter {
    process: Process,
    at: SocketAddr,
    kind: &'static str,
}

impl Exporter {
    pub fn start(kind: &'static str) -> Self {
        let at = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = "--config.file=/etc/prometheus/blackbox.yml";
        let listen = format!("--web.listen-address={at}");
        let process =
            Process::start(MEASURED, "prometheus-blackbox-exporter", &[config, "--log.level=error", listen.as_str()]);
        Self { process, at, kind }
    }

    /// Checks for as long as `span`.
    pub async fn checks(&self, port: u16, span: Duration) -> Figures {
        let path = |node: usize| match self.kind {
            "tcp" => format!("/probe?module=tcp_connect&target={}:{port}", address(node)),
            _ => format!("/probe?module=http_2xx&target=http://{}:{port}/", address(node)),
        };
        let paths = (0..NODES).map(path).collect();
        self.ask(paths, "\nprobe_success 1\n", span, None).await
    }

    /// What its HTTP server costs without a check, asked as often.
    pub async fn front(&self, span: Duration, checks: u64) -> Figures {
        self.ask(vec!["/-/healthy".to_owned()], "Healthy", span, Some(checks)).await
    }

    /// Asks for as long as `span`, `limit` times where it says so, spread over it.
    async fn ask(&self, paths: Vec<String>, expected: &'static str, span: Duration, limit: Option<u64>) -> Figures {
        let mut connections = Vec::new();
        for _ in 0..CONCURRENCY {
            connections.push(self.connect().await);
        }
        let paths: std::sync::Arc<Vec<String>> = paths.into();
        let (watch, before) = (Stopwatch::start(), self.process.cpu());
        let mut askers = JoinSet::new();
        for (first, mut connection) in connections.into_iter().enumerate() {
            let paths = paths.clone();
            askers.spawn(async move {
                let (mut done, mut wrong) = (0, 0);
                for turn in (first..).step_by(CONCURRENCY) {
                    if let Some(limit) = limit {
                        tokio::time::sleep((span * turn as u32 / limit as u32).saturating_sub(watch.elapsed())).await;
                    }
                    if watch.elapsed() >= span {
                        break;
                    }
                    let said = get(&mut connection, &paths[turn % paths.len()]).await;
                    done += 1;
                    wrong += u64::from(!said.contains(expected));
                }
                (done, wrong)
            });
        }
        let counts = askers.join_all().await;
        Figures {
            checks: counts.iter().map(|(done, _)| done).sum(),
            wrong: counts.iter().map(|(_, wrong)| wrong).sum(),
            wall: watch.elapsed(),
            cpu: self.process.cpu() - before,
            rss_bytes: self.process.rss_bytes(),
        }
    }

    async fn connect(&self) -> SendRequest<Empty<Bytes>> {
        let mut tries = 0;
        let stream = loop {
            match TcpStream::connect(self.at).await {
                Ok(stream) => break stream,
                Err(err) if tries == 200 => panic!("blackbox_exporter does not start: {err}"),
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
            tries += 1;
        };
        stream.set_nodelay(true).unwrap();
        let (sender, connection) = http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        sender
    }
}

async fn get(connection: &mut SendRequest<Empty<Bytes>>, path: &str) -> String {
    let request = Request::get(path)
        .header("Host", "127.0.0.1")
        .header("X-Prometheus-Scrape-Timeout-Seconds", "1.5")
        .body(Empty::new())
        .unwrap();
    let answer = connection.send_request(request).await.unwrap();
    let body = answer.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8_lossy(&body).into_owned()
}
