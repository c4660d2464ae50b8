//! The configuration from outside: what ships, and every class of mistake with its place.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use remedyd::config::checks::findings;
use remedyd::config::{Driver, Listen, Loaded, Overrides, Storage, load};
use remedyd::domain::{AutoResolve, CheckKind, Mode};
use remedyd::engine::settings::{Enforce, Retention, Rule, XidAction};

/// A folder of configuration files.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        for (name, text) in files {
            let path = folder.path(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn load(&self) -> Result<Loaded, Vec<String>> {
        self.load_with(&Overrides::default())
    }

    /// Mistakes as they are printed, with paths relative to the folder.
    fn load_with(&self, overrides: &Overrides) -> Result<Loaded, Vec<String>> {
        let prefix = format!("{}/", self.0.path().display());
        load(&self.path("remedyd.toml"), overrides)
            .map_err(|mistakes| mistakes.iter().map(|mistake| mistake.to_string().replace(&prefix, "")).collect())
    }
}

/// The main file that the tests below add to.
const MAIN: &str = r#"[storage]
path = "data"
[inventory]
files = ["inventory.d/*.toml"]
[policy]
rules = ["rules.d/*.toml"]
[clusters.c]
act = "d"
[drivers.d.dry_run]
"#;

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("config").join(name)
}

fn load_shipped() -> Loaded {
    let loaded = load(&shipped("remedyd.toml"), &Overrides::default());
    loaded.unwrap_or_else(|mistakes| panic!("{}", mistakes.iter().map(|m| format!("{m}\n")).collect::<String>()))
}

/// The alerts of a Prometheus rule file with the labels that it gives them, read as crudely as our own files allow.
fn shipped_alerts() -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(shipped("gpu-node-rules.yml")).unwrap();
    let mut alerts: Vec<BTreeMap<String, String>> = Vec::new();
    for line in text.lines().map(str::trim) {
        if let Some(name) = line.strip_prefix("- alert: ") {
            alerts.push(BTreeMap::from([("alertname".to_owned(), name.to_owned())]));
        } else if let Some(labels) = line.strip_prefix("labels: {") {
            for pair in labels.trim_end_matches('}').split(", ") {
                let (name, value) = pair.split_once(": ").unwrap();
                alerts.last_mut().unwrap().insert(name.to_owned(), value.trim_matches('"').to_owned());
            }
        }
    }
    alerts
}

#[test]
fn every_shipped_file_loads_without_a_warning() {
    let loaded = load_shipped();
    assert_eq!(loaded.warnings, []);
    let config = loaded.config;
    assert_eq!(config.server.listen, ["127.0.0.1:9720".parse::<Listen>().unwrap()]);
    let defaults = Storage { path: shipped("../data"), ..Storage::default() };
    assert_eq!((config.storage, config.settings.retention), (defaults, Retention::default()));
    assert_eq!((config.instance_count, loaded.instances.len()), (8, 8));
    let seventh = loaded.instances.iter().find(|instance| instance.id.as_str() == "i-7").unwrap();
    assert_eq!((seventh.name.as_str(), seventh.host_id.as_str()), ("gpu-node-7", "h-0042"));
    assert_eq!(seventh.domains["leaf"], "leaf-3");
    let driver = config.drivers.values().next().unwrap();
    assert_eq!(*driver, Driver::DryRun { takes: Duration::from_secs(2), modes: Mode::ALL.into() });
    let folders: Vec<_> = config.watched.iter().cloned().collect();
    assert_eq!(folders, [shipped(""), shipped("inventory.d"), shipped("rules.d")]);
}

#[test]
fn the_shipped_examples_in_comments_are_valid_too() {
    let folder = Folder::new(&[]);
    let text = fs::read_to_string(shipped("remedyd.toml")).unwrap();
    let is_setting = |line: &str| line.starts_with("# [") || line.starts_with("# ") && line[2..].contains(" = ");
    let lines: Vec<&str> = text.lines().map(|line| if is_setting(line) { &line[2..] } else { line }).collect();
    let out_of_comments = lines.iter().filter(|line| text.contains(&format!("# {line}\n"))).count();
    assert_eq!(out_of_comments, 69, "{lines:#?}");
    fs::write(folder.path("remedyd.toml"), lines.join("\n")).unwrap();
    fs::write(folder.path("tokens.toml"), format!("[tokens.a]\nrole = \"admin\"\nsha256 = \"{}\"\n", "0".repeat(64)))
        .unwrap();
    let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    fs::write(folder.path("cert.pem"), authority.cert.pem()).unwrap();
    fs::write(folder.path("ca.pem"), authority.cert.pem()).unwrap();
    fs::write(folder.path("key.pem"), authority.signing_key.serialize_pem()).unwrap();
    fs::create_dir(folder.path("sd")).unwrap();
    fs::write(folder.path("sd/a.json"), "[]").unwrap();
    fs::write(folder.path("sd/a.yml"), "[]").unwrap();
    fs::write(folder.path("netbox.token"), "s3cret\n").unwrap();
    for name in [
        "inventory.d/train-a.toml",
        "rules.d/10-together.toml",
        "rules.d/20-prometheus.toml",
        "rules.d/30-checks.toml",
        "catalog/xid.csv",
    ] {
        fs::create_dir_all(folder.path(name).parent().unwrap()).unwrap();
        fs::copy(shipped(name), folder.path(name)).unwrap();
    }
    let config = folder.load().unwrap().config;
    assert_eq!((config.drivers.len(), config.receivers.len(), config.tokens.unwrap().tokens.len()), (2, 1, 1));
    let kinds: BTreeSet<CheckKind> = config.checks.values().map(|check| check.probe.kind()).collect();
    assert_eq!(kinds, BTreeSet::from(CheckKind::ALL), "an example of every kind");
}

