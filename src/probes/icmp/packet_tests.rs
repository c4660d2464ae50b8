//! Messages that are ours, that are not, and that are nothing at all.

use super::*;

const ECHO: Echo = Echo { id: 0x1234, seq: 7, token: 0x0102_0304_0506_0708 };
const V4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 7);
const V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 7);

fn request(family: Family) -> Vec<u8> {
    let mut out = Vec::new();
    write(family, ECHO, 56, &mut out);
    out
}

fn summed(mut message: Vec<u8>) -> Vec<u8> {
    message[2..4].fill(0);
    let sum = checksum(&message).to_be_bytes();
    message[2..4].copy_from_slice(&sum);
    message
}

fn reply(family: Family) -> Vec<u8> {
    let mut message = request(family);
    message[0] = family.reply();
    if family == Family::V4 { summed(message) } else { message }
}

fn ipv4(to: Ipv4Addr, options: usize, protocol: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 20 + options];
    packet[0] = 0x40 | (5 + options / 4) as u8;
    packet[9] = protocol;
    packet[16..20].copy_from_slice(&to.octets());
    packet.extend(payload);
    packet
}

fn ipv6(to: Ipv6Addr, next: u8, payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0; 40];
    packet[0] = 0x60;
    packet[6] = next;
    packet[24..40].copy_from_slice(&to.octets());
    packet.extend(payload);
    packet
}

fn error(family: Family, kind: u8, code: u8, quoted: &[u8]) -> Vec<u8> {
    let mut message = vec![kind, code, 0, 0, 0, 0, 0, 0];
    message.extend(quoted);
    if family == Family::V4 { summed(message) } else { message }
}

