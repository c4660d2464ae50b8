//! What a driver's words and exit code mean.
//!
//! In doubt the meaning is `unknown`: that costs a question. Taking a half-heard answer for `done` costs a repair that
//! never happened, and taking it for `transient` costs a second one.

use serde_json::{Map, Value};

use crate::domain::Outcome;
use crate::engine::CallVerb;

/// Enough for a person to see what went wrong, small enough for a row.
const DETAIL_BYTES: usize = 4096;
/// A generation or boot id is a UUID or a number; what is longer is no id.
const ID_BYTES: usize = 256;
/// `EX_TEMPFAIL` of sysexits.h: not ready, nothing happened.
const EXIT_TRANSIENT: i32 = 75;
/// `EX_UNAVAILABLE` of sysexits.h: the backend was lost on the way.
const EXIT_UNKNOWN: i32 = 69;

/// What became of one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// What the driver said, or what its silence means.
    pub outcome: Outcome,
    /// In words: at most 4 KiB, without control characters.
    pub detail: String,
    /// The machine's generation after the act, where the backend tells.
    pub generation: Option<String>,
    /// The machine's boot id after the act, where the backend tells.
    pub boot_id: Option<String>,
}

/// How a program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// By itself, with this code.
    Exit(i32),
    /// By this signal, sent by others or by itself.
    Signal(i32),
    /// By us, at the deadline.
    Deadline,
}

/// What a program left behind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Remains<'a> {
    /// How it ended.
    pub ending: Ending,
    /// The end of its standard output.
    pub stdout: &'a [u8],
    /// Whether there was more output before that.
    pub is_cut: bool,
    /// The end of its standard error.
    pub stderr: &'a [u8],
}

impl Answer {
    pub(super) fn of(outcome: Outcome, detail: impl AsRef<str>) -> Self {
        Self { outcome, detail: plain(detail.as_ref(), DETAIL_BYTES), generation: None, boot_id: None }
    }

    /// The call cannot be made. An act or its undoing has not happened and will not; a question stays open.
    pub(super) fn never(verb: CallVerb, detail: impl AsRef<str>) -> Self {
        match verb {
            CallVerb::Act | CallVerb::Undo => Self::of(Outcome::Refused, detail),
            CallVerb::Query => Self::of(Outcome::Unknown, detail),
        }
    }

    /// The call was not made for want of something that may be there later. A question stays open.
    pub(super) fn not_yet(verb: CallVerb, detail: impl AsRef<str>) -> Self {
        match verb {
            CallVerb::Act | CallVerb::Undo => Self::of(Outcome::Transient, detail),
            CallVerb::Query => Self::of(Outcome::Unknown, detail),
        }
    }

    /// Reads what a program left behind: its last line if that is an answer, else its exit code.
    pub(super) fn read(verb: CallVerb, remains: Remains<'_>) -> Self {
        let code = match remains.ending {
            Ending::Exit(code) => code,
            // A program that was stopped did not choose its last line: `transient` may have been a report of progress.
            Ending::Signal(signal) => {
                return Self::of(Outcome::Unknown, with_stderr(&format!("ended by signal {signal}"), remains.stderr));
            }
            Ending::Deadline => {
                return Self::of(Outcome::Unknown, with_stderr("no answer before the deadline", remains.stderr));
            }
        };
        let text = String::from_utf8_lossy(remains.stdout);
        let line = text.trim_end().rsplit('\n').next().unwrap_or_default().trim();
        if remains.is_cut && !text.trim_end().contains('\n') {
            return Self::of(Outcome::Unknown, format!("the last line of output is too long; exit status {code}"));
        }
        match said(line) {
            Said::Nothing => Self::of(
                match code {
                    0 => Outcome::Done,
                    EXIT_TRANSIENT => Outcome::Transient,
                    EXIT_UNKNOWN => Outcome::Unknown,
                    _ => match verb {
                        CallVerb::Act | CallVerb::Undo => Outcome::Refused,
                        // A question that broke off says nothing about the operation that it was about.
                        CallVerb::Query => Outcome::Unknown,
                    },
                },
                with_stderr(&format!("exit status {code}"), remains.stderr),
            ),
            Said::Garbled(why) => {
                Self::of(Outcome::Unknown, with_stderr(&format!("{why}; exit status {code}"), remains.stderr))
            }
            Said::Answer(Outcome::Absent, _) if verb != CallVerb::Query => Self::of(
                Outcome::Unknown,
                format!("the driver answered `absent` to `{}`, which is no answer to it", verb.as_str()),
            ),
            Said::Answer(outcome, fields) => Self {
                outcome,
                detail: field(&fields, "detail", DETAIL_BYTES).unwrap_or_default(),
                generation: field(&fields, "generation", ID_BYTES),
                boot_id: field(&fields, "boot_id", ID_BYTES),
            },
        }
    }
}

