//! Every id is a type of its own, so that two of them cannot be swapped.
//!
//! Names (cluster, instance, rule …) are written by people and are safe in a URL, a store key and a metric label.
//! Generated ids are UUIDs: v7 where time order matters, v5 where the same thing must always get the same id.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha1::{Digest, Sha1};
use uuid::{Builder, Uuid};

use super::labels::Labels;

/// Text that is no name of the kind that was asked for.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {kind}: 1 to 253 letters, digits, dots, underscores and hyphens are allowed")]
pub struct BadName {
    kind: &'static str,
    text: String,
}

fn check_name(kind: &'static str, text: &str) -> Result<(), BadName> {
    let fits = (1..=253).contains(&text.len());
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    // A lone "-" stands for "any instance" in API paths.
    if fits && plain && text != "-" { Ok(()) } else { Err(BadName { kind, text: text.chars().take(64).collect() }) }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $kind:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Accepts 1 to 253 letters, digits, dots, underscores and hyphens.
            pub fn parse(text: &str) -> Result<Self, BadName> {
                check_name($kind, text)?;
                Ok(Self(text.into()))
            }

            /// The name as it was written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                out.write_str(&self.0)
            }
        }
    };
}

name!(/// A cluster, as configured under `[clusters.<id>]`.
    ClusterId, "cluster id");
name!(/// A VM or node, as API paths name it; unique in the whole inventory.
    InstanceId, "instance id");
name!(/// The bare metal below an instance.
    HostId, "host id");
name!(/// One Alertmanager or pair, as configured under `[sources.<id>]`.
    SourceId, "source name");
name!(/// A list of targets that is asked for, `[inventory.http_sd.<id>]`.
    DiscoveryId, "name of a discovery");
name!(/// A policy rule, `[rules.<id>]`.
    RuleId, "rule id");
name!(/// A driver, `[drivers.<id>.<kind>]`.
    DriverId, "driver name");
name!(/// An active check, `[checks.<id>.<kind>]`.
    CheckId, "check id");
name!(/// A class of evidence that a check finds, the value of the label `finding`.
    FindingName, "name of a finding");
name!(/// A receiver of notices, `[notices.<id>.<kind>]`.
    NoticeId, "notice name");

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            /// Wraps a UUID.
            pub const fn new(uuid: Uuid) -> Self {
                Self(uuid)
            }

            /// Reads the hyphenated form that [`fmt::Display`] writes; nothing else, so that one id has one spelling.
            pub fn parse(text: &str) -> Option<Self> {
                let uuid = Uuid::try_parse(text).ok()?;
                (uuid.hyphenated().to_string() == text).then_some(Self(uuid))
            }

            /// The UUID's sixteen bytes, in the order in which ids sort.
            pub const fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The UUID itself.
            pub const fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.hyphenated(), out)
            }
        }
    };
}

uuid_id!(/// One episode of an alert: UUIDv5 of its identity and the episode's number.
    AlertId);
uuid_id!(/// What an alert is over all its episodes: UUIDv5 of source and label set.
    Identity);
uuid_id!(/// One remediation: UUIDv7.
    RemediationId);
uuid_id!(/// One hold: UUIDv7.
    HoldId);
uuid_id!(/// One effect that is pending until its result is reported: UUIDv7. Notices carry it as their stable id.
    EffectId);
uuid_id!(/// One run of an active check: UUIDv7.
    RunId);
uuid_id!(/// One alert that could not be read: UUIDv5 of source, reason and raw text, so that a repeat is the same letter.
    DeadLetterId);

/// The namespace of our UUIDv5 ids; itself v5 of the DNS namespace and "remedyd".
const NAMESPACE: Uuid = Uuid::from_u128(0x8c5c_70f6_6a9d_5d1e_9d3c_0f6e_4be1_52d7);

/// The version 5 UUID of these texts, in this order.
///
/// By a hash that uses what the processor has for it: an identity is made of every alert of every message.
fn named<'a>(space: &Uuid, texts: impl IntoIterator<Item = &'a str>) -> Uuid {
    let mut hash = Sha1::new();
    hash.update(space.as_bytes());
    for (at, text) in texts.into_iter().enumerate() {
        if at > 0 {
            // 0xff occurs in no UTF-8 text, so no two lists of texts run into the same bytes.
            hash.update([0xff]);
        }
        hash.update(text.as_bytes());
    }
    let [head @ .., _, _, _, _] = <[u8; 20]>::from(hash.finalize());
    Builder::from_sha1_bytes(head).into_uuid()
}

impl Identity {
    /// The identity of a label set as one source knows it. Labels come sorted, so the order on the wire does not matter.
    pub fn of(source: &SourceId, labels: &Labels) -> Self {
        let texts = labels.iter().flat_map(|(name, value)| [name, value]);
        Self(named(&NAMESPACE, std::iter::once(source.as_str()).chain(texts)))
    }
}

impl AlertId {
    /// The id of the `episode`-th episode (from 1) of `identity`.
    pub fn of(identity: Identity, episode: u32) -> Self {
        Self(Uuid::new_v5(&identity.0, &episode.to_be_bytes()))
    }
}

impl DeadLetterId {
    /// The id of a letter: the same text refused for the same reason is the same letter.
    pub fn of(source: &SourceId, reason: &str, raw: &str) -> Self {
        Self(named(&NAMESPACE, [source.as_str(), reason, raw]))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_safe_in_a_path_or_refused() {
        for good in ["i-7", "gpu_node.7", "A", &"x".repeat(253)] {
            assert!(InstanceId::parse(good).is_ok(), "{good}");
        }
        for bad in ["", "-", "a/b", "a b", "ä", "a%2f", &"x".repeat(254)] {
            assert!(InstanceId::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn one_id_has_one_spelling() {
        let id = RemediationId::new(Uuid::from_u128(7));
        assert_eq!(RemediationId::parse(&id.to_string()), Some(id));
        assert_eq!(RemediationId::parse(&id.to_string().to_uppercase().replace('0', "O")), None);
        assert_eq!(RemediationId::parse("{00000000-0000-0000-0000-000000000007}"), None);
    }

    #[test]
    fn identity_is_the_source_and_the_label_set() {
        let main = SourceId::parse("main").unwrap();
        let labels = |pairs: &[(&str, &str)]| Labels::from_pairs(pairs.iter().copied());
        let one = Identity::of(&main, &labels(&[("a", "1"), ("b", "2")]));
        assert_eq!(one, Identity::of(&main, &labels(&[("b", "2"), ("a", "1")])));
        assert_ne!(one, Identity::of(&main, &labels(&[("a", "12"), ("b", "")])));
        assert_ne!(one, Identity::of(&SourceId::parse("other").unwrap(), &labels(&[("a", "1"), ("b", "2")])));
        assert_ne!(AlertId::of(one, 1), AlertId::of(one, 2));
        // What is stored is found again by it.
        assert_eq!(one.0, Uuid::new_v5(&NAMESPACE, b"main\xffa\xff1\xffb\xff2"));
    }
}
