//! What systemd is told: that the daemon is up, what it is at, and that its writer lives. Without systemd nobody listens,
//! and nothing here fails for it.

use sd_notify::NotifyState;

/// Whether systemd waits for signs of life (`WatchdogSec=`).
pub fn is_watched() -> bool {
    sd_notify::watchdog_enabled().is_some()
}

/// Reads are answered from here on, and this is how it stands.
pub fn ready(status: &str) {
    notify(&[NotifyState::Ready, NotifyState::Status(&one_line(status))]);
}

/// A configuration was read again and is being taken over, or refused; [`reloaded`] follows.
pub fn reloading() {
    // systemd 253 wants to know when, to tell this answer from that to an earlier signal.
    match NotifyState::monotonic_usec_now() {
        Ok(at) => notify(&[NotifyState::Reloading, at]),
        Err(_) => notify(&[NotifyState::Reloading]),
    }
}

/// One configuration or the other is in force.
pub fn reloaded() {
    notify(&[NotifyState::Ready]);
}

/// It ends.
pub fn stopping() {
    notify(&[NotifyState::Stopping, NotifyState::Status("stopping")]);
}

/// The writer lives (where systemd waits for that), and something else is worth saying (where it is).
pub fn turned(is_watched: bool, status: Option<&str>) {
    let status = status.map(one_line);
    match (is_watched, &status) {
        (true, Some(status)) => notify(&[NotifyState::Watchdog, NotifyState::Status(status)]),
        (true, None) => notify(&[NotifyState::Watchdog]),
        (false, Some(status)) => notify(&[NotifyState::Status(status)]),
        (false, None) => {}
    }
}

/// A message to systemd has a line for each of its parts.
fn one_line(status: &str) -> String {
    status.replace(['\n', '\r'], " ")
}

fn notify(states: &[NotifyState<'_>]) {
    // Nobody to tell, or nobody who could do anything about it.
    let _ = sd_notify::notify(states);
}
