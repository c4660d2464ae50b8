//! Messages of the DNS (RFC 1035 §4): one question out, and what can be made of any bytes that come back.
//!
//! Small on purpose: the crates that read whole messages reserve room for as many records as a header claims, or refuse an
//! answer for an odd record somewhere behind it. A pointer may only point back, so every walk ends.

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::config::checks::dns::{Rcode, RecordType};

/// The class IN.
const IN: u16 = 1;
const IS_RESPONSE: u16 = 1 << 15;
const OPCODE: u16 = 0b1111 << 11;
const IS_TRUNCATED: u16 = 1 << 9;
const RECURSION_DESIRED: u16 = 1 << 8;
const RCODE: u16 = 0b1111;
/// How long a name may be, in bytes on the wire.
const NAME_BYTES: usize = 255;
/// How many records of an answer are read.
const RECORDS: u16 = 256;

/// What is asked: a name on the wire, in lower case, and a type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Question {
    name: Vec<u8>,
    record: RecordType,
}

/// An answer to the question that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reply {
    pub(super) rcode: Rcode,
    /// There is more, over TCP.
    pub(super) is_truncated: bool,
    /// The records of the type that was asked for, as text.
    pub(super) answers: Vec<String>,
}

/// Why bytes are no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoReply {
    /// To another question, or to none: anybody may have sent it.
    Foreign,
    /// To this one, but broken.
    Broken,
}

impl Question {
    /// Nothing where the DNS cannot have such a name.
    pub(super) fn new(name: &str, record: RecordType) -> Option<Self> {
        let mut wire = Vec::with_capacity(name.len() + 2);
        for label in name.strip_suffix('.').unwrap_or(name).split('.') {
            let length = u8::try_from(label.len()).ok().filter(|length| (1..=63).contains(length))?;
            wire.push(length);
            wire.extend(label.bytes().map(|byte| byte.to_ascii_lowercase()));
        }
        wire.push(0);
        (wire.len() <= NAME_BYTES).then_some(Self { name: wire, record })
    }

    /// The message that asks it.
    pub(super) fn message(&self, id: u16) -> Vec<u8> {
        let mut message = Vec::with_capacity(16 + self.name.len());
        // One question, no answers, no authorities, nothing else.
        for word in [id, RECURSION_DESIRED, 1, 0, 0, 0] {
            message.extend(word.to_be_bytes());
        }
        message.extend(&self.name);
        for word in [self.record.number(), IN] {
            message.extend(word.to_be_bytes());
        }
        message
    }

    /// Reads what came back.
    pub(super) fn reply(&self, id: u16, message: &[u8]) -> Result<Reply, NoReply> {
        let mut reader = Reader { message, at: 0 };
        let head: Option<Vec<u16>> = (0..6).map(|_| reader.word()).collect();
        let Some(&[answers_id, flags, questions, answers, _, _]) = head.as_deref() else {
            return Err(NoReply::Foreign);
        };
        if answers_id != id || flags & IS_RESPONSE == 0 || flags & OPCODE != 0 {
            return Err(NoReply::Foreign);
        }
        let rcode = Rcode(u8::try_from(flags & RCODE).unwrap_or_default());
        // Who cannot read a question cannot repeat it.
        if questions != 0 || rcode == Rcode::NOERROR {
            let asked = (questions == 1).then(|| Some((reader.name()?, reader.word()?, reader.word()?))).flatten();
            if asked != Some((self.name.clone(), self.record.number(), IN)) {
                return Err(NoReply::Foreign);
            }
        }
        let is_truncated = flags & IS_TRUNCATED != 0;
        let mut reply = Reply { rcode, is_truncated, answers: Vec::new() };
        for _ in 0..answers.min(RECORDS) {
            match reader.record(self.record) {
                Some(text) => reply.answers.extend(text),
                // The rest comes over TCP.
                None if is_truncated => break,
                None => return Err(NoReply::Broken),
            }
        }
        Ok(reply)
    }
}

/// A walk through a message.
struct Reader<'a> {
    message: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let end = self.at.checked_add(count)?;
        let bytes = self.message.get(self.at..end)?;
        self.at = end;
        Some(bytes)
    }

    fn byte(&mut self) -> Option<u8> {
        self.bytes(1).map(|bytes| bytes[0])
    }

    fn word(&mut self) -> Option<u16> {
        let bytes = self.bytes(2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    }

    /// A name as it would stand without compression, in lower case.
    fn name(&mut self) -> Option<Vec<u8>> {
        let mut name = Vec::new();
        // Where this part of the name begins: a pointer in it must point before that.
        let mut begun = self.at;
        let mut behind = None;
        loop {
            let length = self.byte()?;
            match length {
                0 => break,
                1..=63 => {
                    name.push(length);
                    name.extend(self.bytes(usize::from(length))?.iter().map(u8::to_ascii_lowercase));
                }
                0xc0.. => {
                    let target = usize::from(length & 0x3f) << 8 | usize::from(self.byte()?);
                    behind.get_or_insert(self.at);
                    if target >= begun {
                        return None;
                    }
                    (begun, self.at) = (target, target);
                }
                64..=0xbf => return None,
            }
            if name.len() >= NAME_BYTES {
                return None;
            }
        }
        name.push(0);
        self.at = behind.unwrap_or(self.at);
        Some(name)
    }

    /// A record: its text where it is of this type, nothing inside where it is another, nothing where it is broken.
    fn record(&mut self, wanted: RecordType) -> Option<Option<String>> {
        self.name()?;
        let (kind, class) = (self.word()?, self.word()?);
        self.bytes(4)?; // How long it may be kept.
        let length = usize::from(self.word()?);
        let begins = self.at;
        let content = self.bytes(length)?;
        if kind != wanted.number() || class != IN {
            return Some(None);
        }
        let mut inside = Reader { message: &self.message[..self.at], at: begins };
        let text = match wanted {
            RecordType::A => Ipv4Addr::from(<[u8; 4]>::try_from(content).ok()?).to_string(),
            RecordType::Aaaa => Ipv6Addr::from(<[u8; 16]>::try_from(content).ok()?).to_string(),
            RecordType::Ns | RecordType::Cname | RecordType::Ptr => shown(&inside.name()?),
            RecordType::Srv => {
                let [priority, weight, port] = [inside.word()?, inside.word()?, inside.word()?];
                format!("{priority} {weight} {port} {}", shown(&inside.name()?))
            }
            RecordType::Txt => {
                let mut text = Vec::new();
                while inside.at < self.at {
                    let length = usize::from(inside.byte()?);
                    text.extend(inside.bytes(length)?);
                }
                String::from_utf8_lossy(&text).into_owned()
            }
        };
        Some(Some(text))
    }
}

/// A name as text, without its last dot; what is no letter of a name stands as `\DDD` (RFC 1035 §5.1).
fn shown(name: &[u8]) -> String {
    let mut text = String::new();
    let mut rest = name;
    while let Some((&length, after)) = rest.split_first()
        && let Some((label, after)) = after.split_at_checked(usize::from(length))
        && length > 0
    {
        if !text.is_empty() {
            text.push('.');
        }
        for byte in label {
            match byte {
                b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => text.push(char::from(*byte)),
                other => text.push_str(&format!("\\{other:03}")),
            }
        }
        rest = after;
    }
    text
}

#[cfg(test)]
mod tests;
