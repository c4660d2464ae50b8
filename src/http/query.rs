//! Query parameters of lists, and page tokens.
//!
//! A page token is opaque and belongs to one question: it carries a check over the question and the place where the page
//! ended, so that a token of another filter, or one that was mangled, is refused and does not skip rows.

use std::collections::BTreeSet;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};

use super::error::Fault;
use crate::store::query::{Cursor, Paging};

const DEFAULT_PAGE: usize = 50;
const MAX_PAGE: usize = 1000;
/// The first byte of a token: what the rest of it looks like.
const VERSION: u8 = 1;
const CHECK_BYTES: usize = 8;

/// The parameters of one request, decoded.
#[derive(Debug, Default)]
pub struct Query(Vec<(String, String)>);

impl Query {
    /// Reads the text behind the `?`.
    pub fn parse(text: Option<&str>) -> Self {
        let pairs = form_urlencoded::parse(text.unwrap_or("").as_bytes());
        Self(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())).collect())
    }

    /// Refuses a parameter that is not one of `known`, and a filter without a value: neither what is misspelt nor what a
    /// script left empty must answer with everything. The token of the last page is empty, and stands for the first.
    pub fn only(&self, known: &[&str]) -> Result<(), Fault> {
        if let Some((name, _)) = self.0.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            let name: String = name.chars().take(64).collect();
            return Err(Fault::invalid(format!("{name}: unknown parameter; known are {}", known.join(", "))));
        }
        match self.0.iter().find(|(name, value)| value.is_empty() && name != "page_token") {
            None => Ok(()),
            Some((name, _)) => Err(Fault::invalid(format!("{name}: it has no value; leave it out to see all"))),
        }
    }

    /// The last value of a parameter; an empty one counts as missing.
    pub fn one(&self, name: &str) -> Option<&str> {
        let value = self.0.iter().rev().find(|(known, _)| known == name)?.1.as_str();
        (!value.is_empty()).then_some(value)
    }

    /// A parameter that `read` understands.
    pub fn read<T>(&self, name: &str, wanted: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, Fault> {
        self.one(name).map(|text| read(text).ok_or_else(|| bad(name, text, wanted))).transpose()
    }

    /// Every value of a list: comma-joined, repeated, or under `name[]`. One that is empty as a whole counts as missing.
    pub fn many<T: Ord>(
        &self,
        name: &str,
        wanted: &str,
        read: impl Fn(&str) -> Option<T>,
    ) -> Result<BTreeSet<T>, Fault> {
        let given = self.0.iter().filter(|(known, _)| known == name || known.strip_suffix("[]") == Some(name));
        let values = given.filter(|(_, values)| !values.is_empty()).flat_map(|(_, values)| values.split(','));
        values.map(|text| read(text).ok_or_else(|| bad(name, text, wanted))).collect()
    }

    /// How much, and from where: `page_size` 0 or none is 50, more than 1000 is 1000; `page_token` must be one that
    /// this `question` gave.
    pub fn paging(&self, question: &Question) -> Result<Paging, Fault> {
        let size = match self.one("page_size") {
            None => 0,
            Some(text) => text.parse::<i64>().map_err(|_| bad("page_size", text, "a number from 0 to 1000"))?,
        };
        let size = match usize::try_from(size) {
            Ok(0) => DEFAULT_PAGE,
            Ok(size) => size.min(MAX_PAGE),
            Err(_) => return Err(Fault::invalid(format!("page_size: {size} is negative"))),
        };
        let after = match self.one("page_token") {
            None => None,
            Some(token) => Some(question.place(token).ok_or_else(|| {
                Fault::invalid("page_token: it belongs to no page of this list with these filters; ask with those that it came with, or without it")
            })?),
        };
        Ok(Paging { size, after })
    }
}

fn bad(name: &str, text: &str, wanted: &str) -> Fault {
    let text: String = text.chars().take(64).collect();
    Fault::invalid(format!("{name}: `{text}` is not {wanted}"))
}

/// What a list was asked for, all but the page: two requests with equal questions may share page tokens.
#[derive(Debug)]
pub struct Question(Sha256);

