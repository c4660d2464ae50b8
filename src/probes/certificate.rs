//! Until when a certificate is valid: a walk through as much of its DER as lies before that date (RFC 5280 §4.1).
//!
//! The library that judges certificates does not tell their dates, and the whole of X.509 for one field would be too much.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use crate::domain::Timestamp;

const SEQUENCE: u8 = 0x30;
const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// `[0]`: the version, left out where it is 1.
const VERSION: u8 = 0xa0;

/// `notAfter`; nothing where these bytes are no certificate.
pub(super) fn not_after(der: &[u8]) -> Option<Timestamp> {
    let (certificate, _) = expect(der, SEQUENCE)?;
    let (signed, _) = expect(certificate, SEQUENCE)?;
    let rest = expect(signed, VERSION).map_or(signed, |(_, rest)| rest);
    let (_, rest) = expect(rest, INTEGER)?; // The serial number.
    let (_, rest) = expect(rest, SEQUENCE)?; // The algorithm of the signature.
    let (_, rest) = expect(rest, SEQUENCE)?; // The issuer.
    let (validity, _) = expect(rest, SEQUENCE)?;
    let (_, _, rest) = element(validity)?; // notBefore
    let (tag, time, _) = element(rest)?;
    date(tag, time)
}

/// The content of an element with this tag, and what follows it.
fn expect(bytes: &[u8], wanted: u8) -> Option<(&[u8], &[u8])> {
    let (tag, content, rest) = element(bytes)?;
    (tag == wanted).then_some((content, rest))
}

/// The first element: its tag, its content, and what follows it.
fn element(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[tag, first], rest) = bytes.split_first_chunk()?;
    let (length, rest) = match first {
        short @ ..=0x7f => (usize::from(short), rest),
        // 0x80 would be the indefinite form, which DER does not have; a certificate never needs more than three bytes.
        0x81..=0x83 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// `YYMMDDHHMMSSZ` from 1950 on, or `YYYYMMDDHHMMSSZ` (RFC 5280 §4.1.2.5).
fn date(tag: u8, text: &[u8]) -> Option<Timestamp> {
    let digits = text.strip_suffix(b"Z")?;
    if !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let number = |digits: &[u8]| digits.iter().fold(0, |number: i16, digit| number * 10 + i16::from(digit - b'0'));
    let (year, rest) = match (tag, digits.len()) {
        (UTC_TIME, 12) => {
            let year = number(&digits[..2]);
            (if year < 50 { 2000 + year } else { 1900 + year }, &digits[2..])
        }
        (GENERALIZED_TIME, 14) => (number(&digits[..4]), &digits[4..]),
        _ => return None,
    };
    let part = |at: usize| i8::try_from(number(&rest[2 * at..2 * at + 2])).ok();
    let date = DateTime::new(year, part(0)?, part(1)?, part(2)?, part(3)?, part(4)?, 0).ok()?;
    let moment = date.to_zoned(TimeZone::UTC).ok()?.timestamp();
    Some(Timestamp::from_micros(moment.as_microsecond()))
}
