//! List pages of 100 rows, with 1,000 and with many remediations in store: that they are many must not be felt.

use std::path::Path;
use std::time::Duration;

use remedyd::clock::Stopwatch;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::http::{Connection, request};
use super::load::quantile;
use super::made::{FLEET, Made, OF_THE_FIRST_NODE};
use super::site::{Daemon, Site, node, wait};
use super::table::{Bar, Line, Spread, digits};

/// Remediations in the small store.
const FEW: usize = 1_000;
/// Rows of a page, and requests for each list; half of them for its first page, half for pages deep inside.
const PAGE: usize = 100;
const REQUESTS: usize = 2_000;
/// Requests before them that do not count.
const WARM_UP: usize = 200;
/// How many pages deep inside are asked for in turn.
const DEEP: usize = 64;
/// The longest walk to find those, in pages of 1,000 rows: half of a million.
const WALK: usize = 500;
/// How long the first scrub of a store with a million remediations may take.
const SCRUB: Duration = Duration::from_secs(1_800);

/// One way to ask.
#[derive(Clone, Debug)]
pub struct List {
    pub name: &'static str,
    /// With the filter, to which the page is added.
    path: String,
}

/// A cluster's, which is all of them.
pub fn by_cluster() -> List {
    List { name: "by cluster", path: "/api/v1/remediations?cluster_id=fleet".to_owned() }
}

fn lists() -> [List; 4] {
    [
        by_cluster(),
        List { name: "by instance", path: format!("/api/v1/remediations?instance_id={}", node(0)) },
        List { name: "by state", path: "/api/v1/remediations?state=SUCCEEDED".to_owned() },
        List {
            name: "Together's, by cluster",
            path: "/v1/compute/clusters/fleet/instances/-/remediations?order_by=create_time%20desc".to_owned(),
        },
    ]
}

/// What of an answer is looked at.
#[derive(Deserialize)]
struct Answer {
    remediations: Vec<IgnoredAny>,
    next_page_token: String,
}

/// How long the requests of one round took, in microseconds, sorted.
pub struct Took {
    first: Vec<u32>,
    deep: Vec<u32>,
    all: Vec<u32>,
}

impl Took {
    pub fn p99(&self) -> f64 {
        quantile(&self.all, 990)
    }

    fn json(&self) -> Value {
        let of = |micros: &[u32]| json!({ "p50_ms": quantile(micros, 500), "p99_ms": quantile(micros, 990) });
        json!({ "first_page": of(&self.first), "deep_page": of(&self.deep), "all": of(&self.all) })
    }
}

/// A list of one daemon, and which of its pages are asked for.
pub struct Pages {
    first: Vec<u8>,
    deep: Vec<Vec<u8>>,
}

impl Pages {
    /// Walks through the list, at most to its 500,000th row, and keeps full pages from all over it.
    pub async fn find(daemon: &Daemon, list: &List, has: usize) -> Self {
        let mut connection = Connection::open(daemon.at).await;
        let (step, mut tokens, mut token) = (if has > 10 * PAGE { 1_000 } else { PAGE }, Vec::new(), String::new());
        let mut rows = 0;
        // The page behind a token is full as long as so many rows lie behind it.
        for _ in 0..WALK {
            let path = format!("{}&page_size={step}&page_token={token}", list.path);
            let answer = read(connection.get(&path).await, &path);
            rows += answer.remediations.len();
            token = answer.next_page_token;
            if token.is_empty() || rows + PAGE > has {
                break;
            }
            tokens.push(token.clone());
        }
        assert!(!tokens.is_empty(), "{}: {rows} rows, and no second page", list.name);
        let every = tokens.len().div_ceil(DEEP);
        let ask = |token: &str| request("GET", &format!("{}&page_size={PAGE}&page_token={token}", list.path), b"");
        // From the end: the deepest is among them.
        let deep = tokens.iter().rev().step_by(every).map(|token| ask(token)).collect();
        Self { first: request("GET", &format!("{}&page_size={PAGE}", list.path), b""), deep }
    }

    /// Asks on one connection, one request after the other. Each answer is 200 and full.
    pub async fn ask(&self, daemon: &Daemon) -> Took {
        let mut connection = Connection::open(daemon.at).await;
        let (mut first, mut deep) = (Vec::new(), Vec::new());
        for number in 0..WARM_UP + REQUESTS {
            let is_first = number % 2 == 0;
            let request = if is_first { &self.first } else { &self.deep[number / 2 % self.deep.len()] };
            let watch = Stopwatch::start();
            let answer = connection.ask(request).await;
            let micros = watch.elapsed().as_micros() as u32;
            let answer = read(answer, &String::from_utf8_lossy(request));
            assert_eq!(answer.remediations.len(), PAGE, "{}", String::from_utf8_lossy(request));
            if number >= WARM_UP {
                if is_first { &mut first } else { &mut deep }.push(micros);
            }
        }
        let mut all = [first.as_slice(), &deep].concat();
        first.sort_unstable();
        deep.sort_unstable();
        all.sort_unstable();
        Took { first, deep, all }
    }
}

