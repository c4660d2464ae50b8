//! Until when a certificate is valid: a walk through as much of its DER as lies before that date (RFC 5280 §4.1).
//!
//! The library that judges certificates does not tell their dates, and the whole of X.509 for one field would be too much.

use jiff::civil::DateTime;

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
    // Not by jiff's own moment, which ends before the date that stands for "never" (99991231235959Z).
    let since = date.duration_since(DateTime::constant(1970, 1, 1, 0, 0, 0, 0));
    Some(Timestamp::from_micros(since.as_micros().try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, date_time_ymd};

    use super::*;

    /// A certificate that ends on the first of January of this year.
    fn ends_in(year: i32) -> Vec<u8> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["gpu-1".to_owned()]).unwrap();
        params.not_after = date_time_ymd(year, 1, 1);
        params.self_signed(&key).unwrap().der().to_vec()
    }

    #[test]
    fn both_forms_of_a_date_are_read() {
        for (year, expected) in [(2030, "2030-01-01T00:00:00Z"), (2060, "2060-01-01T00:00:00Z")] {
            assert_eq!(not_after(&ends_in(year)), Some(Timestamp::parse(expected).unwrap()), "{year}");
        }
    }

    #[test]
    fn a_date_is_a_date() {
        let at = |tag, text: &str| date(tag, text.as_bytes());
        assert_eq!(at(UTC_TIME, "490102030405Z"), Some(Timestamp::parse("2049-01-02T03:04:05Z").unwrap()));
        assert_eq!(at(UTC_TIME, "500102030405Z"), Some(Timestamp::parse("1950-01-02T03:04:05Z").unwrap()));
        // RFC 5280 §4.1.2.5: there is no well-defined end.
        assert!(at(GENERALIZED_TIME, "99991231235959Z").is_some());
        for (tag, text) in [
            (UTC_TIME, ""),
            (UTC_TIME, "490102030405"),
            (UTC_TIME, "4901020304Z"),
            (UTC_TIME, "491302030405Z"),
            (UTC_TIME, "490230030405Z"),
            (UTC_TIME, "49010203040+Z"),
            (UTC_TIME, "20490102030405Z"),
            (GENERALIZED_TIME, "490102030405Z"),
            (GENERALIZED_TIME, "20490102030405.5Z"),
            (INTEGER, "490102030405Z"),
        ] {
            assert_eq!(at(tag, text), None, "{tag} {text}");
        }
    }

    #[test]
    fn no_bytes_make_it_fail() {
        let whole = ends_in(2030);
        for end in 0..whole.len() {
            let _ = not_after(&whole[..end]);
        }
        for at in 0..whole.len().min(200) {
            for byte in 0..=255 {
                let mut changed = whole.clone();
                changed[at] = byte;
                let _ = not_after(&changed);
            }
        }
        assert_eq!(not_after(&whole[..40]), None);
        assert_eq!(not_after(b""), None);
    }
}
