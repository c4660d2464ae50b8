//! What a trace shows of the order in which a post is read, its change synced, and its answer written.
//!
//! A plain function of the trace's text. [`check_itself`] feeds it traces in which the order is broken, because a judge
//! that finds nothing in those says nothing about the others.

use std::collections::{BTreeMap, BTreeSet};

use super::calls::{Call, calls};

/// Calls that put something on a disk, or on its way there.
const WRITES: [&str; 7] = ["write", "writev", "pwrite64", "pwritev", "fdatasync", "fsync", "sync_file_range"];

/// Where the parts of the store lie, as the trace spells them.
#[derive(Clone, Debug)]
pub struct Folders {
    pub journal: String,
    pub sled: String,
}

/// A post to the webhook that was answered with 200.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The line at which its request had been read.
    pub asked: usize,
    /// The line at which its answer began to be written.
    pub answered: usize,
    /// Whether it changed something; who does not say so did.
    pub has_changed: bool,
    /// How many batches were written and synced wholly in between.
    pub batches: usize,
}

impl Answer {
    /// Whether it was given before what it says could be on disk.
    pub fn is_early(&self) -> bool {
        self.has_changed && self.batches == 0
    }
}

/// A write to the journal, and the syncs of the journal until the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// The line at which its write began.
    pub written: usize,
    /// The line at which its first sync had ended, if one did.
    pub synced: Option<usize>,
    pub syncs: usize,
}

/// What a trace shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    pub answers: Vec<Answer>,
    /// Posts that were answered with anything else.
    pub refused: usize,
    pub batches: Vec<Batch>,
    /// Syncs of the journal before its first write.
    pub stray_syncs: usize,
    /// Threads that wrote to the journal or synced it.
    pub writers: BTreeSet<u32>,
    /// Threads that wrote an answer.
    pub answerers: BTreeSet<u32>,
    /// How often each thread wrote to sled's files or synced them.
    pub sled: BTreeMap<u32, usize>,
}

impl Seen {
    /// Reads a trace.
    pub fn of(trace: &str, folders: &Folders) -> Self {
        let calls = calls(trace);
        let mut seen = Self::default();
        for call in &calls {
            if is_journal(call, folders) {
                seen.writers.insert(call.thread);
            }
            if call.on.starts_with(&folders.sled) && WRITES.contains(&call.name.as_str()) {
                *seen.sled.entry(call.thread).or_default() += 1;
            }
        }
        seen.note_batches(&calls, folders);
        seen.note_answers(&calls);
        seen
    }

    /// How many posts were answered too early.
    pub fn early(&self) -> usize {
        self.answers.iter().filter(|answer| answer.is_early()).count()
    }

    /// How many batches had no sync of their own, or more than that.
    pub fn unpaired(&self) -> usize {
        self.stray_syncs + self.batches.iter().filter(|batch| batch.syncs != 1).count()
    }

    /// How often sled was written to by a thread that writes the journal or answers.
    pub fn sled_in_the_way(&self) -> usize {
        let is_in_the_way = |thread: &u32| self.writers.contains(thread) || self.answerers.contains(thread);
        self.sled.iter().filter(|(thread, _)| is_in_the_way(thread)).map(|(_, count)| count).sum()
    }

    /// How often sled was written to by others.
    pub fn sled_elsewhere(&self) -> usize {
        self.sled.values().sum::<usize>() - self.sled_in_the_way()
    }

    fn note_batches(&mut self, calls: &[Call], folders: &Folders) {
        // What a full file has left over is cut off between two batches, and the file synced for that once more.
        let mut is_cut = false;
        for call in calls.iter().filter(|call| is_journal(call, folders) || is_cut_of_journal(call, folders)) {
            let was_cut = std::mem::replace(&mut is_cut, is_cut_of_journal(call, folders));
            let is_sync = matches!(call.name.as_str(), "fdatasync" | "fsync");
            if is_cut || (was_cut && is_sync) {
                continue;
            }
            match self.batches.last_mut() {
                _ if !is_sync => self.batches.push(Batch { written: call.began, synced: None, syncs: 0 }),
                None => self.stray_syncs += 1,
                // What failed makes nothing durable.
                Some(batch) if call.result == Some(0) => {
                    batch.synced.get_or_insert(call.ended);
                    batch.syncs += 1;
                }
                Some(_) => {}
            }
        }
    }

