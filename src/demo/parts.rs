//! What the program is besides the demo itself, as processes of their own: the driver that the daemon calls, and the
//! daemon that ends with the demo.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};

/// The driver program: carries the call to the machines and their answer back. Exit status 69, where they cannot be
/// reached, says that nobody knows what happened.
pub(super) fn machine(socket: &Path) -> ExitCode {
    match carry(socket) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the machines cannot be reached at {}: {error}", socket.display());
            ExitCode::from(69)
        }
    }
}

fn carry(socket: &Path) -> io::Result<()> {
    let mut call = Vec::new();
    io::stdin().read_to_end(&mut call)?;
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(&call)?;
    stream.shutdown(Shutdown::Write)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    io::stdout().write_all(&answer)
}

/// Becomes `remedyd serve` with these arguments, which gets SIGTERM when the demo ends, however that ends: nothing of a
/// demo outlives it.
pub(super) fn daemon(parent: i32, arguments: &[String]) -> ExitCode {
    let tied = set_parent_process_death_signal(Some(Signal::TERM));
    // Between the start and the line above the demo may have ended already.
    if tied.is_err() || getppid() != Pid::from_raw(parent) {
        return ExitCode::FAILURE;
    }
    let error = match std::env::current_exe() {
        Ok(program) => Command::new(program).arg("serve").args(arguments).exec(),
        Err(error) => error,
    };
    eprintln!("remedyd: cannot run the daemon: {error}");
    ExitCode::FAILURE
}
