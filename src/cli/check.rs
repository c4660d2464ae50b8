//! `remedyd check`: is the configuration right, and what does it amount to?

use std::io::{self, Write};
use std::path::Path;

use super::checks;
use crate::clock::wall_clock;
use crate::config::{Driver, Loaded, Overrides, load, show_duration, show_size};
use crate::domain::Instance;
use crate::engine::settings::Enforce;
use crate::probes::icmp::may_ping;

/// Exit status when there are mistakes.
const MISTAKES: u8 = 3;

/// Exit status when the answer could not be printed.
const UNPRINTED: u8 = 1;

/// Exit status when the instance that was asked about is in no inventory.
const UNKNOWN: u8 = 2;

/// Reads the configuration at `path` as `serve` would: a summary on `out` and exit status 0, or every mistake on `err` and 3. Warnings go
/// to `err` and change nothing. With `instance`, an id or a name, the summary is of the checks that look at it.
pub fn check(
    path: &Path,
    overrides: &Overrides,
    instance: Option<&str>,
    out: &mut impl Write,
    err: &mut impl Write,
) -> u8 {
    let said = match load(path, overrides) {
        Ok(loaded) => loaded
            .warnings
            .iter()
            .try_for_each(|warning| writeln!(err, "warning: {warning}"))
            .and_then(|()| answer(path, &loaded, instance, out, err)),
        Err(mistakes) => mistakes.iter().try_for_each(|mistake| writeln!(err, "{mistake}")).map(|()| MISTAKES),
    };
    said.unwrap_or(UNPRINTED)
}

fn answer(
    path: &Path,
    loaded: &Loaded,
    instance: Option<&str>,
    out: &mut impl Write,
    err: &mut impl Write,
) -> io::Result<u8> {
    let explain = |only: Option<&Instance>, out: &mut _| checks::explain(loaded, only, wall_clock(), may_ping(), out);
    let Some(named) = instance else {
        summarise(path, loaded, out)?;
        explain(None, out)?;
        return Ok(0);
    };
    match loaded.instances.iter().find(|one| one.id.as_str() == named || one.name == named) {
        Some(one) => explain(Some(one), out).map(|()| 0),
        None => writeln!(err, "the inventory knows no instance `{named}`").map(|()| UNKNOWN),
    }
}

fn summarise(path: &Path, loaded: &Loaded, out: &mut impl Write) -> io::Result<()> {
    let config = &loaded.config;
    writeln!(out, "{}: no mistakes", path.display())?;
    let listen: Vec<String> = config.server.listen.iter().map(ToString::to_string).collect();
    let who = match &config.tokens {
        Some(tokens) if tokens.clients.is_empty() => format!("{} token(s)", tokens.tokens.len()),
        Some(tokens) => format!("{} token(s), {} client(s)", tokens.tokens.len(), tokens.clients.len()),
        None => "no tokens: this machine only, everybody is admin".to_owned(),
    };
    writeln!(out, "listens on {} ({who})", listen.join(", "))?;
    let floor = show_size(config.storage.min_free);
    writeln!(out, "stores under {}, takes nothing new below {floor} free", config.storage.path.display())?;
    for (source, urls) in &config.alertmanagers {
        let urls = if urls.is_empty() { "no Alertmanager to ask".to_owned() } else { urls.join(", ") };
        writeln!(out, "source {source}: {urls}")?;
    }
    for cluster in &config.clusters {
        let instances = loaded.instances.iter().filter(|instance| instance.cluster_id == cluster.id).count();
        let policy = config.settings.clusters.get(&cluster.id);
        let driver = policy.and_then(|policy| config.drivers.get(&policy.act).map(|driver| (&policy.act, driver)));
        let acts =
            driver.map_or_else(|| "no driver".to_owned(), |(id, driver)| format!("{id} acts: {}", describe(driver)));
        writeln!(out, "cluster {}: {instances} instance(s), {acts}", cluster.id)?;
    }
    let count = |wanted| config.settings.rules.values().filter(|rule| rule.enforce == wanted).count();
    writeln!(
        out,
        "{} rule(s): {} auto, {} propose, {} shadow, {} off",
        config.settings.rules.len(),
        count(Enforce::Auto),
        count(Enforce::Propose),
        count(Enforce::Shadow),
        count(Enforce::Off)
    )?;
    writeln!(out, "{} code(s) in the XID catalogue", config.settings.catalogue.0.len())
}

fn describe(driver: &Driver) -> String {
    match driver {
        Driver::DryRun { takes, .. } => format!("dry run of {}, touches nothing", show_duration(*takes)),
        Driver::Command { argv, deadline, .. } => {
            format!("{} within {}", argv.first().map_or("", String::as_str), show_duration(*deadline))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn run(path: &Path) -> (u8, String, String) {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let status = check(path, &Overrides::default(), None, &mut out, &mut err);
        (status, String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap())
    }

    #[test]
    fn the_shipped_configuration_is_summed_up() {
        let (status, out, err) = run(&Path::new(env!("CARGO_MANIFEST_DIR")).join("config/remedyd.toml"));
        assert_eq!((status, err.as_str()), (0, ""));
        for line in [
            "listens on 127.0.0.1:9720 (no tokens: this machine only, everybody is admin)",
            "source main: http://127.0.0.1:9093",
            "cluster train-a: 8 instance(s), rehearse acts: dry run of 2s, touches nothing",
            "57 rule(s): 0 auto, 41 propose, 1 shadow, 15 off",
            "575 code(s) in the XID catalogue",
            "no checks",
        ] {
            assert!(out.contains(&format!("{line}\n")), "{line} in {out}");
        }
    }

    #[test]
    fn warnings_do_not_change_the_exit_status() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("remedyd.toml");
        fs::write(&path, "[storage]\npath = \"data\"\n[sources.quiet]\n").unwrap();
        let (status, out, err) = run(&path);
        assert_eq!(status, 0, "{err}");
        assert!(out.contains("source quiet: no Alertmanager to ask\n"), "{out}");
        let place = format!("warning: {}:3:10: sources.quiet: has no `alertmanagers`", path.display());
        assert!(err.starts_with(&place), "{err}");
    }

    #[test]
    fn an_instance_that_is_not_there_exits_2() {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("config/remedyd.toml");
        let mut ask = |name| check(&path, &Overrides::default(), Some(name), &mut out, &mut err);
        assert_eq!((ask("gpu-node-7"), ask("i-7"), ask("i-70")), (0, 0, 2));
        assert_eq!(String::from_utf8(out).unwrap(), "no check looks at i-7\n".repeat(2));
        assert_eq!(String::from_utf8(err).unwrap(), "the inventory knows no instance `i-70`\n");
    }

    #[test]
    fn mistakes_exit_3_and_each_has_its_line() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("remedyd.toml");
        fs::write(&path, "[server]\nlisten = [\"0.0.0.0:9720\"]\nport = 1\n").unwrap();
        let (status, out, err) = run(&path);
        assert_eq!((status, out.as_str()), (3, ""));
        let path = path.display();
        let lines: Vec<&str> = err.lines().collect();
        assert_eq!(lines.len(), 3, "{err}");
        assert!(lines[0].starts_with(&format!("{path}:1:1: storage.path: ")), "{err}");
        assert!(lines[1].starts_with(&format!("{path}:2:11: server.listen: ")), "{err}");
        assert!(lines[2].starts_with(&format!("{path}:3:1: server.port: ")), "{err}");
    }
}
