//! Reads the configuration again when a file may have changed, or when somebody asks.
//!
//! Folders are watched, not files: editors replace a file by a rename, and Kubernetes swaps a symbolic link (`..data`)
//! two folders up, so a watch on the file itself would follow the old one for ever. An event only means "maybe changed";
//! the digest decides. File systems that send no events are covered by reading everything every 30 s.
//!
//! Whoever receives a [`Reloaded`] decides what to do with it; a failed one changes nothing.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};
use tokio::sync::{mpsc, oneshot};
use tokio::task;
use tokio::time::{MissedTickBehavior, interval, sleep};
use tracing::{debug, warn};

use super::document::{Files, folder_of};
use super::load::load_steady;
use super::{Loaded, Mistake, Overrides};

/// How often everything is read although nothing was heard.
const POLL: Duration = Duration::from_secs(30);

/// How long to wait after an event for the rest of what a person or a tool is doing.
const SETTLE: Duration = Duration::from_millis(250);

/// The configuration as it was found after a change or a request.
#[derive(Debug)]
pub struct Reloaded {
    /// What was found.
    pub outcome: Result<Box<Loaded>, Vec<Mistake>>,
    /// Where it is said whether it was taken. Dropped without a word, it counts as taken.
    pub answer: oneshot::Sender<Result<(), Vec<Mistake>>>,
}

/// Asks for a reload: `SIGHUP` and `POST /-/reload` each hold one.
#[derive(Clone, Debug)]
pub struct Reload(mpsc::Sender<oneshot::Sender<Result<(), Vec<Mistake>>>>);

/// Why a reload that was asked for was not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReloadError {
    /// The files have mistakes; the daemon goes on with what it had.
    #[error("the configuration has {} mistake(s), the first: {}", .0.len(), .0.first().map_or_else(String::new, ToString::to_string))]
    Mistakes(Vec<Mistake>),
    /// The daemon is stopping.
    #[error("shutting down")]
    Stopping,
}

impl Reload {
    /// Reads everything and waits until the outcome was taken, whether or not anything changed.
    pub async fn reload(&self) -> Result<(), ReloadError> {
        let (answer, taken) = oneshot::channel();
        self.0.send(answer).await.map_err(|_| ReloadError::Stopping)?;
        taken.await.map_err(|_| ReloadError::Stopping)?.map_err(ReloadError::Mistakes)
    }
}

/// Watches one configuration.
#[derive(Debug)]
pub struct Watch {
    path: PathBuf,
    overrides: Overrides,
    /// What was found last, so that nothing is reported twice: a digest, or mistakes. Files without a mistake that were not
    /// taken for a passing reason are as if they had not been found.
    last: Result<String, Vec<Mistake>>,
    /// The files that `last` was found in, where it is without a mistake.
    files: Option<Files>,
    folders: BTreeSet<PathBuf>,
    /// [`POLL`], but for tests.
    every: Duration,
    requests: mpsc::Receiver<oneshot::Sender<Result<(), Vec<Mistake>>>>,
    reloaded: mpsc::Sender<Reloaded>,
}

impl Watch {
    /// Prepares to watch what `loaded` was read from. Nothing happens before [`Watch::run`].
    pub fn new(path: &Path, overrides: Overrides, loaded: &Loaded, reloaded: mpsc::Sender<Reloaded>) -> (Self, Reload) {
        let (ask, requests) = mpsc::channel(8);
        let last = Ok(loaded.config.digest.clone());
        let (files, folders) = (Some(loaded.files.clone()), loaded.config.watched.clone());
        (Self { path: path.to_owned(), overrides, last, files, folders, every: POLL, requests, reloaded }, Reload(ask))
    }

