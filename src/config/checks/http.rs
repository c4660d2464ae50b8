//! `[checks.<id>.http]`

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use url::Url;

use super::authorities::{self, Authorities};
use super::pattern::Pattern;
use super::tcp::pattern;
use crate::config::table::{Table, Value};

/// Asks for a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Http {
    /// Where.
    pub url: NodeUrl,
    /// How: GET or HEAD.
    pub method: Method,
    /// What is sent besides what every request has.
    pub headers: Headers,
    /// Which statuses are well.
    pub status: Vec<RangeInclusive<u16>>,
    /// What the beginning of the body must match.
    pub body_matches: Option<Pattern>,
    /// What it must not match.
    pub body_not_matches: Option<Pattern>,
    /// What fields of the answer's head must match, by their names in lower case.
    pub header_matches: BTreeMap<String, Pattern>,
    /// How the certificate is judged; nothing for `http`.
    pub tls: Option<HttpTls>,
}

/// What `https` needs besides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpTls {
    /// Who may have signed the certificate; nothing: whom this machine trusts.
    pub authorities: Option<Authorities>,
    /// Whom it must name, where that is not the host of the URL.
    pub server_name: Option<String>,
    /// A certificate that is not trusted, or names somebody else, is well.
    pub insecure: bool,
    /// How many days it must be valid for still.
    pub days_left: Option<u32>,
}

/// A URL whose host is the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeUrl {
    /// `https`, not `http`.
    pub is_https: bool,
    /// What stands for the host.
    pub host: NodeHost,
    /// Its port, the scheme's own where none is written.
    pub port: u16,
    /// Whether that is the scheme's own.
    pub is_default_port: bool,
    /// Path and query.
    pub path_and_query: String,
}

/// How a node is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeHost {
    /// `{address}`: its first address, else its name.
    Address,
    /// `{name}`: its host name, which our resolver must know.
    Name,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// With the body.
    Get,
    /// Without.
    Head,
}

/// Fields of the request's head: name and value. A value may be a secret, so it is never shown.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(pub Vec<(String, String)>);

impl fmt::Debug for Headers {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

/// How many fields may be sent, and how many matched.
const MOST_HEADERS: usize = 32;
/// Fields that say where the request ends or what becomes of the connection: the probe's own.
const FRAMING: [&str; 8] =
    ["connection", "content-length", "expect", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade"];
/// Stands for the node while the URL is parsed; the name can never be anybody's (RFC 6761).
const NOBODY: &str = "node.invalid";

pub(super) fn read(mut table: Table<'_>) -> Option<Http> {
    let url = table.require("url").and_then(|value| value.parsed(NodeUrl::parse));
    let method = match table.take("method") {
        None => Some(Method::Get),
        Some(value) => value.parsed(|text| match text {
            "GET" => Ok(Method::Get),
            "HEAD" => Ok(Method::Head),
            other => Err(format!("`{other}` is neither \"GET\" nor \"HEAD\"")),
        }),
    };
    let headers = headers(&mut table);
    let status = match table.take("status") {
        None => Some(vec![200..=299]),
        Some(value) => statuses(&value),
    };
    let [body_matches, body_not_matches] = ["body_matches", "body_not_matches"].map(|key| {
        let value = table.take(key);
        if let Some(value) = value.as_ref().filter(|_| method == Some(Method::Head)) {
            value.wrong_key("has no effect with `method = \"HEAD\"`, whose answer has no body");
        }
        pattern(value)
    });
    let header_matches = header_matches(&mut table);
    let tls = tls(&mut table, url.as_ref());
    table.finish();
    Some(Http {
        url: url?,
        method: method?,
        headers: headers?,
        status: status?,
        body_matches: body_matches?,
        body_not_matches: body_not_matches?,
        header_matches: header_matches?,
        tls: tls?,
    })
}

fn headers(table: &mut Table<'_>) -> Option<Headers> {
    let Some(value) = table.take("headers") else { return Some(Headers::default()) };
    let mut fields = Vec::new();
    for (name, value) in value.table()?.named(field_name) {
        let Some(text) = value.string() else { continue };
        if FRAMING.contains(&name.as_str()) {
            value.wrong_key("is set by the probe itself");
        } else if !text.bytes().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) || text.trim() != text {
            value.wrong("must be printable ASCII without space at its ends");
        } else {
            fields.push((name, text.to_owned()));
        }
    }
    if fields.len() > MOST_HEADERS {
        value.wrong(format!("must not have more than {MOST_HEADERS} fields"));
    }
    Some(Headers(fields))
}

fn header_matches(table: &mut Table<'_>) -> Option<BTreeMap<String, Pattern>> {
    let Some(value) = table.take("header_matches") else { return Some(BTreeMap::new()) };
    let patterns = value.table()?.named(field_name).into_iter();
    let patterns: BTreeMap<String, Pattern> = patterns
        .filter_map(|(name, value)| {
            value.text()?;
            Some((name, value.parsed(Pattern::parse)?))
        })
        .collect();
    if patterns.len() > MOST_HEADERS {
        value.wrong(format!("must not have more than {MOST_HEADERS} fields"));
    }
    Some(patterns)
}

/// The name of a field, in lower case (RFC 9110 §5.1).
fn field_name(text: &str) -> Result<String, String> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if text.is_empty() || text.len() > 256 || !text.bytes().all(is_token) {
        return Err(format!("`{text}` is no name of a header field"));
    }
    Ok(text.to_ascii_lowercase())
}

