//! One request, one answer, over a connection of its own: enough HTTP to ask the daemon and its peers.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::Value;

use super::eventually;

/// Longer than any answer takes; a daemon that hangs fails the test instead of hanging it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Somebody who asks one server, with a token or without.
#[derive(Clone, Debug)]
pub struct Client {
    address: SocketAddr,
    token: Option<String>,
}

/// What came back.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Client {
    pub fn new(address: SocketAddr) -> Self {
        Self { address, token: None }
    }

    pub fn with_token(&self, token: &str) -> Self {
        Self { token: Some(token.to_owned()), ..self.clone() }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.insist(&format!("GET {path}"), || self.ask("GET", path, None))
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.insist(&format!("POST {path}"), || self.ask("POST", path, Some(&body.to_string())))
    }

    /// The answer to a request that is made again while it is 503: on a busy machine a read may not wait for what was
    /// just written, and every client of ours comes again then.
    pub fn insist(&self, what: &str, ask: impl Fn() -> io::Result<Answer>) -> Answer {
        eventually(PATIENCE, &format!("{what} is answered by {}", self.address), || {
            match ask().unwrap_or_else(|error| panic!("{what} to {}: {error}", self.address)) {
                answer if answer.status == 503 => Err(answer),
                answer => Ok(answer),
            }
        })
    }

    /// One request. An error says that nobody knows what became of it.
    ///
    /// HTTP/1.0, so that the answer comes in one piece and ends with the connection.
    pub fn ask(&self, method: &str, path: &str, body: Option<&str>) -> io::Result<Answer> {
        let mut request = format!("{method} {path} HTTP/1.0\r\nHost: {}\r\nConnection: close\r\n", self.address);
        if let Some(token) = &self.token {
            request += &format!("Authorization: Bearer {token}\r\n");
        }
        if let Some(body) = body {
            request += &format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        }
        request += "\r\n";
        request += body.unwrap_or_default();
        self.send(request.as_bytes())
    }

    /// Bytes as they are, which should be a request; the answer ends with the connection.
    pub fn send(&self, request: &[u8]) -> io::Result<Answer> {
        let mut stream = self.open()?;
        // Who refuses a request need not read all of it: what it said meanwhile is the answer.
        let sent = stream.write_all(request);
        let mut text = Vec::new();
        let read = stream.read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text);
        // The answer to HEAD announces a body that does not come.
        let answer = if request.starts_with(b"HEAD ") { Answer::head(&text) } else { Answer::read(&text) };
        match answer {
            Some(answer) => Ok(answer),
            None => sent.and(read).and(Err(io::ErrorKind::UnexpectedEof.into())),
        }
    }

    /// A connection, for who wants to say things in pieces.
    pub fn open(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(stream)
    }
}

impl Answer {
    /// Nothing where the answer was cut off.
    pub fn read(text: &str) -> Option<Self> {
        let answer = Self::head(text)?;
        let length = answer.head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        length.is_none_or(|length| length == answer.body.len()).then_some(answer)
    }

    /// Whatever came after the head, as the body.
    fn head(text: &str) -> Option<Self> {
        let (head, body) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        Some(Self { status, head: head.to_owned(), body: body.to_owned() })
    }

    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body as JSON, of an answer that must be a success.
    pub fn json(&self) -> Value {
        assert!(self.is_success(), "{self}");
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self}"))
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.status, self.body)
    }
}
