//! `remedyd token new`: makes a bearer string, shows it once, and records its hash.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use toml::de::DeTable;

use crate::config::tokens::{parse_name, parse_role};
use crate::domain::ClusterId;

/// Readable by the daemon's group, written by the owner; it holds hashes, not secrets.
const FILE_MODE: u32 = 0o640;

/// What was asked for on the command line.
#[derive(Clone, Debug, Default)]
pub struct NewToken {
    /// `--role`
    pub role: String,
    /// `--name`
    pub name: String,
    /// `--cluster`, any number of times; none: all clusters.
    pub clusters: Vec<String>,
    /// `--tokens-file`: where the block is added; none: it is only shown.
    pub tokens_file: Option<PathBuf>,
}

/// Why no token was made.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// A flag is wrong.
    #[error("--{flag}: {why}")]
    BadFlag {
        /// Without the hyphens.
        flag: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The tokens file is not as it should be.
    #[error("{}: {why}", path.display())]
    BadFile {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The tokens file could not be read or written.
    #[error("cannot {verb} {}", path.display())]
    File {
        /// read, write
        verb: &'static str,
        /// Which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system gave no random bytes.
    #[error("cannot get random bytes: {0}")]
    Random(getrandom::Error),
    /// The token could not be shown; what was recorded of it is of no use and may be removed.
    #[error("cannot print the token")]
    Print(#[source] io::Error),
}

/// Makes a token: its bearer string goes to `out`, once; the TOML block goes into the file, or to `err` to be added by hand.
pub fn new_token(asked: &NewToken, out: &mut impl Write, err: &mut impl Write) -> Result<(), TokenError> {
    let name = parse_name(&asked.name).map_err(|why| TokenError::BadFlag { flag: "name", why })?;
    let role = parse_role(&asked.role).map_err(|why| TokenError::BadFlag { flag: "role", why })?;
    for cluster in &asked.clusters {
        ClusterId::parse(cluster).map_err(|bad| TokenError::BadFlag { flag: "cluster", why: bad.to_string() })?;
    }
    let bearer = bearer(&name)?;
    let block = block(&name, role.as_str(), &asked.clusters, &bearer);
    match &asked.tokens_file {
        Some(path) => {
            append(path, &name, &block)?;
            writeln!(err, "added [tokens.{}] to {}; the token is shown only this once", quoted(&name), path.display())
        }
        None => write!(err, "# add this to the tokens file; the token itself is shown only this once\n{block}"),
    }
    .and_then(|()| writeln!(out, "{bearer}"))
    .and_then(|()| out.flush())
    .map_err(TokenError::Print)
}

/// `remedyd_<name>_<43 characters>`: 256 random bits, and a name by which a leaked one is recognised.
fn bearer(name: &str) -> Result<String, TokenError> {
    let mut bits = [0; 32];
    getrandom::fill(&mut bits).map_err(TokenError::Random)?;
    Ok(format!("remedyd_{name}_{}", URL_SAFE_NO_PAD.encode(bits)))
}

fn block(name: &str, role: &str, clusters: &[String], bearer: &str) -> String {
    let hash: String = Sha256::digest(bearer.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let clusters = if clusters.is_empty() {
        String::new()
    } else {
        let quoted: Vec<String> = clusters.iter().map(|cluster| format!("\"{cluster}\"")).collect();
        format!("clusters = [{}]\n", quoted.join(", "))
    };
    format!("[tokens.{}]\nrole = \"{role}\"\n{clusters}sha256 = \"{hash}\"\n", quoted(name))
}

/// A name as a TOML key; a dot would otherwise begin a table of its own.
fn quoted(name: &str) -> String {
    if name.contains('.') { format!("\"{name}\"") } else { name.to_owned() }
}

/// Adds the block to the file, or makes the file: whoever reads it sees the old text or the new, never half of it.
fn append(path: &Path, name: &str, block: &str) -> Result<(), TokenError> {
    let failed = |verb| move |source| TokenError::File { verb, path: path.to_owned(), source };
    // A link is followed, so that its target is replaced and not the link.
    let target = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let old = match fs::read_to_string(&target) {
        Ok(text) => text,
        Err(err) if err.kind() == io::ErrorKind::NotFound => String::new(),
        Err(err) => return Err(failed("read")(err)),
    };
    let bad = |why: String| TokenError::BadFile { path: path.to_owned(), why };
    let tree =
        DeTable::parse(&old).map_err(|err| bad(format!("is no TOML, so nothing was added: {}", err.message())))?;
    let tokens = tree.get_ref().get("tokens").and_then(|tokens| tokens.get_ref().as_table());
    if tokens.is_some_and(|tokens| tokens.get(name).is_some()) {
        return Err(bad(format!("has a token `{name}` already; remove it first, or choose another name")));
    }
    let gap = match old.as_str() {
        "" => "",
        text if text.ends_with('\n') => "\n",
        _ => "\n\n",
    };
    replace(&target, format!("{old}{gap}{block}").as_bytes()).map_err(failed("write"))
}

fn replace(target: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = target.file_name().ok_or_else(|| io::Error::other("it is not the name of a file"))?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let folder = target.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let fresh = folder.join(name);
    let written = OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(&fresh).and_then(|mut file| {
        // The umask may have taken the group's right to read.
        file.set_permissions(fs::Permissions::from_mode(FILE_MODE))?;
        if let Ok(old) = fs::metadata(target) {
            // The daemon reads by its group; who may not give the file away keeps their own.
            let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&fresh, target)?;
        File::open(folder)?.sync_all()
    });
    if written.is_err() {
        let _ = fs::remove_file(&fresh);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Overrides, load};
    use crate::domain::Role;

    fn asked(name: &str, role: &str, clusters: &[&str], file: Option<&Path>) -> NewToken {
        NewToken {
            role: role.to_owned(),
            name: name.to_owned(),
            clusters: clusters.iter().map(|&cluster| cluster.to_owned()).collect(),
            tokens_file: file.map(Path::to_owned),
        }
    }

    fn run(asked: &NewToken) -> Result<(String, String), String> {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        new_token(asked, &mut out, &mut err).map_err(|err| err.to_string())?;
        Ok((String::from_utf8(out).unwrap(), String::from_utf8(err).unwrap()))
    }

    #[test]
    fn the_string_is_shown_once_and_only_its_hash_is_kept() {
        let (out, err) = run(&asked("alertmanager", "webhook", &["a", "b"], None)).unwrap();
        let secret = out.trim().strip_prefix("remedyd_alertmanager_").unwrap();
        assert_eq!(URL_SAFE_NO_PAD.decode(secret).unwrap().len(), 32);
        assert!(!err.contains(secret));
        assert!(
            err.contains("[tokens.alertmanager]\nrole = \"webhook\"\nclusters = [\"a\", \"b\"]\nsha256 = \""),
            "{err}"
        );
        assert_ne!(run(&asked("alertmanager", "webhook", &[], None)).unwrap().0, out);
    }

    #[test]
    fn added_tokens_are_what_the_configuration_reads() {
        let dir = tempfile::tempdir().unwrap();
        let (main, tokens) = (dir.path().join("remedyd.toml"), dir.path().join("tokens.toml"));
        fs::write(
            &main,
            "storage.path = 'data'\nauth.tokens_file = 'tokens.toml'\n[clusters.c]\nact = 'd'\n[drivers.d.dry_run]\n",
        )
        .unwrap();
        let first = run(&asked("ops.eu", "operator", &["c"], Some(&tokens))).unwrap().0;
        let second = run(&asked("am", "webhook", &[], Some(&tokens))).unwrap().0;
        assert_eq!(fs::metadata(&tokens).unwrap().permissions().mode() & 0o777, FILE_MODE);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);

        let loaded = load(&main, &Overrides::default()).unwrap();
        let known = loaded.config.tokens.unwrap();
        let who = |bearer: &str| {
            let hash: [u8; 32] = Sha256::digest(bearer.trim().as_bytes()).into();
            known.tokens.iter().find(|token| token.hash == hash).unwrap().principal.as_ref().clone()
        };
        assert_eq!((who(&first).name.as_str(), who(&first).role), ("ops.eu", Role::Operator));
        assert_eq!(who(&first).clusters.map(|clusters| clusters.len()), Some(1));
        assert_eq!((who(&second).name.as_str(), who(&second).role), ("am", Role::Webhook));
        assert_eq!(who(&second).clusters, None);
    }

    #[test]
    fn wrong_flags_and_taken_names_make_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let tokens = dir.path().join("tokens.toml");
        for (asked, wanted) in [
            (asked("a b", "viewer", &[], Some(&tokens)), "--name: `a b` is no token name"),
            (asked("remedyd", "viewer", &[], Some(&tokens)), "--name: `remedyd` is what the daemon itself goes by"),
            (asked("a", "root", &[], Some(&tokens)), "--role: `root` is no role; there are viewer, webhook"),
            (asked("a", "viewer", &["x/y"], Some(&tokens)), "--cluster: `x/y` is no cluster id"),
            (asked("a", "viewer", &[], Some(&dir.path().join("no/t.toml"))), "cannot write"),
        ] {
            let refused = run(&asked).unwrap_err();
            assert!(refused.starts_with(wanted), "{refused}");
            assert!(!tokens.exists());
        }
        run(&asked("a", "viewer", &[], Some(&tokens))).unwrap();
        let before = fs::read(&tokens).unwrap();
        let refused = run(&asked("a", "admin", &[], Some(&tokens))).unwrap_err();
        assert!(refused.ends_with("has a token `a` already; remove it first, or choose another name"), "{refused}");
        assert_eq!(fs::read(&tokens).unwrap(), before);
        fs::write(&tokens, "[tokens").unwrap();
        assert!(run(&asked("b", "admin", &[], Some(&tokens))).unwrap_err().contains("is no TOML"));
        assert_eq!(fs::read(&tokens).unwrap(), b"[tokens");
    }
}
