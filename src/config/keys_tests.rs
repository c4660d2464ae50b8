//! Holds the loader and the table of keys to each other.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs;
use std::sync::LazyLock;

use toml::Table;

use super::super::{Mistake, Overrides, load};
use super::{KEYS, Key, Otherwise};

thread_local! {
    /// Every path that the loader asked for in this thread.
    static ASKED: RefCell<BTreeSet<String>> = const { RefCell::new(BTreeSet::new()) };
}

/// The loader asks for this path, whether or not a file has it.
pub(in super::super) fn note(path: &str) {
    ASKED.with_borrow_mut(|asked| asked.insert(path.to_owned()));
}

/// What a key needs around it to be read: every table that has keys, with what they require.
const MAIN: &str = r#"
storage.path = "data"
server.tls.cert_file = "cert.pem"
server.tls.key_file = "key.pem"
auth.tokens_file = "tokens.toml"
sources.main.alertmanagers = ["http://127.0.0.1:9093"]
inventory.files = ["inventory.d/*.toml"]
inventory.file_sd = ["sd.d/*.json"]
inventory.http_sd.dc1.url = "http://127.0.0.1:8082/sd"
policy.rules = ["rules.d/*.toml"]
clusters.train-a.act = "rehearse"
clusters.train-b.act = "vm"
drivers.rehearse.dry_run = {}
drivers.vm.command.argv = ["/bin/true"]
notices.chat.webhook.url = "http://127.0.0.1:8081/"
checks.ssh.every = "30s"
checks.ssh.tcp.port = 2222
checks.page.every = "30s"
checks.page.http.url = "https://{address}/"
checks.zone.every = "30s"
checks.zone.dns.name = "site"
checks.echo.every = "30s"
checks.echo.icmp = {}
checks.program.command.argv = ["/bin/true"]
checks.gpus.dcgm_exporter = {}
checks.local.nvml = {}
checks.night.cron = "0 3 * * *"
checks.night.tcp.port = 22
"#;
const FILES: [(&str, &str); 3] = [
    ("rules.d/a.toml", "rules.r.match = ['a=\"b\"']\nrules.r.mode = \"reboot_vm\"\n"),
    ("inventory.d/a.toml", "instances.i-7.cluster = \"train-b\"\n"),
    (
        "tokens.toml",
        "[tokens.ann]\nrole = \"viewer\"\nsha256 = \"NONE\"\n[clients.ci]\nrole = \"viewer\"\nsan = \"ci.site\"\n",
    ),
];
/// Keys that say nothing without another: which, and its value.
const COMPANIONS: [(&str, &str, &str); 3] = [
    ("tokens.<name>.previous_sha256", "previous_until", "2030-01-01T00:00:00Z"),
    (
        "tokens.<name>.previous_until",
        "previous_sha256",
        "1111111111111111111111111111111111111111111111111111111111111111",
    ),
    ("server.tls.client_certificate", "client_ca_file", "cert.pem"),
];
/// A target for every label that a key may name instead of the default, and one of no cluster.
const TARGETS: &str = r#"[
    {"targets": ["127.0.0.8:9100"], "labels": {"instance_id": "i-8", "cluster": "train-b", "machine": "m-8", "vm": "v-8",
        "site": "train-a", "chassis": "h-8", "partition": "p-8", "build": "2", "vm_uuid": "u-8", "repair": "false", "row": "r-8"}},
    {"targets": ["127.0.0.9:9100"], "labels": {"instance_id": "i-9", "machine": "m-9"}}
]"#;
/// A certificate and its key, for the keys that name them.
static PAIR: LazyLock<[String; 2]> = LazyLock::new(|| {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    [made.cert.pem(), made.signing_key.serialize_pem()]
});

/// The names in the frame above that stand for `<…>`.
fn path_in_the_frame(key: &Key) -> Vec<&'static str> {
    let mut path: Vec<&str> = key.path.split('.').collect();
    let name = match path[..] {
        ["sources", ..] => "main",
        ["clusters", ..] => "train-a",
        ["drivers", _, "dry_run", ..] => "rehearse",
        ["drivers", _, "command", ..] => "vm",
        ["notices", ..] => "chat",
        ["checks", _, "tcp", ..] => "ssh",
        ["checks", _, "http", ..] => "page",
        ["checks", _, "dns", ..] => "zone",
        ["checks", _, "icmp", ..] => "echo",
        ["checks", _, "cron" | "zone"] => "night",
        ["checks", _, "command", ..] => "program",
        ["checks", _, "dcgm_exporter", ..] => "gpus",
        ["checks", _, "nvml", ..] => "local",
        ["checks", ..] => "ssh",
        ["rules", ..] => "r",
        ["instances", ..] => "i-7",
        ["tokens", ..] => "ann",
        ["clients", ..] => "ci",
        ["inventory", "http_sd", ..] => "dc1",
        _ => "",
    };
    for part in &mut path {
        match *part {
            "<name>" | "<id>" if !name.is_empty() => *part = name,
            "<kind>" => *part = "rack",
            plain => {
                let what = "a name of the author's own needs one in the frame of this test: extend `path_in_the_frame`";
                assert!(!plain.starts_with('<'), "{}: {what}", key.path);
            }
        }
    }
    path
}

fn change(table: &mut Table, path: &[&str], value: Option<toml::Value>) {
    let (last, folders) = path.split_last().unwrap();
    let table = folders.iter().fold(table, |table, part| {
        let inner = table.entry((*part).to_owned()).or_insert_with(|| Table::new().into());
        inner.as_table_mut().unwrap()
    });
    match value {
        Some(value) => drop(table.insert((*last).to_owned(), value)),
        None => drop(table.remove(*last)),
    }
}

