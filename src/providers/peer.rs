//! For tests: a peer that speaks just enough HTTP/1.1 to be asked, answers as it is told and remembers what it heard.

use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the peer heard.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// `POST /path?query`
    pub target: String,
    head: String,
    pub body: String,
}

impl Request {
    /// A header's value; `name` in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(':'));
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
    }
}

/// What the peer says.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    head: String,
    body: String,
    hangs: bool,
}

impl Reply {
    pub(crate) fn status(code: u16) -> Self {
        Self { head: format!("HTTP/1.1 {code} X\r\n"), body: String::new(), hangs: false }
    }

    pub(crate) fn body(text: &str) -> Self {
        Self { body: text.to_owned(), ..Self::status(200) }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self
    }

    /// Takes the request and never answers.
    pub(crate) fn silence() -> Self {
        Self { hangs: true, ..Self::status(200) }
    }
}

/// Listens on a free port of loopback until it is dropped.
pub(crate) struct Peer {
    base: String,
    requests: Arc<Mutex<Vec<Request>>>,
    task: JoinHandle<()>,
}

impl Peer {
    pub(crate) async fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (heard, answer) = (Arc::clone(&requests), Arc::new(answer));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (heard, answer) = (Arc::clone(&heard), Arc::clone(&answer));
                tokio::spawn(async move { serve(stream, &heard, answer.as_ref()).await });
            }
        });
        Self { base, requests, task }
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}{path}", self.base)
    }

    /// Everything heard so far.
    pub(crate) fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One request per connection.
async fn serve(mut stream: TcpStream, heard: &Mutex<Vec<Request>>, answer: &(impl Fn(&Request) -> Reply + Sync)) {
    let mut bytes = Vec::new();
    let request = loop {
        if let Some(request) = whole(&bytes) {
            break request;
        }
        if stream.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
            return;
        }
    };
    heard.lock().unwrap().push(request.clone());
    let Reply { head, body, hangs } = answer(&request);
    if hangs {
        return std::future::pending().await;
    }
    let text = format!("{head}Connection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    // The client may have gone away meanwhile, which is its right.
    let _ = stream.write_all(text.as_bytes()).await;
}

fn whole(bytes: &[u8]) -> Option<Request> {
    let text = std::str::from_utf8(bytes).ok()?;
    let (head, body) = text.split_once("\r\n\r\n")?;
    let mut request = Request { target: String::new(), head: head.to_owned(), body: body.to_owned() };
    let length: usize = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    request.target = head.lines().next()?.trim_end_matches(" HTTP/1.1").to_owned();
    (body.len() >= length).then_some(request)
}
