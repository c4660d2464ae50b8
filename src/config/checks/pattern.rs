//! Regular expressions of checks, over bytes: what a node sends need not be text.

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

/// How much memory one may need once compiled: the time that it takes grows with this and with the bytes that it reads.
const COMPILED_BYTES: usize = 256 << 10;

/// A regular expression that may match anywhere; `^` and `$` anchor it. The crate `regex` takes time linear in what it reads, whatever
/// the expression and the bytes are.
#[derive(Clone)]
pub struct Pattern(Regex);

/// Text that is no regular expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BadPattern(String);

impl Pattern {
    /// # Errors
    /// It is no regular expression, or too large a one.
    pub fn parse(text: &str) -> Result<Self, BadPattern> {
        match RegexBuilder::new(text).size_limit(COMPILED_BYTES).build() {
            Ok(regex) => Ok(Self(regex)),
            Err(regex::Error::CompiledTooBig(_)) => {
                Err(BadPattern(format!("`{text}` needs more than {COMPILED_BYTES} bytes once compiled")))
            }
            Err(other) => {
                // What the crate says takes several lines; the last tells the reason.
                let shown = other.to_string();
                let reason = shown.lines().last().unwrap_or_default().trim_start_matches("error: ");
                Err(BadPattern(format!("`{text}` is no regular expression: {reason}")))
            }
        }
    }

    /// Whether it matches somewhere in these bytes.
    pub fn is_match(&self, bytes: &[u8]) -> bool {
        self.0.is_match(bytes)
    }

    /// As it was written.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), out)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.as_str())
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Pattern {}