#[test]
fn every_shipped_alert_has_exactly_one_shipped_rule() {
    let rules = &load_shipped().config.settings.rules;
    let alerts = shipped_alerts();
    assert_eq!(alerts.len(), 20);
    let mut used: Vec<&str> = Vec::new();
    for labels in &alerts {
        let value_of = |name: &str| labels.get(name).map_or("", String::as_str);
        let matching: Vec<&str> =
            rules.iter().filter(|(_, rule)| rule.matchers.matches(value_of)).map(|(id, _)| id.as_str()).collect();
        assert_eq!(matching.len(), 1, "{labels:?}: {matching:?}");
        used.extend(matching);
    }
    let of_that_file: Vec<&str> = rules.keys().map(|id| id.as_str()).filter(|id| id.starts_with("prom-")).collect();
    used.sort_unstable();
    assert_eq!(used, of_that_file);
}

/// A finding of a check as the rules see it.
fn matching_rules(kind: CheckKind, finding: &str) -> Vec<(String, Rule)> {
    let rules = load_shipped().config.settings.rules.clone();
    let value_of = |name: &str| match name {
        "alertname" | "check" => "gpu-errors",
        "kind" => kind.as_str(),
        "finding" => finding,
        "cluster" => "train-a",
        "instance_id" => "i-7",
        _ => "",
    };
    let matching = rules.iter().filter(|(_, rule)| rule.matchers.matches(value_of));
    matching.map(|(id, rule)| (id.to_string(), rule.clone())).collect()
}

#[test]
fn every_finding_of_a_check_has_exactly_one_shipped_rule() {
    let mut used = BTreeSet::new();
    for kind in CheckKind::ALL {
        for finding in findings::of(kind) {
            let matching = matching_rules(kind, finding);
            let ids: Vec<&str> = matching.iter().map(|(id, _)| id.as_str()).collect();
            assert_eq!(ids.len(), 1, "{} {finding}: {ids:?}", kind.as_str());
            used.insert(ids[0].to_owned());
        }
    }
    let rules = &load_shipped().config.settings.rules;
    let of_that_file = rules.keys().map(ToString::to_string).filter(|id| id.starts_with("check-")).collect();
    assert_eq!(used, of_that_file, "no rule is about nothing");
    assert_eq!(matching_rules(CheckKind::Command, "of_the_sites_own").len(), 0);
}

#[test]
fn findings_call_for_what_the_same_alerts_call_for() {
    use CheckKind::{DcgmExporter, Dns, Http, Icmp, Nvml, Tcp};
    use Mode::{HostAware, RebootVm};
    let table = [
        (Tcp, "refused", Some(RebootVm)),
        (Http, "timeout", Some(RebootVm)),
        (Icmp, "unreachable", Some(RebootVm)),
        (Icmp, "loss", None),
        (Http, "status", None),
        (Http, "certificate", None),
        (Dns, "timeout", None),
        (Nvml, "hung", Some(RebootVm)),
        (Nvml, "xid", Some(RebootVm)),
        (DcgmExporter, "double_bit_ecc", Some(RebootVm)),
        (DcgmExporter, "row_remap_failure", Some(HostAware)),
        (DcgmExporter, "row_remap_pending", None),
        (DcgmExporter, "nvlink", Some(RebootVm)),
        (DcgmExporter, "gpu_count", Some(RebootVm)),
        (DcgmExporter, "recovery_action", Some(RebootVm)),
        (DcgmExporter, "throttling", Some(HostAware)),
        (DcgmExporter, "temperature", Some(HostAware)),
        (DcgmExporter, "exporter_down", None),
    ];
    for (kind, finding, mode) in table {
        let (id, rule) = matching_rules(kind, finding).remove(0);
        let enforce = if mode.is_some() { Enforce::Propose } else { Enforce::Off };
        assert_eq!((rule.mode, rule.enforce), (mode, enforce), "{id}");
    }
}

#[test]
fn togethers_signals_ask_for_what_its_documentation_recommends() {
    use Mode::{HostAware, RebootVm, VmOnly};
    let rules = load_shipped().config.settings.rules.clone();
    let signals = [
        ("DmesgGpuFallenOffBus", Some(HostAware)),
        ("GpuSmClockThermalThrottle", Some(HostAware)),
        ("GpuPcieReplayRateHigh", Some(HostAware)),
        ("IBRailsDownOrDegraded", Some(HostAware)),
        ("IBLinkFlapping", Some(HostAware)),
        ("NpdCperHardwareErrorFatal", Some(VmOnly)),
        ("NpdReadonlyFilesystem", Some(VmOnly)),
        ("NpdXfsShutdown", Some(VmOnly)),
        ("DmesgXidError", Some(RebootVm)),
        ("GpuEccDoubleBitError", Some(RebootVm)),
        ("GpuRowRemapFailure", Some(RebootVm)),
        ("NpdKernelDeadlock", Some(RebootVm)),
        ("NpdFrequentKubeletRestart", Some(RebootVm)),
        ("NpdFrequentContainerdRestart", Some(RebootVm)),
        ("NpdFrequentUnregisterNetDevice", Some(RebootVm)),
        ("KubeNodeMemoryPressure", Some(RebootVm)),
        ("KubeNodePIDPressure", Some(RebootVm)),
        ("KubeNodeDiskPressure", None),
        ("SlurmNodeUnavailable", None),
    ];
    for (signal, mode) in signals {
        let matching: Vec<_> = rules
            .values()
            .filter(|rule| rule.matchers.matches(|name| if name == "alertname" { signal } else { "" }))
            .collect();
        assert_eq!(matching.len(), 1, "{signal}");
        let enforce = if mode.is_some() { Enforce::Propose } else { Enforce::Off };
        assert_eq!((matching[0].mode, matching[0].enforce), (mode, enforce), "{signal}");
    }
    assert!(rules.values().all(|rule| rule.enforce != Enforce::Auto), "nothing that ships acts by itself");
}

#[test]
fn the_shipped_catalogue_knows_the_codes() {
    let catalogue = &load_shipped().config.settings.catalogue;
    assert_eq!(catalogue.0.len(), 575);
    assert_eq!(catalogue.0[&79].action, XidAction::HostAware);
    assert_eq!(catalogue.0[&48].action, XidAction::ResetGpu);
    assert_eq!(catalogue.0[&13].action, XidAction::RestartApp);
    assert_eq!(catalogue.0[&48].mnemonic, "ROBUST_CHANNEL_GPU_ECC_DBE");
    let secondary: Vec<u32> = catalogue.0.iter().filter(|(_, row)| row.is_secondary).map(|(code, _)| *code).collect();
    assert_eq!(secondary, [45, 94, 154, 159]);
}

