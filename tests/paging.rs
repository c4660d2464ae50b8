//! Lists of a thousand remediations, read page by page while others are created: none comes twice, none is missed. And
//! filters, in every spelling that clients use.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use serde_json::{Value, json};
use support::client::Client;
use support::daemon::Daemon;
use support::posts::{self, HEAVY, LIGHT};
use support::site::Site;

/// How many there are before the reading begins.
const MANY: usize = 1000;
/// All but the two that get a proposal.
const INSTANCES: [&str; 6] = ["i-1", "i-2", "i-3", "i-4", "i-5", "i-6"];
const MODES: [&str; 5] = ["REBOOT_VM", "VM_ONLY", "HOST_AWARE", "HOST_POWER_CYCLE", "EVICT_WITHOUT_REPLACEMENT"];
const LIST: &str = "/v1/compute/clusters/train-a/instances/-/remediations";

/// A site on which nothing that is approved begins.
fn site() -> Site {
    let site = Site::webhook_only();
    site.policy(&[("dispatch_delay", "1h")]);
    site
}

/// Creates the `n`-th remediation and calls it off again, unless it is to stay.
fn create(client: &Client, n: usize, stays: bool) -> String {
    let path = format!("/v1/compute/clusters/train-a/instances/{}/remediations", INSTANCES[n % INSTANCES.len()]);
    let mode = format!("REMEDIATION_MODE_{}", MODES[n % MODES.len()]);
    let row = client.post(&path, &json!({"mode": mode, "reason": format!("number {n}")})).json();
    let id = row["id"].as_str().unwrap().to_owned();
    if !stays {
        let cancelled = client.post(&format!("{path}/{id}/cancel"), &json!({})).json();
        assert_eq!(cancelled["state"], "CANCELLED");
    }
    id
}

/// Everything that a list shows, page by page.
fn read(client: &Client, path: &str, query: &str, size: usize) -> Vec<Value> {
    let mut rows = Vec::new();
    let mut token = String::new();
    loop {
        let page = client.get(&format!("{path}?page_size={size}&page_token={token}&{query}")).json();
        let found = page["remediations"].as_array().unwrap();
        let most = if size == 0 { 50 } else { size.min(1000) };
        let is_last = page["has_next"] == false;
        assert!(found.len() <= most, "{} rows on a page of {most}", found.len());
        if query.is_empty() {
            assert!(is_last || found.len() == most, "a page without filters is full");
        }
        rows.extend(found.iter().cloned());
        page["next_page_token"].as_str().unwrap().clone_into(&mut token);
        assert_eq!(token.is_empty(), is_last, "{page}");
        if is_last {
            return rows;
        }
    }
}

fn ids(rows: &[Value]) -> Vec<String> {
    rows.iter().map(|row| row["id"].as_str().unwrap().to_owned()).collect()
}

/// Each row once, in the order of creation.
fn assert_in_order(rows: &[Value], ascending: bool) {
    let found: BTreeSet<String> = ids(rows).into_iter().collect();
    assert_eq!(found.len(), rows.len(), "a row came twice");
    let mut times: Vec<&str> = rows.iter().map(|row| row["create_time"].as_str().unwrap()).collect();
    if ascending {
        times.reverse();
    }
    assert!(times.windows(2).all(|pair| pair[0] >= pair[1]), "the order of creation is broken");
}

#[test]
fn pages_neither_repeat_nor_skip_while_others_are_created() {
    let site = site();
    let daemon = Daemon::start(&site);
    let before: BTreeSet<String> = (0..MANY).map(|n| create(daemon.client(), n, false)).collect();
    assert_eq!(before.len(), MANY);

    let (ends, created) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let client = daemon.client().clone();
            for n in MANY.. {
                if ends.load(Ordering::SeqCst) {
                    return;
                }
                create(&client, n, false);
                created.fetch_add(1, Ordering::SeqCst);
            }
        });
        for size in [7, 100, 333, 1000, 0, 100_000] {
            for (query, ascending) in [("", false), ("order_by=create_time%20asc", true)] {
                let at_start = created.load(Ordering::SeqCst);
                let rows = read(daemon.client(), LIST, query, size);
                assert_in_order(&rows, ascending);
                let found: BTreeSet<String> = ids(&rows).into_iter().collect();
                assert!(found.is_superset(&before), "a row is missing on pages of {size}");
                assert!(found.len() >= MANY + at_start, "a row that was there when the reading began is missing");
            }
        }
        ends.store(true, Ordering::SeqCst);
    });
    let created = created.into_inner();
    assert!(created > 10, "only {created} were created meanwhile");
    let rows = read(daemon.client(), LIST, "", 1000);
    // One more may have been answered when its creator was told to end.
    assert_eq!(rows.len(), MANY + created);
    // The native list agrees.
    assert_eq!(ids(&read(daemon.client(), "/api/v1/remediations", "", 97)), ids(&rows));
    daemon.stop();
}

