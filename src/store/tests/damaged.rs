//! sled damaged in random places: the same answers after at most one more start, or a refusal that says why.

use std::fs;

use super::*;

/// How often; the environment variable replaces it.
const TIMES: u64 = 40;

/// What becomes of one start: the answers, or the damage that somebody found.
fn start(dir: &Path) -> Result<String, StoreError> {
    let (told, done) = std::sync::mpsc::channel();
    let told = Box::new(move |what| drop(told.send(what)));
    let upkeep = Some(UpkeepWanted { every: std::time::Duration::MAX, after: u64::MAX, min_free: 0, told });
    let mut store = open(dir, Options { upkeep, ..Options::default() })?.for_writing().expect("the journal is whole");
    // The walk reads all of it; where it fails, it says why.
    if done.recv().is_err() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        return Err(runtime.block_on(store.fatal.wait()));
    }
    let answered = database::guarded(|| Ok(answers(&store.reader)));
    store.appender.close()?;
    answered
}

#[test]
fn wherever_a_bit_of_sled_flips_the_answers_stay_the_same() {
    let times = std::env::var("REMEDYD_TEST_FLIPS").map_or(TIMES, |text| text.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let mut store = opened(dir.path());
    for n in 1..=150 {
        commit(
            &mut store.appender,
            &[
                Change::Remediation(Box::new(samples::remediation(n))),
                Change::Link(Box::new(samples::link(n, 0))),
                Change::Transition(Box::new(samples::transition(n, 1))),
                Change::Alert(Box::new(samples::alert(n, 1))),
                Change::Hold(Box::new(samples::hold(n))),
            ],
        );
    }
    settle(&store);
    let before = answers(&store.reader);
    store.appender.close().unwrap();
    drop(store.reader);
    // What sled writes as it starts says which bytes count: without it, a part that is damaged may pass for one that was never
    // written, and the journal fills it in.
    let store = opened(dir.path());
    store.appender.close().unwrap();
    drop(store.reader);
    let sled = dir.path().join("sled");
    let files: Vec<_> = fs::read_dir(&sled).unwrap().map(|entry| entry.unwrap().path()).collect();
    let whole: Vec<_> =
        files.into_iter().filter(|path| path.is_file()).map(|path| (fs::read(&path).unwrap(), path)).collect();
    let size: usize = whole.iter().map(|(bytes, _)| bytes.len()).sum();
    let mut state = 7_u64;
    let mut dice = |below| samples::dice(&mut state, below);
    let (mut healed_at_start, mut healed_after, mut harmless) = (0, 0, 0);
    let mut n = 0;
    // Where sled lays its pages is chance; flips that hit none of them show little.
    while n < times || (healed_at_start + healed_after == 0 && n < 10 * times) {
        n += 1;
        fs::remove_dir_all(&sled).unwrap();
        fs::create_dir_all(sled.join("blobs")).unwrap();
        let _ = fs::remove_dir_all(dir.path().join("sled.damaged"));
        whole.iter().for_each(|(bytes, path)| fs::write(path, bytes).unwrap());
        let mut at = dice(size);
        let (good, path) = whole
            .iter()
            .find(|(bytes, _)| {
                let is_here = at < bytes.len();
                at -= if is_here { 0 } else { bytes.len() };
                is_here
            })
            .unwrap();
        let mut bad = good.clone();
        bad[at] ^= 1 << dice(8);
        fs::write(path, bad).unwrap();
        let what = format!("flip {n}: byte {at} of {}", path.display());
        match start(dir.path()) {
            Ok(after) => {
                assert_eq!(after, before, "{what}");
                match dir.path().join("sled.damaged").exists() {
                    true => healed_at_start += 1,
                    false => harmless += 1,
                }
            }
            Err(error) => {
                assert!(error.is_damage_of_sled(), "{what}: {error}");
                suspect(dir.path(), &error.to_string()).unwrap();
                assert_eq!(start(dir.path()).unwrap(), before, "{what}");
                healed_after += 1;
            }
        }
    }
    println!(
        "{n} flips in {size} bytes: the same answers every time; {healed_at_start} built anew at the start, \
         {healed_after} after the walk or a read found it, {harmless} harmless"
    );
    assert!(healed_at_start + healed_after > 0);
}
