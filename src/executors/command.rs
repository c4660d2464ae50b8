//! The driver that runs a program of the operator's: fixed arguments, no shell, the call as JSON on its standard input.
//!
//! One program per operation key at a time, across restarts (see `operation`). At its deadline the program is killed with
//! its whole process group, and the outcome is `unknown`. Dropping the future leaves the program alone: a daemon that
//! stops must not cut off a repair.

use std::fs::File;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::pin::Pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Serialize;
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::Sleep;

use super::Answer;
use super::answer::{Ending, Remains};
use super::operation::{Folder, Lock, Output};
use crate::domain::Outcome;
use crate::engine::Call;

/// More programs at once than any cluster's limits start; keeps a mistake in those from filling the process table.
const PROGRAMS: usize = 32;
/// Where a driver finds its tools, whoever started the daemon.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How much of the output may hold the answer.
const STDOUT_BYTES: u64 = 64 * 1024;
/// How much of the standard error a person gets to read.
const STDERR_BYTES: u64 = 2 * 1024;
/// How often the output of a running program is trimmed.
const TRIM_EVERY: Duration = Duration::from_millis(500);
/// A killed program is gone at once, unless the kernel holds it; it is not waited for longer than this.
const REAP_WITHIN: Duration = Duration::from_secs(5);
/// The first and the longest pause between two tries for a lock.
const LOCK_PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(500));

/// Runs programs.
#[derive(Debug)]
pub(super) struct Commands {
    folder: Folder,
    places: Semaphore,
}

impl Commands {
    pub(super) fn new(operations_dir: PathBuf) -> io::Result<Self> {
        Ok(Self { folder: Folder::open(operations_dir)?, places: Semaphore::new(PROGRAMS) })
    }

    /// Runs the program `argv` for one call; it and every wait before it end within `limit`.
    pub(super) async fn carry_out(&self, call: &Call, argv: &[String], limit: Duration) -> Answer {
        let verb = call.verb;
        if !is_file_name(&call.operation_key) {
            return Answer::never(verb, "the operation key is no file name");
        }
        let mut deadline = Box::pin(tokio::time::sleep(limit));
        let lock = tokio::select! {
            lock = self.lock(&call.operation_key) => match lock {
                Ok(lock) => lock,
                Err(error) => return Answer::not_yet(verb, format!("the operation cannot be locked: {error}")),
            },
            // Whoever holds it works on this very operation: what becomes of it is open.
            () = &mut deadline => {
                return Answer::of(Outcome::Unknown, "a program that was started earlier still works on this operation");
            }
        };
        let place = tokio::select! {
            place = self.places.acquire() => place.ok(),
            () = &mut deadline => None,
        };
        let answer = match place {
            Some(_place) => self.run(call, argv, &lock, deadline.as_mut()).await,
            None => Answer::not_yet(verb, format!("{PROGRAMS} programs run already")),
        };
        // After an unknown outcome the file stays, with what the program said, until the same operation is asked about.
        if answer.outcome != Outcome::Unknown
            && let Err(error) = blocking(move || lock.release()).await
        {
            tracing::warn!(operation_key = call.operation_key, %error, "a lock file could not be removed: {error}");
        }
        answer
    }