/// One mistake in a file added to [`MAIN`] or replacing it: the file, its text, and how the message begins.
#[test]
fn every_mistake_names_its_place_its_key_and_the_reason() {
    let in_main: &[(&str, &str)] = &[
        ("[server]\nlisten = \"x\"", "2:10: server.listen: must be a list, not a string"),
        ("[server]\nlisten = []", "2:10: server.listen: must name at least one address"),
        (
            "[server]\nlisten = [\"127.0.0.1:1\", \"localhost\"]",
            "2:26: server.listen: `localhost` is no address and port",
        ),
        ("[server]\nlisten = [\"127.0.0.1:1\", \"127.0.0.1:1\"]", "2:26: server.listen: `127.0.0.1:1` is named twice"),
        ("[server]\nlisten = [\"[::]:9720\"]", "2:11: server.listen: `[::]:9720` is not loopback, and without [auth]"),
        ("[server.tls]\ncert_file = \"a\"", "1:9: server.tls.key_file: is missing, and there is no default"),
        ("[server.limits]\nconnections = 100", "1:9: server.limits: connections (100) must be at least 496"),
        ("[server]\nlisten = [\"unix:\"]", "2:11: server.listen: `unix:` names no socket"),
        (
            "[storage.retention]\nincidents = \"7d\"",
            "2:1: storage.retention.incidents: is not a known key; known in [storage.retention]: `remediations`, `alerts`, `runs`",
        ),
        ("[storage.retention]\nalerts = \"59m\"", "2:10: storage.retention.alerts: must be at least 1h"),
        ("[storage]\naudit_retention = \"0s\"", "2:19: storage.audit_retention: must be at least 1h"),
        ("[storage]\ncheckpoint_every = 24", "2:20: storage.checkpoint_every: must be a duration in quotes, such as"),
        ("[storage]\ncheckpoint_after = \"1GB\"", "2:20: storage.checkpoint_after: `1GB` is no size"),
        ("[storage]\nmin_free = 1", "2:12: storage.min_free: must be a size in quotes, such as"),
        ("[storage]\nballast = \"1MB\"", "2:11: storage.ballast: `1MB` is no size"),
        ("[storage]\npath = \" \"", "2:8: storage.path: must not be empty"),
        ("[auth]\ntokens_file = 7", "2:15: auth.tokens_file: must be a string, not a whole number"),
        ("[auth]\ntokens_file = \"no.toml\"", "2:15: auth.tokens_file: cannot read no.toml: No such file"),
        ("[auth]\ntokens_file = \"credential:t\"", "2:15: auth.tokens_file: needs $CREDENTIALS_DIRECTORY"),
        ("[auth]\ntokens_file = \"credential:../t\"", "2:15: auth.tokens_file: `../t` is no name of a credential"),
        ("[sources.\"a b\"]", "1:10: sources.\"a b\": `a b` is no source name: 1 to 253 letters"),
        ("[sources.checks]", "1:10: sources.checks: is the daemon's own name for what active checks find"),
        (
            "[sources.m]\nwatchdog = 'a=b'",
            "2:1: sources.m.watchdog: is not a known key; known in [sources.m]: `alertmanagers`",
        ),
        ("[sources.m]\nalertmanagers = [\"127.0.0.1:9093\"]", "2:18: sources.m.alertmanagers: is no URL"),
        ("[sources.m]\nalertmanagers = [\"ftp://a\"]", "2:18: sources.m.alertmanagers: must begin with http://"),
        (
            "[sources.m]\nalertmanagers = [\"http://u:geheim@a\"]",
            "2:18: sources.m.alertmanagers: must not carry a user or a password",
        ),
        ("[sources.m]\nalertmanagers = [\"http://a?b\"]", "2:18: sources.m.alertmanagers: must be a base address"),
        (
            "[sources.m]\nalertmanagers = [\"http://a\", \"http://a/\"]",
            "2:30: sources.m.alertmanagers: `http://a/` is named twice",
        ),
        ("[sources.m]\ndefault_cluster = \"x\"", "2:19: sources.m.default_cluster: there is no [clusters.x]"),
        ("[inventory]\nfiles = [\"no.toml\"]", "2:10: inventory.files: cannot read no.toml: No such file"),
        ("[inventory]\nfiles = [\"no/*.toml\"]", "2:10: inventory.files: cannot list no: No such file"),
        ("[inventory]\nfiles = [\"*/i.toml\"]", "2:10: inventory.files: `*/i.toml`: `*` and `?` may stand only behind"),
        (
            "[inventory]\nslurm = []",
            "2:1: inventory.slurm: is not a known key; known in [inventory]: `files`, `file_sd`",
        ),
        (
            "[policy]\ncooldown = 5",
            "2:12: policy.cooldown: must be a duration in quotes, such as \"5m\", not a whole number",
        ),
        ("[inventory.http_sd.a]\nrefresh = '1m'", "1:20: inventory.http_sd.a.url: is missing"),
        (
            "[inventory.http_sd.a]\nurl = 'ftp://geheim/'",
            "2:7: inventory.http_sd.a.url: must begin with http:// or https://",
        ),
        (
            "[inventory.http_sd.a]\nurl = 'http://h/'\nrefresh = '0s'",
            "3:11: inventory.http_sd.a.refresh: must be at least 1s",
        ),
        (
            "[inventory.http_sd.a]\nurl = 'http://h/'\ntoken_file = 'no'",
            "3:14: inventory.http_sd.a.token_file: cannot read no: No such file",
        ),
        ("[policy]\ncooldown = \"5 m\"", "2:12: policy.cooldown: `5 m` is no duration"),
        ("[policy]\nproposal_ttl = \"0s\"", "2:16: policy.proposal_ttl: every proposal would expire in the moment"),
        ("[policy]\nsoak = \"30m\"", "2:8: policy.soak: soak (30m) must fit into verify_within (30m)"),
        ("[policy]\nsoak = \"1h\"", "2:8: policy.soak: soak (1h) must fit into verify_within (30m)"),
        ("[policy]\nladder = []", "2:1: policy.ladder: is not a known key"),
        ("[policy]\ncatalog = \"no.csv\"", "2:11: policy.catalog: cannot read no.csv"),
        (
            "[limits.cluster]\nin_flight = 0",
            "2:13: limits.cluster.in_flight: must be a whole number from 1 to 1000000, not 0",
        ),
        (
            "[limits.cluster]\nin_flight_percent = 101",
            "2:21: limits.cluster.in_flight_percent: must be a whole number from 1 to 100",
        ),
        ("[limits.cluster]\nin_flight = 1.5", "2:13: limits.cluster.in_flight: must be a whole number, not a fraction"),
        ("[limits.pool]\nin_flight = 1", "1:9: limits.pool: is not a known key; known in [limits]: `cluster`"),
        ("[breaker.domain]\nmembers = 3", "1:2: breaker: is not a known key; known at the top: `server`"),
        ("[clusters.x]\nname = \"x\"", "1:11: clusters.x.act: is missing, and there is no default for it"),
        ("[clusters.x]\nact = \"no\"", "2:7: clusters.x.act: there is no [drivers.no]"),
        ("[clusters.x]\nact = \"d\"\ndrain = \"d\"", "3:1: clusters.x.drain: is not a known key"),
        ("[clusters]\nx = 1", "2:5: clusters.x: must be a table, not a whole number"),
        ("[clusters.x]\nact = \"d\"\nname = \"c\"", "3:8: clusters.x.name: `c` would also mean [clusters.c]"),
        ("[drivers.x]", "1:10: drivers.x: needs its kind: a table [drivers.x.dry_run]"),
        ("[drivers.x.dry_run]\n[drivers.x.command]\nargv = [\"/a\"]", "2:12: drivers.x.command: a driver has one kind"),
        ("[drivers.x.slurm]", "1:12: drivers.x.slurm: is not a known key; known in [drivers.x]: `dry_run`, `command`"),
        ("[drivers.x.dry_run]\nmodes = []", "2:9: drivers.x.dry_run.modes: must name at least one mode"),
        (
            "[drivers.x.dry_run]\nmodes = [\"reboot\"]",
            "2:10: drivers.x.dry_run.modes: `reboot` is no mode; there are reboot_vm",
        ),
        ("[drivers.x.command]", "1:12: drivers.x.command.argv: is missing"),
        ("[drivers.x.command]\nargv = []", "2:8: drivers.x.command.argv: must name a program"),
        ("[drivers.x.command]\nargv = [\"act\"]", "2:9: drivers.x.command.argv: the program must be an absolute path"),
        (
            "[drivers.x.command]\nargv = [\"/a\", 5]",
            "2:15: drivers.x.command.argv: must be a string, not a whole number",
        ),
        (
            "[drivers.x.command]\nargv = [\"/a\"]\ndeadline = \"0s\"",
            "3:12: drivers.x.command.deadline: must be longer than 0s",
        ),
        ("[notices.n]", "1:10: notices.n.webhook: is missing"),
        ("[notices.n.webhook]\nurl = \"\"", "2:7: notices.n.webhook.url: must not be empty"),
        (
            "[notices.n.webhook]\nurl = \"http://x\"\nsecret = 1",
            "3:1: notices.n.webhook.secret: is not a known key; known in",
        ),
        ("[checks.\"a b\"]", "1:9: checks.\"a b\": `a b` is no check"),
        ("[checks.k]", "1:9: checks.k: needs its kind: a table such as [checks.k.tcp]; there are tcp, http, icmp"),
        (
            "[checks.k]\nping = {}",
            "2:1: checks.k.ping: is not a known key; known in [checks.k]: `every`, `cron`, `zone`, `timeout`, `select`",
        ),
        (
            "[checks.k]\nicmp = {}\ntcp.port = 22",
            "2:1: checks.k.icmp: a check has one kind, and `tcp` is there already",
        ),
        ("[checks.k]\nicmp = {}\nevery = 30", "3:9: checks.k.every: must be a duration in quotes, such as"),
        ("[checks.k]\nicmp = {}\nevery = \"99ms\"", "3:9: checks.k.every: must be at least 100ms"),
        (
            "[checks.k]\nicmp = {}\nevery = \"1m\"\ncron = \"0 * * * *\"",
            "4:1: checks.k.cron: a check runs by `every` or by `cron`",
        ),
        ("[checks.k]\nicmp = {}\ncron = \"0 3 * *\"", "3:8: checks.k.cron: `0 3 * *` has 4 fields; it needs five"),
        (
            "[checks.k]\nicmp = {}\ncron = \"60 3 * * *\"",
            "3:8: checks.k.cron: the minute `60` is not understood, or out of range",
        ),
        ("[checks.k]\nicmp = {}\nzone = \"UTC\"", "3:1: checks.k.zone: has no effect: only `cron` is read in a zone"),
        (
            "[checks.k]\nicmp = {}\ncron = \"0 3 * * *\"\nzone = \"Mars\"",
            "4:8: checks.k.zone: this machine knows no zone `Mars`",
        ),
        (
            "[checks.k]\ntimeout = \"1s\"\nicmp.packets = 6\nicmp.interval = \"200ms\"",
            "1:9: checks.k: its last echo request leaves after 1s, and a run has 1s: no time for an answer",
        ),
        ("[checks.k]\nicmp = {}\ntimeout = \"0s\"", "3:11: checks.k.timeout: must be longer than 0s"),
        (
            "[checks.k]\nicmp = {}\nevery = \"1s\"\ntimeout = \"2s\"",
            "4:11: checks.k.timeout: a run may take 2s and the next one is due after 1s",
        ),
        ("[checks.k]\nicmp = {}\nselect = []", "3:10: checks.k.select: must hold at least one matcher"),
        (
            "[checks.k]\nicmp = {}\nselect = ['pool=\"x\"', 'rack=\"r\"']",
            "3:23: checks.k.select: an instance has no label `rack`; there are instance_id, name",
        ),
        ("[checks.k]\nicmp = {}\nselect = ['pool=~\"(\"']", "3:11: checks.k.select: `(` is no regular expression"),
        (
            "[checks.k]\nicmp = {}\nfailures_before = 0",
            "3:19: checks.k.failures_before: must be a whole number from 1 to 100, not 0",
        ),
        (
            "[checks.k]\nicmp = {}\npasses_before = 101",
            "3:17: checks.k.passes_before: must be a whole number from 1 to 100, not 101",
        ),
        (
            "[checks.k]\nicmp = {}\nseverity = \"page\"",
            "3:12: checks.k.severity: `page` is none of info, warning, critical",
        ),
        (
            "[checks.k]\nicmp = {}\nconcurrency = 0",
            "3:15: checks.k.concurrency: must be a whole number from 1 to 100000, not 0",
        ),
        ("[checks.k]\nicmp = {}\nretries = 1", "3:1: checks.k.retries: is not a known key"),
        (
            "[limits.checks]\nconcurrency = 0",
            "2:15: limits.checks.concurrency: must be a whole number from 1 to 100000, not 0",
        ),
        ("[server", "1:8: syntax: "),
        ("[policy]\nsoak = \"1m\"\nsoak = \"2m\"", "3:1: syntax: duplicate key"),
        ("ß = 1", "1:1: syntax: "),
    ];
    let rule = "match = ['a=b']\nmode = 'reboot_vm'\n";
    let in_rules: &[(&str, &str)] = &[
        ("[rules.r]\nmode = 'reboot_vm'", "1:8: rules.r.match: is missing"),
        ("[rules.r]\nmode = 'reboot_vm'\nmatch = 'a=b'", "3:9: rules.r.match: must be a list, not a string"),
        ("[rules.r]\nmode = 'reboot_vm'\nmatch = []", "3:9: rules.r.match: must hold at least one matcher"),
        ("[rules.r]\nmode = 'reboot_vm'\nmatch = ['{}']", "3:10: rules.r.match: requires nothing"),
        (
            "[rules.r]\nmode = 'reboot_vm'\nmatch = ['a=b', 'ü=~\"(\"']",
            "3:17: rules.r.match: `(` is no regular expression: unclosed group at character 4",
        ),
        ("[rules.r]\nmatch = ['a=b']", "1:8: rules.r.mode: is missing"),
        ("[rules.r]\nmatch = ['a=b']\nmode = 'reboot'", "3:8: rules.r.mode: `reboot` is no mode"),
        (
            "[rules.r]\nmatch = ['a=b']\nmode = 'host_power_cycle'",
            "3:8: rules.r.mode: `host_power_cycle` is never a rule's first choice",
        ),
        (
            "[rules.r]\nmatch = ['a=b']\nmode = 'evict_without_replacement'",
            "3:8: rules.r.mode: `evict_without_replacement` removes a node",
        ),
        ("[rules.r]\nRULEenforce = 'on'", "4:11: rules.r.enforce: `on` is none of off, shadow, propose, auto"),
        (
            "[rules.r]\nRULEauto_resolve = 'probe'",
            "4:16: rules.r.auto_resolve: \"probe\" needs a check that can pass, and there is no [checks.<id>]",
        ),
        ("[rules.r]\nRULEauto_resolve = 'no'", "4:16: rules.r.auto_resolve: `no` is none of alert, probe, never"),
        ("[rules.r]\nRULEfor = '5'", "4:7: rules.r.for: `5` is no duration"),
        (
            "[rules.r]\nRULEunless = ['a=b']",
            "4:1: rules.r.unless: is not a known key; known in [rules.r]: `enforce`, `match`, `for`, `mode`, `auto_resolve`",
        ),
        ("[rule.r]", "1:2: rule: is not a known key; known at the top: `rules`"),
    ];
    let in_inventory: &[(&str, &str)] = &[
        ("[instances.i]", "1:12: instances.i.cluster: is missing"),
        ("[instances.i]\ncluster = 'x'", "2:11: instances.i.cluster: there is no [clusters.x]"),
        ("[instances.i]\ncluster = 'c'\nhost = 'a/b'", "3:8: instances.i.host: `a/b` is no host id"),
        (
            "[instances.i]\ncluster = 'c'\naddresses = ['1.2.3.4', '1.2.3.4:22']",
            "3:25: instances.i.addresses: `1.2.3.4:22` is neither an IP address",
        ),
        ("[instances.i]\ncluster = 'c'\nname = ''", "3:8: instances.i.name: must not be empty"),
        (
            "[instances.i]\ncluster = 'c'\nauto_remediation_enabled = 'no'",
            "3:28: instances.i.auto_remediation_enabled: must be true or false",
        ),
        (
            "[instances.i]\ncluster = 'c'\n[instances.i.domains]\n'a b' = 'x'",
            "4:1: instances.i.domains.\"a b\": `a b` is no kind of domain",
        ),
        ("[instances.i]\ncluster = 'c'\nrack = 'x'", "3:1: instances.i.rack: is not a known key"),
        ("[instances.-]\ncluster = 'c'", "1:12: instances.-: `-` is no instance id"),
        (
            "[instances.i]\ncluster = 'c'\nname = 'N'\n[instances.j]\ncluster = 'c'\nname = 'n'",
            "6:8: instances.j.name: `n` names instances.i at inventory.d/a.toml:1:12 too;",
        ),
    ];
    for (text, expected) in in_main {
        check_case("remedyd.toml", &[("remedyd.toml", &added_to_main(text))], expected);
    }
    for (file, cases) in [("rules.d/a.toml", in_rules), ("inventory.d/a.toml", in_inventory)] {
        for (text, expected) in cases {
            let text = text.replace("RULE", rule);
            check_case(file, &[("remedyd.toml", MAIN), (file, &text)], expected);
        }
    }
}

