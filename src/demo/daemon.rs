//! The real daemon as a child: started on the demo's folder, asked over HTTP, stopped by SIGTERM.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use super::DemoError;
use super::site::{START_WITHIN, Site};
use crate::clock::Stopwatch;
use crate::providers::http_client::HttpClient;

/// Where `remedyd serve` listens when nobody says otherwise: what the documentation's commands name.
const USUAL: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 9720);

/// A stop takes 10 s at most (DESIGN §7); what takes longer is killed.
const STOP_WITHIN: Duration = Duration::from_secs(12);

/// Where a demo listens: where it was told to, else the usual place, else wherever there is room.
///
/// # Errors
/// The address that was asked for is taken, or no port is free.
pub(super) fn place(asked: Option<SocketAddr>) -> Result<SocketAddr, DemoError> {
    let bound = match asked {
        Some(address) => TcpListener::bind(address).map_err(|source| DemoError::Address { address, source })?,
        None => TcpListener::bind(USUAL)
            .or_else(|_| TcpListener::bind(SocketAddr::new(USUAL.ip(), 0)))
            .map_err(|source| DemoError::Address { address: USUAL, source })?,
    };
    // Free again for the daemon as soon as this returns.
    bound.local_addr().map_err(|source| DemoError::Address { address: USUAL, source })
}

/// A running daemon.
pub(super) struct Daemon {
    child: Child,
    /// `http://ADDRESS`
    pub url: String,
}

impl Daemon {
    /// Waits until it is ready.
    ///
    /// # Errors
    /// It ends, or is not ready in time; with the end of its log.
    pub(super) async fn ready(&mut self, site: &Site, client: &HttpClient) -> Result<(), DemoError> {
        let since = Stopwatch::start();
        loop {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Err(DemoError::Ended { status, log: site.log_tail() });
            }
            if client.get(&format!("{}/-/ready", self.url), 1024).await.is_ok() {
                return Ok(());
            }
            if since.elapsed() > START_WITHIN {
                return Err(DemoError::NotReady { log: site.log_tail() });
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Starts it.
    ///
    /// # Errors
    /// It cannot be started.
    pub(super) fn spawn(site: &Site, address: SocketAddr) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        // Nothing of our surroundings may configure it.
        command.env_clear().envs(["PATH", "LANG"].iter().filter_map(|name| Some((*name, std::env::var_os(name)?))));
        let parent = std::process::id().to_string();
        command.args(["demo", "daemon", &parent, "--"]);
        command.arg(format!("--web.listen-address={address}")).arg("--config.file").arg(site.config_file());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(site.log())?);
        // A ^C is for us; we say when the daemon stops.
        let child = command.process_group(0).kill_on_drop(true).spawn()?;
        Ok(Self { child, url: format!("http://{address}") })
    }

    /// Waits until it ends, which it should not.
    pub(super) async fn ended(&mut self, site: &Site) -> DemoError {
        match self.child.wait().await {
            Ok(status) => DemoError::Ended { status, log: site.log_tail() },
            Err(source) => DemoError::Io { what: "wait for the daemon", source },
        }
    }

    /// Stops it as an operator would.
    ///
    /// # Errors
    /// It did not end in time, or not well.
    pub(super) async fn stop(mut self, site: &Site) -> Result<(), DemoError> {
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
            // It may have ended by itself in this moment; then there is nobody to tell.
            let _ = kill_process(pid, Signal::TERM);
        }
        match timeout(STOP_WITHIN, self.child.wait()).await {
            // It may not have got so far as to listen for signals.
            Ok(Ok(status)) if status.success() || status.signal() == Some(Signal::TERM.as_raw()) => Ok(()),
            Ok(Ok(status)) => Err(DemoError::Ended { status, log: site.log_tail() }),
            Ok(Err(source)) => Err(DemoError::Io { what: "wait for the daemon", source }),
            Err(_) => Err(DemoError::NotStopped { log: site.log_tail() }),
        }
    }
}