    fn note_answers(&mut self, calls: &[Call]) {
        // A request has been read when a read ends; an answer counts from when its write begins.
        let mut events: Vec<(usize, &Call)> =
            calls.iter().filter_map(|call| Some((socket_event(call)?, call))).collect();
        events.sort_by_key(|(at, _)| *at);
        // By connection, the line at which the last of a request was read.
        let mut asked = BTreeMap::<&str, usize>::new();
        for (at, call) in events {
            if is_read(call) {
                let is_post = call.arguments.contains("\"POST /api/v1/webhooks/");
                if is_post || asked.contains_key(call.on.as_str()) {
                    asked.insert(&call.on, at);
                }
                continue;
            }
            let Some((_, status)) = call.arguments.split_once("\"HTTP/1.1 ") else { continue };
            self.answerers.insert(call.thread);
            let Some(asked) = asked.remove(call.on.as_str()) else { continue };
            if !status.starts_with("200") {
                self.refused += 1;
                continue;
            }
            let batches = self.batches_between(asked, at);
            self.answers.push(Answer { asked, answered: at, has_changed: has_changed(status), batches });
        }
    }

    fn batches_between(&self, from: usize, to: usize) -> usize {
        let first = self.batches.partition_point(|batch| batch.written <= from);
        let later = self.batches[first..].iter().take_while(|batch| batch.written < to);
        later.filter(|batch| batch.synced.is_some_and(|synced| synced < to)).count()
    }
}

fn is_journal(call: &Call, folders: &Folders) -> bool {
    WRITES.contains(&call.name.as_str()) && is_on_journal(call, folders)
}

fn is_cut_of_journal(call: &Call, folders: &Folders) -> bool {
    call.name == "ftruncate" && is_on_journal(call, folders)
}

fn is_on_journal(call: &Call, folders: &Folders) -> bool {
    call.on.starts_with(&folders.journal) && call.on.ends_with(".journal")
}

/// The line that counts of a call on a socket; nothing where it is on none, or read nothing.
fn socket_event(call: &Call) -> Option<usize> {
    if !(call.on.starts_with("socket:") || call.on.starts_with("TCP")) {
        return None;
    }
    if is_read(call) { call.result.filter(|bytes| *bytes > 0).map(|_| call.ended) } else { Some(call.began) }
}

fn is_read(call: &Call) -> bool {
    matches!(call.name.as_str(), "read" | "recvfrom" | "recvmsg")
}