#[test]
fn a_rule_may_want_checks_to_pass_where_there_is_one() {
    let rule = "[rules.r]\nmatch = ['a=b']\nmode = 'reboot_vm'\nauto_resolve = 'probe'\n";
    let main = added_to_main("[checks.k]\nicmp = {}");
    let folder = Folder::new(&[("remedyd.toml", &main), ("rules.d/a.toml", rule), ("inventory.d/a.toml", "")]);
    let rules = &folder.load().unwrap().config.settings.rules;
    assert_eq!(rules.values().map(|rule| rule.auto_resolve).collect::<Vec<_>>(), [AutoResolve::Probe]);
    // A check that is there but wrong is one mistake, not two.
    let main = added_to_main("[checks.k]\nicmp = {}\nevery = 1");
    check_case("remedyd.toml", &[("remedyd.toml", &main), ("rules.d/a.toml", rule)], "3:9: checks.k.every: must be");
}

/// [`MAIN`] behind `text`, whose first table replaces its namesake key by key.
fn added_to_main(text: &str) -> String {
    let head = text.lines().next().unwrap();
    let (mut own, mut rest, mut section) = (String::new(), String::new(), "");
    for line in MAIN.lines() {
        section = if line.starts_with('[') { line } else { section };
        let key = line.split(" = ").next().unwrap();
        if section != head {
            rest.push_str(&format!("{line}\n"));
        } else if line != head && !text.contains(&format!("\n{key} = ")) {
            own.push_str(&format!("{line}\n"));
        }
    }
    format!("{text}\n{own}{rest}")
}

