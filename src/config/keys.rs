//! Every key of every file, with what it takes, its default and its meaning: what the reference is made of.
//!
//! The loader is held to this table by its tests: a key that it asks for has a row here, every row is accepted, a default
//! that stands here is the one in force, and an example makes a difference. To add a key, add its row; where it is
//! missing, the test that fails prints one to paste.

/// A key of the configuration.
#[derive(Clone, Copy, Debug)]
pub struct Key {
    /// The dotted path; `<name>` stands for a name of the author's own.
    pub path: &'static str,
    /// What kind of value it takes, in words.
    pub takes: &'static str,
    /// What holds where it is left out.
    pub default: Otherwise,
    /// Another value, as it is written in TOML.
    pub example: &'static str,
    /// The first version that has it.
    pub since: &'static str,
    /// What it means, in a sentence.
    pub meaning: &'static str,
}

/// What holds where a key is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Otherwise {
    /// It must not be left out.
    Required,
    /// This value, as it is written in TOML.
    Is(&'static str),
    /// In words, where no value says the same.
    Means(&'static str),
}

impl Key {
    /// The table that it stands in, and its own name.
    pub fn table_and_name(&self) -> (&'static str, &'static str) {
        self.path.rsplit_once('.').unwrap_or(("", self.path))
    }

    /// The file that it belongs into, relative to the main file.
    pub fn file(&self) -> &'static str {
        match self.path.split('.').next() {
            Some("rules") => "rules.d/*.toml",
            Some("instances") => "inventory.d/*.toml",
            Some("tokens" | "clients") => "tokens.toml",
            _ => "remedyd.toml",
        }
    }
}

const fn key(
    path: &'static str,
    takes: &'static str,
    default: Otherwise,
    example: &'static str,
    since: &'static str,
    meaning: &'static str,
) -> Key {
    Key { path, takes, default, example, since, meaning }
}