/// Reads `"stored":` out of an answer's body.
fn has_changed(answer: &str) -> bool {
    let stored = answer.split_once(r#"\"stored\":"#).map(|(_, rest)| rest);
    stored.is_none_or(|stored| !(stored.starts_with("0,") || stored.starts_with("0}")))
}

/// Traces that are made up, in which everything is right and in which something is not.
pub fn check_itself() {
    let folders = Folders { journal: "/d/journal/".to_owned(), sled: "/d/sled/".to_owned() };
    let of = |lines: &[&str]| {
        let lines = lines.iter().enumerate().map(|(at, line)| {
            let (thread, call) = line.split_once(' ').expect("a thread and a call");
            format!("{thread} 12:00:00.{at:06} {call}\n")
        });
        Seen::of(&lines.collect::<String>(), &folders)
    };
    let found = |seen: &Seen| (seen.early(), seen.unpaired(), seen.sled_in_the_way());
    let post =
        r#"7 recvfrom(9<socket:[5]>, "POST /api/v1/webhooks/alertmanager HTTP/1.1"..., 8192, 0, NULL, NULL) = 900"#;
    let write = r#"8 write(4</d/journal/00000000000000000001.journal>, "\0\0\2"..., 900) = 900"#;
    let sync = "8 fdatasync(4</d/journal/00000000000000000001.journal>) = 0";
    let answer = r#"7 writev(9<socket:[5]>, [{iov_base="HTTP/1.1 200 OK\r\n"..., iov_len=99}, {iov_base="{\"received\":1,\"stored\":1,\"merged\":0}", iov_len=36}], 2) = 135"#;
    let applied = r#"6 pwrite64(5</d/sled/db>, "x"..., 4096, 0) = 4096"#;

    let right = of(&[post, applied, write, sync, answer, post, write, sync, answer]);
    assert_eq!((found(&right), right.answers.len(), right.batches.len()), ((0, 0, 0), 2, 2), "{right:?}");
    assert_eq!((right.answers[1].batches, right.sled_elsewhere()), (1, 1), "{right:?}");

    // As strace shows calls during which another thread was seen; the sync ends after the answer began.
    let begun = "8 fdatasync(4</d/journal/00000000000000000001.journal> <unfinished ...>";
    let ended = "8 <... fdatasync resumed>)              = 0";
    assert_eq!(found(&of(&[post, write, begun, applied, ended, answer])), (0, 0, 0));
    assert_eq!(found(&of(&[post, write, begun, answer, ended])), (1, 0, 0), "answered while it is synced");
    assert_eq!(found(&of(&[post, answer, write, sync])), (1, 0, 0), "answered before it is written");
    assert_eq!(found(&of(&[post, write, answer, sync])), (1, 0, 0), "answered before it is synced");
    assert_eq!(found(&of(&[write, post, sync, answer])), (1, 0, 0), "a batch from before it was read");
    assert_eq!(found(&of(&[write, sync, post, answer])), (1, 0, 0), "a sync from before it was read");
    let half = r#"7 recvfrom(9<socket:[5]>, "rest of the body"..., 8192, 0, NULL, NULL) = 20"#;
    assert_eq!(found(&of(&[post, write, sync, half, answer])), (1, 0, 0), "a sync from before all was read");
    let failed = sync.replace("= 0", "= -1 EIO (Input/output error)");
    assert_eq!(found(&of(&[post, write, &failed, answer])), (1, 1, 0), "a sync that failed");
    let unchanged = answer.replace(r#"\"stored\":1"#, r#"\"stored\":0"#);
    assert_eq!(found(&of(&[post, &unchanged])), (0, 0, 0), "nothing to sync");

    assert_eq!(found(&of(&[post, write, sync, sync, answer])), (0, 1, 0), "two syncs");
    assert_eq!(found(&of(&[post, write, write, sync, answer])), (0, 1, 0), "a batch without a sync");
    let cut = "8 ftruncate(4</d/journal/00000000000000000001.journal>, 900) = 0";
    assert_eq!(found(&of(&[write, sync, post, cut, sync, write, sync, answer])), (0, 0, 0), "a full file's end");
    assert_eq!(
        found(&of(&[write, sync, post, cut, sync, answer])),
        (1, 0, 0),
        "the sync of a cut makes no batch durable"
    );
    assert_eq!(found(&of(&[post, write, cut, sync, answer])), (1, 1, 0), "nor one that was written before the cut");
    assert_eq!(found(&of(&[post, write, sync, cut, sync, sync, answer])), (0, 1, 0), "two syncs after a cut");
    for thread in ["7", "8"] {
        let in_the_way = applied.replacen('6', thread, 1);
        assert_eq!(found(&of(&[post, write, &in_the_way, sync, answer])), (0, 0, 1), "sled by thread {thread}");
    }
    let refused = answer.replace("200 OK", "503 Service Unavailable");
    let refused = of(&[post, &refused]);
    assert_eq!((refused.refused, refused.answers.len()), (1, 0), "{refused:?}");
}
