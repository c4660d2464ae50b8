//! Reads the main file and every file that it names, and puts them together.

use std::collections::{BTreeMap, BTreeSet};
use std::env;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use toml::Spanned;
use toml::de::DeTable;

use super::checks::coverage;
use super::document::{Document, Files, folder_of};
use super::listen::{Listen, Server};
use super::main_file::MainFile;
use super::mistake::{Mistake, Mistakes};
use super::table::{Table, Value};
use super::tls::{self, Pem, Tls, TlsTable};
use super::{Config, Tokens, catalogue, glob, instances, rules, tokens};
use crate::domain::{Cluster, DiscoveryId, Instance};
use crate::engine::Settings;
use crate::engine::settings::Catalogue;
use crate::inventory::http_sd::{Bearer, HttpSd};
use crate::inventory::target_groups::{self, Place};
use crate::inventory::{self, Remark};

/// What command-line flags say in place of the file.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--web.listen-address`, any number of times; none: the file decides.
    pub listen: Vec<Listen>,
    /// `--storage.path`, relative to the working directory.
    pub storage_path: Option<PathBuf>,
}

/// A configuration without mistakes.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What it says.
    pub config: Config,
    /// Every instance that its files describe, in order of their ids. Apart, since a daemon hands them over and keeps the rest.
    pub instances: Vec<Instance>,
    /// What is legal but probably not meant.
    pub warnings: Vec<Mistake>,
    /// What it was read from: as long as that is as it was, so is what it says.
    pub(super) files: Files,
}

/// Reads `path` and every file that it names; all mistakes at once, in order of file and place.
pub fn load(path: &Path, overrides: &Overrides) -> Result<Loaded, Vec<Mistake>> {
    load_with(path, overrides, credentials().as_deref(), None)
}

/// Where systemd's LoadCredential= puts files, for `credential:NAME`.
fn credentials() -> Option<PathBuf> {
    env::var_os("CREDENTIALS_DIRECTORY").map(PathBuf::from)
}

/// What would be wrong with the configuration if `answer` were kept of this list, and is not wrong without it. Nothing is
/// changed.
pub fn rehearse(path: &Path, overrides: &Overrides, of: &DiscoveryId, answer: &str) -> Vec<Mistake> {
    let credentials = credentials();
    let load = |answer| load_with(path, overrides, credentials.as_deref(), answer).err().unwrap_or_default();
    let mut mistakes = load(Some((of, answer)));
    if !mistakes.is_empty() {
        let known = load(None);
        mistakes.retain(|mistake| !known.contains(mistake));
    }
    mistakes
}

/// How often files that change while they are read are read again, before that is a mistake.
const TRIES: usize = 16;

/// [`load`], of files that somebody may be changing: all are looked at twice, and read again until both times agree. Each file alone
/// is exchanged whole, but between two of them a link may be swapped that both lie behind, and half of the old
/// configuration with half of the new is neither. `known` is the digest of what was read so before, if it was.
pub fn load_steady(path: &Path, overrides: &Overrides, known: Option<&str>) -> Result<Loaded, Vec<Mistake>> {
    let is_steady = |loaded: &Loaded| Some(loaded.config.digest.as_str()) == known || loaded.files.are_as_read();
    match load(path, overrides) {
        Ok(loaded) if is_steady(&loaded) => Ok(loaded),
        Ok(_) | Err(_) => steady(known, path, || load(path, overrides)),
    }
}

fn steady(
    known: Option<&str>,
    path: &Path,
    mut read: impl FnMut() -> Result<Loaded, Vec<Mistake>>,
) -> Result<Loaded, Vec<Mistake>> {
    let digest = |outcome: &Result<Loaded, Vec<Mistake>>| match outcome {
        Ok(loaded) => Ok(loaded.config.digest.clone()),
        Err(mistakes) => Err(mistakes.clone()),
    };
    let mut last = read();
    for _ in 0..TRIES {
        let found = digest(&last);
        if found.as_ref().is_ok_and(|digest| Some(digest.as_str()) == known) {
            return last;
        }
        let again = read();
        if digest(&again) == found {
            return again;
        }
        last = again;
    }
    let what = format!("it, or a file that it names, changed each time while all were read, {TRIES} times");
    Err(vec![Mistake { file: path.to_owned(), line: 1, column: 1, key: "file".to_owned(), what }])
}