/// What is loaded where `key` has this value, or is left out.
fn loaded(key: &Key, value: Option<&str>) -> Result<String, Vec<Mistake>> {
    let folder = tempfile::tempdir().unwrap();
    let value = value.map(|text| {
        let parsed: Table = format!("it = {text}").parse().unwrap_or_else(|error| panic!("{}: {error}", key.path));
        parsed["it"].clone()
    });
    let path = path_in_the_frame(key);
    for name in ["rules.d", "inventory.d", "sd.d"] {
        fs::create_dir(folder.path().join(name)).unwrap();
    }
    // What a key may name.
    let catalogue = "code,mnemonic,recommended_action,secondary\n79,OFF_THE_BUS,HOST_AWARE,no\n";
    fs::write(folder.path().join("xid.csv"), catalogue).unwrap();
    fs::write(folder.path().join("sd.d/a.json"), TARGETS).unwrap();
    fs::write(folder.path().join("netbox.token"), "s3cret\n").unwrap();
    for (file, text) in ["cert.pem", "key.pem"].into_iter().zip(&*PAIR) {
        fs::write(folder.path().join(file), text).unwrap();
    }
    for (file, text) in FILES.into_iter().chain([("remedyd.toml", MAIN)]) {
        let mut table: Table = text.replace("NONE", &"0".repeat(64)).parse().unwrap();
        if file == key.file().replace("*", "a") {
            change(&mut table, &path, value.clone());
            let companion = COMPANIONS.iter().find(|(of, ..)| *of == key.path && value.is_some());
            if let Some((_, name, text)) = companion {
                let beside = [&path[..path.len() - 1], &[name]].concat();
                change(&mut table, &beside, Some((*text).into()));
            }
        }
        fs::write(folder.path().join(file), table.to_string()).unwrap();
    }
    let loaded = load(&folder.path().join("remedyd.toml"), &Overrides::default())?;
    let config = super::super::Config { digest: String::new(), watched: BTreeSet::new(), ..loaded.config };
    // The folder is another each time.
    Ok(format!("{config:?} {:?}", loaded.instances).replace(folder.path().to_str().unwrap(), "FOLDER"))
}

/// The parts of a dotted path; a part in quotes may hold dots.
fn parts(path: &str) -> Vec<String> {
    let (mut parts, mut part, mut quoted, mut escaped) = (Vec::new(), String::new(), false, false);
    for letter in path.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '.' if !quoted => parts.push(std::mem::take(&mut part)),
            _ => part.push(letter),
        }
    }
    parts.push(part);
    parts
}

/// Whether a row is about this path, or about something inside it.
fn is_described(path: &str) -> bool {
    let asked = parts(path);
    KEYS.iter().any(|key| {
        let known: Vec<&str> = key.path.split('.').collect();
        known.len() >= asked.len()
            && known.iter().zip(&asked).all(|(known, asked)| known.starts_with('<') || known == asked)
    })
}

#[test]
fn every_key_that_the_loader_asks_for_is_described() {
    for key in KEYS {
        // A mistake is another test's; the loader goes on after one.
        let _ = loaded(key, Some(key.example));
    }
    let missing: Vec<String> = ASKED.with_borrow(|asked| {
        let row = |path: &String| {
            format!(
                "        key({path:?}, \"WHAT IT TAKES\", Is(\"DEFAULT\"), \"EXAMPLE\", \"{}\", \"WHAT IT MEANS.\"),",
                env!("CARGO_PKG_VERSION")
            )
        };
        asked.iter().filter(|path| !is_described(path)).map(row).collect()
    });
    assert!(
        missing.is_empty(),
        "the loader takes keys that the reference does not know. Add to KEYS in src/config/keys.rs, with <name> where the \
         author chooses a name and Required or Means(\"…\") where no value says what holds without the key; then renew the \
         reference as tests/reference.rs says:\n{}",
        missing.join("\n")
    );
}

#[test]
fn every_key_that_is_described_is_accepted_and_its_example_makes_a_difference() {
    for key in KEYS {
        let with = loaded(key, Some(key.example)).unwrap_or_else(|mistakes| panic!("{}: {mistakes:?}", key.path));
        if key.default != Otherwise::Required {
            let without = loaded(key, None).unwrap_or_else(|mistakes| panic!("{}: {mistakes:?}", key.path));
            assert!(with != without, "{} = {} changes nothing", key.path, key.example);
        }
    }
}

#[test]
fn every_default_that_is_shown_is_the_one_in_force() {
    for key in KEYS {
        match key.default {
            Otherwise::Is(value) => {
                assert!(
                    loaded(key, Some(value)).unwrap() == loaded(key, None).unwrap(),
                    "{} = {value} is not what holds without it",
                    key.path
                );
            }
            Otherwise::Required => {
                let mistakes = loaded(key, None).expect_err(key.path);
                let path = path_in_the_frame(key).join(".");
                assert!(mistakes.iter().any(|mistake| mistake.key == path), "{path}: {mistakes:?}");
            }
            Otherwise::Means(_) => drop(loaded(key, None).unwrap()),
        }
    }
}

#[test]
fn every_row_says_something_and_stands_once() {
    let mut paths = BTreeSet::new();
    for key in KEYS {
        assert!(paths.insert(key.path), "{} has two rows", key.path);
        assert!(key.meaning.ends_with('.') && !key.takes.is_empty(), "{}", key.path);
        assert!(!key.since.is_empty());
    }
}
