//! Stands between two programs, passes everything on, and remembers what was asked.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// Relays connections until the test ends.
pub struct Relay {
    asked: Arc<Mutex<Vec<String>>>,
}

impl Relay {
    pub fn start(here: SocketAddr, there: SocketAddr) -> Self {
        let listener = TcpListener::bind(here).unwrap();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let seen = Arc::clone(&asked);
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let seen = Arc::clone(&seen);
                // Who is not there refuses the client as well.
                let Ok(server) = TcpStream::connect(there) else { continue };
                let (back_from, back_to) = (server.try_clone().unwrap(), client.try_clone().unwrap());
                std::thread::spawn(move || pass(back_from, back_to, |_| {}));
                std::thread::spawn(move || pass(client, server, |piece| note(&seen, piece)));
            }
        });
        Self { asked }
    }

    /// The request lines so far that begin like this.
    pub fn asked(&self, start: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|line| line.starts_with(start)).count()
    }
}

/// Our clients send a request that has no body in one piece.
fn note(asked: &Mutex<Vec<String>>, piece: &[u8]) {
    let text = String::from_utf8_lossy(piece);
    if let Some(line) = text.lines().next().filter(|line| line.ends_with(" HTTP/1.1")) {
        asked.lock().unwrap().push(line.to_owned());
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, mut note: impl FnMut(&[u8])) {
    let mut piece = [0; 16 * 1024];
    let mut pass = || -> io::Result<bool> {
        let size = from.read(&mut piece)?;
        note(&piece[..size]);
        to.write_all(&piece[..size])?;
        Ok(size > 0)
    };
    while matches!(pass(), Ok(true)) {}
    // The other side may have gone already.
    let _ = to.shutdown(Shutdown::Write);
}
