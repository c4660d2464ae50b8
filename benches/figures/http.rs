//! The least HTTP/1.1 that asks and hears: it must cost far less than whoever answers.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that is kept.
pub struct Connection {
    stream: TcpStream,
    said: Vec<u8>,
}

impl Connection {
    pub async fn try_open(at: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(at).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, said: Vec::with_capacity(64 * 1024) })
    }

    /// Of somebody who listens, or soon will.
    pub async fn open(at: SocketAddr) -> Self {
        for _ in 0..1_000 {
            if let Ok(connection) = Self::try_open(at).await {
                return connection;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("nobody listens on {at}");
    }

    pub async fn get(&mut self, path: &str) -> (u16, Vec<u8>) {
        self.ask(&request("GET", path, b"")).await
    }

    pub async fn post(&mut self, path: &str, body: &[u8]) -> (u16, Vec<u8>) {
        self.ask(&request("POST", path, body)).await
    }

    /// Sends these bytes; the status and the body of the answer.
    pub async fn ask(&mut self, request: &[u8]) -> (u16, Vec<u8>) {
        self.stream.write_all(request).await.expect("it is taken");
        self.said.clear();
        let (status, body) = self.answer().await;
        (status, self.said.split_off(body))
    }

    /// The same where only the status counts.
    pub async fn tell(&mut self, request: &[u8]) -> u16 {
        self.stream.write_all(request).await.expect("it is taken");
        self.said.clear();
        self.answer().await.0
    }

    /// The status, and where the body begins in what was said.
    async fn answer(&mut self) -> (u16, usize) {
        loop {
            let read = self.stream.read_buf(&mut self.said).await.expect("it answers");
            assert!(read > 0, "it hung up after `{}`", String::from_utf8_lossy(&self.said));
            let Some(end) = self.said.windows(4).position(|four| four == b"\r\n\r\n") else { continue };
            let head = std::str::from_utf8(&self.said[..end]).expect("a head is ASCII").to_ascii_lowercase();
            let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
            if head.contains("transfer-encoding: chunked") {
                while !self.said.ends_with(b"0\r\n\r\n") {
                    assert!(self.stream.read_buf(&mut self.said).await.expect("it answers") > 0);
                }
                self.unchunk(end + 4);
                return (status, end + 4);
            }
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let length: usize = length.map_or(0, |length| length.trim().parse().expect("a length"));
            while self.said.len() < end + 4 + length {
                assert!(self.stream.read_buf(&mut self.said).await.expect("it answers") > 0);
            }
            return (status, end + 4);
        }
    }

    /// Takes the lengths out of a body in chunks.
    fn unchunk(&mut self, begin: usize) {
        let (mut from, mut body) = (begin, Vec::new());
        while let Some(end) = self.said[from..].windows(2).position(|two| two == b"\r\n") {
            let length = std::str::from_utf8(&self.said[from..from + end]).unwrap();
            let length = usize::from_str_radix(length, 16).expect("a chunk's length");
            body.extend_from_slice(&self.said[from + end + 2..from + end + 2 + length]);
            from += end + 2 + length + 2;
        }
        self.said.truncate(begin);
        self.said.extend(body);
    }
}

/// A request as bytes.
pub fn request(method: &str, path: &str, body: &[u8]) -> Vec<u8> {
    let mut request = Vec::with_capacity(256 + body.len());
    begin(&mut request, method, path, body.len());
    request.extend_from_slice(body);
    request
}

/// The head of a request.
pub fn begin(out: &mut Vec<u8>, method: &str, path: &str, length: usize) {
    use std::io::Write;
    write!(
        out,
        "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
    )
    .expect("memory takes every byte");
}