    /// Watches until every [`Reload`] or the receiver of [`Reloaded`] is gone; dropping the future stops it too.
    pub async fn run(mut self) {
        let (heard, mut events) = mpsc::channel(1);
        let mut ears = Ears::new(heard.clone());
        let mut poll = interval(self.every);
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        // The first tick comes at once and covers what changed between the first load and this watch.
        loop {
            let asker = tokio::select! {
                asked = self.requests.recv() => match asked {
                    Some(asker) => Some(asker),
                    None => return,
                },
                Some(()) = events.recv() => {
                    sleep(SETTLE).await;
                    let _ = events.try_recv();
                    None
                }
                _ = poll.tick() => None,
            };
            // Before reading, so that nothing changes unheard in between; and each time, because a path may lead to
            // another folder than it did.
            ears.listen_to(&self.folders);
            if asker.is_none() && self.is_as_read().await {
                continue;
            }
            let known = self.folders.clone();
            let Some(outcome) = self.read().await else { return };
            if self.folders != known {
                // New folders were read before anybody listened to them: look once more. Full means that it is due.
                let _ = heard.try_send(());
            }
            let found = match &outcome {
                Ok(loaded) => Ok(loaded.config.digest.clone()),
                Err(mistakes) => Err(mistakes.clone()),
            };
            if asker.is_none() && found == self.last {
                continue;
            }
            let (answer, taken) = oneshot::channel();
            if self.reloaded.send(Reloaded { outcome, answer }).await.is_err() {
                return;
            }
            let taken = taken.await;
            let refused_for_now = found.is_ok() && matches!(taken, Ok(Err(_)));
            self.last = if refused_for_now { Err(Vec::new()) } else { found };
            if refused_for_now {
                self.files = None;
            }
            if let Some((asker, taken)) = asker.zip(taken.ok()) {
                // Who asked may have gone.
                let _ = asker.send(taken);
            }
        }
    }

    /// Whether all files are as they were read last. Bytes are compared and nothing is parsed: 10,000 instances that are taken
    /// apart to be thrown away are 35 MB for a moment.
    async fn is_as_read(&mut self) -> bool {
        let Some(files) = self.files.take() else { return false };
        let looked = task::spawn_blocking(move || files.are_as_read().then_some(files)).await;
        self.files = looked.ok().flatten();
        self.files.is_some()
    }

    /// Reads everything on a thread that may block; nothing when the runtime is going down.
    async fn read(&mut self) -> Option<Result<Box<Loaded>, Vec<Mistake>>> {
        let (path, overrides) = (self.path.clone(), self.overrides.clone());
        let known = self.last.clone().ok();
        let read = move || load_steady(&path, &overrides, known.as_deref());
        let outcome = task::spawn_blocking(read).await.ok()?.map(Box::new);
        self.files = outcome.as_ref().ok().map(|loaded| loaded.files.clone());
        match &outcome {
            Ok(loaded) => self.folders.clone_from(&loaded.config.watched),
            // What was named before is watched on, since that is where the mend will come.
            Err(_) => drop(self.folders.insert(folder_of(&self.path))),
        }
        Some(outcome)
    }
}

/// The operating system's notices about folders; without them the poll does all the work.
struct Ears {
    watcher: Option<RecommendedWatcher>,
    folders: BTreeSet<PathBuf>,
}