/// The expected mistake must be the only one.
fn check_case(file: &str, files: &[(&str, &str)], expected: &str) {
    let mut all = vec![("inventory.d/z.toml", ""), ("rules.d/z.toml", "")];
    all.extend_from_slice(files);
    let wanted = format!("{file}:{expected}");
    let mistakes = Folder::new(&all).load().map(|_| ()).expect_err(&wanted);
    assert!(mistakes.len() == 1 && mistakes[0].starts_with(&wanted), "wanted only {wanted}\ngot {mistakes:#?}");
    assert!(!mistakes[0].contains("geheim"), "a secret must not be repeated");
}

#[test]
fn tokens_are_checked_too() {
    let hash = "ab".repeat(32);
    let cases = [
        ("".to_owned(), "remedyd.toml:1:20: auth.tokens_file: "),
        ("[tokens.a]\nrole = 'admin'".to_owned(), "tokens.toml:1:9: tokens.a.sha256: is missing"),
        (format!("[tokens.a]\nsha256 = '{hash}'\nrole = 'root'"), "tokens.toml:3:8: tokens.a.role: `root` is no role"),
        (
            format!("[tokens.a]\nrole = 'admin'\nsha256 = '{}'", hash.to_uppercase()),
            "tokens.toml:3:10: tokens.a.sha256: must be",
        ),
        (
            "[tokens.a]\nrole = 'admin'\nsha256 = 'remedyd_a_x'".to_owned(),
            "tokens.toml:3:10: tokens.a.sha256: must be the SHA-256",
        ),
        (
            format!("[tokens.remedyd]\nrole = 'admin'\nsha256 = '{hash}'"),
            "tokens.toml:1:9: tokens.remedyd: `remedyd` is what",
        ),
        (
            format!("[tokens.a]\nrole = 'admin'\nsha256 = '{hash}'\n[tokens.b]\nrole = 'viewer'\nsha256 = '{hash}'"),
            "tokens.toml:6:10: tokens.b.sha256: is the hash of [tokens.a] too",
        ),
        (
            format!("[tokens.a]\nrole = 'admin'\nsha256 = '{hash}'\nclusters = ['c', 'x']"),
            "tokens.toml:4:18: tokens.a.clusters: there is no [clusters.x]",
        ),
        (
            format!("[tokens.a]\nrole = 'admin'\nsha256 = '{hash}'\nclusters = []"),
            "tokens.toml:4:12: tokens.a.clusters: must name at least one cluster",
        ),
        (
            format!("[tokens.a]\nrole = 'admin'\nsha256 = '{hash}'\n[tokens.a]"),
            "tokens.toml:4:9: syntax: duplicate key",
        ),
        (
            format!("[tokens.a]\nrole = 'admin'\nsha256 = '{hash}'\nprevious_sha256 = '{}'", "cd".repeat(32)),
            "tokens.toml:4:19: tokens.a.previous_sha256: has no `previous_until`",
        ),
        (
            format!("[tokens.a]\nrole = 'admin'\nsha256 = '{hash}'\nprevious_until = '2026-12-01T00:00:00Z'"),
            "tokens.toml:4:18: tokens.a.previous_until: has no `previous_sha256`",
        ),
        (
            format!(
                "[tokens.a]\nrole = 'admin'\nsha256 = '{hash}'\nprevious_sha256 = '{hash}'\nprevious_until = '2026-12-01T00:00:00Z'"
            ),
            "tokens.toml:4:19: tokens.a.previous_sha256: is the hash of [tokens.a] too",
        ),
        (
            format!("[tokens.a]\nrole = 'admin'\nsha256 = '{hash}'\nexpires = 'soon'"),
            "tokens.toml:4:11: tokens.a.expires: `soon` is not an RFC 3339 time",
        ),
        (
            format!("[tokens.a]\nrole = 'admin'\nsha256 = '{hash}'\n[clients.a]\nrole = 'viewer'\nsan = 'x'"),
            "tokens.toml:4:10: clients.a: [tokens.a] at tokens.toml:1:9 is called so",
        ),
        (
            "[clients.a]\nrole = 'viewer'\nsan = 'x'\n[clients.b]\nrole = 'viewer'\nsan = 'X'".to_owned(),
            "tokens.toml:6:7: clients.b.san: is the name of [clients.a] too",
        ),
        ("[clients.a]\nrole = 'viewer'\nsan = '*.x'".to_owned(), "tokens.toml:3:7: clients.a.san: `*.x` is no name"),
        ("[clients.a]\nrole = 'viewer'".to_owned(), "tokens.toml:1:10: clients.a.san: is missing"),
    ];
    for (tokens, expected) in cases {
        let main = format!("auth.tokens_file = 'tokens.toml'\nserver.listen = ['0.0.0.0:1']\n{MAIN}");
        let files = [
            ("remedyd.toml", main.as_str()),
            ("tokens.toml", &tokens),
            ("inventory.d/z.toml", ""),
            ("rules.d/z.toml", ""),
        ];
        let mistakes = Folder::new(&files).load().unwrap_err();
        assert!(mistakes.iter().any(|mistake| mistake.starts_with(expected)), "wanted {expected}\ngot {mistakes:#?}");
        assert!(!mistakes.iter().any(|mistake| mistake.contains("remedyd_a_x")), "a secret must not be repeated");
    }
}

