//! `[checks.<id>.tcp]`

use super::pattern::Pattern;
use crate::config::table::{Table, Value};

/// Connects to a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tcp {
    /// Which one.
    pub port: u16,
    /// What the first bytes that the node sends must match.
    pub banner: Option<Pattern>,
}

pub(super) fn read(mut table: Table<'_>) -> Option<Tcp> {
    let port = table.require("port").and_then(|value| port(&value));
    let banner = pattern(table.take("banner"));
    table.finish();
    Some(Tcp { port: port?, banner: banner? })
}

/// A port that something can listen on.
pub(super) fn port(value: &Value<'_>) -> Option<u16> {
    u16::try_from(value.number(1..=u32::from(u16::MAX))?).ok()
}

/// A pattern that may be left out; nothing where there is a mistake in it.
pub(super) fn pattern(value: Option<Value<'_>>) -> Option<Option<Pattern>> {
    let Some(value) = value else { return Some(None) };
    value.text()?;
    value.parsed(Pattern::parse).map(Some)
}

#[cfg(test)]
mod tests {
    use super::super::testing::reading;
    use super::*;

    #[test]
    fn a_port_is_needed_and_a_banner_must_be_an_expression() {
        let (tcp, mistakes) = reading("port = 22\nbanner = '^SSH-2'", read);
        assert_eq!((tcp.unwrap().port, mistakes.len()), (22, 0));
        for (text, key) in [
            ("", "port"),
            ("port = 0", "port"),
            ("port = 65536", "port"),
            ("port = '22'", "port"),
            ("port = 22\nbanner = '('", "banner"),
            ("port = 22\nbanner = ''", "banner"),
            ("port = 22\nbanner = '\\w{900}'", "banner"),
            ("port = 22\ntls = true", "tls"),
        ] {
            let (_, mistakes) = reading(text, read);
            assert_eq!(mistakes.iter().map(|mistake| &*mistake.key).collect::<Vec<_>>(), [key], "{text}");
        }
    }
}
