//! The configuration as it is shown: what was asked for is there, and no secret is.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::*;
use crate::config::{self, Overrides};

/// Every place of a configuration that may hold a secret holds this one.
const SECRET: &str = "hunter2";

fn shown(load: Load) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "storage.path = 'data'\n[clusters.c]\nact = 'd'\n[drivers.d.command]\nargv = ['/bin/act', '--token={SECRET}']\n\
         [notices.chat.webhook]\nurl = 'https://hooks.example.com/services/{SECRET}?key={SECRET}'\n\
         [rules.r]\nmatch = ['alertname=\"X\"']\nmode = 'vm_only'\n"
    );
    let main = text.split("[rules.r]").next().unwrap();
    let rules = format!("[rules.r]{}", text.split("[rules.r]").nth(1).unwrap());
    let path: PathBuf = folder.path().join("remedyd.toml");
    std::fs::write(&path, format!("policy.rules = ['rules.toml']\n{main}")).unwrap();
    std::fs::write(folder.path().join("rules.toml"), rules).unwrap();
    let loaded = config::load(&path, &Overrides::default()).unwrap();
    serde_json::to_value(Configuration::new(&loaded.config, load)).unwrap()
}

#[test]
fn no_secret_is_shown() {
    let shown = shown(Load::default());
    assert!(!shown.to_string().contains(SECRET), "{shown:#}");
    assert_eq!(shown["drivers"]["d"]["program"], "/bin/act");
    assert_eq!(shown["notices"]["chat"], "hooks.example.com");
    assert_eq!(shown["clusters"]["c"]["act"], "d");
    assert_eq!(
        shown["rules"]["r"],
        json!({"match": "{alertname=\"X\"}", "for": "0s", "mode": "vm_only", "enforce": "propose", "auto_resolve": "alert"})
    );
    assert_eq!((&shown["policy"]["cooldown"], &shown["last_reload_failure"]), (&json!("30m"), &Value::Null));
}

#[test]
fn a_reload_that_was_refused_says_why_until_one_is_taken() {
    let at = |seconds: i64| Timestamp::from_micros(seconds * 1_000_000);
    let loads = Loads::default();
    loads.started(at(1));
    loads.refused(at(2), vec!["a.toml:1:1: x: wrong".into()]);
    let refused = shown(loads.last());
    assert_eq!(refused["loaded_at"], "1970-01-01T00:00:01.000000Z");
    let failure = json!({"at": "1970-01-01T00:00:02.000000Z", "mistakes": ["a.toml:1:1: x: wrong"]});
    assert_eq!(refused["last_reload_failure"], failure);
    loads.taken(at(3));
    let taken = shown(loads.last());
    assert_eq!(taken["loaded_at"], "1970-01-01T00:00:03.000000Z");
    assert_eq!((&taken["last_reload_failure"], loads.last().started_at), (&Value::Null, at(1)));
}
