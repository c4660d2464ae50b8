//! Real programs as drivers, each with a ledger of its own: the judge of what was called.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::super::tests::call;
use super::*;
use crate::engine::CallVerb;

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(400);

struct Bench {
    commands: Arc<Commands>,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { commands: Arc::new(Commands::new(folder.path().join("operations")).unwrap()), folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// A shell script; `$1` is the folder of the ledger.
    fn script(&self, text: &str) -> Vec<String> {
        let path = self.path("driver");
        fs::write(&path, text).unwrap();
        vec!["/bin/sh".to_owned(), path, self.folder.path().display().to_string()]
    }

    async fn act(&self, argv: &[String], limit: Duration) -> Answer {
        self.commands.carry_out(&call(CallVerb::Act, "op-1"), argv, limit).await
    }

    async fn query(&self, argv: &[String], limit: Duration) -> Answer {
        self.commands.carry_out(&call(CallVerb::Query, "op-1"), argv, limit).await
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn has_lock_file(&self) -> bool {
        Path::new(&self.path("operations/op-1.lock")).exists()
    }
}

async fn until(condition: impl Fn() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(LONG, waiting).await.expect("the condition never came true");
}

#[tokio::test]
async fn a_driver_is_told_everything_on_its_standard_input_and_answers_on_its_last_line() {
    let bench = Bench::new();
    let argv = bench.script(concat!(
        "cat > \"$1/stdin\"; pwd > \"$1/pwd\"; echo working\n",
        "echo '{\"outcome\":\"done\",\"detail\":\"rebooted\",\"generation\":\"2\",\"boot_id\":\"b-9\"}'\n",
    ));
    let answer = bench.act(&argv, LONG).await;
    assert_eq!(
        answer,
        Answer {
            outcome: Outcome::Done,
            detail: "rebooted".to_owned(),
            generation: Some("2".to_owned()),
            boot_id: Some("b-9".to_owned()),
        }
    );
    let expected = json!({
        "verb": "act",
        "operation_key": "op-1",
        "remediation_id": "00000000-0000-0000-0000-000000000007",
        "step": "act",
        "mode": "host_aware",
        "cluster_id": "train-a",
        "instance": {
            "id": "i-7", "name": "gpu-node-7", "host": "h-0042", "provider_id": "vm-1", "generation": "1",
            "addresses": ["127.0.0.7"],
        },
        "reason": "a \"quoted\"\nreason",
        "deadline": "1970-01-01T00:01:00.000000Z",
    });
    assert_eq!(serde_json::from_str::<Value>(&bench.read("stdin")).unwrap(), expected);
    assert_eq!(bench.read("pwd"), "/\n");
    assert!(!bench.has_lock_file(), "a definite answer leaves nothing behind");
}

#[tokio::test]
async fn a_driver_sees_three_variables_and_no_more() {
    let bench = Bench::new();
    let argv = bench.script("tr '\\0' '\\n' < /proc/$$/environ > \"$1/env\"");
    assert_eq!(bench.act(&argv, LONG).await.outcome, Outcome::Done);
    let mut variables: Vec<String> = bench.read("env").lines().map(str::to_owned).collect();
    variables.sort();
    assert_eq!(variables, ["LANG=C.UTF-8".to_owned(), format!("PATH={PATH}"), "REMEDYD_OPERATION_KEY=op-1".to_owned()]);
}

#[tokio::test]
async fn exit_codes_speak_where_words_are_missing() {
    let bench = Bench::new();
    for (script, outcome, detail) in [
        ("exit 0", Outcome::Done, "exit status 0"),
        ("exit 75", Outcome::Transient, "exit status 75"),
        ("exit 69", Outcome::Unknown, "exit status 69"),
        ("echo no such node >&2; exit 1", Outcome::Refused, "exit status 1: no such node"),
        ("kill -9 $$", Outcome::Unknown, "ended by signal 9"),
    ] {
        let answer = bench.act(&bench.script(script), LONG).await;
        assert_eq!((answer.outcome, answer.detail.as_str()), (outcome, detail), "{script}");
    }
}

#[tokio::test]
async fn a_program_that_cannot_be_started_has_done_nothing() {
    let bench = Bench::new();
    let plain_file = bench.path("plain");
    fs::write(&plain_file, "").unwrap();
    for argv in [vec!["/nonexistent/driver".to_owned()], vec![plain_file], vec![]] {
        assert_eq!(bench.act(&argv, LONG).await.outcome, Outcome::Refused, "{argv:?}");
        assert_eq!(bench.query(&argv, LONG).await.outcome, Outcome::Unknown, "{argv:?}");
    }
}

#[tokio::test]
async fn an_operation_key_never_becomes_another_path() {
    let bench = Bench::new();
    let argv = bench.script("echo called >> \"$1/ledger\"");
    for key in ["", "..", "../escape", "a/b", "a b", ".hidden"] {
        let answer = bench.commands.carry_out(&call(CallVerb::Act, key), &argv, LONG).await;
        assert_eq!(answer.outcome, Outcome::Refused, "{key}");
    }
    assert_eq!(bench.read("ledger"), "");
}

#[tokio::test]
async fn at_the_deadline_the_whole_process_group_is_killed_and_the_outcome_is_unknown() {
    let bench = Bench::new();
    let argv = bench.script(concat!(
        "sh -c 'echo $$ > \"$1/grandchild\"; sleep 600; echo survived > \"$1/ledger\"' sh \"$1\" &\n",
        "echo '{\"outcome\":\"transient\"}'; wait\n",
    ));
    let answer = bench.act(&argv, Duration::from_secs(1)).await;
    assert_eq!((answer.outcome, answer.detail.as_str()), (Outcome::Unknown, "no answer before the deadline"));
    let grandchild = bench.read("grandchild");
    let status = format!("/proc/{}/status", grandchild.trim());
    assert!(!grandchild.is_empty());
    // A killed process may stay as a zombie until its new parent reaps it.
    until(|| fs::read_to_string(&status).map_or(true, |status| status.contains("State:\tZ"))).await;
    assert_eq!(bench.read("ledger"), "");
    // Whoever survived would hold the lock, and the question would not be asked.
    let asked = bench.script("echo '{\"outcome\":\"absent\"}'");
    assert_eq!(bench.query(&asked, LONG).await.outcome, Outcome::Absent);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_and_the_act_is_not_repeated() {
    let bench = Bench::new();
    let argv = bench.script(concat!(
        "read -r request\n",
        "case $request in\n",
        "  *'\"verb\":\"act\"'*) echo \"act $REMEDYD_OPERATION_KEY\" >> \"$1/ledger\"; kill -9 $$;;\n",
        "  *) if grep -q \"act $REMEDYD_OPERATION_KEY\" \"$1/ledger\"; then echo '{\"outcome\":\"done\"}'\n",
        "     else echo '{\"outcome\":\"absent\"}'; fi;;\n",
        "esac\n",
    ));
    assert_eq!(bench.query(&argv, LONG).await.outcome, Outcome::Absent);
    assert_eq!(bench.act(&argv, LONG).await.outcome, Outcome::Unknown);
    assert!(bench.has_lock_file());
    assert_eq!(bench.query(&argv, LONG).await.outcome, Outcome::Done);
    assert!(!bench.has_lock_file());
    assert_eq!(bench.read("ledger"), "act op-1\n");
}

#[tokio::test]
async fn a_question_waits_for_the_program_that_an_earlier_daemon_left_behind() {
    let bench = Bench::new();
    let argv = bench.script(concat!(
        "read -r request\n",
        "case $request in\n",
        "  *'\"verb\":\"act\"'*)\n",
        "    echo begun >> \"$1/ledger\"; echo progress; echo progress >&2\n",
        "    until [ -e \"$1/go\" ]; do sleep 0.01; done\n",
        "    echo progress; echo ended >> \"$1/ledger\";;\n",
        "  *) echo asked >> \"$1/ledger\"; echo '{\"outcome\":\"done\"}';;\n",
        "esac\n",
    ));
    {
        // A daemon that dies while its driver works: the future is dropped with its files.
        let mut dying = Box::pin(bench.act(&argv, LONG));
        tokio::select! {
            answer = &mut dying => panic!("answered too early: {answer:?}"),
            () = until(|| bench.read("ledger") == "begun\n") => {}
        }
    }
    let restarted = Bench {
        commands: Arc::new(Commands::new(bench.folder.path().join("operations")).unwrap()),
        folder: bench.folder,
    };
    let in_vain = restarted.query(&argv, SHORT).await;
    assert_eq!(in_vain.outcome, Outcome::Unknown);
    assert!(in_vain.detail.contains("still works"), "{}", in_vain.detail);

    let (answer, ()) = tokio::join!(restarted.query(&argv, LONG), async {
        fs::write(restarted.path("go"), "").unwrap();
    });
    assert_eq!(answer.outcome, Outcome::Done);
    assert_eq!(restarted.read("ledger"), "begun\nended\nasked\n");
}

#[tokio::test]
async fn two_calls_about_one_operation_never_run_at_once() {
    let bench = Bench::new();
    let argv = bench.script("mkdir \"$1/busy\" || exit 1; sleep 0.05; rmdir \"$1/busy\"; echo ran >> \"$1/ledger\"");
    let calls: Vec<_> = (0..6)
        .map(|_| {
            let (commands, argv) = (Arc::clone(&bench.commands), argv.clone());
            tokio::spawn(async move { commands.carry_out(&call(CallVerb::Act, "op-1"), &argv, LONG).await })
        })
        .collect();
    for running in calls {
        assert_eq!(running.await.unwrap().outcome, Outcome::Done);
    }
    assert_eq!(bench.read("ledger"), "ran\n".repeat(6));
}

#[tokio::test]
async fn an_undoing_names_the_operation_and_waits_for_its_act() {
    let bench = Bench::new();
    let argv = bench.script(concat!(
        "read -r request; echo \"begun $REMEDYD_OPERATION_KEY\" >> \"$1/ledger\"\n",
        "case $request in\n",
        "  *'\"verb\":\"act\"'*) until [ -e \"$1/go\" ]; do sleep 0.01; done;;\n",
        "  *'\"verb\":\"undo\"'*) echo undone >> \"$1/ledger\";;\n",
        "  *) exit 64;;\n",
        "esac\n",
    ));
    let undo = call(CallVerb::Undo, "op-1");
    let in_time = async {
        until(|| bench.read("ledger") == "begun op-1\n").await;
        let in_vain = bench.commands.carry_out(&undo, &argv, SHORT).await;
        assert_eq!(in_vain.outcome, Outcome::Unknown, "the act is still at it: {}", in_vain.detail);
        fs::write(bench.path("go"), "").unwrap();
    };
    let (act, ()) = tokio::join!(bench.act(&argv, LONG), in_time);
    assert_eq!(act.outcome, Outcome::Done);
    let answer = bench.commands.carry_out(&undo, &argv, LONG).await;
    assert_eq!(answer, Answer::of(Outcome::Done, "exit status 0"));
    assert_eq!(bench.read("ledger"), "begun op-1\nbegun op-1\nundone\n");
}

#[tokio::test]
async fn only_so_many_programs_run_at_once() {
    let bench = Bench::new();
    let argv = bench.script("exit 0");
    let _all = bench.commands.places.acquire_many(u32::try_from(PROGRAMS).unwrap()).await.unwrap();
    assert_eq!(bench.act(&argv, SHORT).await.outcome, Outcome::Transient);
    assert_eq!(bench.query(&argv, SHORT).await.outcome, Outcome::Unknown);
}

#[tokio::test]
async fn a_flood_of_output_hides_no_answer() {
    let bench = Bench::new();
    let argv = bench.script(concat!(
        "head -c 20000000 /dev/zero | tr '\\0' x; head -c 20000000 /dev/zero | tr '\\0' '\\n' >&2\n",
        "echo; echo '{\"outcome\":\"refused\",\"detail\":\"no\"}'\n",
    ));
    let answer = bench.act(&argv, LONG).await;
    assert_eq!((answer.outcome, answer.detail.as_str()), (Outcome::Refused, "no"));
}

#[tokio::test]
async fn a_driver_that_reads_nothing_is_no_trouble() {
    let bench = Bench::new();
    let mut long = call(CallVerb::Act, "op-1");
    long.reason = "x".repeat(1 << 20);
    let answer = bench.commands.carry_out(&long, &bench.script("exec <&-; exit 0"), LONG).await;
    assert_eq!(answer.outcome, Outcome::Done);
}

#[tokio::test]
async fn binary_garbage_is_no_answer() {
    let bench = Bench::new();
    let answer = bench.act(&bench.script("head -c 100000 /dev/urandom; printf '\\n\\377\\376\\0'; exit 1"), LONG).await;
    assert_eq!(answer.outcome, Outcome::Refused);
    assert!(answer.detail.starts_with("exit status 1"), "{}", answer.detail);
}