#[test]
fn all_mistakes_of_all_files_come_at_once_and_in_order() {
    let folder = Folder::new(&[
        ("remedyd.toml", &format!("oops = 1\n{MAIN}\n[limits.cluster]\nin_flight = 0\n")),
        ("inventory.d/a.toml", "[instances.i]\ncluster = 'c'\n"),
        ("inventory.d/b.toml", "[instances.i]\ncluster = 'c'\n[instances.j]\ncluster = 'c'\nname = 'i'\n"),
        ("rules.d/a.toml", "[rules.r]\nmatch = ['a=']\nmode = 'reboot_vm'\nfor = 3\n"),
    ]);
    let mistakes = folder.load().unwrap_err();
    let places: Vec<String> =
        mistakes.iter().map(|mistake| mistake.splitn(5, ':').take(4).collect::<Vec<_>>().join(":")).collect();
    assert_eq!(
        places,
        [
            "inventory.d/b.toml:1:12: instances.i",
            "inventory.d/b.toml:5:8: instances.j.name",
            "remedyd.toml:1:1: oops",
            "remedyd.toml:13:13: limits.cluster.in_flight",
            "rules.d/a.toml:2:10: rules.r.match",
            "rules.d/a.toml:4:7: rules.r.for",
        ]
    );
}

