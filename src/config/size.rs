//! Amounts of bytes as operators write them: `256MiB`, `1GiB`, `0B`.

/// Text that is no amount of bytes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no size: write a whole number with B, KiB, MiB, GiB or TiB, such as \"256MiB\"")]
pub struct BadSize(String);

/// The units, largest first, in bytes.
const UNITS: [(&str, u64); 5] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

/// A pebibyte: more is a slip of the pen, and no sum of sizes can overflow below it.
const LARGEST: u64 = 1 << 50;

/// Reads `256MiB`.
pub fn parse(text: &str) -> Result<u64, BadSize> {
    let bad = || BadSize(text.chars().take(64).collect());
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
    let number: u64 = text[..digits].parse().map_err(|_| bad())?;
    let (_, unit) = UNITS.iter().find(|(unit, _)| *unit == &text[digits..]).ok_or_else(bad)?;
    number.checked_mul(*unit).filter(|bytes| *bytes <= LARGEST).ok_or_else(bad)
}

/// Writes a size in the largest unit that leaves no fraction.
pub fn show(bytes: u64) -> String {
    let fits = UNITS.iter().find(|(_, unit)| bytes >= *unit && bytes.is_multiple_of(*unit));
    let (unit, size) = fits.unwrap_or(&("B", 1));
    format!("{}{unit}", bytes / size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_writes() {
        for (text, bytes) in
            [("256MiB", 256 << 20), ("1GiB", 1 << 30), ("1536KiB", 1536 << 10), ("0B", 0), ("7B", 7), ("1TiB", 1 << 40)]
        {
            assert_eq!(parse(text), Ok(bytes));
            assert_eq!(show(bytes), text);
        }
        assert_eq!(parse("1024KiB"), Ok(1 << 20));
    }

    #[test]
    fn refuses_everything_else() {
        for text in ["", "1", "MiB", "1MB", "1 MiB", "-1B", "1.5GiB", "1mib", "99999999999TiB", "99999999999999999999B"]
        {
            assert!(parse(text).unwrap_err().to_string().contains(&format!("`{text}`")), "{text}");
        }
    }
}
