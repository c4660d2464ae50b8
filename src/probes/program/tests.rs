//! Real programs, most of them with bad manners.

use std::fs;
use std::sync::LazyLock;

use super::*;
use crate::clock::Stopwatch;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(300);
static SHELL: LazyLock<&Path> = LazyLock::new(|| Path::new("/bin/sh"));

/// Runs a shell script; `$1` is the folder.
async fn shell(script: &str, folder: &Path, timeout: Duration) -> Remains {
    let arguments = ["-c", script, "sh", folder.to_str().unwrap()].map(str::to_owned);
    let program =
        Program { path: *SHELL, arguments: &arguments, variable: ("REMEDYD_CHECK", "gpus"), input: b"hello\n" };
    run(program, timeout).await.unwrap()
}

fn is_alive(pid: &str) -> bool {
    // One that nobody has reaped is no more.
    fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.expect("the condition never came true");
}

fn pids(folder: &Path) -> Vec<String> {
    fs::read_to_string(folder.join("pids")).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_program_is_fed_and_heard() {
    let folder = tempfile::tempdir().unwrap();
    let remains = shell("cat; echo trouble >&2; pwd; exit 7", folder.path(), LONG).await;
    assert_eq!(remains.ending, Ending::Exit(7));
    assert_eq!(remains.stdout, b"hello\n/\n");
    assert_eq!(remains.stderr, b"trouble\n");
    let remains = shell("tr '\\0' '\\n' < /proc/$$/environ | sort", folder.path(), LONG).await;
    let variables = format!("LANG=C.UTF-8\nPATH={PATH}\nREMEDYD_CHECK=gpus\n");
    assert_eq!(String::from_utf8(remains.stdout).unwrap(), variables);
    let remains = shell("head -c 200000 /dev/zero; exec <&-; kill -9 $$", folder.path(), LONG).await;
    assert_eq!((remains.ending, remains.stdout.len()), (Ending::Signal(9), 200_000));
}

#[tokio::test]
async fn one_that_hangs_is_killed_with_all_that_it_started() {
    let folder = tempfile::tempdir().unwrap();
    let stubborn = concat!(
        "trap '' TERM INT HUP\n",
        "sh -c 'trap \"\" TERM; sleep 600 & echo $! >> \"$1/pids\"; echo $$ >> \"$1/pids\"; wait' sh \"$1\" &\n",
        "echo $$ >> \"$1/pids\"; echo begun; while :; do sleep 600; done",
    );
    let began = Stopwatch::start();
    let remains = shell(stubborn, folder.path(), Duration::from_secs(3)).await;
    assert_eq!(remains.ending, Ending::Deadline);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert_eq!(remains.stdout, b"begun\n");
    let started = pids(folder.path());
    assert_eq!(started.len(), 3, "{started:?}");
    until(|| !started.iter().any(|pid| is_alive(pid))).await;
}

#[tokio::test]
async fn one_that_hangs_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let hung = shell("sleep 600", folder.path(), LONG);
    let other = async {
        for _ in 0..5 {
            assert_eq!(shell("exit 0", folder.path(), LONG).await.ending, Ending::Exit(0));
        }
    };
    tokio::select! {
        _ = hung => panic!("it came to an end"),
        () = other => {}
    }
}

#[tokio::test]
async fn one_that_nobody_waits_for_any_more_goes() {
    let folder = tempfile::tempdir().unwrap();
    let begun = || pids(folder.path()).len() == 2;
    tokio::select! {
        _ = shell("sleep 600 & echo $! >> \"$1/pids\"; echo $$ >> \"$1/pids\"; wait", folder.path(), LONG) => panic!("it ended"),
        () = until(begun) => {}
    }
    let started = pids(folder.path());
    until(|| !started.iter().any(|pid| is_alive(pid))).await;
}

#[tokio::test]
async fn what_a_program_left_running_goes_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let remains = shell("sleep 600 & echo $! >> \"$1/pids\"; echo done", folder.path(), LONG).await;
    assert_eq!((remains.ending, &*remains.stdout), (Ending::Exit(0), &b"done\n"[..]));
    let started = pids(folder.path());
    until(|| !is_alive(&started[0])).await;
}

#[tokio::test]
async fn one_that_left_the_group_with_the_output_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    // It has left once its number is written: `setsid` runs the shell that writes it.
    let script = "setsid sh -c 'echo $$ > \"$1/pids\"; exec sleep 600' sh \"$1\" & until [ -s \"$1/pids\" ]; do :; done; echo done";
    let began = Stopwatch::start();
    let remains = shell(script, folder.path(), LONG).await;
    assert_eq!((remains.ending, &*remains.stdout), (Ending::Exit(0), &b"done\n"[..]));
    assert!(began.elapsed() < LONG);
    let left = pids(folder.path())[0].parse().ok().and_then(Pid::from_raw).unwrap();
    rustix::process::kill_process(left, Signal::KILL).unwrap();
}

#[tokio::test]
async fn one_that_says_too_much_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    for script in ["yes", "yes >&2", "yes; true", "head -c 300000 /dev/zero"] {
        let remains = shell(script, folder.path(), LONG).await;
        assert_eq!(remains.ending, Ending::Flood, "{script}");
        assert!(remains.stdout.len() as u64 <= SAID_BYTES + 1, "{script}");
    }
}

#[tokio::test]
async fn one_that_cannot_be_started_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let plain = folder.path().join("plain");
    fs::write(&plain, "").unwrap();
    for path in [Path::new("/nonexistent/probe"), &plain, folder.path()] {
        let program = Program { path, arguments: &[], variable: ("A", "b"), input: b"" };
        assert!(run(program, SHORT).await.is_err(), "{}", path.display());
    }
}
