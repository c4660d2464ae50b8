//! `[checks.<id>.dns]`

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::tcp::port;
use crate::config::table::{Table, Value};

/// Asks a name server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Whom.
    pub server: NameServer,
    /// For which name; `{name}` in it stands for the node's host name.
    pub name: String,
    /// For which of its records.
    pub record: RecordType,
    /// What the answer's code must be.
    pub rcode: Rcode,
    /// What must be among the answers, all of it; none: anything of that type.
    pub answers: Vec<Wanted>,
}

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NameServer {
    /// The node itself, at this port.
    Node(u16),
    /// Another machine, whose silence is not the node's.
    Fixed(SocketAddr),
}

/// An answer that must be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// `{address}`: the node's first address.
    Address,
    /// This one, in which `{name}` stands for the node's host name.
    Text(String),
}

/// What can be asked for, with the numbers of IANA's registry of DNS parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u16)]
pub enum RecordType {
    /// An IPv4 address.
    A = 1,
    /// A zone's name server.
    Ns = 2,
    /// Another name for it.
    Cname = 5,
    /// The name of an address.
    Ptr = 12,
    /// Text.
    Txt = 16,
    /// An IPv6 address.
    Aaaa = 28,
    /// Where a service is.
    Srv = 33,
}

impl RecordType {
    const ALL: [(&str, Self); 7] = [
        ("A", Self::A),
        ("AAAA", Self::Aaaa),
        ("CNAME", Self::Cname),
        ("NS", Self::Ns),
        ("PTR", Self::Ptr),
        ("SRV", Self::Srv),
        ("TXT", Self::Txt),
    ];

    /// Its number on the wire.
    pub const fn number(self) -> u16 {
        self as u16
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        Self::ALL.iter().find(|(_, known)| *known == self).map_or("", |(name, _)| name)
    }
}

/// How a name server says that it went: the lowest four bits of the flags.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rcode(pub u8);

impl Rcode {
    /// All is well.
    pub const NOERROR: Self = Self(0);
    /// There is no such name.
    pub const NXDOMAIN: Self = Self(3);
    const ALL: [(&str, Self); 6] = [
        ("NOERROR", Self::NOERROR),
        ("FORMERR", Self(1)),
        ("SERVFAIL", Self(2)),
        ("NXDOMAIN", Self::NXDOMAIN),
        ("NOTIMP", Self(4)),
        ("REFUSED", Self(5)),
    ];

    /// Its name, or its number.
    pub fn shown(self) -> String {
        let known = Self::ALL.iter().find(|(_, known)| *known == self);
        known.map_or_else(|| format!("rcode {}", self.0), |(name, _)| (*name).to_owned())
    }
}

pub(super) fn read(mut table: Table<'_>) -> Option<Dns> {
    let server = server(&mut table);
    let name = table.require("name").and_then(|value| value.parsed(name));
    let record = match table.take("type") {
        None => Some(RecordType::A),
        Some(value) => value.parsed(|text| one_of(text, &RecordType::ALL)),
    };
    let rcode = match table.take("rcode") {
        None => Some(Rcode::NOERROR),
        Some(value) => value.parsed(|text| one_of(text, &Rcode::ALL)),
    };
    let answers = table.take("answers");
    if let Some(value) = answers.as_ref().filter(|_| rcode.is_some_and(|rcode| rcode != Rcode::NOERROR)) {
        value.wrong_key("has no effect with an `rcode` that comes without answers");
    }
    let answers = match (answers, record) {
        (Some(value), Some(record)) => wanted(&value, record),
        _ => Some(Vec::new()),
    };
    table.finish();
    Some(Dns { server: server?, name: name?, record: record?, rcode: rcode?, answers: answers? })
}

fn server(table: &mut Table<'_>) -> Option<NameServer> {
    let (server, node_port) = (table.take("server"), table.take("port"));
    match (&server, &node_port) {
        (Some(value), _) if value.string()? != "{address}" => {
            if let Some(node_port) = &node_port {
                node_port.wrong_key("has no effect with a fixed `server`, which names its own port");
            }
            let fixed: Option<SocketAddr> = value.parsed(|text| {
                text.parse().map_err(|_| format!("`{text}` is neither `{{address}}` nor an address with a port"))
            });
            fixed.map(NameServer::Fixed)
        }
        (_, None) => Some(NameServer::Node(53)),
        (_, Some(value)) => port(value).map(NameServer::Node),
    }
}

fn one_of<T: Copy>(text: &str, known: &[(&str, T)]) -> Result<T, String> {
    let found = known.iter().find(|(name, _)| *name == text).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        format!("`{text}` is none of {}", names.join(", "))
    })
}

