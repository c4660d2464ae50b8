//! One remediation's whole life, and the end of the process at every point of it: before and after every commit, before
//! and after every effect, once and twice in a row, with the drivers left running and with the whole machine gone. Nothing
//! is done twice by the provider's own ledger, nothing is stuck, every notice arrives under one id.
//!
//! The points are counted, not listed: a step that commits or lets out more has more of them, and all are tried.

#[path = "sim_crashes/night.rs"]
mod night;
#[path = "rows/mod.rs"]
mod rows;
#[path = "sim_crashes/site.rs"]
mod site;

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use night::{Bug, End, Happens::*, Manner::*, Night, Story};
use remedyd::clock::Stopwatch;

/// How many points after the first crash the second one may come: beyond what a restart itself commits and lets out.
const SECOND_WITHIN: u64 = 8;
const THREADS: usize = 2;

const STORIES: [Story; 16] = [
    Story {
        name: "approved, done, verified",
        manners: &[Done],
        ends: &["SUCCEEDED"],
        script: &[(0, Fires("Light")), (60, Approve), (3600, AllEnds)],
    },
    Story {
        name: "approved without a person",
        manners: &[Done],
        ends: &["SUCCEEDED"],
        script: &[(0, Fires("Auto")), (3600, AllEnds)],
    },
    Story {
        name: "not ready, then done",
        manners: &[NotReady, NotReady, Done],
        ends: &["SUCCEEDED"],
        script: &[(0, Fires("Light")), (60, Approve), (3600, AllEnds)],
    },
    Story {
        name: "the answer is lost",
        manners: &[AnswerLost],
        ends: &["SUCCEEDED"],
        script: &[(0, Fires("Light")), (60, Approve), (3600, AllEnds)],
    },
    Story {
        name: "lost on the way, asked, done again",
        manners: &[NeverArrives, Done],
        ends: &["SUCCEEDED"],
        script: &[(0, Fires("Light")), (60, Approve), (3600, AllEnds)],
    },
    Story {
        name: "nobody can tell",
        manners: &[NobodyKnows],
        ends: &["FAILED OUTCOME_UNKNOWN"],
        script: &[(0, Fires("Light")), (60, Approve), (7200, AllEnds)],
    },
    Story {
        name: "refused",
        manners: &[Refuses],
        ends: &["FAILED REFUSED"],
        script: &[(0, Fires("Light")), (60, Approve), (600, AllEnds)],
    },
    Story {
        name: "done, and nothing is repaired",
        manners: &[Lies],
        ends: &["FAILED NOT_CLEARED"],
        script: &[(0, Fires("Light")), (60, Approve), (2700, AllEnds)],
    },
    Story {
        name: "rejected",
        manners: &[Done],
        ends: &["CANCELLED"],
        script: &[(0, Fires("Light")), (60, Reject), (600, AllEnds)],
    },
    Story {
        name: "cancelled while it waits for a person",
        manners: &[Done],
        ends: &["CANCELLED"],
        script: &[(0, Fires("Light")), (60, Cancel), (600, AllEnds)],
    },
    Story {
        name: "cancelled while it waits for a hold",
        manners: &[Done],
        ends: &["CANCELLED"],
        script: &[(0, Fires("Light")), (120, Hold), (240, Approve), (600, Cancel), (900, AllEnds)],
    },
    Story {
        name: "clears by itself",
        manners: &[Done],
        ends: &["AUTO_RESOLVED"],
        script: &[(0, Fires("Light")), (600, AllEnds)],
    },
    Story {
        name: "nobody comes",
        manners: &[Done],
        ends: &["CANCELLED"],
        script: &[(0, Fires("Light")), (21_900, AllEnds)],
    },
    Story {
        name: "raised in place",
        manners: &[Done],
        ends: &["SUCCEEDED"],
        script: &[(0, Fires("Light")), (30, Fires("Heavy")), (300, Approve), (3600, AllEnds)],
    },
    Story {
        name: "something heavier breaks during the repair",
        manners: &[Done],
        ends: &["FAILED NOT_CLEARED", "SUCCEEDED"],
        script: &[(0, Fires("Light")), (60, Approve), (90, Fires("Heavy")), (2700, Approve), (7200, AllEnds)],
    },
    Story { name: "asked for by a person", manners: &[Done], ends: &["SUCCEEDED"], script: &[(0, Create)] },
];

#[test]
fn a_crash_at_any_point_doubles_nothing_and_leaves_nothing_stuck() {
    let watch = Stopwatch::start();
    let (next, lines) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(|| {
                loop {
                    let n = next.fetch_add(1, Ordering::Relaxed);
                    let Some(story) = STORIES.get(n) else { break };
                    let line = at_every_point(story);
                    lines.lock().unwrap().push((n, line));
                }
            });
        }
    });
    let mut lines = lines.into_inner().unwrap();
    lines.sort();
    lines.iter().for_each(|(_, line)| println!("{line}"));
    println!("in {:.1} s", watch.elapsed().as_secs_f64());
}

/// Tells the story undisturbed, then once for every point and kind of crash, and for every pair of points close together.
fn at_every_point(story: &Story) -> String {
    let told = Night::new(story, &[], End::Kill, None).live();
    told.judge().unwrap_or_else(|why| panic!("{}, undisturbed: {why}", story.name));
    assert_eq!(told.refused, Vec::<String>::new(), "{}: undisturbed, nothing is refused", story.name);
    let points = told.points;
    // Nothing is committed or let out but between two points.
    assert_eq!(points, 2 * (told.commits + told.effects), "{}", story.name);
    let mut runs = 0;
    for end in [End::Kill, End::PowerCut] {
        for first in 0..points {
            let second = (0..=SECOND_WITHIN).map(|more| first + 1 + more);
            for crashes in std::iter::once(vec![first]).chain(second.map(|second| vec![first, second])) {
                runs += 1;
                let told = Night::new(story, &crashes, end, None).live();
                told.judge().unwrap_or_else(|why| panic!("{}, {end:?} at {crashes:?} of {points}: {why}", story.name));
            }
        }
    }
    let Story { name, ends, .. } = story;
    let (commits, effects) = (told.commits, told.effects);
    format!(
        "{name:<45} {commits:>3} commits {effects:>3} effects {points:>4} points {runs:>5} runs  {}",
        ends.join(", ")
    )
}

#[test]
fn what_would_double_or_lose_something_is_found() {
    for (bug, part) in [
        (Bug::ActsAgainAfterStart, "was accepted 2 times"),
        (Bug::LeavesBeforeCommit, "is told of, and no such version was stored"),
        (Bug::ForgetsNotices, "nobody was told of"),
        // What waits for a call that is forgotten is asked about all the same.
        (Bug::ForgetsCalls, "memory is not the fold of the stored rows"),
    ] {
        let found = (0..200).find_map(|point| {
            let story = &STORIES[0];
            Night::new(story, &[point], End::Kill, Some(bug)).live().judge().err()
        });
        let why = found.unwrap_or_else(|| panic!("{bug:?} is not found"));
        assert!(why.contains(part), "{bug:?}: {why}");
    }
}