#[test]
fn a_broken_file_is_reported_beside_the_mistakes_of_others_and_without_guesses() {
    let folder = Folder::new(&[
        ("remedyd.toml", MAIN),
        ("inventory.d/a.toml", "[instances.i]\ncluster = 'x'\n"),
        ("rules.d/a.toml", "[rules.r\nmatch = ['a=b']\n"),
        ("rules.d/b.toml", "[rules.s]\nmatch = ['a=b']\nmode = 'reboot'\n"),
    ]);
    let mistakes = folder.load().unwrap_err();
    assert!(mistakes[0].starts_with("rules.d/a.toml:1:9: syntax: "), "{mistakes:#?}");
    assert!(
        mistakes[1..].iter().all(|mistake| !mistake.contains("is missing") && !mistake.contains("there is no")),
        "{mistakes:#?}"
    );
    assert!(mistakes.last().unwrap().starts_with("rules.d/b.toml:3:8: rules.s.mode: "), "{mistakes:#?}");
}

#[test]
fn a_file_that_was_cut_off_anywhere_is_read_or_refused_and_never_a_panic() {
    let folder = Folder::new(&[]);
    let config = "[storage]\npath = 'd'\n[sources.m]\nalertmanagers = ['http://a']\ninstance_labels = [\"\\u00e4\"]\n\
                  [drivers.d.command]\nargv = [\"/ä\", 'x']\ndeadline = \"1h\"\n[clusters.c]\nact = 'd'\n[limits]\n\
                  cluster = { in_flight = 0x3 }\n";
    for end in (0..=config.len()).filter(|end| config.is_char_boundary(*end)) {
        fs::write(folder.path("remedyd.toml"), &config[..end]).unwrap();
        if let Err(mistakes) = folder.load() {
            assert!(!mistakes.is_empty(), "refused without a word when cut at {end}");
        }
    }
    assert_eq!(folder.load().unwrap().config.settings.limits.in_flight, 3);
    fs::write(folder.path("remedyd.toml"), b"a = 1\nb = '\xff'\n").unwrap();
    assert!(folder.load().unwrap_err()[0].contains("line 2 is not UTF-8 text"));
}

#[test]
fn a_missing_main_file_is_a_mistake() {
    let mistakes = Folder::new(&[]).load().unwrap_err();
    assert_eq!(mistakes.len(), 1);
    assert!(mistakes[0].starts_with("remedyd.toml:1:1: file: cannot be read: No such file"), "{mistakes:?}");
}

