//! `[checks.<id>.http]`

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use url::Url;

use super::pattern::Pattern;
use super::tcp::pattern;
use super::trust::Trust;
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
    /// Who may have signed the certificate.
    pub trust: Trust,
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
    if is_insecure == Some(true) {
        for value in [&ca_file].into_iter().flatten() {
            value.wrong_key("has no effect with `insecure = true`");
        }
    }
    let trust = match (is_insecure, &ca_file, url) {
        // What the URL's scheme wants is not known, or nobody is trusted: no root is looked for.
        (None | Some(true), ..) | (_, _, None) => Some(Trust::nobody()),
        (_, Some(value), _) => value.text().and_then(|_| value.parsed(|path| Trust::file(&value.beside(path)))),
        (_, None, _) => {
            let system = Trust::system();
            if let Err(why) = &system {
                table.warn(format!("no certificate will be trusted: {why}; `ca_file` names one's own roots"));
            }
            Some(system.unwrap_or_else(|_| Trust::nobody()))
        }
    };
    let server_name = match &server_name {
        None => Some(None),
        Some(value) => value.parsed(super::trust::server_name).map(Some),
    };
    let days_left = match &days_left {
        None => Some(None),
        Some(value) => value.number(1..=3650).map(Some),
    };
    Some(Some(HttpTls { trust: trust?, server_name: server_name?, insecure: is_insecure?, days_left: days_left? }))
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
