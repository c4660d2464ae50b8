//! The performance: everything is started, then time passes, and in the end everything is put away.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::time::Duration;

use serde_json::json;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval, sleep};

use super::alertmanager::Groups;
use super::args::Demo;
use super::daemon::{self, Daemon};
use super::frame::{Board, Line, try_it};
use super::machines::Stage;
use super::script::{Script, opted_out};
use super::site::{self, Site, Wiring};
use super::terminal::Terminal;
use super::watch::{Event, Repair, Seen, Watch};
use super::{DemoError, Pace, fleet};
use crate::clock::Stopwatch;
use crate::domain::Timestamp;
use crate::providers::http_client::{HttpClient, HttpError};

/// How often the script is looked at, and the frame drawn.
const TICK: Duration = Duration::from_millis(200);
/// How often the daemon is asked.
const LOOK: Duration = Duration::from_millis(300);
/// How many looks at the daemon may fail in a row: a store that catches up answers 503, a laptop that slept times out.
const PATIENCE: u32 = 10;
/// How often the simulated Alertmanager looks whether something is to be said.
const POST: Duration = Duration::from_millis(100);

/// Plays until somebody or `--for` ends it.
pub(super) async fn play(demo: &Demo) -> Result<(), DemoError> {
    let mut signals = Signals::listen().map_err(|source| DemoError::Io { what: "listen for signals", source })?;
    let address = daemon::place(demo.listen)?;
    let site = Site::make(demo.keep).map_err(|source| DemoError::Io { what: "make a folder", source })?;
    let pace = Pace(demo.speed);
    let nodes = fleet::nodes(demo.nodes.into(), opted_out(demo.nodes.into()));
    let stage = Stage::new(pace.of(site::ACT));
    // All that is simulated ends when this goes.
    let mut simulated = JoinSet::new();
    let alertmanager = set_up(&site, &stage, &nodes, pace, &mut simulated).await;
    let alertmanager = alertmanager.map_err(|source| DemoError::Io { what: "set up the simulation", source })?;
    let client = HttpClient::new()?;
    let mut daemon =
        Daemon::spawn(&site, address).map_err(|source| DemoError::Io { what: "start the daemon", source })?;
    let ready = tokio::select! {
        ready = daemon.ready(&site, &client) => ready.map(|()| true),
        () = signals.any() => Ok(false),
    };
    if !matches!(ready, Ok(true)) {
        let stopped = daemon.stop(&site).await;
        return ready.and(stopped.map(drop));
    }
    let groups = Groups::new(site::waits(pace));
    simulated.spawn(post(stage.clone(), groups, client.clone(), daemon.url.clone()));
    let (looked, looks) = mpsc::channel(1);
    simulated.spawn(watch(Watch::new(client.clone(), &daemon.url), looked));
    let script = Script::new(demo.seed, &nodes);
    let board = Board {
        nodes,
        url: daemon.url.clone(),
        started: stage.clock.now(),
        keys: false,
        seen: Seen::default(),
        events: Default::default(),
        sick: BTreeMap::new(),
    };
    let terminal = if demo.plain { None } else { Terminal::take() };
    let (told, tells) = mpsc::unbounded_channel();
    let mut show = Show { demo, pace, stage, script, board, terminal, client, told, approved: Vec::new() };
    show.welcome(&site, &alertmanager)?;
    let ended = show.run(&mut signals, &mut daemon, &site, looks, tells).await;
    simulated.shutdown().await;
    let summary = show.board.summary();
    drop(show);
    let stopped = daemon.stop(&site).await;
    ended?;
    stopped?;
    let kept =
        if demo.keep { format!("kept: {}", site.folder().display()) } else { "nothing is left of it".to_owned() };
    drop(site);
    // Who reads has gone: then there is nobody to tell.
    let _ = writeln!(io::stdout(), "\nthe demo is over: {summary}; {kept}");
    Ok(())
}

