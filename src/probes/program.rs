//! Runs one program to its end or to its deadline, and leaves nothing of it behind.
//!
//! It has a process group of its own, which is killed as a whole when the program ends, is over its time, says too much, or
//! is no longer waited for: what it started does not outlive it. Its environment is what it is given, and no more.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tokio::io::unix::AsyncFd;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;

/// How much a program may say on each of its outputs; one that says more is killed.
const SAID_BYTES: u64 = 256 * 1024;
/// A killed program is gone at once, unless the kernel holds it, and so are the outputs that it shared with what it started,
/// unless that left the group. Neither is waited for longer than this.
const GONE_WITHIN: Duration = Duration::from_millis(500);
/// Where a program finds its tools, whoever started the daemon.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// What is run.
#[derive(Clone, Copy, Debug)]
pub(super) struct Program<'a> {
    /// Where it is.
    pub(super) path: &'a Path,
    /// Its arguments.
    pub(super) arguments: &'a [String],
    /// A variable of its environment besides `PATH` and `LANG`.
    pub(super) variable: (&'static str, &'a str),
    /// What it reads on its standard input.
    pub(super) input: &'a [u8],
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// By itself, with this code.
    Exit(i32),
    /// By this signal, sent by others or by itself.
    Signal(i32),
    /// By us, at the deadline.
    Deadline,
    /// By us, because it said too much.
    Flood,
}

/// What it left behind.
#[derive(Debug)]
pub(super) struct Remains {
    /// How it ended.
    pub(super) ending: Ending,
    /// Its standard output.
    pub(super) stdout: Vec<u8>,
    /// Its standard error.
    pub(super) stderr: Vec<u8>,
}

/// Runs it, for `timeout` at most.
///
/// # Errors
/// Where it cannot be started.
pub(super) async fn run(program: Program<'_>, timeout: Duration) -> io::Result<Remains> {
    let mut child = Command::new(program.path)
        .args(program.arguments)
        .env_clear()
        .env("PATH", PATH)
        .env("LANG", "C.UTF-8")
        .env(program.variable.0, program.variable.1)
        .current_dir("/")
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    let pid = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
    let pid = pid.ok_or_else(|| io::Error::other("it has no process id"))?;
    let group = Group(pid);
    // Its end is seen before it is reaped: until then its number is its own, and the group can be killed by it.
    #[expect(deprecated, reason = "what it warns of, a descriptor that closes too early, an `OwnedFd` rules out")]
    let ended = AsyncFd::new(pidfd_open(pid, PidfdFlags::empty())?)?;
    let (mut stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut said, mut warned) = (Vec::new(), Vec::new());
    let mut outputs = Box::pin(async {
        let feed = async {
            if let Some(mut pipe) = stdin.take() {
                // Who answers without reading need not read.
                let _ = pipe.write_all(program.input).await;
            }
        };
        let read = async { tokio::try_join!(take(stdout, &mut said), take(stderr, &mut warned)) };
        tokio::join!(feed, read).1
    });
    let mut deadline = Box::pin(tokio::time::sleep(timeout));
    let mut is_read = false;
    let stopped = loop {
        tokio::select! {
            biased;
            readable = ended.readable() => break readable.map(|_| None)?,
            () = &mut deadline => break Some(Ending::Deadline),
            read = &mut outputs, if !is_read => match read {
                Ok(_) => is_read = true,
                Err(_) => break Some(Ending::Flood),
            },
        }
    };
    drop(group);
    // What it had said is in the pipes, whose other ends are closed unless somebody left the group with them.
    let is_flood = !is_read
        && stopped != Some(Ending::Flood)
        && matches!(tokio::time::timeout(GONE_WITHIN, &mut outputs).await, Ok(Err(_)));
    drop(outputs);
    let reaped = tokio::time::timeout(GONE_WITHIN, child.wait()).await;
    let ending = match (stopped, reaped) {
        (Some(stopped), _) => stopped,
        (None, _) if is_flood => Ending::Flood,
        (None, Ok(status)) => of_status(status?),
        (None, Err(_)) => Ending::Deadline,
    };
    Ok(Remains { ending, stdout: said, stderr: warned })
}

/// All that comes, up to the limit.
async fn take(pipe: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) -> io::Result<()> {
    let Some(pipe) = pipe else { return Ok(()) };
    let taken = pipe.take(SAID_BYTES + 1).read_to_end(into).await?;
    if taken as u64 > SAID_BYTES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(()) }
}

fn of_status(status: ExitStatus) -> Ending {
    match (status.code(), status.signal()) {
        (Some(code), _) => Ending::Exit(code),
        (None, signal) => Ending::Signal(signal.unwrap_or_default()),
    }
}

/// A process group whose leader is not reaped yet; killed where this goes.
struct Group(Pid);

impl Drop for Group {
    fn drop(&mut self) {
        // There is nobody left to kill where it fails.
        let _ = kill_process_group(self.0, Signal::KILL);
    }
}

#[cfg(test)]
mod tests;