/// [`load`], with the folder of credentials as an argument, and an answer that counts in place of the one that is kept.
pub(super) fn load_with(
    path: &Path,
    overrides: &Overrides,
    credentials: Option<&Path>,
    answer: Option<(&DiscoveryId, &str)>,
) -> Result<Loaded, Vec<Mistake>> {
    let mistakes = Mistakes::default();
    let mut loader = Loader { base: folder_of(path), files: Files::default(), mistakes: &mistakes, answer };
    let config = match loader.files.read(path) {
        Ok(text) => Some(loader.read(path, &text, overrides, credentials)),
        Err(err) => {
            let what = format!("cannot be read: {err}");
            mistakes.add(Mistake { file: path.to_owned(), line: 1, column: 1, key: "file".to_owned(), what });
            None
        }
    };
    let files = loader.files;
    mistakes.into_result().and_then(|warnings| {
        let (digest, watched) = files.finish();
        // Without the main file there was a mistake, and this line is not reached.
        let (config, instances) = config.ok_or_else(Vec::new)?;
        Ok(Loaded { config: Config { digest, watched, ..config }, instances, warnings, files })
    })
}

struct Loader<'m> {
    base: PathBuf,
    files: Files,
    mistakes: &'m Mistakes,
    answer: Option<(&'m DiscoveryId, &'m str)>,
}

/// A file that was read, before it is parsed.
struct Text {
    path: PathBuf,
    text: String,
}

