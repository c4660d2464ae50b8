//! A receiver of notices: a real HTTP server that remembers what it was told, and can be down.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

/// A notice as it arrived.
#[derive(Clone, Debug)]
pub struct Told {
    /// The header `Idempotency-Key`.
    pub key: String,
    pub body: Value,
}

/// It remembers every POST until it goes down, and answers 200, or 503 where it is to take nothing.
pub struct Receiver {
    address: SocketAddr,
    told: Arc<Mutex<Vec<Told>>>,
    refuses: Arc<AtomicBool>,
    up: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

impl Receiver {
    /// One that is down.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, told: Arc::default(), refuses: Arc::default(), up: None }
    }

    pub fn url(&self) -> String {
        format!("http://{}/notices", self.address)
    }

    pub fn go_up(&mut self) {
        let listener = TcpListener::bind(self.address).unwrap();
        let (is_down, told) = (Arc::new(AtomicBool::new(false)), Arc::clone(&self.told));
        let (ends, refuses) = (Arc::clone(&is_down), Arc::clone(&self.refuses));
        let thread = std::thread::spawn(move || {
            for stream in listener.incoming() {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                // A client that is killed in the middle of a request told nothing.
                if let Ok(Some(one)) = stream.and_then(|stream| answer(stream, refuses.load(Ordering::SeqCst))) {
                    told.lock().unwrap().push(one);
                }
            }
        });
        self.up = Some((is_down, thread));
    }

    pub fn go_down(&mut self) {
        if let Some((is_down, thread)) = self.up.take() {
            is_down.store(true, Ordering::SeqCst);
            // Wakes the thread; it may have gone by itself.
            let _ = TcpStream::connect(self.address);
            thread.join().unwrap();
        }
    }

    /// Whether it answers that it takes nothing.
    pub fn take_nothing(&self, refuses: bool) {
        self.refuses.store(refuses, Ordering::SeqCst);
    }

    /// Forgets what it was told.
    pub fn forget(&self) {
        self.told.lock().unwrap().clear();
    }

    /// Everything that it was told so far, in order.
    pub fn told(&self) -> Vec<Told> {
        self.told.lock().unwrap().clone()
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.go_down();
    }
}

/// Reads one request and answers it; the connection ends with it.
fn answer(mut stream: TcpStream, refuses: bool) -> io::Result<Option<Told>> {
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    let mut text = Vec::new();
    let (head, length) = loop {
        let mut piece = [0; 4096];
        let size = stream.read(&mut piece)?;
        if size == 0 {
            return Ok(None);
        }
        text.extend_from_slice(&piece[..size]);
        let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&text[..end]).into_owned();
        text.drain(..end + 4);
        let length = header(&head, "content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        break (head, length);
    };
    let missing = usize::saturating_sub(length, text.len());
    let mut rest = vec![0; missing];
    stream.read_exact(&mut rest)?;
    text.extend_from_slice(&rest);
    let status = if refuses { "503 Service Unavailable" } else { "200 OK" };
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")?;
    let body = serde_json::from_slice(&text).map_err(io::Error::other)?;
    Ok(Some(Told { key: header(&head, "idempotency-key").unwrap_or_default().to_owned(), body }))
}

fn header<'a>(head: &'a str, wanted: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case(wanted).then(|| value.trim())
    })
}