/// Starts all that is simulated and writes the configuration; says where the Alertmanager is.
async fn set_up(
    site: &Site,
    stage: &Stage,
    nodes: &[fleet::Node],
    pace: Pace,
    simulated: &mut JoinSet<()>,
) -> io::Result<String> {
    let (address, alertmanager) = stage.serve_alertmanager().await?;
    simulated.spawn(alertmanager);
    simulated.spawn(stage.serve_machines(&site.machines())?);
    let alertmanager = format!("http://{address}");
    let program = std::env::current_exe()?;
    site.write(&Wiring { nodes, pace, alertmanager: &alertmanager, program: &program })?;
    Ok(alertmanager)
}

/// The simulated Alertmanager's messages.
async fn post(stage: Stage, mut groups: Groups, client: HttpClient, url: String) {
    let webhook = format!("{url}/api/v1/webhooks/alertmanager");
    loop {
        sleep(POST).await;
        let due = groups.due(stage.world().raised(), stage.clock.now());
        for message in due {
            // What is not taken is due again.
            if client.post_json(&webhook, &[], message.body.to_string().into_bytes()).await.is_ok() {
                groups.said(message, stage.clock.now());
            }
        }
    }
}

async fn watch(mut watch: Watch, looked: mpsc::Sender<Result<Seen, HttpError>>) {
    while looked.send(watch.look().await).await.is_ok() {
        sleep(LOOK).await;
    }
}

/// The signals that end a demo.
struct Signals([Signal; 3]);

impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self([signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?, signal(SignalKind::hangup())?]))
    }

    async fn any(&mut self) {
        let [interrupt, terminate, hang_up] = &mut self.0;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hang_up.recv() => {}
        }
    }
}

struct Show<'a> {
    demo: &'a Demo,
    pace: Pace,
    stage: Stage,
    script: Script,
    board: Board,
    terminal: Option<Terminal>,
    client: HttpClient,
    told: mpsc::UnboundedSender<Event>,
    /// Which proposals somebody has answered.
    approved: Vec<String>,
}

