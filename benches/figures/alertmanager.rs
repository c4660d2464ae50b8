//! Debian's Alertmanager, with a route that tells nobody.

use std::net::SocketAddr;

use tempfile::TempDir;

use super::http::Connection;
use super::measured::{MEASURED, Process};
use super::site::{free_address, wait};

/// It, in a process of its own.
pub struct Alertmanager {
    pub process: Process,
    pub at: SocketAddr,
    _folder: TempDir,
}

impl Alertmanager {
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("alertmanager.yml");
        std::fs::write(&config, "route:\n  receiver: nobody\nreceivers:\n  - name: nobody\n").unwrap();
        let at = free_address();
        let arguments = [
            format!("--config.file={}", config.display()),
            format!("--storage.path={}", folder.path().join("data").display()),
            format!("--web.listen-address={at}"),
            "--cluster.listen-address=".to_owned(),
            "--log.level=error".to_owned(),
        ];
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let process = Process::start(MEASURED, "prometheus-alertmanager", &arguments);
        let is_ready = || async {
            let Ok(mut connection) = Connection::try_open(at).await else { return false };
            connection.get("/-/ready").await.0 == 200
        };
        wait(is_ready).await;
        Self { process, at, _folder: folder }
    }
}