#[test]
fn a_request_is_what_rfc_792_says() {
    let message = request(Family::V4);
    assert_eq!(message.len(), 64);
    assert_eq!(message[..2], [8, 0]);
    assert_eq!(message[4..8], [0x12, 0x34, 0, 7]);
    assert_eq!(message[8..16], [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(checksum(&message), 0, "the sum over a right message is zero");
    assert_eq!(checksum(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]), !0xddf2, "the example of RFC 1071");
    assert_eq!(checksum(&[0xff]), 0x00ff, "an odd byte is padded on its right");
}

#[test]
fn a_reply_says_whose_it_is() {
    let ours = Some(Heard::Reply { echo: ECHO, size: 56 });
    assert_eq!(read(Family::V4, false, &reply(Family::V4)), ours);
    assert_eq!(read(Family::V4, true, &ipv4(V4, 0, 1, &reply(Family::V4))), ours);
    assert_eq!(read(Family::V4, true, &ipv4(V4, 40, 1, &reply(Family::V4))), ours, "with IP options");
    assert_eq!(read(Family::V6, false, &reply(Family::V6)), ours);
}

#[test]
fn what_is_no_reply_says_nothing() {
    let mut broken = reply(Family::V4);
    broken[20] ^= 1;
    assert_eq!(read(Family::V4, false, &broken), None, "its sum is wrong");
    assert_eq!(read(Family::V4, false, &request(Family::V4)), None, "our own request, on loopback");
    assert_eq!(read(Family::V6, false, &request(Family::V6)), None);
    assert_eq!(read(Family::V4, true, &ipv4(V4, 0, 17, &reply(Family::V4))), None, "it is UDP");
    assert_eq!(read(Family::V4, true, &reply(Family::V4)), None, "there is no IP header");
    let coded = summed([vec![0, 1], reply(Family::V4)[2..].to_vec()].concat());
    assert_eq!(read(Family::V4, false, &coded), None, "replies have code 0");
    let without_token = summed(reply(Family::V4)[..12].to_vec());
    assert_eq!(read(Family::V4, false, &without_token), None);
}

#[test]
fn an_error_says_which_request_it_is_about() {
    let (id, seq) = (ECHO.id, ECHO.seq);
    let said = |to, token, why| Some(Heard::Refused { to, id, seq, token, why });
    let request4 = request(Family::V4);
    for (kind, code, why) in
        [(3, 0, "net-unreachable"), (3, 1, "host-unreachable"), (3, 13, "admin-prohibited"), (11, 0, "ttl-exceeded")]
    {
        let message = error(Family::V4, kind, code, &ipv4(V4, 0, 1, &request4));
        assert_eq!(read(Family::V4, false, &message), said(V4.into(), Some(ECHO.token), why));
    }
    let short = error(Family::V4, 3, 1, &ipv4(V4, 4, 1, &request4[..8]));
    assert_eq!(read(Family::V4, false, &short), said(V4.into(), None, "host-unreachable"), "the least a router quotes");
    let message = error(Family::V6, 1, 3, &ipv6(V6, 58, &request(Family::V6)));
    assert_eq!(read(Family::V6, false, &message), said(V6.into(), Some(ECHO.token), "address-unreachable"));
}

#[test]
fn an_error_about_anything_else_says_nothing() {
    let request4 = request(Family::V4);
    for (what, message) in [
        ("a UDP packet", error(Family::V4, 3, 3, &ipv4(V4, 0, 17, &request4))),
        ("a reply", error(Family::V4, 3, 1, &ipv4(V4, 0, 1, &reply(Family::V4)))),
        ("less than eight bytes", error(Family::V4, 3, 1, &ipv4(V4, 0, 1, &request4[..7]))),
        ("half an IP header", error(Family::V4, 3, 1, &ipv4(V4, 0, 1, &[])[..12])),
        ("a header shorter than itself", error(Family::V4, 3, 1, &[&[0x41][..], &[0; 60]].concat())),
        ("a header longer than the quote", error(Family::V4, 3, 1, &[&[0x4f][..], &[1; 30]].concat())),
        ("nothing", error(Family::V4, 3, 1, &[])),
        ("a packet that is too large", error(Family::V4, 3, 4, &ipv4(V4, 0, 1, &request4))),
        ("a redirect", error(Family::V4, 5, 1, &ipv4(V4, 0, 1, &request4))),
    ] {
        assert_eq!(read(Family::V4, false, &message), None, "{what}");
    }
    let request6 = request(Family::V6);
    for (what, message) in [
        ("a TCP packet", error(Family::V6, 1, 3, &ipv6(V6, 6, &request6))),
        ("IPv4 in IPv6", error(Family::V6, 1, 3, &ipv4(V4, 0, 1, &request4))),
        ("a packet that is too large", error(Family::V6, 2, 0, &ipv6(V6, 58, &request6))),
        ("half an IP header", error(Family::V6, 1, 3, &ipv6(V6, 58, &request6)[..30])),
    ] {
        assert_eq!(read(Family::V6, false, &message), None, "{what}");
    }
}

/// Every message cut at every place, and with every byte changed: no panic, and never a reply of ours from another's bytes.
#[test]
fn any_bytes_are_read() {
    let messages = [
        (Family::V4, true, ipv4(V4, 0, 1, &reply(Family::V4))),
        (Family::V4, false, reply(Family::V4)),
        (Family::V4, true, ipv4(V4, 0, 1, &error(Family::V4, 3, 1, &ipv4(V4, 0, 1, &request(Family::V4))))),
        (Family::V6, false, reply(Family::V6)),
        (Family::V6, false, error(Family::V6, 1, 0, &ipv6(V6, 58, &request(Family::V6)))),
    ];
    let mut changed_replies = 0;
    for (family, has_ip_header, message) in messages {
        for end in 0..message.len() {
            let cut = read(family, has_ip_header, &message[..end]);
            if family == Family::V4 {
                assert_eq!(cut, None, "cut at {end} of {}", message.len());
            }
        }
        for at in 0..message.len() {
            for value in [0, 1, 0x0f, 0x40, 0x45, 0x7f, 0x80, 0xff] {
                let mut changed = message.clone();
                changed[at] = value;
                let heard = read(family, has_ip_header, &changed);
                if changed != message && matches!(heard, Some(Heard::Reply { .. })) {
                    changed_replies += 1;
                    let is_in_header = has_ip_header && at < 20;
                    assert!(is_in_header || family == Family::V6, "{at} of {message:x?} is {value:x}");
                }
            }
        }
    }
    assert!(changed_replies > 0, "bytes that say nothing to us may change");
}