impl Ears {
    fn new(heard: mpsc::Sender<()>) -> Self {
        let made = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            // Our own reading makes events too; only what may change a file counts. An error may hide an event.
            let is_reading = matches!(&event, Ok(event) if matches!(event.kind, EventKind::Access(_)));
            if !is_reading {
                // Full means that a look is due already.
                let _ = heard.try_send(());
            }
        });
        let watcher = made
            .map_err(|err| warn!(error = %err, "no notices about changed files; reading them every {POLL:?} only"))
            .ok();
        Self { watcher, folders: BTreeSet::new() }
    }

    /// Listens to exactly these folders, as their paths resolve at this moment.
    fn listen_to(&mut self, folders: &BTreeSet<PathBuf>) {
        let Some(watcher) = &mut self.watcher else { return };
        for folder in &self.folders {
            // It may be gone, and its watch with it.
            let _ = watcher.unwatch(folder);
        }
        self.folders.clear();
        for folder in folders {
            match watcher.watch(folder, RecursiveMode::NonRecursive) {
                Ok(()) => drop(self.folders.insert(folder.clone())),
                Err(err) => debug!(error = %err, folder = %folder.display(), "cannot watch folder"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use tempfile::TempDir;
    use tokio::time::timeout;

    use super::super::load;
    use super::*;

    /// Shorter than [`POLL`], so that what comes in time was heard and not polled.
    const IN_TIME: Duration = Duration::from_secs(20);

    const MAIN: &str =
        "storage.path = 'data'\npolicy.rules = ['rules.d/*.toml']\n[clusters.c]\nact = 'd'\n[drivers.d.dry_run]\n";

    struct Watched {
        folder: TempDir,
        reload: Reload,
        reloaded: mpsc::Receiver<Reloaded>,
    }

    /// Watches `remedyd.toml` of a folder that `fill` has made.
    async fn watch(fill: impl FnOnce(&Path)) -> Watched {
        watch_every(POLL, fill).await
    }

    async fn watch_every(every: Duration, fill: impl FnOnce(&Path)) -> Watched {
        let folder = tempfile::tempdir().unwrap();
        fill(folder.path());
        let path = folder.path().join("remedyd.toml");
        let loaded = load(&path, &Overrides::default()).unwrap();
        let (sender, reloaded) = mpsc::channel(4);
        let (mut watch, reload) = Watch::new(&path, Overrides::default(), &loaded, sender);
        watch.every = every;
        tokio::spawn(watch.run());
        let mut watched = Watched { folder, reload, reloaded };
        // An answered request proves that the folders are being listened to.
        watched.ask().await;
        watched
    }

    fn plain(folder: &Path) {
        fs::create_dir(folder.join("rules.d")).unwrap();
        fs::write(folder.join("remedyd.toml"), MAIN).unwrap();
        fs::write(folder.join("rules.d/a.toml"), "").unwrap();
    }

    fn rule(folder: &Path, file: &str, mode: &str) {
        let text = format!("[rules.r]\nmatch = ['a=b']\nmode = '{mode}'\n");
        fs::write(folder.join(file), text).unwrap();
    }

    impl Watched {
        /// Asks for a reload and takes it.
        async fn ask(&mut self) -> Reloaded {
            let reload = self.reload.clone();
            let asked = tokio::spawn(async move { reload.reload().await });
            let mut found = self.next().await;
            let answer = std::mem::replace(&mut found.answer, oneshot::channel().0);
            answer.send(Ok(())).unwrap();
            asked.await.unwrap().unwrap();
            found
        }

        async fn next(&mut self) -> Reloaded {
            timeout(IN_TIME, self.reloaded.recv()).await.expect("a change is heard").unwrap()
        }

        /// The mode of the only rule that the next change brings.
        async fn next_mode(&mut self) -> String {
            let loaded = self.next().await.outcome.unwrap();
            loaded.config.settings.rules.values().next().and_then(|rule| rule.mode).unwrap().to_string()
        }
    }

    #[tokio::test]
    async fn files_written_renamed_and_new_are_noticed() {
        let mut watched = watch(plain).await;
        let folder = watched.folder.path().to_owned();
        rule(&folder, "rules.d/a.toml", "reboot_vm");
        assert_eq!(watched.next_mode().await, "reboot_vm");
        rule(&folder, "rules.d/a.toml.new", "vm_only");
        fs::rename(folder.join("rules.d/a.toml.new"), folder.join("rules.d/a.toml")).unwrap();
        assert_eq!(watched.next_mode().await, "vm_only");
        rule(&folder, "rules.d/b.toml", "host_aware");
        assert_eq!(watched.next_mode().await, "host_aware");
        fs::remove_file(folder.join("rules.d/b.toml")).unwrap();
        assert_eq!(watched.next_mode().await, "vm_only");
    }

    /// As the kubelet updates a mounted ConfigMap: every file is a link through `..data`, which is swapped by a rename.
    #[tokio::test]
    async fn a_swapped_symbolic_link_is_noticed_every_time() {
        fn revision(folder: &Path, name: &str, mode: &str) {
            fs::create_dir_all(folder.join(name).join("rules.d")).unwrap();
            fs::write(folder.join(name).join("remedyd.toml"), MAIN).unwrap();
            rule(&folder.join(name), "rules.d/a.toml", mode);
            symlink(name, folder.join("..data_tmp")).unwrap();
            fs::rename(folder.join("..data_tmp"), folder.join("..data")).unwrap();
        }
        let mut watched = watch(|folder| {
            revision(folder, "..1", "reboot_vm");
            symlink("..data/remedyd.toml", folder.join("remedyd.toml")).unwrap();
            symlink("..data/rules.d", folder.join("rules.d")).unwrap();
        })
        .await;
        let folder = watched.folder.path().to_owned();
        revision(&folder, "..2", "vm_only");
        assert_eq!(watched.next_mode().await, "vm_only");
        fs::remove_dir_all(folder.join("..1")).unwrap();
        revision(&folder, "..3", "host_aware");
        assert_eq!(watched.next_mode().await, "host_aware");
        // The folder behind the link is listened to as well, though nobody listened to it at the start.
        rule(&folder, "..3/rules.d/a.toml", "reboot_vm");
        assert_eq!(watched.next_mode().await, "reboot_vm");
    }

    #[tokio::test]
    async fn what_is_as_it_was_loaded_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        plain(folder.path());
        let path = folder.path().join("remedyd.toml");
        let loaded = load(&path, &Overrides::default()).unwrap();
        let (mut watch, _reload) = Watch::new(&path, Overrides::default(), &loaded, mpsc::channel(1).0);
        assert!(watch.is_as_read().await && watch.is_as_read().await);
        rule(folder.path(), "rules.d/a.toml", "reboot_vm");
        assert!(!watch.is_as_read().await);
        assert_eq!(watch.read().await.unwrap().unwrap().config.settings.rules.len(), 1);
        assert!(watch.is_as_read().await);
    }

    #[tokio::test]
    async fn a_mistake_is_reported_once_and_its_mend_too() {
        let mut watched = watch(plain).await;
        let folder = watched.folder.path().to_owned();
        rule(&folder, "rules.d/a.toml", "reboot");
        let mistakes = watched.next().await.outcome.unwrap_err();
        assert_eq!((mistakes.len(), mistakes[0].key.as_str()), (1, "rules.r.mode"));
        // Changes nothing, so the next that is heard is the mend.
        fs::write(folder.join("rules.d/unrelated.txt"), "").unwrap();
        fs::write(folder.join("rules.d/a.toml"), "").unwrap();
        let mended = watched.next().await.outcome.unwrap();
        assert!(mended.config.settings.rules.is_empty());
    }

    #[tokio::test]
    async fn what_was_refused_for_a_passing_reason_comes_again() {
        let mut watched = watch_every(Duration::from_millis(20), plain).await;
        rule(watched.folder.path(), "rules.d/a.toml", "reboot_vm");
        let mistake =
            || Mistake { file: "f".into(), line: 1, column: 1, key: "storage.path".into(), what: "full".into() };
        for _ in 0..2 {
            let found = watched.next().await;
            found.outcome.unwrap();
            found.answer.send(Err(vec![mistake()])).unwrap();
        }
        // Nothing was changed or asked: the poll alone brings it, until it is taken.
        let found = watched.next().await;
        assert_eq!(found.outcome.unwrap().config.settings.rules.len(), 1);
        found.answer.send(Ok(())).unwrap();
        // Taken once is enough: what comes next is what is asked for.
        timeout(IN_TIME, watched.ask()).await.expect("nothing else comes before");
    }

    #[tokio::test]
    async fn who_asks_is_answered_even_when_nothing_changed() {
        let mut watched = watch(plain).await;
        let digest = |found: Reloaded| found.outcome.unwrap().config.digest;
        assert_eq!(digest(watched.ask().await), digest(watched.ask().await));
        drop(watched.reloaded);
        assert_eq!(watched.reload.reload().await, Err(ReloadError::Stopping));
    }
}