#[test]
fn filters_choose_the_same_rows_in_every_spelling() {
    let site = site();
    let daemon = Daemon::start(&site);
    for n in 0..60 {
        create(daemon.client(), n, n >= 60 - INSTANCES.len());
    }
    daemon.deliver(&posts::firing(HEAVY, "gpu-node-7", support::now()));
    daemon.deliver(&posts::firing(LIGHT, "gpu-node-8", support::now()));
    let rejected = daemon.wait_for("i-8", "PENDING_APPROVAL");
    daemon.post(&format!("{}/reject", support::daemon::together(&rejected)), &json!({})).json();
    let all = read(daemon.client(), LIST, "", 1000);
    assert_eq!(all.len(), 62);

    let filters: BTreeMap<&str, Vec<Vec<&str>>> = BTreeMap::from([
        (
            "state",
            vec![
                vec![],
                vec!["PENDING"],
                vec!["CANCELLED"],
                vec!["PENDING_APPROVAL", "PENDING"],
                vec!["CANCELLED", "PENDING", "RUNNING"],
                vec!["QUARANTINED"],
            ],
        ),
        (
            "mode",
            vec![
                vec![],
                vec!["REMEDIATION_MODE_HOST_AWARE"],
                vec!["REMEDIATION_MODE_VM_ONLY", "REMEDIATION_MODE_EVICT_WITHOUT_REPLACEMENT"],
            ],
        ),
        (
            "trigger",
            vec![
                vec![],
                vec!["REMEDIATION_TRIGGER_MANUAL"],
                vec!["REMEDIATION_TRIGGER_AUTOMATED"],
                vec!["REMEDIATION_TRIGGER_AUTOMATED", "REMEDIATION_TRIGGER_MANUAL"],
            ],
        ),
    ]);
    let (mut asked, mut some, mut none) = (0, 0, 0);
    for states in &filters["state"] {
        for modes in &filters["mode"] {
            for triggers in &filters["trigger"] {
                let chosen = [("state", states), ("mode", modes), ("trigger", triggers)];
                let passes = |row: &&Value| {
                    chosen.iter().all(|(key, values)| values.is_empty() || values.contains(&row[key].as_str().unwrap()))
                };
                let expected: Vec<String> = ids(&all.iter().filter(passes).cloned().collect::<Vec<_>>());
                for spell in SPELLINGS {
                    let query: Vec<String> = chosen
                        .iter()
                        .filter(|(_, values)| !values.is_empty())
                        .map(|(key, values)| spell(key, values))
                        .collect();
                    let found = ids(&read(daemon.client(), LIST, &query.join("&"), 10));
                    assert_eq!(found, expected, "{query:?}");
                    asked += 1;
                }
                if expected.is_empty() { none += 1 } else { some += 1 }
            }
        }
    }
    assert!(asked == 360 && some > 20 && none > 10, "{asked} {some} {none}");

    for bad in ["state=pending", "mode=VM_ONLY", "trigger=MANUAL", "state=PENDING%2CX", "page_size=-1", "page_size=x"] {
        let refusal = daemon.get(&format!("{LIST}?{bad}"));
        assert_eq!(refusal.status, 400, "{bad}: {refusal}");
    }
    a_token_belongs_to_its_own_list(&daemon);
    daemon.stop();
}

/// How clients write a list: joined by commas as they are or escaped, repeated, with brackets.
const SPELLINGS: [fn(&str, &[&str]) -> String; 5] = [
    |key, values| format!("{key}={}", values.join(",")),
    |key, values| format!("{key}={}", values.join("%2C")),
    |key, values| values.iter().map(|value| format!("{key}={value}")).collect::<Vec<_>>().join("&"),
    |key, values| values.iter().map(|value| format!("{key}[]={value}")).collect::<Vec<_>>().join("&"),
    |key, values| values.iter().map(|value| format!("{key}%5B%5D={value}")).collect::<Vec<_>>().join("&"),
];

fn a_token_belongs_to_its_own_list(daemon: &Daemon<'_>) {
    let page = daemon.get(&format!("{LIST}?page_size=10&state=CANCELLED")).json();
    let token = page["next_page_token"].as_str().unwrap();
    let next = |query: &str| daemon.get(&format!("{LIST}?page_token={token}&{query}")).status;
    assert_eq!(next("page_size=10&state=CANCELLED"), 200);
    assert_eq!(next("page_size=3&state=CANCELLED"), 200, "the size of a page may change on the way");
    for other in ["", "state=PENDING", "state=CANCELLED&mode=REMEDIATION_MODE_VM_ONLY", "order_by=update_time"] {
        assert_eq!(next(other), 400, "{other}");
    }
    assert_eq!(daemon.get(&format!("/api/v1/remediations?page_token={token}")).status, 400);
    let of_one = LIST.replace("/-/", "/i-1/");
    assert_eq!(daemon.get(&format!("{of_one}?page_token={token}&state=CANCELLED")).status, 400);
}