/// A name as the DNS has it, without its last dot. A node's name in it is known only when it is asked for.
fn name(text: &str) -> Result<String, String> {
    let plain = text.strip_suffix('.').unwrap_or(text);
    let shape = plain.replace("{name}", "node");
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
    };
    if shape.len() > 253 || !shape.split('.').all(is_label) {
        return Err(format!("`{text}` is no name: labels of letters, digits, - and _, and `{{name}}` for the node's"));
    }
    Ok(plain.to_ascii_lowercase())
}

fn wanted(value: &Value<'_>, record: RecordType) -> Option<Vec<Wanted>> {
    let items = value.texts()?;
    if items.is_empty() {
        value.wrong("must not be empty");
    }
    let read = items.into_iter().filter_map(|(_, item)| item.parsed(|text| answer(text, record)));
    Some(read.collect())
}

/// An answer in the one form in which [`crate::probes`] writes what a server says.
fn answer(text: &str, record: RecordType) -> Result<Wanted, String> {
    let bad = |what: &str| Err(format!("`{text}` is no {what}"));
    match record {
        RecordType::A | RecordType::Aaaa if text == "{address}" => Ok(Wanted::Address),
        RecordType::A => match text.parse::<Ipv4Addr>() {
            Ok(address) => Ok(Wanted::Text(address.to_string())),
            Err(_) => bad("IPv4 address, nor `{address}`"),
        },
        RecordType::Aaaa => match text.parse::<Ipv6Addr>() {
            Ok(address) => Ok(Wanted::Text(address.to_string())),
            Err(_) => bad("IPv6 address, nor `{address}`"),
        },
        RecordType::Ns | RecordType::Cname | RecordType::Ptr => name(text).map(Wanted::Text),
        RecordType::Txt => Ok(Wanted::Text(text.to_owned())),
        RecordType::Srv => {
            let parts: Vec<&str> = text.split_ascii_whitespace().collect();
            let numbers: Vec<u16> = parts.iter().take(3).filter_map(|part| part.parse().ok()).collect();
            match (parts[..].len(), &numbers[..]) {
                (4, [priority, weight, port]) => {
                    Ok(Wanted::Text(format!("{priority} {weight} {port} {}", name(parts[3])?)))
                }
                _ => bad("answer of SRV: write priority, weight, port and target, such as \"0 5 5060 sip.site\""),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::reading;
    use super::*;

    #[test]
    fn the_node_is_asked_where_no_other_server_is_named() {
        let server = |text: &str| reading(&format!("name = 'a'\n{text}"), read).0.unwrap().server;
        assert_eq!(server(""), NameServer::Node(53));
        assert_eq!(server("server = '{address}'\nport = 5353"), NameServer::Node(5353));
        assert_eq!(server("server = '[::1]:53'"), NameServer::Fixed("[::1]:53".parse().unwrap()));
    }

    #[test]
    fn answers_are_read_into_the_form_in_which_they_are_compared() {
        let answer = |text: &str, record| match answer(text, record) {
            Ok(Wanted::Text(text)) => text,
            other => format!("{other:?}"),
        };
        assert_eq!(answer("10.0.0.1", RecordType::A), "10.0.0.1");
        assert_eq!(answer("{address}", RecordType::A), "Ok(Address)");
        assert_eq!(answer("2001:DB8:0::1", RecordType::Aaaa), "2001:db8::1");
        assert_eq!(answer("{name}.Site.", RecordType::Cname), "{name}.site");
        assert_eq!(answer("0  5 5060 Sip.site.", RecordType::Srv), "0 5 5060 sip.site");
        assert_eq!(answer("v=1 A", RecordType::Txt), "v=1 A");
    }

    #[test]
    fn mistakes_stand_at_their_keys() {
        for (text, expected) in [
            ("", "name"),
            ("name = ''", "name"),
            ("name = 'a..b'", "name"),
            ("name = '{address}'", "name"),
            ("name = 'ä'", "name"),
            ("name = 'a'\nserver = '10.0.0.1'", "server"),
            ("name = 'a'\nserver = '10.0.0.1:53'\nport = 53", "port"),
            ("name = 'a'\nport = 0", "port"),
            ("name = 'a'\ntype = 'a'", "type"),
            ("name = 'a'\nrcode = 'OK'", "rcode"),
            ("name = 'a'\nrcode = 'NXDOMAIN'\nanswers = ['10.0.0.1']", "answers"),
            ("name = 'a'\nanswers = []", "answers"),
            ("name = 'a'\nanswers = ['::1']", "answers"),
            ("name = 'a'\ntype = 'CNAME'\nanswers = ['{address}']", "answers"),
            ("name = 'a'\ntype = 'SRV'\nanswers = ['0 5 sip.site']", "answers"),
            ("name = 'a'\nedns = true", "edns"),
        ] {
            let (_, mistakes) = reading(text, read);
            assert_eq!(mistakes.iter().map(|mistake| &*mistake.key).collect::<Vec<_>>(), [expected], "{text}");
        }
    }
}
