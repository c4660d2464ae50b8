//! Any text as the id that a client gives its remediation: refused by its letters alone, or from then on a name that
//! finds the same remediation again, for a repeat as well as for a cancel.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use remedyd::config::Loaded;
use remedyd::domain::{Mode, Principal, RemediationId, State};
use remedyd::engine::{Command, Input, Refusal, Reply, Selector};
use remedyd::http::query::Query;
use remedyd_fuzz::{Site, shipped};

static LOADED: LazyLock<Loaded> = LazyLock::new(shipped);

fuzz_target!(|text: &str| {
    if let Some(id) = RemediationId::parse(text) {
        assert_eq!(id.to_string(), text, "an id has two spellings");
    }
    // As in a URL, and as it is.
    if let Some(decoded) = Query::parse(Some(&format!("remediation_id={text}"))).one("remediation_id") {
        create(decoded);
    }
    create(text);
});

fn create(alias: &str) {
    let mut site = Site::new(&LOADED);
    let is_name = (1..=128).contains(&alias.len())
        && alias.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    let first = match ask(&mut site, 2, wanted(alias, 0)) {
        Reply::Remediation(record) => record.remediation,
        Reply::Refused(Refusal::Invalid { field: "remediation_id", .. }) => return assert!(!is_name, "{alias:?}"),
        other => panic!("{alias:?}: {other:?}"),
    };
    assert!(is_name, "{alias:?} was taken");
    assert_eq!(first.alias.as_deref(), Some(alias));
    let Reply::Remediation(again) = ask(&mut site, 3, wanted(alias, 0)) else { panic!("a repeat of {alias:?} failed") };
    assert_eq!(again.remediation.id, first.id, "a repeat opened another");
    let other = ask(&mut site, 3, wanted(alias, 1));
    assert!(matches!(other, Reply::Refused(Refusal::AliasTaken { id, .. }) if id == first.id), "{other:?}");
    let selector = |cluster: bool, name: &str| Selector {
        cluster_id: cluster.then(|| LOADED.config.clusters[0].id.clone()),
        instance_id: None,
        remediation: name.to_owned(),
    };
    // Our own API has no clusters in its paths, and so knows only our own ids.
    let cancelled = ask(&mut site, 4, cancel(selector(false, alias)));
    assert!(matches!(cancelled, Reply::Refused(Refusal::NotFound { .. })), "{cancelled:?}");
    let cancelled = ask(&mut site, 4, cancel(selector(true, alias)));
    let by_alias = match cancelled {
        Reply::Remediation(record) => (record.remediation.id, record.remediation.state),
        // Without a delay it may have begun in the same second.
        Reply::Refused(Refusal::WrongState { id, state, .. }) => (id, state),
        other => panic!("{alias:?} finds nothing: {other:?}"),
    };
    assert_eq!(by_alias.0, first.id);
    assert!(matches!(by_alias.1, State::Cancelled | State::Running), "{by_alias:?}");
    assert!(site.would_start_alike(), "memory is not the fold of the rows");
}

fn wanted(alias: &str, instance: usize) -> Command {
    let instance = &LOADED.instances[instance];
    Command::Create {
        cluster_id: instance.cluster_id.clone(),
        instance_id: instance.id.clone(),
        mode: Mode::RebootVm,
        reason: "fuzz".to_owned(),
        alias: Some(alias.to_owned()),
        is_retry: false,
    }
}

fn cancel(selector: Selector) -> Command {
    Command::Cancel { selector, comment: String::new(), seen_version: None }
}

fn ask(site: &mut Site, second: i64, command: Command) -> Reply {
    site.step(second, Input::Asked(Principal::local(), command))
}
