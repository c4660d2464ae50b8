//! Any text as a page token, and any bytes as the place that a token of ours could name.
//!
//! A token that is taken is spelt as we spell it. A place that is taken leads to a part of the list without a gap:
//! whoever forges one, since the check in a token is no secret, sees nothing that the list does not show.
#![no_main]

use std::collections::BTreeSet;
use std::sync::LazyLock;
use std::thread::sleep;
use std::time::Duration;

use libfuzzer_sys::{Corpus, fuzz_target};
use remedyd::domain::{ClusterId, Mode, Principal};
use remedyd::engine::{Command, Input, Selector};
use remedyd::http::query::{Query, Question};
use remedyd::store::query::{AlertFilter, Cursor, InstanceFilter, Order, Page, Paging, RemediationFilter, Visible};
use remedyd::store::reader::{ReadError, Reader};
use remedyd::store::{Opened, Opening, Options, Port, open};
use remedyd::writer::Cause;
use remedyd_fuzz::{Site, deliver, read, shipped};
use tempfile::TempDir;

const MESSAGES: [&[u8]; 2] = [
    include_bytes!("../../wire/alertmanager/genuine/03-ib-port-down-6-nodes-grouped-firing.json"),
    include_bytes!("../../wire/alertmanager/handwritten/h10-label-values-not-strings.json"),
];

/// A store with some rows of every kind that has pages.
struct Stored {
    reader: Reader,
    _folder: TempDir,
}

static STORED: LazyLock<Stored> = LazyLock::new(|| {
    let loaded = shipped();
    let mut site = Site::new(&loaded);
    for body in MESSAGES {
        deliver(&mut site, 2, read(body).expect("it can be read"));
    }
    for (second, instance) in (4..).zip(loaded.instances.iter().cycle().take(24)) {
        let (cluster_id, instance_id) = (instance.cluster_id.clone(), instance.id.clone());
        let alias = Some(format!("n-{second}"));
        let create = Command::Create {
            cluster_id: cluster_id.clone(),
            instance_id,
            mode: Mode::RebootVm,
            reason: String::new(),
            alias: alias.clone(),
            is_retry: false,
        };
        site.step(second, Input::Asked(Principal::local(), create));
        let selector =
            Selector { cluster_id: Some(cluster_id), instance_id: None, remediation: alias.unwrap_or_default() };
        site.step(second, Input::Asked(Principal::local(), Command::Cancel { selector, comment: String::new(), seen_version: None }));
    }
    let folder = TempDir::new().expect("a folder can be made");
    let Opening::Ready(opened) = open(folder.path(), Options::default()).expect("a new store opens") else {
        panic!("there is no room for a new store")
    };
    let Opened { mut appender, reader, .. } = *opened;
    let changes: Vec<_> = site.rows.live().cloned().collect();
    appender.stage(&Cause::system(), "tick", &changes);
    appender.commit(site.now()).expect("there is room");
    while reader.lag().changes > 0 {
        sleep(Duration::from_millis(1));
    }
    appender.close().expect("sled takes it");
    Stored { reader, _folder: folder }
});

fuzz_target!(|input: &[u8]| -> Corpus {
    let [which, how, rest @ ..] = input else { return Corpus::Reject };
    let visible: Visible = match which % 3 {
        0 => None,
        1 => Some(BTreeSet::from([ClusterId::parse("train-a").expect("a name")])),
        _ => Some(BTreeSet::new()),
    };
    let question = Question::new("alerts", &which);
    let after = if how % 2 == 0 {
        let Ok(text) = std::str::from_utf8(rest) else { return Corpus::Reject };
        let query = Query::parse(Some(&format!("page_token={text}")));
        let token = query.one("page_token").unwrap_or_default();
        match query.paging(&question) {
            Err(_) => return Corpus::Keep,
            Ok(paging) => {
                assert_eq!(question.token(paging.after.as_ref()), token, "a token that is not ours was taken");
                paging.after
            }
        }
    } else {
        let place = Cursor(rest.to_vec());
        let token = question.token(Some(&place));
        let query = Query::parse(Some(&format!("page_token={token}")));
        assert_eq!(query.paging(&question).expect("our own token").after.as_ref(), Some(&place));
        let other = Question::new("alerts", &(which, 1));
        assert!(query.paging(&other).is_err(), "another question takes the token");
        Some(place)
    };
    let size = 1 + usize::from(how / 2);
    list(visible, which / 3, Paging { size, after });
    Corpus::Keep
});

/// Reads the list that `which` stands for; the page has to be a part of the whole list.
fn list(visible: Visible, which: u8, paging: Paging) {
    let reader = &STORED.reader;
    match which % 4 {
        0 => {
            let order = Order { by_update: which & 4 > 0, ascending: which & 8 > 0 };
            let filter = RemediationFilter { visible, ..RemediationFilter::default() };
            part_of(paging, |paging| reader.remediations(&filter, order, paging), |row| row.remediation.id.to_string());
        }
        1 => {
            let filter = AlertFilter { visible, ..AlertFilter::default() };
            part_of(paging, |paging| reader.alerts(&filter, paging), |row| row.id.to_string());
        }
        2 => part_of(paging, |paging| reader.dead_letters(&visible, paging), |row| row.id.to_string()),
        _ => {
            let filter = InstanceFilter { visible, cluster_id: None };
            part_of(paging, |paging| reader.instances(&filter, paging), |(row, _)| row.id.to_string());
        }
    }
}

fn part_of<T>(paging: Paging, read: impl Fn(&Paging) -> Result<Page<T>, ReadError>, id: impl Fn(&T) -> String) {
    let page = match read(&paging) {
        Ok(page) => page,
        Err(ReadError::BadCursor) => return,
        Err(error) => panic!("{error}"),
    };
    let whole = read(&Paging { size: 1000, after: None }).expect("the first page can be read");
    let whole: Vec<String> = whole.rows.iter().map(&id).collect();
    let part: Vec<String> = page.rows.iter().map(&id).collect();
    assert!(part.len() <= paging.size);
    let stands = part.is_empty() || whole.windows(part.len()).any(|window| window == part);
    assert!(stands, "{part:?} is no part of {whole:?}");
    assert_eq!(page.next.is_some(), !part.is_empty() && part.last() != whole.last(), "has_next is wrong");
}
