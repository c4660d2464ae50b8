//! Echo requests as bytes, and what incoming bytes say: plain functions, which take any bytes.
//!
//! A payload begins with a token of eight random bytes; RFC 792 and RFC 4443 have it sent back as it is. An error message
//! quotes the packet that it is about: at least eight bytes of ICMP over IPv4, so that the token may be missing there.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Which protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// ICMP.
    V4,
    /// ICMPv6.
    V6,
}

impl Family {
    /// The family of an address.
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }

    const fn request(self) -> u8 {
        match self {
            Self::V4 => 8,
            Self::V6 => 128,
        }
    }

    const fn reply(self) -> u8 {
        match self {
            Self::V4 => 0,
            Self::V6 => 129,
        }
    }
}

/// What tells one echo from all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Echo {
    /// The identifier; a datagram socket puts its own instead.
    pub id: u16,
    /// The sequence number.
    pub seq: u16,
    /// The first bytes of the payload.
    pub token: u64,
}

/// What an incoming message says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// An echo reply with so many bytes of payload.
    Reply {
        /// Which.
        echo: Echo,
        /// Bytes of payload.
        size: usize,
    },
    /// That an echo request did not reach its destination.
    Refused {
        /// Where it was sent to.
        to: IpAddr,
        /// Its identifier.
        id: u16,
        /// Its sequence number.
        seq: u16,
        /// Its token, where so much of it is quoted.
        token: Option<u64>,
        /// The code's name.
        why: &'static str,
    },
}

/// The ICMP header.
pub const HEADER: usize = 8;
/// The token.
pub const TOKEN: usize = 8;

/// Writes an echo request with `size` bytes of payload into `out`.
pub fn write(family: Family, echo: Echo, size: usize, out: &mut Vec<u8>) {
    out.clear();
    out.extend([family.request(), 0, 0, 0]);
    out.extend(echo.id.to_be_bytes());
    out.extend(echo.seq.to_be_bytes());
    out.extend(echo.token.to_be_bytes());
    out.extend((TOKEN..size).map(|at| at as u8));
    // The kernel does it for ICMPv6, whose sum covers the addresses as well.
    if family == Family::V4 {
        let sum = checksum(out).to_be_bytes();
        out[2..4].copy_from_slice(&sum);
    }
}

/// Reads a message; nothing where it is of no interest or no message at all. `has_ip_header`: raw sockets of IPv4 hand it
/// over as well.
pub fn read(family: Family, has_ip_header: bool, bytes: &[u8]) -> Option<Heard> {
    let message = if has_ip_header { behind_ipv4(bytes)?.1 } else { bytes };
    let kind = *message.first()?;
    let code = *message.get(1)?;
    // A raw socket of IPv4 is handed what the kernel has not checked yet.
    if family == Family::V4 && checksum(message) != 0 {
        return None;
    }
    if kind == family.reply() {
        let token = u64::from_be_bytes(*message.get(HEADER..)?.first_chunk()?);
        let echo = Echo { id: u16_at(message, 4)?, seq: u16_at(message, 6)?, token };
        return (code == 0).then_some(Heard::Reply { echo, size: message.len() - HEADER });
    }
    let why = match family {
        Family::V4 => refusal_v4(kind, code)?,
        Family::V6 => refusal_v6(kind, code)?,
    };
    let quoted = message.get(HEADER..)?;
    let (to, quoted) = match family {
        Family::V4 => behind_ipv4(quoted)?,
        Family::V6 => behind_ipv6(quoted)?,
    };
    if *quoted.first()? != family.request() {
        return None;
    }
    let token = quoted.get(HEADER..).and_then(<[u8]>::first_chunk).copied().map(u64::from_be_bytes);
    Some(Heard::Refused { to, id: u16_at(quoted, 4)?, seq: u16_at(quoted, 6)?, token, why })
}

/// Where an IPv4 packet that carries ICMP goes, and the ICMP in it.
fn behind_ipv4(packet: &[u8]) -> Option<(IpAddr, &[u8])> {
    let first = *packet.first()?;
    let length = usize::from(first & 0x0f) * 4;
    if first >> 4 != 4 || length < 20 || *packet.get(9)? != 1 {
        return None;
    }
    let to: [u8; 4] = *packet.get(16..)?.first_chunk()?;
    Some((Ipv4Addr::from(to).into(), packet.get(length..)?))
}

/// The same of IPv6. We send no extension headers, so a quoted request has none.
fn behind_ipv6(packet: &[u8]) -> Option<(IpAddr, &[u8])> {
    if *packet.first()? >> 4 != 6 || *packet.get(6)? != 58 {
        return None;
    }
    let to: [u8; 16] = *packet.get(24..)?.first_chunk()?;
    Some((Ipv6Addr::from(to).into(), packet.get(40..)?))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Names as IANA has them. That a packet is too large is settled by the kernel, which sends smaller ones from then on.
fn refusal_v4(kind: u8, code: u8) -> Option<&'static str> {
    let name = match (kind, code) {
        (3, 0) => "net-unreachable",
        (3, 1) => "host-unreachable",
        (3, 2) => "protocol-unreachable",
        (3, 3) => "port-unreachable",
        (3, 4) => return None,
        (3, 5) => "source-route-failed",
        (3, 6) => "net-unknown",
        (3, 7) => "host-unknown",
        (3, 8) => "source-host-isolated",
        (3, 9) => "net-prohibited",
        (3, 10) => "host-prohibited",
        (3, 11) => "net-unreachable-for-tos",
        (3, 12) => "host-unreachable-for-tos",
        (3, 13) => "admin-prohibited",
        (3, 14) => "host-precedence-violation",
        (3, 15) => "precedence-cutoff",
        (3, _) => "destination-unreachable",
        (11, 0) => "ttl-exceeded",
        (11, _) => "reassembly-time-exceeded",
        (12, _) => "parameter-problem",
        _ => return None,
    };
    Some(name)
}

fn refusal_v6(kind: u8, code: u8) -> Option<&'static str> {
    let name = match (kind, code) {
        (1, 0) => "no-route",
        (1, 1) => "admin-prohibited",
        (1, 2) => "beyond-scope",
        (1, 3) => "address-unreachable",
        (1, 4) => "port-unreachable",
        (1, 5) => "source-address-failed-policy",
        (1, 6) => "reject-route",
        (1, _) => "destination-unreachable",
        (3, 0) => "hop-limit-exceeded",
        (3, _) => "reassembly-time-exceeded",
        (4, _) => "parameter-problem",
        _ => return None,
    };
    Some(name)
}

/// The sum of RFC 1071; 0 over a message whose own sum is right.
fn checksum(bytes: &[u8]) -> u16 {
    let (pairs, odd) = bytes.as_chunks::<2>();
    let mut sum: u64 = pairs.iter().map(|pair| u64::from(u16::from_be_bytes(*pair))).sum();
    sum += odd.first().map_or(0, |byte| u64::from(*byte) << 8);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
#[path = "packet_tests.rs"]
mod tests;