    /// Waits for the lock of `key`. Nobody wakes a waiter, as the holder may be an orphan: so it tries again and again.
    async fn lock(&self, key: &str) -> io::Result<Lock> {
        let (mut pause, longest) = LOCK_PAUSE;
        loop {
            let (folder, key) = (self.folder.clone(), key.to_owned());
            if let Some(lock) = blocking(move || folder.try_lock(&key)).await? {
                return Ok(lock);
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(longest);
        }
    }

    async fn run(&self, call: &Call, argv: &[String], lock: &Lock, deadline: Pin<&mut Sleep>) -> Answer {
        let files = self.prepare(call).await;
        let (stdin, stdout) = match files {
            Ok(files) => files,
            Err(error) => return Answer::not_yet(call.verb, format!("the call cannot be written down: {error}")),
        };
        let child = match spawn(argv, &call.operation_key, stdin.into(), &stdout, &lock.stderr) {
            Ok(child) => child,
            Err(error) => {
                let detail = format!("`{}` cannot be started: {error}", argv.first().map_or("", String::as_str));
                return if is_passing(&error) {
                    Answer::not_yet(call.verb, detail)
                } else {
                    Answer::never(call.verb, detail)
                };
            }
        };
        let ended = wait(child, deadline, [&stdout, &lock.stderr]).await;
        let read = ended.and_then(|ending| Ok((ending, stdout.tail(STDOUT_BYTES)?, lock.stderr.tail(STDERR_BYTES)?)));
        match read {
            Ok((ending, (stdout, is_cut), (stderr, _))) => {
                Answer::read(call.verb, Remains { ending, stdout: &stdout, is_cut, stderr: &stderr })
            }
            Err(error) => Answer::of(Outcome::Unknown, format!("what the program answered cannot be read: {error}")),
        }
    }

    async fn prepare(&self, call: &Call) -> io::Result<(File, Output)> {
        let (folder, key, request) = (self.folder.clone(), call.operation_key.clone(), request(call)?);
        blocking(move || Ok((folder.input(&key, &request)?, folder.output(&key)?))).await
    }
}

/// Keys are made by the engine of letters, digits and hyphens; anything else must not become a path.
fn is_file_name(key: &str) -> bool {
    let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    (1..=200).contains(&key.len()) && plain && !key.starts_with('.')
}

/// Whether the machine lacked something for a moment. What else keeps a program from starting needs a person.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{ExecutableFileBusy, Interrupted, OutOfMemory, ResourceBusy, StorageFull, WouldBlock};
    let kind = error.kind();
    let passing = [ExecutableFileBusy, Interrupted, OutOfMemory, ResourceBusy, StorageFull, WouldBlock];
    let too_many_files = [rustix::io::Errno::MFILE, rustix::io::Errno::NFILE].map(|errno| Some(errno.raw_os_error()));
    passing.contains(&kind) || too_many_files.contains(&error.raw_os_error())
}

fn spawn(argv: &[String], key: &str, stdin: Stdio, stdout: &Output, stderr: &Output) -> io::Result<Child> {
    let (program, arguments) = argv.split_first().ok_or(io::ErrorKind::NotFound)?;
    Command::new(program)
        .args(arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .env("REMEDYD_OPERATION_KEY", key)
        .current_dir("/")
        .process_group(0)
        .stdin(stdin)
        .stdout(stdout.for_child()?)
        .stderr(stderr.for_child()?)
        .spawn()
}

/// Waits until the program ends or its deadline passes, and keeps its output within bounds meanwhile.
async fn wait(mut child: Child, mut deadline: Pin<&mut Sleep>, outputs: [&Output; 2]) -> io::Result<Ending> {
    loop {
        tokio::select! {
            biased;
            status = child.wait() => return Ok(ending(status?)),
            () = &mut deadline => break,
            () = tokio::time::sleep(TRIM_EVERY) => outputs.into_iter().for_each(Output::trim),
        }
    }
    // The child is not reaped yet, so its number is still its own.
    let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    if let Some(group) = group {
        kill_process_group(group, Signal::KILL)?;
    }
    match tokio::time::timeout(REAP_WITHIN, child.wait()).await {
        Ok(status) => status.map(|_| Ending::Deadline),
        Err(_) => Ok(Ending::Deadline),
    }
}

fn ending(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Exit(code),
        (None, signal) => Ending::Signal(signal.unwrap_or_default()),
    }
}

/// Runs file operations where they hold up nobody.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// What a program reads on its standard input (DESIGN §7), as one line.
#[derive(Serialize)]
struct Request<'a> {
    verb: &'a str,
    operation_key: &'a str,
    remediation_id: String,
    step: &'a str,
    mode: &'a str,
    cluster_id: &'a str,
    instance: RequestInstance<'a>,
    reason: &'a str,
    deadline: String,
}

#[derive(Serialize)]
struct RequestInstance<'a> {
    id: &'a str,
    name: &'a str,
    host: &'a str,
    provider_id: &'a str,
    generation: &'a str,
    addresses: &'a [String],
}

fn request(call: &Call) -> io::Result<Vec<u8>> {
    let target = &call.target;
    let mut line = serde_json::to_vec(&Request {
        verb: call.verb.as_str(),
        operation_key: &call.operation_key,
        remediation_id: call.remediation_id.to_string(),
        step: call.step.as_str(),
        mode: call.mode.as_str(),
        cluster_id: target.cluster_id.as_str(),
        instance: RequestInstance {
            id: target.instance_id.as_str(),
            name: &target.instance_name,
            host: target.host_id.as_str(),
            provider_id: &target.provider_id,
            generation: &target.generation,
            addresses: &call.addresses,
        },
        reason: &call.reason,
        deadline: call.deadline.to_string(),
    })?;
    line.push(b'\n');
    Ok(line)
}

#[cfg(test)]
mod tests;