fn read((status, body): (u16, Vec<u8>), asked: &str) -> Answer {
    assert_eq!(status, 200, "{asked}: {}", String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{asked}: {error}"))
}

/// How many rows a list has in a store of so many.
fn rows_of(list: &List, remediations: usize) -> usize {
    match list.name {
        "by instance" => OF_THE_FIRST_NODE,
        "by state" => remediations * 45 / 100,
        _ => remediations,
    }
}

/// One list of both stores over all rounds.
struct Figures {
    list: List,
    /// Of the small store and of the large one.
    pages: [Pages; 2],
    few: Vec<Took>,
    many: Vec<Took>,
    scrubbed: Vec<Took>,
}

/// Both daemons run all the time and answer in turn; who is not asked rests, once its store is scrubbed. The large store
/// is asked first while that goes on, which is shown beside, and then in rounds.
pub async fn run(program: &Path, rounds: usize, remediations: usize) -> (Vec<Line>, Value) {
    let (small, few) = begin(program, FEW).await;
    let (large, many) = begin(program, remediations).await;
    let mut all = Vec::new();
    for list in lists() {
        let find = async |daemon, has| Pages::find(daemon, &list, rows_of(&list, has)).await;
        let pages = [find(&few, FEW).await, find(&many, remediations).await];
        let scrubbed = vec![pages[1].ask(&many).await];
        all.push(Figures { list, pages, few: Vec::new(), many: Vec::new(), scrubbed });
    }
    let was_scrubbing = scrubs(&many).await == 0.0;
    eprintln!("lists: waiting until {remediations} remediations are scrubbed");
    for (daemon, has) in [(&few, FEW), (&many, remediations)] {
        let watch = Stopwatch::start();
        while scrubs(daemon).await == 0.0 {
            assert!(watch.elapsed() < SCRUB, "the scrub takes more than {SCRUB:?}");
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        let rows = daemon.metric("remedyd_store_rows", "kind=\"remediation\"").await;
        assert_eq!(rows, has as f64, "the store has its remediations");
    }
    for round in 1..=rounds {
        eprintln!("lists: round {round} of {rounds}");
        for figures in &mut all {
            figures.few.push(figures.pages[0].ask(&few).await);
            figures.many.push(figures.pages[1].ask(&many).await);
        }
    }
    drop((few, many, small, large));
    let told: Vec<Value> = all.iter().map(Figures::json).collect();
    (all.iter().flat_map(|figures| figures.lines(remediations, was_scrubbing)).collect(), json!(told))
}

async fn begin(program: &Path, remediations: usize) -> (Site, Daemon) {
    let made = Made::of(program, remediations).await;
    let site = Site::new(FLEET, "");
    made.place(&site);
    let daemon = site.start(program).await;
    daemon.catch_up().await;
    (site, daemon)
}

async fn scrubs(daemon: &Daemon) -> f64 {
    daemon.metric("remedyd_store_scrubs_total", "").await
}

/// Waits for a scrub that takes less than what is waited for anywhere here.
pub async fn scrubbed(daemon: &Daemon) {
    wait(|| async { scrubs(daemon).await > 0.0 }).await;
}

impl Figures {
    fn lines(&self, remediations: usize, was_scrubbing: bool) -> [Line; 2] {
        let p99 = |took: &[Took]| Spread::of(took.iter().map(Took::p99));
        let ratio = Spread::of(self.many.iter().zip(&self.few).map(|(many, few)| many.p99() / few.p99()));
        let name = self.list.name;
        let beside = format!("{} ms at {FEW}", digits(p99(&self.few).median));
        let scrubbed = format!("{} ms while the store is scrubbed after its start", digits(p99(&self.scrubbed).median));
        let more = if was_scrubbing { format!("{beside}; {scrubbed}") } else { beside.clone() };
        [
            Line::new(
                format!("list page {name}, {remediations} remediations, p99 ms"),
                Bar::AtMost(10.0),
                Bar::Shown,
                p99(&self.many),
            )
            .beside(more),
            Line::new(format!("list page {name}, p99 ÷ that at {FEW}"), Bar::AtMost(1.5), Bar::AtMost(1.1), ratio)
                .beside(beside),
        ]
    }

    fn json(&self) -> Value {
        let of = |took: &[Took]| took.iter().map(Took::json).collect::<Value>();
        json!({ "list": self.list.name, "few": of(&self.few), "many": of(&self.many),
            "many_while_scrubbed": of(&self.scrubbed) })
    }
}
