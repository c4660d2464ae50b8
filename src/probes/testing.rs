//! For tests of probes: nodes on loopback that do as they are told, and what a run against one comes to.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

use super::{Prober, Target};
use crate::clock::Stopwatch;
use crate::config::checks::Probe;
use crate::domain::{ClusterId, HostId, InstanceId, Observation};

/// Far above what any answer on loopback takes: only a bug makes a run last so long.
pub(super) const PLENTY: Duration = Duration::from_secs(60);
/// For nodes that never answer.
pub(super) const SHORT: Duration = Duration::from_millis(300);

/// A node with this address.
pub(super) fn target(address: &str) -> Target {
    Target {
        instance_id: InstanceId::parse("i-1").unwrap(),
        cluster_id: ClusterId::parse("train-a").unwrap(),
        host_id: HostId::parse("h-1").unwrap(),
        name: "gpu-1".into(),
        address: address.into(),
        generation: "1".into(),
    }
}

/// One run on the node with this address, over within `limit` as far as a loaded machine lets it.
pub(super) async fn run(probe: &Probe, address: &str, limit: Duration) -> Observation {
    let begun = Stopwatch::start();
    let observation = Prober::default().run(probe, &target(address), limit).await;
    assert!(begun.elapsed() < limit + Duration::from_secs(10), "it took {:?} of {limit:?}", begun.elapsed());
    observation
}

/// The verdict and the names of the findings: `PASS`, `FAIL timeout`.
pub(super) fn outcome(observation: &Observation) -> String {
    let names = observation.findings.iter().map(|finding| format!(" {}", finding.name));
    format!("{}{}", observation.verdict, names.collect::<String>())
}

/// How much was measured.
pub(super) fn measured(observation: &Observation, name: &str) -> Option<f64> {
    let found = observation.measurements.iter().find(|measurement| &*measurement.name == name);
    found.map(|measurement| measurement.value.get())
}

/// What a node does with a connection; the last one goes on until the other side has had enough.
#[derive(Clone, Debug)]
pub(super) enum Do {
    /// Reads the head of a request.
    ReadHead,
    /// Says this.
    Say(Vec<u8>),
    /// Says this, a byte at a time.
    Drip(Vec<u8>),
    /// Says this for ever.
    Repeat(Vec<u8>),
    /// Neither speaks nor closes.
    Hang,
    /// Resets.
    Reset,
}

/// A node with one port.
pub(super) struct Node {
    pub(super) address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
    task: JoinHandle<()>,
}

impl Node {
    /// Does this with every connection, and then closes it.
    pub(super) async fn that(deeds: &[Do]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (heard, deeds) = (Arc::new(Mutex::new(Vec::new())), deeds.to_vec());
        let hears = Arc::clone(&heard);
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (deeds, hears) = (deeds.clone(), Arc::clone(&hears));
                tokio::spawn(async move { serve(stream, deeds, &hears).await });
            }
        });
        Self { address, heard, task }
    }

    /// The heads of all requests so far.
    pub(super) fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(mut stream: TcpStream, deeds: Vec<Do>, heard: &Mutex<Vec<u8>>) {
    for deed in deeds {
        match deed {
            Do::ReadHead => {
                let mut head = Vec::new();
                while !head.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut head).await.unwrap_or_default() == 0 {
                        return;
                    }
                }
                heard.lock().unwrap().extend(head);
            }
            // The other side may go away at any time, which is its right.
            Do::Say(bytes) => drop(stream.write_all(&bytes).await),
            Do::Drip(bytes) => {
                for byte in bytes {
                    if stream.write_all(&[byte]).await.is_err() {
                        return;
                    }
                    tokio::task::yield_now().await;
                }
            }
            Do::Repeat(bytes) => while stream.write_all(&bytes).await.is_ok() {},
            Do::Hang => {
                while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}
                return;
            }
            Do::Reset => {
                stream.set_zero_linger().unwrap();
                return;
            }
        }
    }
    // Closing with something unread would be a reset.
    let _ = stream.shutdown().await;
    while stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {}
}

/// A port of loopback where nobody listens, bound for as long as the socket is held.
pub(super) fn nobody() -> (TcpSocket, SocketAddr) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = socket.local_addr().unwrap();
    (socket, address)
}