enum Said {
    /// The line is no attempt at an answer.
    Nothing,
    /// It is one, and cannot be understood: the exit code alone could contradict it, so that is not asked.
    Garbled(String),
    Answer(Outcome, Map<String, Value>),
}

fn said(line: &str) -> Said {
    if !line.starts_with('{') {
        return Said::Nothing;
    }
    let fields: Map<String, Value> = match serde_json::from_str(line) {
        Ok(fields) => fields,
        Err(error) => return Said::Garbled(format!("the answer is no JSON object: {error}")),
    };
    // An object without an outcome is a line of a structured log.
    let Some(outcome) = fields.get("outcome") else { return Said::Nothing };
    let known = [Outcome::Done, Outcome::Refused, Outcome::Transient, Outcome::Unknown, Outcome::Absent];
    match known.into_iter().find(|known| outcome.as_str() == Some(known.as_str())) {
        Some(outcome) => Said::Answer(outcome, fields),
        None => Said::Garbled(format!(
            "the answer's outcome {outcome} is none of done, refused, transient, unknown, absent"
        )),
    }
}

/// The text of a field; a number or anything else as it was written.
fn field(fields: &Map<String, Value>, name: &str, limit_bytes: usize) -> Option<String> {
    let text = match fields.get(name)? {
        Value::Null => return None,
        Value::String(text) => plain(text, limit_bytes),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => {
            plain(&other.to_string(), limit_bytes)
        }
    };
    (!text.is_empty()).then_some(text)
}

fn with_stderr(what: &str, stderr: &[u8]) -> String {
    let words = String::from_utf8_lossy(stderr);
    match words.trim() {
        "" => what.to_owned(),
        words => format!("{what}: {words}"),
    }
}