/// The table, in the order of the reference.
#[rustfmt::skip]
pub static KEYS: &[Key] = {
    use Otherwise::{Is, Means, Required};
    &[
        key("server.listen", "list of addresses with ports", Is(r#"["127.0.0.1:9720"]"#), r#"["127.0.0.1:9721"]"#, "0.1", "Where the daemon listens; beyond loopback it needs tokens. `--web.listen-address` replaces it."),
        key("server.access_log", "true or false", Is("false"), "true", "0.1", "Every request is a log line at info; else one at debug. Headers, query strings and bodies are never in it."),
        key("server.limits.connections", "number", Is("512"), "1024", "0.1", "Open at once over TCP; a socket file has as many for itself. Where all are taken, the one that has waited longest for a request gives way."),
        key("server.limits.ingest", "number", Is("256"), "128", "0.1", "Deliveries of alerts under way at once; the next is answered 503."),
        key("server.limits.reads", "number", Is("64"), "32", "0.1", "Other GETs under way at once."),
        key("server.limits.commands", "number", Is("64"), "32", "0.1", "Requests under way at once that change something."),
        key("server.limits.health", "number", Is("16"), "8", "0.1", "`/-/healthy`, `/-/ready` and `/metrics` under way at once."),
        key("server.tls.cert_file", "file, PEM", Required, r#""cert.pem""#, "0.1", "The certificate chain that the daemon shows on TCP; read again when it changes."),
        key("server.tls.key_file", "file, PEM", Required, r#""key.pem""#, "0.1", "Its private key."),
        key("server.tls.client_ca_file", "file, PEM", Means("no client is asked for a certificate"), r#""cert.pem""#, "0.1", "Whose client certificates are accepted; `[clients.<name>]` says who they are."),
        key("server.tls.client_certificate", "required or optional", Means("with `client_ca_file`, a client must show one"), r#""optional""#, "0.1", "Whether a client may come without a certificate; what it may do is then a matter of its token."),

        key("storage.path", "folder", Required, r#""/var/lib/remedyd""#, "0.1", "Where everything is kept; the folder belongs to one process. `--storage.path` replaces it."),
        key("storage.min_free", "size", Is(r#""256MiB""#), r#""1GiB""#, "0.1", "Below so much free space nothing new is taken (503) and nothing is acted upon; reads go on."),
        key("storage.ballast", "size", Is(r#""16MiB""#), r#""64MiB""#, "0.1", "Kept aside, and given up where a start would fail for want of room."),
        key("storage.checkpoint_every", "duration, at least 1h", Is(r#""24h""#), r#""12h""#, "0.1", "How old the newest checkpoint may get; two are kept."),
        key("storage.checkpoint_after", "size", Is(r#""1GiB""#), r#""256MiB""#, "0.1", "How much journal there may be behind the newest checkpoint."),
        key("storage.audit_retention", "duration, at least 1h", Is(r#""400d""#), r#""800d""#, "0.1", "The journal goes when it is older than this and than both checkpoints."),
        key("storage.retention.remediations", "duration, at least 1h", Is(r#""90d""#), r#""365d""#, "0.1", "How long remediations and holds are shown after their end."),
        key("storage.retention.alerts", "duration, at least 1h", Is(r#""30d""#), r#""90d""#, "0.1", "How long alerts are shown after their end, and dead letters."),
        key("storage.retention.runs", "duration, at least 1h", Is(r#""7d""#), r#""14d""#, "0.1", "How long kept runs of active checks are shown after their end."),

        key("auth.tokens_file", "file, or credential:NAME", Means("no tokens: only this machine is served, and everybody on it is admin"), r#""tokens.toml""#, "0.1", "Where the tokens of clients are; `credential:NAME` is a file of systemd's LoadCredential=."),

        key("sources.<name>.alertmanagers", "list of URLs", Is("[]"), r#"["http://127.0.0.1:9094"]"#, "0.1", "The members of one Alertmanager pair, asked before an act and to verify it; none: the source only sends."),
        key("sources.<name>.cluster_labels", "list of label names", Is(r#"["cluster", "cluster_name"]"#), r#"["k8s_cluster"]"#, "0.1", "Which label names the cluster, in this order."),
        key("sources.<name>.instance_labels", "list of label names", Is(r#"["instance_id", "node", "kubernetes_node", "nodename", "host", "hostname", "Hostname", "vm", "target_vm", "exported_instance", "instance"]"#), r#"["node"]"#, "0.1", "Which labels may name the instance; one that exactly one instance answers to is enough."),
        key("sources.<name>.default_cluster", "cluster", Means("alerts that name no cluster are looked for in all of them"), r#""train-a""#, "0.1", "The cluster of alerts that name none."),

        key("inventory.files", "list of paths, with * and ?", Is("[]"), r#"["inventory.d/*.toml"]"#, "0.1", "The files that describe the instances."),
        key("inventory.file_sd", "list of paths, with * and ?", Is("[]"), r#"["sd.d/*.json"]"#, "0.1", "Files of Prometheus's file_sd, JSON or YAML, read as they are: each target is an instance."),
        key("inventory.http_sd.<name>.url", "URL", Required, r#""https://netbox.site/sd""#, "0.1", "A list of Prometheus's http_sd: each target is an instance. The last good answer is kept; one that is unreadable, or empty where targets were known, changes nothing."),
        key("inventory.http_sd.<name>.refresh", "duration, at least 1s", Is(r#""60s""#), r#""5m""#, "0.1", "How often it is asked for."),
        key("inventory.http_sd.<name>.token_file", "file, or credential:NAME", Means("it is asked for without a token"), r#""netbox.token""#, "0.1", "A file with the bearer token that it wants."),
        key("inventory.default_cluster", "cluster", Means("a target whose labels name no cluster is not taken"), r#""train-a""#, "0.1", "The cluster of targets of `file_sd` and `http_sd` whose labels name none."),
        key("inventory.labels.id", "list of label names", Is(r#"["instance_id"]"#), r#"["machine"]"#, "0.1", "Which label of a target is the id of the instance, the first that is there."),
        key("inventory.labels.name", "list of label names", Is(r#"["nodename", "node", "hostname"]"#), r#"["vm"]"#, "0.1", "Which label is its name."),
        key("inventory.labels.cluster", "list of label names", Is(r#"["cluster", "cluster_name"]"#), r#"["site"]"#, "0.1", "Which label names its cluster."),
        key("inventory.labels.host", "list of label names", Is(r#"["host_id"]"#), r#"["chassis"]"#, "0.1", "Which label names its host."),
        key("inventory.labels.pool", "list of label names", Is(r#"["pool"]"#), r#"["partition"]"#, "0.1", "Which label names its pool."),
        key("inventory.labels.generation", "list of label names", Is(r#"["generation"]"#), r#"["build"]"#, "0.1", "Which label is its generation."),
        key("inventory.labels.provider_id", "list of label names", Is(r#"["provider_id"]"#), r#"["vm_uuid"]"#, "0.1", "Which label is the provider's id of it."),
        key("inventory.labels.auto_remediation_enabled", "list of label names", Is(r#"["auto_remediation_enabled"]"#), r#"["repair"]"#, "0.1", "Which label says `false` where nothing may open by itself."),
        key("inventory.labels.domains", "list of label names", Is(r#"["rack", "leaf", "pod", "pdu", "nvlink_domain"]"#), r#"["row"]"#, "0.1", "Which labels are failure domains, each of the kind of its name."),

        key("policy.rules", "list of paths, with * and ?", Is("[]"), r#"["rules.d/*.toml"]"#, "0.1", "The rule files, in this order; a key of a later file replaces that of an earlier one."),
        key("policy.catalog", "file", Means("the built-in table of NVIDIA's codes"), r#""xid.csv""#, "0.1", "Replaces the table of XIDs as a whole."),
        key("policy.compact_ttl", "duration", Is(r#""5m""#), r#""10m""#, "0.1", "Alerts clear for this long: a remediation that waits resolves itself."),
        key("policy.cooldown", "duration", Is(r#""30m""#), r#""1h""#, "0.1", "After a repair or a rejection nothing that is not heavier opens on the node for this long."),
        key("policy.proposal_ttl", "duration, not 0s", Is(r#""24h""#), r#""8h""#, "0.1", "How long a proposal waits for a person before it is cancelled."),
        key("policy.dispatch_delay", "duration", Is(r#""0s""#), r#""30s""#, "0.1", "How long an approved remediation still waits, cancellable."),
        key("policy.settle", "duration", Is(r#""10m""#), r#""5m""#, "0.1", "Evidence that is older than the last repair opens nothing for this long."),
        key("policy.refire_hold", "duration", Is(r#""10m""#), r#""5m""#, "0.1", "How long an alert that comes back with an old start stays unconfirmed."),
        key("policy.max_evidence_age", "duration", Is(r#""2m""#), r#""30s""#, "0.1", "Older evidence is confirmed at its source before the act."),
        key("policy.validate_within", "duration", Is(r#""10m""#), r#""5m""#, "0.1", "For so long that is tried; then the approved repair FAILED and nothing was touched."),
        key("policy.soak", "duration, below verify_within", Is(r#""5m""#), r#""10m""#, "0.1", "Alerts must stay clear this long after the act."),
        key("policy.verify_within", "duration, above soak", Is(r#""30m""#), r#""1h""#, "0.1", "Within this time they must have, or the repair FAILED with NOT_CLEARED."),

        key("limits.cluster.in_flight", "number from 1", Is("3"), "5", "0.1", "How many remediations of one cluster run at once; the smaller of both counts."),
        key("limits.cluster.in_flight_percent", "number from 1 to 100", Is("5"), "10", "0.1", "The same as a share of the cluster's instances; one is always allowed."),
        key("limits.checks.concurrency", "number from 1", Is("1024"), "256", "0.1", "How many runs of active checks may be under way at once, of all checks together."),

        key("clusters.<name>.name", "text", Means("the cluster's id"), r#""Training A""#, "0.1", "What people call it; it stands for the id in Together's API."),
        key("clusters.<name>.act", "driver", Required, r#""rehearse""#, "0.1", "Which driver acts on its machines."),

        key("drivers.<name>.dry_run.takes", "duration", Is(r#""0s""#), r#""2s""#, "0.1", "How long the driver that touches nothing pretends to work."),
        key("drivers.<name>.dry_run.modes", "list of modes", Is(r#"["reboot_vm", "vm_only", "host_aware", "host_power_cycle", "evict_without_replacement"]"#), r#"["reboot_vm"]"#, "0.1", "What it pretends to be able to do; a mode that is lacking is skipped upwards."),
        key("drivers.<name>.command.argv", "list: absolute path, arguments", Required, r#"["/usr/local/lib/remedyd/act"]"#, "0.1", "The program that acts; it gets one JSON object on standard input. There is no shell."),
        key("drivers.<name>.command.deadline", "duration, not 0s", Is(r#""10m""#), r#""20m""#, "0.1", "How long one call may run, and the act with its retries."),
        key("drivers.<name>.command.modes", "list of modes", Is(r#"["reboot_vm", "vm_only", "host_aware", "host_power_cycle", "evict_without_replacement"]"#), r#"["reboot_vm", "vm_only"]"#, "0.1", "What it can do; a mode that is lacking is skipped upwards."),

        key("notices.<name>.webhook.url", "URL", Required, r#""http://127.0.0.1:8080/remedyd""#, "0.1", "Who is told when a proposal opens, changes or ends."),

        key("checks.<name>.every", "duration, at least 100ms", Is(r#""30s""#), r#""1m""#, "0.1", "Each instance is looked at once in this time, all of them spread over it."),
        key("checks.<name>.cron", "cron expression, five fields, or @daily and the like", Means("it runs by `every`"), r#""30 3 * * *""#, "0.1", "At these times all instances are looked at in turn. 0 and 7 are Sunday; where day of month and day of week are both restricted, either is enough. A local time that a zone repeats counts once, one that it skips as much later as was skipped."),
        key("checks.<name>.zone", "name of a zone", Is(r#""UTC""#), r#""Europe/London""#, "0.1", "Whose clocks `cron` is about."),
        key("checks.<name>.timeout", "duration, not above every", Means("5s, or `every` where that is shorter"), r#""2s""#, "0.1", "How long a run may take; one that is not over then is killed, which is a finding of its own (`hung`)."),
        key("checks.<name>.select", "list of matchers", Means("every instance"), r#"['pool="h100"']"#, "0.1", "Which instances it looks at, by their labels: instance_id, name, cluster, host, pool, provider_id and domain_<kind>."),
        key("checks.<name>.failures_before", "number, 1 to 100", Is("3"), "2", "0.1", "How many FAIL in a row make a finding believed, so that it is an alert; and not before a whole round has shown whether other nodes fail as well."),
        key("checks.<name>.passes_before", "number, 1 to 100", Is("2"), "3", "0.1", "How many PASS in a row clear it."),
        key("checks.<name>.severity", "info, warning or critical", Is(r#""critical""#), r#""warning""#, "0.1", "The severity of its alerts."),
        key("checks.<name>.concurrency", "number from 1", Is("128"), "16", "0.1", "How many of its runs may be under way at once."),

        key("checks.<name>.tcp.port", "port", Required, "22", "0.1", "Connects to this port of the node."),
        key("checks.<name>.tcp.banner", "regular expression", Means("a connection is enough"), r#""^SSH-2""#, "0.1", "What the first 4 KiB that the node sends must match, within the check's `timeout`: a kernel accepts for a program that hangs."),
        key("checks.<name>.http.url", "URL whose host is {address} or {name}", Required, r#""https://{name}:9400/metrics""#, "0.1", "Asks the node for this page, over a connection of its own, without a proxy; a redirect is a status and not followed."),
        key("checks.<name>.http.method", "GET or HEAD", Is(r#""GET""#), r#""HEAD""#, "0.1", "How it is asked for."),
        key("checks.<name>.http.headers", "table of texts", Is("{}"), r#"{ Accept = "text/plain" }"#, "0.1", "Header fields of the request; `Host` too may be set."),
        key("checks.<name>.http.status", "list of statuses", Is(r#"["2xx"]"#), r#"[200, "3xx", "400-404"]"#, "0.1", "Which statuses are well."),
        key("checks.<name>.http.body_matches", "regular expression", Means("any body is well"), r#""ok""#, "0.1", "What the first 64 KiB of the body must match."),
        key("checks.<name>.http.body_not_matches", "regular expression", Means("any body is well"), r#""degraded""#, "0.1", "What the first 64 KiB of the body must not match."),
        key("checks.<name>.http.header_matches", "table of regular expressions", Is("{}"), r#"{ Content-Type = "^text/" }"#, "0.1", "What header fields of the answer must match; one that is missing does not."),
        key("checks.<name>.http.tls_days_left", "whole number, 1 to 3650", Means("a certificate may expire tomorrow"), "14", "0.1", "For how many days the node's certificate must be valid still."),
        key("checks.<name>.http.ca_file", "file", Means("whom this machine trusts"), r#""cert.pem""#, "0.1", "PEM of the authorities that may have signed the node's certificate."),
        key("checks.<name>.http.server_name", "host name or address", Means("the host of the URL"), r#""gpu.site""#, "0.1", "Whom the node's certificate must name, and who is asked for in the TLS handshake."),
        key("checks.<name>.http.insecure", "true or false", Is("false"), "true", "0.1", "Whether a certificate of anybody, for anybody, is well; what is sent can then be read by whoever answers."),
        key("checks.<name>.icmp.packets", "number, 1 to 10", Is("3"), "5", "0.1", "How many echo requests one run sends; it ends early where all are answered."),
        key("checks.<name>.icmp.interval", "duration, at least 10ms", Is(r#""100ms""#), r#""200ms""#, "0.1", "From one request of a run to the next."),
        key("checks.<name>.icmp.size", "bytes, 16 to 8972", Is("56"), "1472", "0.1", "The payload of a request, behind the eight bytes of the ICMP header."),
        key("checks.<name>.icmp.max_loss_percent", "number, 0 to 99", Is("50"), "0", "0.1", "How many of a run's requests may stay unanswered before it is `loss`; where all do, it is `timeout` or `unreachable` in any case."),
        key("checks.<name>.dns.server", "{address}, or an address with a port", Is(r#""{address}""#), r#""10.0.0.53:53""#, "0.1", "Which name server is asked: the node, or another machine, whose silence then says nothing about the node."),
        key("checks.<name>.dns.port", "port", Is("53"), "5353", "0.1", "The port of the node's name server."),
        key("checks.<name>.dns.name", "name, with {name} for the node's", Required, r#""{name}.site""#, "0.1", "What it is asked for."),
        key("checks.<name>.dns.type", "A, AAAA, CNAME, NS, PTR, SRV or TXT", Is(r#""A""#), r#""AAAA""#, "0.1", "Which of its records."),
        key("checks.<name>.dns.rcode", "NOERROR, FORMERR, SERVFAIL, NXDOMAIN, NOTIMP or REFUSED", Is(r#""NOERROR""#), r#""NXDOMAIN""#, "0.1", "How the server must say that it went; with NOERROR there must be a record of the type."),
        key("checks.<name>.dns.answers", "list of answers, with {address} and {name} for the node's", Means("any answer is well"), r#"["{address}"]"#, "0.1", "What must be among the answers, all of it."),
        key("checks.<name>.command.argv", "list: absolute path, arguments", Required, r#"["/usr/local/lib/remedyd/check"]"#, "0.1", "The program that checks; it is told the instance as one JSON object on standard input. There is no shell. Its last line may be a JSON object with `verdict`; else exit status 0 is PASS, 1 and 2 FAIL, 3 and 75 INCONCLUSIVE, 77 SKIPPED, any other ERROR."),

        key("checks.<name>.dcgm_exporter.port", "number", Is("9400"), "9401", "0.1", "Where the node's dcgm-exporter listens."),
        key("checks.<name>.dcgm_exporter.path", "path", Is(r#""/metrics""#), r#""/gpu/metrics""#, "0.1", "The path of its metrics."),
        key("checks.<name>.dcgm_exporter.unreachable", "inconclusive or fail", Is(r#""inconclusive""#), r#""fail""#, "0.1", "What an exporter means that does not answer, or answers with an error; `fail` is the finding `exporter_down`."),
        key("checks.<name>.dcgm_exporter.conditions", "list of conditions", Means("all but `row_remap_pending`, each where there is a value for it"), r#"["xid", "double_bit_ecc"]"#, "0.1", "What is looked at: xid, double_bit_ecc, row_remap_failure, row_remap_pending, nvlink, temperature, throttling, gpu_count, recovery_action; each is a finding of that name. One that is named and has no value is INCONCLUSIVE."),
        key("checks.<name>.dcgm_exporter.gpus", "number", Means("GPUs that are missing do not count"), "8", "0.1", "How many GPUs must answer (`gpu_count`)."),
        key("checks.<name>.dcgm_exporter.nvlinks", "number", Means("links that are down do not count"), "18", "0.1", "How many NVLinks of each GPU must be up (`nvlink`): 12 on an A100, 18 from Hopper on, where all are wired."),
        key("checks.<name>.dcgm_exporter.temperature_celsius", "number", Is("93"), "85", "0.1", "Above this a GPU is too hot (`temperature`)."),
        key("checks.<name>.dcgm_exporter.ignore_xids", "list of numbers", Is("[]"), "[13, 31, 43, 45]", "0.1", "XIDs that are no finding (`xid`)."),

        key("checks.<name>.nvml.instance", "instance", Means("the instance whose name is this machine's"), r#""i-7""#, "0.1", "Which instance this machine is. The check skips all others."),
        key("checks.<name>.nvml.conditions", "list of conditions", Means("all but `row_remap_pending`, each where there is a value for it"), r#"["double_bit_ecc", "gpu_count"]"#, "0.1", "What is looked at: double_bit_ecc, row_remap_failure, row_remap_pending, nvlink, temperature, throttling, gpu_count, recovery_action; each is a finding of that name. One that is named and has no value is INCONCLUSIVE."),
        key("checks.<name>.nvml.gpus", "number", Means("as many as NVML knows"), "8", "0.1", "How many GPUs must answer (`gpu_count`)."),
        key("checks.<name>.nvml.nvlinks", "number", Means("links that are down do not count"), "18", "0.1", "How many NVLinks of each GPU must be up (`nvlink`): 12 on an A100, 18 from Hopper on, where all are wired."),
        key("checks.<name>.nvml.temperature_celsius", "number", Is("93"), "85", "0.1", "Above this a GPU is too hot (`temperature`)."),

        key("rules.<name>.match", "list of matchers", Required, r#"['alertname="GPUFellOffBus"']"#, "0.1", "Which alerts the rule is about, in Alertmanager's words; all must match. What checks find has the labels check, kind, finding and, where they apply, xid and device."),
        key("rules.<name>.for", "duration", Is(r#""0s""#), r#""2m""#, "0.1", "How long the alert must have fired."),
        key("rules.<name>.mode", "reboot_vm, vm_only or host_aware", Required, r#""host_aware""#, "0.1", "What would repair it; an XID decides before the rule does. Not needed with `enforce = \"off\"`."),
        key("rules.<name>.enforce", "off, shadow, propose or auto", Is(r#""propose""#), r#""shadow""#, "0.1", "How far the rule goes: nothing, only count, ask a person, act by itself."),
        key("rules.<name>.auto_resolve", "alert, probe or never", Is(r#""alert""#), r#""probe""#, "0.1", "What may resolve a waiting proposal without a person: its alerts, once clear for `policy.compact_ttl`; the same and then every check of the instance, run once for that, which must pass; or nothing. `probe` needs a check."),

        key("instances.<id>.name", "host name", Means("the instance's id"), r#""gpu-node-7""#, "0.1", "The host name that alerts carry."),
        key("instances.<id>.cluster", "cluster", Required, r#""train-a""#, "0.1", "The cluster that it belongs to."),
        key("instances.<id>.host", "host id", Means("the instance's id"), r#""h-0042""#, "0.1", "The bare metal below it: one live remediation a host."),
        key("instances.<id>.addresses", "list of addresses or host names", Is("[]"), r#"["10.0.0.7"]"#, "0.1", "What else alerts may call it."),
        key("instances.<id>.provider_id", "text", Is(r#""""#), r#""vm-7""#, "0.1", "What the provider calls it, for drivers."),
        key("instances.<id>.pool", "text", Is(r#""""#), r#""h100""#, "0.1", "The pool that it belongs to."),
        key("instances.<id>.generation", "text", Is(r#""""#), r#""2""#, "0.1", "Changes when the id comes to stand for another machine; an approval binds to it."),
        key("instances.<id>.auto_remediation_enabled", "true or false", Is("true"), "false", "0.1", "False: nothing opens on it by itself; a person still may."),
        key("instances.<id>.domains.<kind>", "text", Means("it is in no such domain"), r#""r7""#, "0.1", "A failure domain, such as a rack or a leaf switch; matchable in rules as `domain_<kind>`."),

        key("tokens.<name>.role", "viewer, webhook, operator, approver or admin", Required, r#""operator""#, "0.1", "What its bearer may do."),
        key("tokens.<name>.clusters", "list of clusters", Means("all clusters"), r#"["train-a"]"#, "0.1", "Where; of other clusters it sees nothing."),
        key("tokens.<name>.sha256", "64 lower-case hex digits", Required, r#""2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae""#, "0.1", "The SHA-256 of the whole bearer string, which is kept nowhere. `remedyd token new` makes both."),
        key("tokens.<name>.expires", "time, RFC 3339", Means("it is good as long as it stands here"), r#""2031-01-01T00:00:00Z""#, "0.1", "From then on the token is as if it were not there."),
        key("tokens.<name>.previous_sha256", "64 lower-case hex digits", Means("only one string is good"), r#""fcde2b2edba56bf408601fb721fe9b5c338d10ee429ea04fae5511b68fbf8fb9""#, "0.1", "The string that is being replaced: good beside the new one until `previous_until`."),
        key("tokens.<name>.previous_until", "time, RFC 3339", Means("there is no previous string"), r#""2030-06-01T00:00:00Z""#, "0.1", "Until when the old string is good."),
        key("clients.<name>.role", "viewer, webhook, operator, approver or admin", Required, r#""operator""#, "0.1", "What the holder of the certificate may do."),
        key("clients.<name>.clusters", "list of clusters", Means("all clusters"), r#"["train-a"]"#, "0.1", "Where; of other clusters it sees nothing."),
        key("clients.<name>.expires", "time, RFC 3339", Means("it is good as long as it stands here"), r#""2031-01-01T00:00:00Z""#, "0.1", "From then on the certificate is nobody's."),
        key("clients.<name>.san", "DNS name or URI", Required, r#""spiffe://site/ci""#, "0.1", "The subject alternative name in the client certificate that `server.tls.client_ca_file` vouches for."),
    ]
};

#[cfg(test)]
#[path = "keys_tests.rs"]
pub(super) mod tests;