fn statuses(value: &Value<'_>) -> Option<Vec<RangeInclusive<u16>>> {
    let items = value.list()?;
    if items.is_empty() {
        value.wrong("must not be empty: no answer would be well");
    }
    let read = items.iter().filter_map(|item| match item.is_number() {
        true => item.number(100..=599).and_then(|code| u16::try_from(code).ok()).map(|code| code..=code),
        false => item.parsed(status),
    });
    Some(read.collect())
}

/// `2xx` or `300-399`.
fn status(text: &str) -> Result<RangeInclusive<u16>, String> {
    let bad = || format!("`{text}` is no status: write 200, \"2xx\" or \"300-399\"");
    if let Some(class @ b'1'..=b'5') = text.strip_suffix("xx").filter(|class| class.len() == 1).map(|c| c.as_bytes()[0])
    {
        let first = u16::from(class - b'0') * 100;
        return Ok(first..=first + 99);
    }
    let (first, last) = text.split_once('-').ok_or_else(bad)?;
    let code = |text: &str| text.parse().ok().filter(|code| (100..=599).contains(code) && text.len() == 3);
    match (code(first), code(last)) {
        (Some(first), Some(last)) if first <= last => Ok(first..=last),
        _ => Err(bad()),
    }
}

fn tls(table: &mut Table<'_>, url: Option<&NodeUrl>) -> Option<Option<HttpTls>> {
    let [ca_file, server_name, insecure, days_left] =
        ["ca_file", "server_name", "insecure", "tls_days_left"].map(|key| table.take(key));
    if let Some(NodeUrl { is_https: false, .. }) = url {
        for value in [ca_file, server_name, insecure, days_left].into_iter().flatten() {
            value.wrong_key("has no effect with an `http` URL");
        }
        return Some(None);
    }
    let is_insecure = insecure.as_ref().map_or(Some(false), Value::boolean);
    if let Some(value) = ca_file.as_ref().filter(|_| is_insecure == Some(true)) {
        value.wrong_key("has no effect with `insecure = true`");
    }
    let authorities = match &ca_file {
        None => Some(None),
        Some(value) => {
            value.text().and_then(|_| value.parsed(|path| Authorities::in_file(&value.beside(path)))).map(Some)
        }
    };
    let server_name = match &server_name {
        None => Some(None),
        Some(value) => value.parsed(authorities::server_name).map(Some),
    };
    let days_left = match &days_left {
        None => Some(None),
        Some(value) => value.number(1..=3650).map(Some),
    };
    Some(Some(HttpTls {
        authorities: authorities?,
        server_name: server_name?,
        insecure: is_insecure?,
        days_left: days_left?,
    }))
}

