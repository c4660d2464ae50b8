//! What is probed: it takes every connection on every address, and answers what asks for a page.

use std::io::Write;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use super::super::measured::{OTHERS, Process};

/// It, in a process of its own.
pub struct Listener {
    _process: Process,
    /// Where it listens, on all addresses.
    pub port: u16,
}

impl Listener {
    pub fn start() -> Self {
        let mut process = Process::in_role(OTHERS, &["as-listener"]);
        let port = process.line().parse().unwrap();
        Self { _process: process, port }
    }
}

/// The role itself.
pub fn listen() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("0.0.0.0:0".parse().unwrap()).unwrap();
        let listener = socket.listen(4096).unwrap();
        println!("{}", listener.local_addr().unwrap().port());
        std::io::stdout().flush().unwrap();
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream));
            }
        }
    });
}

/// One request, one page, and the end; the shortest that all clients take.
async fn answer(mut stream: TcpStream) {
    let mut request = [0; 2048];
    if stream.read(&mut request).await.is_ok_and(|read| read > 0) {
        let page = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nConnection: close\r\n\r\nok\n";
        let _ = stream.write_all(page).await;
    }
}