impl Loader<'_> {
    fn read(
        &mut self,
        path: &Path,
        text: &str,
        overrides: &Overrides,
        credentials: Option<&Path>,
    ) -> (Config, Vec<Instance>) {
        let doc = Document::new(path, text, self.mistakes);
        let tree = doc.parse();
        let main = MainFile::read(Table::root(&doc, &tree), &self.base, overrides.storage_path.as_deref());

        for path in main.checks.values().filter_map(|check| check.probe.file()) {
            // So that it counts for the digest and is watched; what is wrong with it was said when it was read.
            let _ = self.files.read(path);
        }
        let inventory = self.read_globs(&main.inventory.files);
        let mut discovered = self.read_globs(&main.inventory.file_sd);
        let http_sd = self.read_http_sd(&main, credentials, &mut discovered);
        let rule_files = self.read_globs(&main.rules);
        let catalogue = self.read_catalogue(main.catalog.as_ref());
        let tokens = main.tokens_file.as_ref().map(|named| self.read_tokens(named, credentials, &main.clusters));
        let described = self.parse(&inventory, |tables| instances::read(tables, &main.clusters));
        let instances = self.discover(&discovered, described, &main);
        let rules = self.parse(&rule_files, |tables| rules::read(tables, &main.sources, !main.check_places.is_empty()));
        let server = Server {
            listen: self.effective_listen(path, &main, overrides, tokens.is_some()),
            tls: main.server.tls.as_ref().and_then(|table| self.read_tls(table, credentials)),
            limits: main.server.limits,
            access_log: main.server.access_log,
        };

        let settings = Settings {
            sources: main.sources,
            clusters: main.cluster_policies,
            rules,
            catalogue,
            policy: main.policy,
            limits: main.limits,
            notices: main.receivers.keys().cloned().collect(),
            checks: main.check_policies,
            retention: main.retention,
        };
        coverage::warn(&main.check_places, &settings, &instances);
        let config = Config {
            server,
            // Absent only together with a mistake.
            storage: main.storage,
            tokens: tokens.map(Arc::new),
            alertmanagers: main.alertmanagers,
            http_sd,
            drivers: main.drivers,
            receivers: main.receivers,
            checks: Arc::new(main.checks),
            checks_limits: main.checks_limits,
            settings: Arc::new(settings),
            clusters: main.clusters,
            instance_count: instances.len(),
            watched: BTreeSet::new(),
            digest: String::new(),
        };
        (config, instances)
    }

    /// Every file that the patterns stand for, each once, in order.
    fn read_globs(&mut self, patterns: &[(&str, Value<'_>)]) -> Vec<Text> {
        let mut texts: Vec<Text> = Vec::new();
        for (pattern, value) in patterns {
            let paths = match glob::expand(&self.base, pattern, &mut self.files) {
                Ok(paths) => paths,
                Err(why) => {
                    value.wrong(why);
                    continue;
                }
            };
            if paths.is_empty() {
                value.warn(format!("`{pattern}` stands for no file yet"));
            }
            for path in paths {
                if texts.iter().any(|known| known.path == path) {
                    continue;
                }
                match self.files.read(&path) {
                    Ok(text) => texts.push(Text { path, text }),
                    Err(err) => value.wrong(format!("cannot read {}: {err}", path.display())),
                }
            }
        }
        texts
    }

    /// Parses the files and hands their tables to `read` in order.
    fn parse<T>(&self, texts: &[Text], read: impl FnOnce(Vec<Table<'_>>) -> T) -> T {
        let docs: Vec<Document<'_>> =
            texts.iter().map(|file| Document::new(&file.path, &file.text, self.mistakes)).collect();
        let trees: Vec<Spanned<DeTable<'_>>> = docs.iter().map(Document::parse).collect();
        read(docs.iter().zip(&trees).map(|(doc, tree)| Table::root(doc, tree)).collect())
    }

    /// The lists that are asked for; what was kept of each goes to `texts`, under the address that it came from.
    fn read_http_sd(
        &mut self,
        main: &MainFile<'_>,
        credentials: Option<&Path>,
        texts: &mut Vec<Text>,
    ) -> BTreeMap<DiscoveryId, HttpSd> {
        let mut lists = BTreeMap::new();
        for table in &main.inventory.http_sd {
            let bearer = table.token_file.as_ref().and_then(|(named, value)| {
                let Text { path, text } = self.read_secret(named, value, credentials)?;
                let bearer = Bearer::parse(&text);
                if bearer.is_none() {
                    value.wrong(format!("{} holds no bearer token: one line of ASCII, no space in it", path.display()));
                }
                bearer
            });
            let kept = main.storage.path.join("http_sd").join(format!("{}.json", table.id));
            let list = HttpSd { url: table.url.clone(), refresh: table.refresh, bearer, kept };
            let text = match self.answer.filter(|(of, _)| **of == table.id) {
                Some((_, answer)) => Ok(answer.to_owned()),
                None => self.files.read(&list.kept),
            };
            match text {
                Ok(text) => texts.push(Text { path: PathBuf::from(list.shown()), text }),
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    table.value.warn(format!("{} has not answered yet: nothing of it is known", list.shown()));
                }
                Err(error) => table.value.wrong(format!("cannot read {}: {error}", list.kept.display())),
            }
            lists.insert(table.id.clone(), list);
        }
        lists
    }

    /// What our own files describe, and with it what Prometheus's files know of further machines.
    fn discover(&self, files: &[Text], mut instances: Vec<Instance>, main: &MainFile<'_>) -> Vec<Instance> {
        let note = |file: &Path, at: Place, key: String, what: String| Mistake {
            file: file.to_owned(),
            line: at.line,
            column: at.column,
            key,
            what,
        };
        let mut read = Vec::new();
        for file in files {
            match target_groups::parse(&file.text) {
                Ok(groups) => read.push((file.path.clone(), groups)),
                Err(no) => self.mistakes.add_syntax(note(&file.path, no.at, "syntax".to_owned(), no.what)),
            }
        }
        let found = inventory::gather(&read, &instances, &main.clusters, &main.inventory.mapping);
        for Remark { origin, at, key, what, is_mistake } in found.remarks {
            let note = note(&origin, at, key, what);
            if is_mistake { self.mistakes.add(note) } else { self.mistakes.warn(note) }
        }
        instances.extend(found.instances);
        instances.sort_by(|one, other| one.id.cmp(&other.id));
        instances
    }

    fn read_catalogue(&mut self, named: Option<&(&str, Value<'_>)>) -> Catalogue {
        let Some((text, value)) = named else {
            return catalogue::read(catalogue::SHIPPED, Path::new("catalog/xid.csv"), self.mistakes);
        };
        let path = glob::beside(&self.base, text);
        match self.files.read(&path) {
            Ok(text) => catalogue::read(&text, &path, self.mistakes),
            Err(err) => {
                value.wrong(format!("cannot read {}: {err}", path.display()));
                Catalogue::default()
            }
        }
    }

    fn read_tokens(
        &mut self,
        (named, value): &(&str, Value<'_>),
        credentials: Option<&Path>,
        clusters: &[Cluster],
    ) -> Tokens {
        let Some(Text { path, text }) = self.read_secret(named, value, credentials) else { return Tokens::default() };
        let read = self.parse(&[Text { path: path.clone(), text }], |tables| {
            tables.into_iter().map(|table| tokens::read(table, clusters)).next().unwrap_or_default()
        });
        if read.is_empty() {
            value
                .dangling(format!("{} holds no token and no client, so nobody could reach the daemon", path.display()));
        }
        read
    }

    /// The certificate and what belongs to it; nothing where there was a mistake.
    fn read_tls(&mut self, table: &TlsTable<'_>, credentials: Option<&Path>) -> Option<Tls> {
        let cert = self.read_secret(table.cert_file.0, &table.cert_file.1, credentials);
        let key = self.read_secret(table.key_file.0, &table.key_file.1, credentials);
        let ca = table.client_ca_file.as_ref().map(|(named, value)| self.read_secret(named, value, credentials));
        let (cert, key, ca) = (cert?, key?, ca.map_or(Some(None), |read| read.map(Some))?);
        fn pem<'a, 'v>(text: &'a Text, value: &'a Value<'v>) -> Pem<'a, 'v> {
            Pem { path: &text.path, text: &text.text, value }
        }
        let ca = ca.as_ref().zip(table.client_ca_file.as_ref()).map(|(text, (_, value))| pem(text, value));
        tls::build(table, &pem(&cert, &table.cert_file.1), &pem(&key, &table.key_file.1), ca.as_ref())
    }

    /// A file beside the main one, or `credential:NAME`.
    fn read_secret(&mut self, named: &str, value: &Value<'_>, credentials: Option<&Path>) -> Option<Text> {
        let path = match named.strip_prefix("credential:") {
            None => glob::beside(&self.base, named),
            Some(name) if name.is_empty() || name.contains('/') || name.starts_with('.') => {
                value.wrong(format!("`{name}` is no name of a credential"));
                return None;
            }
            Some(name) => match credentials {
                Some(folder) => folder.join(name),
                None => {
                    value.wrong("needs $CREDENTIALS_DIRECTORY, which systemd sets where the unit has LoadCredential=");
                    return None;
                }
            },
        };
        match self.files.read(&path) {
            Ok(text) => Some(Text { path, text }),
            Err(err) => {
                value.wrong(format!("cannot read {}: {err}", path.display()));
                None
            }
        }
    }

    /// The addresses to serve. Without tokens everybody who connects is admin, so only this machine may connect.
    fn effective_listen(
        &self,
        path: &Path,
        main: &MainFile<'_>,
        overrides: &Overrides,
        has_tokens: bool,
    ) -> Vec<Listen> {
        let why = "is not loopback, and without [auth] tokens_file everybody who can connect is admin";
        if overrides.listen.is_empty() {
            for (addr, value) in main.server.listen.iter().filter(|(addr, _)| !has_tokens && !addr.is_local()) {
                if let Some(value) = value {
                    value.dangling(format!("`{addr}` {why}"));
                }
            }
            return main.server.listen.iter().map(|(addr, _)| addr.clone()).collect();
        }
        for addr in overrides.listen.iter().filter(|addr| !has_tokens && !addr.is_local()) {
            self.mistakes.add_doubtful(Mistake {
                file: path.to_owned(),
                line: 1,
                column: 1,
                key: "server.listen".to_owned(),
                what: format!("`{addr}` (from --web.listen-address) {why}"),
            });
        }
        overrides.listen.clone()
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_credential_is_read_from_the_folder_that_systemd_gives() {
        let dir = tempfile::tempdir().unwrap();
        let (main, credentials) = (dir.path().join("remedyd.toml"), dir.path().join("credentials"));
        fs::write(&main, "storage.path = 'data'\nauth.tokens_file = 'credential:tokens'\n").unwrap();
        fs::create_dir(&credentials).unwrap();
        fs::write(credentials.join("tokens"), format!("[tokens.a]\nrole = 'viewer'\nsha256 = '{}'\n", "0".repeat(64)))
            .unwrap();
        let load = |folder| load_with(&main, &Overrides::default(), folder, None);
        let config = load(Some(credentials.as_path())).unwrap().config;
        assert_eq!(config.tokens.unwrap().tokens[0].principal.name, "a");
        assert!(config.watched.contains(&credentials));
        let mistakes = load(None).unwrap_err();
        assert_eq!((mistakes[0].line, mistakes[0].key.as_str()), (2, "auth.tokens_file"));
        fs::remove_file(credentials.join("tokens")).unwrap();
        assert!(load(Some(credentials.as_path())).unwrap_err()[0].what.starts_with("cannot read "));
    }

    #[test]
    fn a_second_look_sees_what_has_changed_since_the_first() {
        let dir = tempfile::tempdir().unwrap();
        let (main, rules) = (dir.path().join("remedyd.toml"), dir.path().join("rules.d"));
        fs::create_dir(&rules).unwrap();
        fs::write(&main, "storage.path = 'data'\npolicy.rules = ['rules.d/*.toml']\n").unwrap();
        fs::write(rules.join("a.toml"), "").unwrap();
        let read = || load(&main, &Overrides::default()).unwrap().files;
        assert!(read().are_as_read());
        let changes: [&dyn Fn(); 4] = [
            &|| fs::write(rules.join("a.toml"), "# other").unwrap(),
            &|| fs::write(rules.join("b.toml"), "").unwrap(),
            &|| fs::remove_file(rules.join("a.toml")).unwrap(),
            &|| fs::write(&main, "storage.path = 'data'\n").unwrap(),
        ];
        for change in changes {
            let files = read();
            change();
            assert!(!files.are_as_read());
        }
    }

    #[test]
    fn what_changes_while_it_is_read_is_read_until_it_does_not() {
        let dir = tempfile::tempdir().unwrap();
        let main = dir.path().join("remedyd.toml");
        let revision = |n: u32| {
            fs::write(&main, format!("storage.path = 'data-{n}'\n")).unwrap();
            load(&main, &Overrides::default())
        };
        let digest = |n| revision(n).unwrap().config.digest;
        let read = |revisions: &[u32], known: Option<&str>| {
            let mut left = revisions.iter();
            let outcome =
                steady(known, &main, || revision(*left.next().expect("it asks no more often than it has to")));
            (outcome.map(|loaded| loaded.config.digest), left.len())
        };
        assert_eq!(read(&[1, 1], None), (Ok(digest(1)), 0));
        assert_eq!(read(&[1, 2, 3, 3], None), (Ok(digest(3)), 0));
        assert_eq!(read(&[1, 2, 2], Some(&digest(1))), (Ok(digest(1)), 2), "that was steady before");
        let restless: Vec<u32> = (0..100).collect();
        let (outcome, _) = read(&restless, None);
        assert!(outcome.unwrap_err()[0].what.contains("changed each time"));
    }
}