impl Show<'_> {
    /// What this is and what to try, before the first thing happens.
    fn welcome(&mut self, site: &Site, alertmanager: &str) -> Result<(), DemoError> {
        let (url, nodes, folder) = (self.board.url.clone(), self.board.nodes.len(), site.folder().display());
        self.print(&format!(
            "remedyd demo: a real daemon at {url}\n  {nodes} simulated nodes, a simulated Alertmanager at \
             {alertmanager}\n  configuration, store and log in {folder}\n\n\
             Faults come, flap and clear. A proposal waits for a person: for you.\n"
        ))?;
        if self.terminal.is_some() {
            // The frame says it all the time.
            return Ok(());
        }
        self.print("In another terminal:")?;
        for command in try_it(&url) {
            self.print(&format!("  {command}"))?;
        }
        self.print("")
    }

    /// Until a signal, a key, the time or a failure.
    async fn run(
        &mut self,
        signals: &mut Signals,
        daemon: &mut Daemon,
        site: &Site,
        mut looks: mpsc::Receiver<Result<Seen, HttpError>>,
        mut tells: mpsc::UnboundedReceiver<Event>,
    ) -> Result<(), DemoError> {
        let mut keys = self.terminal.as_ref().and_then(Terminal::keys);
        self.board.keys = keys.is_some();
        let since = Stopwatch::start();
        let mut missed = 0;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = signals.any() => return Ok(()),
                ended = daemon.ended(site) => return Err(ended),
                Some(looked) = looks.recv() => match looked {
                    Ok(seen) => {
                        missed = 0;
                        self.take(seen)?;
                    }
                    Err(error) if missed >= PATIENCE => return Err(error.into()),
                    Err(_) => missed += 1,
                },
                Some(event) = tells.recv() => self.tell(event)?,
                key = next(&mut keys) => match key {
                    b'q' => return Ok(()),
                    b'a' => self.answer_oldest("approve"),
                    b'r' => self.answer_oldest("reject"),
                    _ => {}
                },
                _ = ticks.tick() => {
                    let elapsed = since.elapsed();
                    if self.demo.span.is_some_and(|span| elapsed >= span) {
                        return Ok(());
                    }
                    self.turn(elapsed)?;
                }
            }
        }
    }

    /// Time passes in the world.
    fn turn(&mut self, elapsed: Duration) -> Result<(), DemoError> {
        let now = self.stage.clock.now();
        let mended = self.stage.world().mended();
        for fault in mended {
            let words = format!("mended by the repair: {}", fault.words());
            self.tell(Event { at: now, node: fault.node, kind: "CLEARED".to_owned(), words })?;
        }
        for turn in self.script.until(elapsed.mul_f64(self.pace.0)) {
            if self.stage.world().take(&turn, now) {
                let words = turn.fault.words();
                let (kind, words) =
                    if turn.fires { ("FAULT", words) } else { ("CLEARED", format!("went away by itself: {words}")) };
                self.tell(Event { at: now, node: turn.fault.node, kind: kind.to_owned(), words })?;
            }
        }
        self.draw(now)
    }

    /// The daemon was looked at.
    fn take(&mut self, mut seen: Seen) -> Result<(), DemoError> {
        for event in std::mem::take(&mut seen.events) {
            self.tell(event)?;
        }
        self.board.seen = seen;
        let Some(patience) = self.demo.approve else { return Ok(()) };
        let now = self.stage.clock.now();
        let waits = |repair: &&Repair| {
            let is_due = repair.is_proposal() && now.since(repair.created_at) >= patience;
            is_due && !self.stage.world().passes(&repair.node)
        };
        let due: Vec<Repair> = self.board.seen.repairs.iter().filter(waits).cloned().collect();
        due.iter().for_each(|repair| self.answer(repair, "approve"));
        Ok(())
    }

    fn answer_oldest(&mut self, word: &'static str) {
        let is_open = |repair: &&Repair| repair.is_proposal() && !self.approved.contains(&repair.id);
        if let Some(oldest) = self.board.seen.repairs.iter().rev().find(is_open).cloned() {
            self.answer(&oldest, word);
        }
    }

    /// Says yes or no over HTTP, as Together's clients do.
    fn answer(&mut self, repair: &Repair, word: &'static str) {
        if self.approved.contains(&repair.id) {
            return;
        }
        self.approved.push(repair.id.clone());
        let Repair { id, cluster, node, .. } = repair.clone();
        let url = format!("{}/v1/compute/clusters/{cluster}/instances/-/remediations/{id}/{word}", self.board.url);
        let body = json!({"comment": "said in the demo"}).to_string().into_bytes();
        let (client, told, clock) = (self.client.clone(), self.told.clone(), self.stage.clock.clone());
        tokio::spawn(async move {
            if let Err(error) = client.post_json(&url, &[], body).await {
                let event =
                    Event { at: clock.now(), node, kind: "REFUSED".to_owned(), words: format!("{word}: {error}") };
                // The demo may have ended.
                let _ = told.send(event);
            }
        });
    }

    /// Something happened.
    fn tell(&mut self, event: Event) -> Result<(), DemoError> {
        if self.terminal.is_none() {
            let line: Line = self.board.line(&event);
            self.print(&line.show(usize::MAX, false))?;
        }
        self.board.note(event);
        Ok(())
    }

    fn draw(&mut self, now: Timestamp) -> Result<(), DemoError> {
        let Some(terminal) = &mut self.terminal else { return Ok(()) };
        self.board.sick.clear();
        for raised in self.stage.world().raised().iter().filter(|raised| raised.ended_at.is_none()) {
            *self.board.sick.entry(raised.fault.node.clone()).or_default() += 1;
        }
        let size = Terminal::size();
        let frame = self.board.frame(now, size);
        terminal.draw(&frame, size.0).map_err(|source| DemoError::Io { what: "draw", source })
    }

    fn print(&mut self, line: &str) -> Result<(), DemoError> {
        writeln!(io::stdout(), "{line}").map_err(|source| DemoError::Io { what: "print", source })
    }
}

/// The next key; never, where none are heard.
async fn next(keys: &mut Option<mpsc::Receiver<u8>>) -> u8 {
    if let Some(keys) = keys
        && let Some(key) = keys.recv().await
    {
        return key;
    }
    std::future::pending().await
}
