//! Sockets that outlive the daemon: what comes while it is restarted waits, and is answered.

use std::collections::BTreeSet;
use std::io;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::socket_file;
use crate::dice::number;
use crate::support::client::Client;
use crate::support::daemon::remedyd;
use crate::support::posts::{LIGHT, alert, message};
use crate::support::site::{MAIN, Site};
use crate::support::{SOON, eventually, now};

/// What PID 1 does: it keeps the sockets that it was given and starts the daemon on them, again and again.
const SUPERVISE: &str = r#"
while [ ! -e "$0/enough" ]; do
  sh -c 'echo $$ >"$0/pid"; LISTEN_PID=$$ exec "$@"' "$0" "$@"
done
"#;

/// The daemon behind systemd's sockets.
struct Activated<'a> {
    site: &'a Site,
    supervisor: Child,
}

impl<'a> Activated<'a> {
    fn start(site: &'a Site) -> Self {
        let log = std::fs::File::create(site.path("daemon.log")).unwrap();
        let mut command = Command::new("systemd-socket-activate");
        command.arg(format!("--listen={}", site.daemon_address())).arg(format!("--listen={}", socket(site).display()));
        command.args(["sh", "-c", SUPERVISE]).arg(site.path("")).arg(remedyd().get_program()).arg("serve");
        command.arg(format!("--config.file={}", site.config_file().display()));
        command.arg(format!("--storage.path={}", site.path("data").display()));
        let supervisor = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn().unwrap();
        Self { site, supervisor }
    }

    fn pid(&self) -> Option<Pid> {
        let text = std::fs::read_to_string(self.site.path("pid")).ok()?;
        Pid::from_raw(text.trim().parse().ok()?)
    }

    fn terminate(&self) {
        kill_process(self.pid().expect("it runs"), Signal::TERM).unwrap();
    }

    /// Waits until a daemon is ready that is another one than `before`.
    fn wait_ready(&self, before: Option<Pid>) -> Pid {
        let client = Client::new(self.site.daemon_address());
        eventually(SOON, "another daemon is ready", || {
            // The first connection starts the first one.
            let answer = client.ask("GET", "/-/ready", None).map_err(|error| error.to_string())?;
            match self.pid().filter(|pid| Some(*pid) != before) {
                Some(pid) if answer.status == 200 => Ok(pid),
                Some(_) | None => Err(answer.to_string()),
            }
        })
    }
}

impl Drop for Activated<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.site.read("daemon.log"));
        }
        std::fs::write(self.site.path("enough"), "").unwrap();
        if let Some(pid) = self.pid() {
            let _ = kill_process(pid, Signal::TERM);
        }
        let _ = self.supervisor.kill();
        let _ = self.supervisor.wait();
    }
}

fn socket(site: &Site) -> PathBuf {
    site.path("activated.sock")
}

/// What one client saw.
#[derive(Default)]
struct Seen {
    acknowledged: Mutex<BTreeSet<String>>,
    /// Told to come again.
    again: AtomicUsize,
    errors: Mutex<Vec<io::Error>>,
}

impl Seen {
    /// Posts as Alertmanager does, one message after the other, each until it is taken.
    fn post_until(&self, enough: &AtomicBool, site: &Site, who: usize) {
        let client = Client::new(site.daemon_address());
        for n in 0.. {
            if enough.load(Ordering::Relaxed) {
                return;
            }
            let name = format!("{who}-{n}");
            let mut alert = alert(LIGHT, "nowhere", now(), None);
            alert["labels"]["n"] = name.clone().into();
            let body = message(&[alert]).to_string();
            loop {
                match client.ask("POST", "/api/v1/webhooks/alertmanager", Some(&body)) {
                    Ok(answer) if answer.status == 503 => drop(self.again.fetch_add(1, Ordering::Relaxed)),
                    Ok(answer) => {
                        assert_eq!(answer.status, 200, "{answer}");
                        self.acknowledged.lock().unwrap().insert(name);
                        break;
                    }
                    Err(error) => {
                        self.errors.lock().unwrap().push(error);
                        break;
                    }
                }
                // As every client that is told to come again.
                std::thread::park_timeout(std::time::Duration::from_millis(20));
            }
        }
    }
}

/// The label `n` of every alert that is stored.
pub fn stored(client: &Client) -> BTreeSet<String> {
    let (mut found, mut token) = (BTreeSet::new(), String::new());
    loop {
        let page = client.get(&format!("/api/v1/alerts?page_size=1000{token}")).json();
        let rows = page["alerts"].as_array().unwrap();
        found.extend(rows.iter().filter_map(|row| row["labels"]["n"].as_str()).map(str::to_owned));
        match page["next_page_token"].as_str() {
            Some(next) if page["has_next"] == Value::Bool(true) => token = format!("&page_token={next}"),
            Some(_) | None => return found,
        }
    }
}

#[test]
fn nothing_is_refused_and_nothing_lost_over_restarts_behind_a_socket_unit() {
    let site = Site::webhook_only();
    let activated = Activated::start(&site);
    let mut pid = activated.wait_ready(None);
    let (seen, enough) = (Seen::default(), AtomicBool::new(false));
    let restarts = number("REMEDYD_TEST_RESTARTS", 4);
    std::thread::scope(|scope| {
        for who in 0..4 {
            let (seen, enough, site) = (&seen, &enough, &site);
            scope.spawn(move || seen.post_until(enough, site, who));
        }
        for _ in 0..restarts {
            let count = || seen.acknowledged.lock().unwrap().len();
            let before = count();
            eventually(SOON, "deliveries are taken", || if count() > before + 20 { Ok(()) } else { Err(count()) });
            activated.terminate();
            pid = activated.wait_ready(Some(pid));
        }
        enough.store(true, Ordering::Relaxed);
    });
    let acknowledged = seen.acknowledged.into_inner().unwrap();
    let errors = seen.errors.into_inner().unwrap();
    let stored = stored(&Client::new(site.daemon_address()));
    let lost: Vec<_> = acknowledged.difference(&stored).collect();
    println!(
        "{restarts} restarts, {} deliveries acknowledged, {} lost, {} told to come again, {} connection errors",
        acknowledged.len(),
        lost.len(),
        seen.again.into_inner(),
        errors.len()
    );
    assert!(errors.is_empty() && lost.is_empty(), "{errors:?} {lost:?}");
    let over_file = socket_file::ask(&socket(&site), "GET /-/ready HTTP/1.0\r\nHost: localhost\r\n\r\n");
    assert_eq!(over_file.status, 200, "both sockets are served");
}

#[test]
fn a_socket_unit_that_is_open_to_others_needs_tokens() {
    let site = Site::webhook_only();
    let port = std::net::TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
    let log = site.path("daemon.log");
    let mut command = Command::new("systemd-socket-activate");
    command.arg(format!("--listen=0.0.0.0:{port}")).arg(remedyd().get_program()).arg("serve");
    command.arg(format!("--config.file={}", site.config_file().display()));
    command.arg(format!("--storage.path={}", site.path("data").display()));
    let mut child = command.stdin(Stdio::null()).stderr(std::fs::File::create(log).unwrap()).spawn().unwrap();
    eventually(SOON, "the socket is there", || std::net::TcpStream::connect(("127.0.0.1", port)).map(drop));
    let status = eventually(SOON, "it ends", || child.try_wait().unwrap().ok_or("it runs"));
    let said = site.read("daemon.log");
    assert!(status.code() == Some(3) && said.contains(&format!("{MAIN}:1:1: auth.tokens_file: ")), "{status}: {said}");
}