impl Question {
    /// The question to the list `name` with these filters; their `Debug` form tells them apart.
    pub fn new(name: &str, filters: &impl std::fmt::Debug) -> Self {
        Self(Sha256::new().chain_update(format!("{name} {filters:?}")))
    }

    fn check(&self, cursor: &[u8]) -> [u8; CHECK_BYTES] {
        let hash = self.0.clone().chain_update(cursor).finalize();
        std::array::from_fn(|at| hash[at])
    }

    /// The token of the page that begins after `next`; empty on the last page.
    pub fn token(&self, next: Option<&Cursor>) -> String {
        let Some(Cursor(key)) = next else { return String::new() };
        let mut token = vec![VERSION];
        token.extend_from_slice(&self.check(key));
        token.extend_from_slice(key);
        URL_SAFE_NO_PAD.encode(token)
    }

    fn place(&self, token: &str) -> Option<Cursor> {
        let token = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (version, rest) = token.split_first()?;
        let (check, key) = rest.split_at_checked(CHECK_BYTES)?;
        (*version == VERSION && check == self.check(key)).then(|| Cursor(key.to_vec()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(text: &str) -> Query {
        Query::parse(Some(text))
    }

    fn size(text: &str) -> Result<usize, Fault> {
        query(text).paging(&Question::new("x", &1)).map(|paging| paging.size)
    }

    #[test]
    fn page_sizes_are_held_in_bounds() {
        for (text, wanted) in
            [("", 50), ("page_size=", 50), ("page_size=0", 50), ("page_size=7", 7), ("page_size=1001", 1000)]
        {
            assert_eq!(size(text), Ok(wanted), "{text}");
        }
        for text in ["page_size=-1", "page_size=ten", "page_size=1.5", "page_size=99999999999999999999"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn lists_come_in_three_spellings() {
        let read = |text: &str| text.parse::<u8>().ok();
        for text in ["n=1%2C2", "n=1,2", "n=1&n=2", "n[]=1&n%5B%5D=2", "n=2,1&n="] {
            assert_eq!(query(text).many("n", "a number", read), Ok(BTreeSet::from([1, 2])), "{text}");
        }
        assert_eq!(query("n=1,x").many("n", "a number", read).unwrap_err().detail, "n: `x` is not a number");
        for text in ["n=,", "n=1,,2", "n=1,%202"] {
            assert!(query(text).many("n", "a number", read).is_err(), "{text}");
        }
    }

    #[test]
    fn a_page_token_leads_back_to_its_place_in_its_own_question_only() {
        let question = Question::new("alerts", &("c-1", 1));
        let token = question.token(Some(&Cursor(b"key\xff\0".to_vec())));
        let place = |question: &Question, token: &str| query(&format!("page_token={token}")).paging(question);
        assert_eq!(place(&question, &token).unwrap().after, Some(Cursor(b"key\xff\0".to_vec())));
        assert!(place(&Question::new("alerts", &("c-2", 1)), &token).is_err());
        assert!(place(&Question::new("holds", &("c-1", 1)), &token).is_err());
        for at in 0..token.len() {
            let mut mangled = token.clone().into_bytes();
            mangled[at] = if mangled[at] == b'A' { b'B' } else { b'A' };
            assert!(place(&question, std::str::from_utf8(&mangled).unwrap()).is_err(), "byte {at}");
        }
        for bad in ["%21", "AQ", "AAAA", "x".repeat(5000).as_str()] {
            assert!(place(&question, bad).is_err(), "{bad}");
        }
        assert_eq!(question.token(None), "");
    }

    #[test]
    fn a_parameter_that_nobody_reads_is_refused() {
        assert!(query("a=1&b=2").only(&["a", "b"]).is_ok());
        assert_eq!(query("a=1&c=2").only(&["a", "b"]).unwrap_err().detail, "c: unknown parameter; known are a, b");
        assert_eq!(
            query("a=1&b=").only(&["a", "b"]).unwrap_err().detail,
            "b: it has no value; leave it out to see all"
        );
        assert!(query("page_token=").only(&["page_token"]).is_ok());
    }
}
