//! `tokens.toml`: whose bearer string is good for what. The file holds hashes only, so reading it reveals nothing.

use std::collections::BTreeMap;

use super::Tokens;
use super::clusters::known_cluster;
use super::table::{Table, Value};
use crate::domain::{Cluster, Principal, Role};

/// Reads `[tokens.<name>]` tables.
pub(super) fn read(mut file: Table<'_>, clusters: &[Cluster]) -> Tokens {
    let mut tokens = BTreeMap::new();
    for (name, value) in file.table("tokens").named(parse_name) {
        let Some(mut table) = value.table() else { continue };
        let role = table.require("role").and_then(|value| value.parsed(parse_role));
        let allowed = table.take("clusters").map(|value| {
            let named = value.list().unwrap_or_default();
            if named.is_empty() {
                value.wrong("must name at least one cluster; leave the key out for all of them");
            }
            named.iter().filter_map(|item| known_cluster(item, clusters)).collect()
        });
        let sha256 = table.require("sha256").and_then(|value| Some((read_hash(&value)?, value)));
        table.finish();
        let (Some(role), Some((hash, hash_at))) = (role, sha256) else { continue };
        let principal = Principal { name, role, clusters: allowed };
        if let Some(other) = tokens.insert(hash, principal) {
            hash_at.wrong(format!("is the hash of [tokens.{}] too; every token needs a string of its own", other.name));
        }
    }
    file.finish();
    Tokens(tokens)
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
