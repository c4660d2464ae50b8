//! What `strace -f -tt -y` writes, as system calls: each from the line at which it began to the line at which it ended.
//!
//! strace sees the threads one event at a time. A call that ended in an earlier line than another began had ended before
//! it, whatever the threads did in between.

use std::collections::BTreeMap;

/// A system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    pub thread: u32,
    pub name: String,
    /// What its first argument stands for: the path of a file, or `socket:[…]`.
    pub on: String,
    /// As the trace shows them.
    pub arguments: String,
    /// Nothing where the trace does not tell.
    pub result: Option<i64>,
    /// The line at which it began, from 0.
    pub began: usize,
    /// The line at which it ended; where the trace ended before it, beyond every line.
    pub ended: usize,
}

/// Every call of a trace, in the order in which they began.
pub fn calls(trace: &str) -> Vec<Call> {
    let (mut under_way, mut calls) = (BTreeMap::<u32, (usize, &str)>::new(), Vec::new());
    for (at, line) in trace.lines().enumerate() {
        let Some((thread, text)) = split(line) else { continue };
        let unfinished = ["<unfinished ...>", "<detached ...>"].iter().find_map(|end| text.strip_suffix(end));
        if let Some(begun) = unfinished {
            under_way.insert(thread, (at, begun));
        } else if let Some((_, rest)) = text.strip_prefix("<... ").and_then(|text| text.split_once(" resumed>")) {
            // What was under way when strace came has no beginning.
            let begun = under_way.remove(&thread);
            calls.extend(begun.and_then(|(began, begun)| read(thread, (began, at), &format!("{begun}{rest}"))));
        } else {
            calls.extend(read(thread, (at, at), text));
        }
    }
    calls.extend(under_way.into_iter().filter_map(|(thread, (at, begun))| read(thread, (at, usize::MAX), begun)));
    calls.sort_by_key(|call| call.began);
    calls
}

/// The thread of a line, and what follows its time.
fn split(line: &str) -> Option<(u32, &str)> {
    let (thread, rest) = line.split_once(' ')?;
    let (time, text) = rest.trim_start().split_once(' ')?;
    time.contains(':').then_some((thread.parse().ok()?, text))
}

fn read(thread: u32, (began, ended): (usize, usize), text: &str) -> Option<Call> {
    let (name, rest) = text.split_once('(')?;
    if !name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_') {
        return None;
    }
    let (arguments, result) = match rest.rsplit_once(" = ") {
        Some((arguments, result)) if ended != usize::MAX => {
            (arguments.trim_end(), result.split(' ').next().and_then(|number| number.parse().ok()))
        }
        Some(_) | None => (rest, None),
    };
    let on = on(arguments).unwrap_or_default().to_owned();
    Some(Call { thread, name: name.to_owned(), on, arguments: arguments.to_owned(), result, began, ended })
}

/// What stands between `12<` and `>`; the arrow between the ends of a connection ends nothing.
fn on(arguments: &str) -> Option<&str> {
    let inner = arguments.trim_start_matches(|digit: char| digit.is_ascii_digit()).strip_prefix('<')?;
    let end = inner.char_indices().find(|(at, letter)| *letter == '>' && !inner[..*at].ends_with('-'))?;
    Some(&inner[..end.0])
}
