//! `tokens.toml`: whose bearer string, or whose client certificate, is good for what, and until when. The file holds
//! hashes and names only, so reading it reveals nothing.
//!
//! ```toml
//! [tokens.alertmanager]
//! role = "webhook"
//! clusters = ["train-a"]                     # absent: all
//! sha256 = "…"                               # of the whole bearer string
//! previous_sha256 = "…"                      # the string before it, good as well …
//! previous_until = "2026-12-01T00:00:00Z"    # … until then: time to change it wherever it is used
//! expires = "2027-12-01T00:00:00Z"           # absent: never
//! [clients.prometheus]                       # no bearer string: a certificate that [server.tls] client_ca_file signed
//! role = "viewer"
//! san = "prometheus.example.org"
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use super::clusters::known_cluster;
use super::table::{Table, Value};
use crate::domain::{Cluster, Principal, Role, Timestamp};

/// Everybody whom `tokens.toml` knows.
#[derive(Clone, Debug, Default)]
pub struct Tokens {
    /// Every bearer string that is good, or was: two of one name while it is being changed.
    pub tokens: Vec<Token>,
    /// Every client certificate.
    pub clients: Vec<Client>,
}

/// One bearer string.
#[derive(Clone, Debug)]
pub struct Token {
    /// SHA-256 of the whole string.
    pub hash: [u8; 32],
    /// From then on it is as if it were not there; nothing: it is good as long as the file says so.
    pub until: Option<Timestamp>,
    /// Who uses it.
    pub principal: Arc<Principal>,
}

/// One client certificate, by a name in it.
#[derive(Clone, Debug)]
pub struct Client {
    /// A subject alternative name.
    pub san: String,
    /// From then on it is as if it were not there.
    pub until: Option<Timestamp>,
    /// Who uses it.
    pub principal: Arc<Principal>,
}

impl Tokens {
    /// Whether nobody could get in.
    pub fn is_empty(&self) -> bool {
        self.tokens.is_empty() && self.clients.is_empty()
    }

    /// The name of everybody, each once.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        let names: std::collections::BTreeSet<&str> = self
            .tokens
            .iter()
            .map(|token| &token.principal)
            .chain(self.clients.iter().map(|client| &client.principal))
            .map(|principal| principal.name.as_str())
            .collect();
        names.into_iter()
    }
}

/// Reads `[tokens.<name>]` and `[clients.<name>]` tables.
pub(super) fn read(mut file: Table<'_>, clusters: &[Cluster]) -> Tokens {
    let mut read = Tokens::default();
    let mut hashes: BTreeMap<[u8; 32], String> = BTreeMap::new();
    let mut names: BTreeMap<String, Value<'_>> = BTreeMap::new();
    for (name, value) in file.table("tokens").named(parse_name) {
        let Some(mut table) = value.table() else { continue };
        let whose = read_whose(&name, &mut table, clusters);
        let sha256 = table.require("sha256").and_then(|value| Some((read_hash(&value)?, value)));
        let previous = read_previous(&mut table);
        table.finish();
        names.insert(name.clone(), value);
        let Some(Whose { principal, expires }) = whose else { continue };
        let first = sha256.map(|(hash, at)| (hash, at, expires));
        let second = previous.map(|(hash, at, until)| (hash, at, Some(expires.map_or(until, |end| end.min(until)))));
        for (hash, at, until) in first.into_iter().chain(second) {
            if let Some(other) = hashes.insert(hash, name.clone()) {
                at.wrong(format!("is the hash of [tokens.{other}] too; every token needs a string of its own"));
                continue;
            }
            read.tokens.push(Token { hash, until, principal: Arc::clone(&principal) });
        }
    }
    let mut sans: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in file.table("clients").named(parse_name) {
        let Some(mut table) = value.table() else { continue };
        let whose = read_whose(&name, &mut table, clusters);
        let san = table.require("san").and_then(|value| Some((value.parsed(parse_san)?, value)));
        table.finish();
        if let Some(other) = names.get(&name) {
            value.wrong_key(format!(
                "[tokens.{name}] at {} is called so; what is done is recorded by name",
                other.place()
            ));
            continue;
        }
        let (Some(Whose { principal, expires }), Some((san, at))) = (whose, san) else { continue };
        if let Some(other) = sans.insert(san.to_lowercase(), name) {
            at.wrong(format!("is the name of [clients.{other}] too"));
            continue;
        }
        read.clients.push(Client { san, until: expires, principal });
    }
    file.finish();
    read
}

