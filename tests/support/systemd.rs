//! systemd's end of `NOTIFY_SOCKET`: what the daemon tells it, in order.

use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{SOON, eventually};

/// A socket that is always read: who writes to one that is full would wait.
pub struct Systemd {
    folder: tempfile::TempDir,
    said: Arc<Mutex<Vec<String>>>,
}

impl Systemd {
    /// Listens.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        let said: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = Arc::clone(&said);
        // It ends with the test's process.
        std::thread::spawn(move || {
            let mut bytes = vec![0; 64 * 1024];
            while let Ok(n) = socket.recv(&mut bytes) {
                heard.lock().unwrap().push(String::from_utf8_lossy(&bytes[..n]).into_owned());
            }
        });
        Self { folder, said }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("notify")
    }

    /// Puts a daemon that is to be started under it, with a watchdog of that length.
    pub fn watch(&self, command: &mut Command, watchdog: Duration) {
        command.env("NOTIFY_SOCKET", self.socket()).env("WATCHDOG_USEC", watchdog.as_micros().to_string());
    }

    /// How many messages there were so far.
    pub fn count(&self) -> usize {
        self.said.lock().unwrap().len()
    }

    /// How often a line was said, the first `after` messages aside.
    pub fn times(&self, line: &str, after: usize) -> usize {
        self.said
            .lock()
            .unwrap()
            .iter()
            .skip(after)
            .filter(|said| said.lines().any(|one| one.starts_with(line)))
            .count()
    }

    /// Waits for a message with a line that begins so, the first `after` messages aside; says which message that was.
    pub fn wait(&self, line: &str, after: usize) -> usize {
        eventually(SOON, &format!("systemd is told {line}"), || {
            let said = self.said.lock().unwrap();
            let found = said.iter().skip(after).position(|said| said.lines().any(|one| one.starts_with(line)));
            found.map(|n| after + n + 1).ok_or_else(|| format!("{:?}", &said[after.min(said.len())..]))
        })
    }
}