#[test]
fn a_later_file_changes_single_keys_of_a_rule() {
    let folder = Folder::new(&[
        ("remedyd.toml", MAIN),
        ("inventory.d/a.toml", ""),
        (
            "rules.d/10.toml",
            "[rules.r]\nmatch = ['a=b']\nmode = 'reboot_vm'\nfor = '1m'\n[rules.s]\nmatch = ['c=d']\nenforce = 'off'\n",
        ),
        ("rules.d/90.toml", "[rules.r]\nmode = 'vm_only'\nauto_resolve = 'never'\n"),
    ]);
    let settings = folder.load().unwrap().config.settings;
    let rule = settings.rules.values().next().unwrap();
    assert_eq!(rule.matchers.to_string(), r#"{a="b"}"#);
    assert_eq!((rule.mode, rule.hold_for), (Some(Mode::VmOnly), Duration::from_secs(60)));
    assert_eq!((rule.enforce, rule.auto_resolve), (Enforce::Propose, AutoResolve::Never));
    assert_eq!(settings.rules.values().nth(1).unwrap().mode, None);

    // A mistake is reported in the file that made it.
    fs::write(folder.path("rules.d/90.toml"), "[rules.r]\nmode = 'x'\n").unwrap();
    let mistakes = folder.load().unwrap_err();
    assert!(mistakes[0].starts_with("rules.d/90.toml:2:8: rules.r.mode: "), "{mistakes:?}");
}

#[test]
fn auto_is_refused_while_a_source_cannot_be_asked() {
    let with = |source: &str| {
        let main = format!("{MAIN}[sources.{source}]\n[sources.asked]\nalertmanagers = ['http://127.0.0.1:9093']\n");
        Folder::new(&[
            ("remedyd.toml", &main),
            ("inventory.d/a.toml", ""),
            ("rules.d/a.toml", "[rules.r]\nmatch = ['a=b']\nmode = 'reboot_vm'\nenforce = 'auto'\n"),
        ])
    };
    let mistakes = with("hook").load().unwrap_err();
    assert!(mistakes[0].starts_with("rules.d/a.toml:4:11: rules.r.enforce: \"auto\" needs sources"), "{mistakes:?}");
    assert!(mistakes[0].contains("[sources.hook]"), "{mistakes:?}");
    let folder = with("other]\nalertmanagers = ['http://127.0.0.1:9094/am/'");
    let config = folder.load().unwrap().config;
    let urls: Vec<_> = config.alertmanagers.values().flatten().collect();
    assert_eq!(urls, ["http://127.0.0.1:9093", "http://127.0.0.1:9094/am"]);
    assert_eq!(config.settings.rules.values().next().unwrap().enforce, Enforce::Auto);
}

#[test]
fn flags_replace_what_the_file_says_and_are_held_to_the_same_rule() {
    let main = format!("server.listen = ['0.0.0.0:1']\n{MAIN}").replace("path = \"data\"", "");
    let folder = Folder::new(&[("remedyd.toml", &main), ("inventory.d/a.toml", ""), ("rules.d/a.toml", "")]);
    let flags = |addr: &str| Overrides { listen: vec![addr.parse().unwrap()], storage_path: Some("elsewhere".into()) };
    let config = folder.load_with(&flags("127.0.0.1:5")).unwrap().config;
    assert_eq!((config.server.listen, config.storage.path), (flags("127.0.0.1:5").listen, PathBuf::from("elsewhere")));
    let mistakes = folder.load_with(&flags("10.0.0.1:5")).unwrap_err();
    assert_eq!(mistakes.len(), 1);
    assert!(
        mistakes[0].starts_with("remedyd.toml:1:1: server.listen: `10.0.0.1:5` (from --web.listen-address)"),
        "{mistakes:?}"
    );
    assert_eq!(folder.load().unwrap_err().len(), 2);
}

#[test]
fn the_digest_tells_whether_any_file_changed() {
    let folder = Folder::new(&[("remedyd.toml", MAIN), ("inventory.d/a.toml", ""), ("rules.d/a.toml", "")]);
    let digest = || folder.load().unwrap().config.digest;
    let first = digest();
    assert_eq!((first.len(), digest() == first), (64, true));
    fs::write(folder.path("rules.d/a.toml"), "# a comment\n").unwrap();
    let second = digest();
    assert_ne!(second, first);
    fs::rename(folder.path("rules.d/a.toml"), folder.path("rules.d/b.toml")).unwrap();
    assert_ne!(digest(), second);
}

#[test]
fn a_catalogue_of_ones_own_replaces_the_shipped_one() {
    let with = |csv: &str| {
        let main = MAIN.replace("[policy]\n", "[policy]\ncatalog = 'xid.csv'\n");
        Folder::new(&[("remedyd.toml", &main), ("xid.csv", csv), ("inventory.d/a.toml", ""), ("rules.d/a.toml", "")])
            .load()
    };
    let catalogue = with("code,mnemonic,recommended_action,secondary\n79,OFF,VM_ONLY,no\n")
        .unwrap()
        .config
        .settings
        .catalogue
        .clone();
    assert_eq!((catalogue.0.len(), catalogue.0[&79].action), (1, XidAction::VmOnly));
    let mistakes = with(
        "code,mnemonic,recommended_action,secondary,colour\nx,A,NONE,no,\n1,A,EXPLODE,no,\n2,A,NONE,perhaps,\n3,A,NONE,no,\n3,A,NONE,no,\n4,A\n",
    )
    .unwrap_err();
    for wanted in [
        "xid.csv:1:1: colour: is not a known column",
        "xid.csv:2:1: code: `x` is no code",
        "xid.csv:3:1: recommended_action: `EXPLODE` is none of NONE",
        "xid.csv:4:1: secondary: `perhaps` is neither yes nor no",
        "xid.csv:6:1: code: `3` has a row already",
        "xid.csv:7:1: row: ",
    ] {
        assert!(mistakes.iter().any(|mistake| mistake.starts_with(wanted)), "wanted {wanted}\ngot {mistakes:#?}");
    }
    let nameless = with("code,mnemonic,recommended_action,secondary,\n").unwrap_err();
    assert!(nameless[0].starts_with("xid.csv:1:1: header: has a column without a name"), "{nameless:?}");
    assert!(with("code,mnemonic\n").unwrap_err()[0].starts_with("xid.csv:1:1: recommended_action: is missing"));
}

#[test]
fn an_address_that_may_hold_a_secret_is_not_repeated() {
    for address in
        ["htp://ann:s3cret@h", "http://h/?token=s3cret", "http://ann:s3cret@h", "//s3cret", "http://h#s3cret"]
    {
        let text = format!("storage.path = 'data'\n[sources.m]\nalertmanagers = ['{address}']\n");
        let folder = Folder::new(&[("remedyd.toml", &text)]);
        let mistakes = folder.load().unwrap_err();
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(!mistakes[0].contains("s3cret"), "{mistakes:?}");
    }
}

#[test]
fn what_a_pattern_names_and_cannot_be_read_is_not_passed_over() {
    let folder = Folder::new(&[("remedyd.toml", MAIN), ("rules.d/a.toml", ""), ("inventory.d/a.toml", "")]);
    std::os::unix::fs::symlink("gone.toml", folder.path("inventory.d/b.toml")).unwrap();
    fs::create_dir(folder.path("rules.d/c.toml")).unwrap();
    let mistakes = folder.load().unwrap_err();
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    assert!(mistakes[0].contains("inventory.files: cannot read inventory.d/b.toml: No such file"), "{mistakes:?}");
    assert!(mistakes[1].contains("policy.rules: cannot read rules.d/c.toml: it is not a file"), "{mistakes:?}");
}