/// Escapes control characters, which could forge log lines and terminal output, and cuts at a character.
fn plain(text: &str, limit_bytes: usize) -> String {
    let mut plain = String::with_capacity(text.len().min(limit_bytes));
    for character in text.chars() {
        let before = plain.len();
        if character.is_control() {
            plain.extend(character.escape_default());
        } else {
            plain.push(character);
        }
        if plain.len() > limit_bytes {
            plain.truncate(before);
            break;
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(verb: CallVerb, ending: Ending, stdout: &str) -> Answer {
        Answer::read(verb, Remains { ending, stdout: stdout.as_bytes(), is_cut: false, stderr: b"" })
    }

    fn exit(code: i32, stdout: &str) -> Outcome {
        read(CallVerb::Act, Ending::Exit(code), stdout).outcome
    }

    #[test]
    fn without_an_answer_the_exit_code_decides() {
        for silence in ["", "\n\n", "working\n", "{\"level\":\"info\"}\n", "[1]\n"] {
            assert_eq!(exit(0, silence), Outcome::Done, "{silence:?}");
            assert_eq!(exit(75, silence), Outcome::Transient, "{silence:?}");
            assert_eq!(exit(69, silence), Outcome::Unknown, "{silence:?}");
            for code in [1, 2, 64, 70, 76, 127, 255] {
                assert_eq!(exit(code, silence), Outcome::Refused, "{silence:?} {code}");
                let question = read(CallVerb::Query, Ending::Exit(code), silence);
                assert_eq!(question.outcome, Outcome::Unknown, "{silence:?} {code}");
            }
        }
    }

    #[test]
    fn an_undoing_is_read_as_an_act_is() {
        for (code, outcome) in
            [(0, Outcome::Done), (64, Outcome::Refused), (75, Outcome::Transient), (69, Outcome::Unknown)]
        {
            assert_eq!(read(CallVerb::Undo, Ending::Exit(code), "").outcome, outcome, "{code}");
        }
        let refused = "{\"outcome\":\"refused\",\"detail\":\"a reboot cannot be undone\"}";
        let answer = read(CallVerb::Undo, Ending::Exit(0), refused);
        assert_eq!(answer, Answer::of(Outcome::Refused, "a reboot cannot be undone"));
        assert_eq!(read(CallVerb::Undo, Ending::Deadline, refused).outcome, Outcome::Unknown);
        assert_eq!(Answer::never(CallVerb::Undo, "").outcome, Outcome::Refused);
        assert_eq!(Answer::not_yet(CallVerb::Undo, "").outcome, Outcome::Transient);
    }

    #[test]
    fn an_answer_outweighs_the_exit_code() {
        let answer = read(
            CallVerb::Act,
            Ending::Exit(1),
            "noise\n{\"outcome\":\"done\",\"detail\":\"ok\",\"generation\":2,\"boot_id\":\"b\"}\r\n \n",
        );
        let expected = Answer {
            generation: Some("2".to_owned()),
            boot_id: Some("b".to_owned()),
            ..Answer::of(Outcome::Done, "ok")
        };
        assert_eq!(answer, expected);
        assert_eq!(exit(0, "{\"outcome\":\"refused\"}"), Outcome::Refused);
    }

    #[test]
    fn a_garbled_answer_is_unknown_whatever_the_exit_code() {
        for garbled in ["{\"outcome\":\"ref", "{\"outcome\":\"ok\"}", "{\"outcome\":5}", "{\"outcome\":null}", "{}}"] {
            assert_eq!(exit(0, garbled), Outcome::Unknown, "{garbled}");
            assert_eq!(exit(1, garbled), Outcome::Unknown, "{garbled}");
        }
    }

    #[test]
    fn only_a_question_is_answered_absent() {
        let absent = "{\"outcome\":\"absent\"}";
        assert_eq!(read(CallVerb::Query, Ending::Exit(0), absent).outcome, Outcome::Absent);
        for verb in [CallVerb::Act, CallVerb::Undo] {
            assert_eq!(read(verb, Ending::Exit(0), absent).outcome, Outcome::Unknown, "{verb:?}");
        }
    }

    #[test]
    fn who_was_stopped_has_no_last_word() {
        for ending in [Ending::Deadline, Ending::Signal(9)] {
            assert_eq!(read(CallVerb::Act, ending, "{\"outcome\":\"transient\"}\n").outcome, Outcome::Unknown);
        }
    }

    #[test]
    fn a_last_line_whose_beginning_is_lost_is_unknown() {
        let remains = Remains { ending: Ending::Exit(0), stdout: b"used\"}\n", is_cut: true, stderr: b"" };
        assert_eq!(Answer::read(CallVerb::Act, remains).outcome, Outcome::Unknown);
        let remains = Remains { stdout: b"xxx\n{\"outcome\":\"done\"}\n", ..remains };
        assert_eq!(Answer::read(CallVerb::Act, remains).outcome, Outcome::Done);
    }

    #[test]
    fn details_are_short_and_plain() {
        let remains =
            Remains { ending: Ending::Exit(3), stdout: &[0xff, 0], is_cut: false, stderr: b"a\n\x1b[2Jb\xfe" };
        let answer = Answer::read(CallVerb::Act, remains);
        assert_eq!(answer.detail, "exit status 3: a\\n\\u{1b}[2Jb\u{fffd}");
        let long = format!("{{\"outcome\":\"done\",\"detail\":\"{}\"}}", "ä".repeat(5000));
        let answer = read(CallVerb::Act, Ending::Exit(0), &long);
        assert_eq!(answer.detail, "ä".repeat(2048));
    }
}