struct Whose {
    principal: Arc<Principal>,
    expires: Option<Timestamp>,
}

/// What tokens and clients have alike.
fn read_whose(name: &str, table: &mut Table<'_>, known: &[Cluster]) -> Option<Whose> {
    let role = table.require("role").and_then(|value| value.parsed(parse_role));
    let clusters = table.take("clusters").map(|value| {
        let named = value.list().unwrap_or_default();
        if named.is_empty() {
            value.wrong("must name at least one cluster; leave the key out for all of them");
        }
        named.iter().filter_map(|item| known_cluster(item, known)).collect()
    });
    let expires = table.take("expires").map(|value| value.parsed(Timestamp::parse));
    // A date that cannot be read must not become "never".
    let expires = match expires {
        None => None,
        Some(read) => Some(read?),
    };
    Some(Whose { principal: Arc::new(Principal { name: name.to_owned(), role: role?, clusters }), expires })
}

/// The string that is being replaced, and how long it is good yet: neither says anything without the other.
fn read_previous<'a>(table: &mut Table<'a>) -> Option<([u8; 32], Value<'a>, Timestamp)> {
    let (hash, until) = (table.take("previous_sha256"), table.take("previous_until"));
    match (hash, until) {
        (Some(hash), Some(until)) => {
            let read = (read_hash(&hash), until.parsed(Timestamp::parse));
            Some((read.0?, hash, read.1?))
        }
        (Some(hash), None) => {
            hash.dangling("has no `previous_until`: say until when the old string is good");
            None
        }
        (None, Some(until)) => {
            until.dangling("has no `previous_sha256` that it could be about");
            None
        }
        (None, None) => None,
    }
}

/// Accepts 1 to 64 letters, digits, dots, underscores and hyphens that are not a name of our own.
pub fn parse_name(text: &str) -> Result<String, String> {
    let fits = (1..=64).contains(&text.len());
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    if !(fits && plain) {
        return Err(format!("`{text}` is no token name: 1 to 64 letters, digits, dots, underscores and hyphens"));
    }
    // What they do is recorded under these names; a token of that name could pass for the daemon itself.
    if ["remedyd", "local"].contains(&text) {
        return Err(format!("`{text}` is what the daemon itself goes by; choose another name"));
    }
    Ok(text.to_owned())
}

/// Reads a role's name.
pub fn parse_role(text: &str) -> Result<Role, String> {
    let all: Vec<&str> = Role::ALL.iter().map(|role| role.as_str()).collect();
    Role::parse(text).ok_or_else(|| format!("`{text}` is no role; there are {}", all.join(", ")))
}

/// A name as it stands in a certificate: a host name or a URI. No patterns: a wildcard would
/// let in whoever gets a certificate for some host below it.
fn parse_san(text: &str) -> Result<String, String> {
    // Compared without case: DNS names have none, and URIs that differ in nothing else are asking for trouble.
    let fits = (1..=253).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'*');
    if fits {
        Ok(text.to_owned())
    } else {
        Err(format!("`{text}` is no name of a certificate; write it out, without `*`"))
    }
}

fn read_hash(value: &Value<'_>) -> Option<[u8; 32]> {
    let text = value.string()?;
    let hash = parse_hash(text);
    if hash.is_none() {
        // Not repeated: somebody may have put the bearer string itself here.
        value.wrong("must be the SHA-256 of the whole bearer string: 64 lower-case hex digits");
    }
    hash
}

fn parse_hash(text: &str) -> Option<[u8; 32]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, []) = text.as_bytes().as_chunks::<2>() else { return None };
    let bytes: Option<Vec<u8>> = pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect();
    bytes?.try_into().ok()
}