impl NodeUrl {
    /// Reads a URL whose host is `{address}` or `{name}`.
    ///
    /// # Errors
    /// In words, what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or_else(|| format!("`{text}` is no URL"))?;
        let (host, rest) = if let Some(rest) = rest.strip_prefix("{address}") {
            (NodeHost::Address, rest)
        } else if let Some(rest) = rest.strip_prefix("{name}") {
            (NodeHost::Name, rest)
        } else {
            return Err("its host must be `{address}` or `{name}`: another host says nothing about the node".to_owned());
        };
        if let Some(at) = rest.find(['{', '}']) {
            let odd: String = rest[at..].chars().take(32).collect();
            return Err(format!("`{odd}`: only the host may stand in braces, as `{{address}}` or `{{name}}`"));
        }
        if !rest.is_empty() && !rest.starts_with([':', '/', '?', '#']) {
            let odd: String = rest.chars().take(32).collect();
            return Err(format!("`{odd}` does not belong behind the host; it must be the whole host"));
        }
        let url = Url::parse(&format!("{scheme}://{NOBODY}{rest}")).map_err(|error| format!("is no URL: {error}"))?;
        let is_https = match url.scheme() {
            "http" => false,
            "https" => true,
            other => return Err(format!("`{other}` is neither http nor https")),
        };
        if url.host_str() != Some(NOBODY) {
            return Err("its host must be `{address}` or `{name}`".to_owned());
        }
        if url.fragment().is_some() {
            return Err("a part behind `#` is never sent".to_owned());
        }
        let path_and_query =
            url.query().map_or_else(|| url.path().to_owned(), |query| format!("{}?{query}", url.path()));
        Ok(Self {
            is_https,
            host,
            port: url.port_or_known_default().filter(|port| *port != 0).ok_or("port 0 cannot be connected to")?,
            is_default_port: url.port().is_none(),
            path_and_query,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::reading;
    use super::*;

    fn url(text: &str) -> NodeUrl {
        NodeUrl::parse(text).unwrap()
    }

    #[test]
    fn a_url_is_read_once_with_the_node_as_its_host() {
        let parts = |text: &str| {
            let url = url(text);
            (url.is_https, url.host, url.port, url.is_default_port, url.path_and_query)
        };
        use NodeHost::{Address, Name};
        assert_eq!(parts("http://{address}"), (false, Address, 80, true, "/".to_owned()));
        assert_eq!(parts("https://{name}/"), (true, Name, 443, true, "/".to_owned()));
        assert_eq!(parts("https://{address}:443/a"), (true, Address, 443, true, "/a".to_owned()));
        assert_eq!(
            parts("HTTP://{address}:9400/metrics?a=b c"),
            (false, Address, 9400, false, "/metrics?a=b%20c".to_owned())
        );
        assert_eq!(parts("http://{name}?x"), (false, Name, 80, true, "/?x".to_owned()));
    }

    #[test]
    fn other_urls_are_refused() {
        for (text, why) in [
            ("", "no URL"),
            ("{address}", "no URL"),
            ("http://", "must be `{address}`"),
            ("http://10.0.0.1/", "must be `{address}`"),
            ("http://{host}/", "must be `{address}`"),
            ("http://x{address}/", "must be `{address}`"),
            ("http://user@{address}/", "must be `{address}`"),
            ("http://[{address}]/", "must be `{address}`"),
            ("http://{address}.site/", "must be the whole host"),
            ("http://{address}@evil/", "must be the whole host"),
            ("http://{address}/{name}", "`{name}`: only the host"),
            ("http://{address}/}", "`}`: only the host"),
            ("http://{address}:99999/", "is no URL"),
            ("http://{address}:0/", "port 0"),
            ("http://{address}:x@y/", "must be `{address}`"),
            ("http://{address}/#top", "never sent"),
            ("gopher://{address}/", "neither http nor https"),
            ("file://{address}/", "neither http nor https"),
        ] {
            let found = NodeUrl::parse(text).unwrap_err();
            assert!(found.contains(why), "{text}: {found}");
        }
    }

    #[test]
    fn a_status_is_a_class_a_span_or_a_number() {
        for (text, expected) in [("2xx", 200..=299), ("5xx", 500..=599), ("300-399", 300..=399), ("204-204", 204..=204)]
        {
            assert_eq!(status(text), Ok(expected), "{text}");
        }
        for text in
            ["", "200", "6xx", "0xx", "xx", "22xx", "2XX", "299-200", "99-200", "500-600", "200-", "+20-300", "ä-1"]
        {
            assert!(status(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_has_no_effect_is_refused_at_its_place() {
        let key = |text: &str| {
            let (http, mistakes) = reading(text, read);
            assert!(http.is_none() || !mistakes.is_empty(), "{text}");
            mistakes.first().map(|mistake| format!("{}:{} {}", mistake.line, mistake.column, mistake.key))
        };
        let with = |line: &str| format!("url = \"http://{{address}}/\"\n{line}");
        for (line, expected) in [
            ("tls_days_left = 7", "2:1 tls_days_left"),
            ("insecure = true", "2:1 insecure"),
            ("method = 'PUT'", "2:10 method"),
            ("method = 'HEAD'\nbody_matches = 'a'", "3:1 body_matches"),
            ("body_matches = '('", "2:16 body_matches"),
            ("status = []", "2:10 status"),
            ("status = [99]", "2:11 status"),
            ("status = ['ok']", "2:11 status"),
            ("headers = { 'a b' = 'c' }", "2:13 headers.\"a b\""),
            ("headers = { Connection = 'close' }", "2:13 headers.Connection"),
            ("headers = { a = \"b\\nc\" }", "2:17 headers.a"),
            ("header_matches = { a = '[' }", "2:24 header_matches.a"),
            ("proxy = 'x'", "2:1 proxy"),
        ] {
            assert_eq!(key(&with(line)).as_deref(), Some(expected), "{line}");
        }
        assert_eq!(key("url = 'https://{address}/'\ninsecure = true\nca_file = 'a'").as_deref(), Some("3:1 ca_file"));
        assert_eq!(key("url = 'https://{address}/'\nca_file = '/dev/null'").as_deref(), Some("2:11 ca_file"));
        assert_eq!(key("url = 'https://{address}/'\nserver_name = 'a b'").as_deref(), Some("2:15 server_name"));
    }

    #[test]
    fn the_value_of_a_field_is_never_shown() {
        let (http, _) = reading("url = 'http://{address}/'\nheaders = { Authorization = 'Bearer s3cret' }", read);
        let shown = format!("{:?}", http.unwrap());
        assert!(shown.contains("authorization") && !shown.contains("s3cret"), "{shown}");
    }
}
