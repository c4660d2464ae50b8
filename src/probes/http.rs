//! The probe `http`: is a page served as it should be, and for how long will its certificate be.
//!
//! Every run has a connection of its own, and goes nowhere but to the node: no proxy of the environment, and a redirect is
//! a status like any other.

mod exchange;
mod judge;

use std::net::IpAddr;
use std::time::Duration;

use http_body_util::Empty;
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::{Method, Request};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;

use self::exchange::{Answer, exchange};
use super::Target;
use super::blame::Trouble;
use super::connect::{Connected, Deadline, connect, seconds};
use super::resolve::Resolver;
use super::tls::{self, Handshakes, Judgement};
use crate::clock::{self, Stopwatch};
use crate::config::checks::http::{Method as Asked, NodeHost};
use crate::config::checks::{Http, HttpTls};
use crate::domain::{Finding, Observation};

/// What one run has found so far, whether or not it comes to its end.
#[derive(Debug, Default)]
struct Progress {
    connect: Option<Duration>,
    tls: Option<Duration>,
    certificate: Judgement,
    answer: Answer,
}

/// One run.
pub async fn run(
    spec: &Http,
    target: &Target,
    resolver: &Resolver,
    handshakes: &Handshakes,
    limit: Duration,
) -> Observation {
    let deadline = Deadline::after(limit);
    let mut progress = Progress::default();
    let host = match spec.url.host {
        NodeHost::Address => &*target.address,
        NodeHost::Name => &*target.name,
    };
    let request = match request(spec, host) {
        Ok(request) => request,
        Err(why) => return Observation::error(why),
    };
    let outcome = match connect(resolver, host, spec.url.port, &deadline).await {
        Err(trouble) => Err(trouble),
        Ok(Connected { stream, took, .. }) => {
            progress.connect = Some(took);
            let speaking = speak(spec, host, stream, request, handshakes, &mut progress);
            match timeout(deadline.left(), speaking).await {
                Ok(outcome) => outcome,
                Err(_) => Err(Trouble::silence(progress.waiting(spec, seconds(limit)))),
            }
        }
    };
    progress.observation(spec, host, outcome, deadline.elapsed())
}

async fn speak(
    spec: &Http,
    host: &str,
    stream: TcpStream,
    request: Request<Empty<Bytes>>,
    handshakes: &Handshakes,
    progress: &mut Progress,
) -> Result<(), Trouble> {
    let Some(tls) = &spec.tls else { return exchange(stream, request, &mut progress.answer).await };
    let name = server_name(tls, host)?;
    let authorities = if tls.insecure { None } else { Some(handshakes.authorities(tls).await?) };
    // The end of the handshake and the request are two small packets; the second would wait for the first one's answer.
    stream.set_nodelay(true).map_err(|error| Trouble::of("connecting", &error))?;
    let begun = Stopwatch::start();
    let stream = handshakes.shake(stream, name.clone()).await?;
    progress.tls = Some(begun.elapsed());
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    progress.certificate = tls::judge(tls, authorities, chain, &name, clock::wall_clock());
    match &progress.certificate.refused {
        Some(why) => Err(Trouble::node("certificate", why.clone())),
        None => exchange(stream, request, &mut progress.answer).await,
    }
}

fn server_name(tls: &HttpTls, host: &str) -> Result<ServerName<'static>, Trouble> {
    let wanted = tls.server_name.as_deref().unwrap_or(host);
    let name = ServerName::try_from(wanted.to_owned());
    name.map_err(|_| Trouble::Ours(format!("`{wanted}` is no name that a certificate may carry: set `server_name`")))
}

fn request(spec: &Http, host: &str) -> Result<Request<Empty<Bytes>>, String> {
    let method = match spec.method {
        Asked::Get => Method::GET,
        Asked::Head => Method::HEAD,
    };
    let odd = |what: &str| format!("the request cannot be made: {what}");
    let mut request = Request::builder().method(method).uri(&*spec.url.path_and_query);
    let fields = request.headers_mut().ok_or_else(|| odd("its path"))?;
    let authority = authority(host, (!spec.url.is_default_port).then_some(spec.url.port));
    fields.insert(HOST, HeaderValue::try_from(authority).map_err(|_| odd("the node's name"))?);
    fields.insert(USER_AGENT, HeaderValue::from_static(concat!("remedyd/", env!("CARGO_PKG_VERSION"))));
    fields.insert(ACCEPT, HeaderValue::from_static("*/*"));
    fields.insert(CONNECTION, HeaderValue::from_static("close"));
    for (name, value) in &spec.headers.0 {
        let name = HeaderName::try_from(name).map_err(|_| odd("the name of a field"))?;
        let mut value = HeaderValue::try_from(value).map_err(|_| odd("the value of a field"))?;
        value.set_sensitive(true);
        fields.insert(name, value);
    }
    request.body(Empty::new()).map_err(|_| odd("its path"))
}

/// The host as a URL writes it.
fn authority(host: &str, port: Option<u16>) -> String {
    let bracketed = host.parse::<IpAddr>().is_ok_and(|address| address.is_ipv6());
    let host = if bracketed { format!("[{host}]") } else { host.to_owned() };
    port.map_or_else(|| host.clone(), |port| format!("{host}:{port}"))
}

impl Progress {
    /// What was waited for when the deadline came.
    fn waiting(&self, spec: &Http, within: String) -> String {
        match &self.answer.head {
            Some(_) => format!("the answer did not end within {within}, after {} bytes", self.answer.body.len()),
            None if spec.tls.is_some() && self.tls.is_none() => format!("connected, but no TLS within {within}"),
            None => format!("connected, but no answer within {within}"),
        }
    }

    fn observation(self, spec: &Http, host: &str, outcome: Result<(), Trouble>, total: Duration) -> Observation {
        let evidence = self.evidence(spec, host, total);
        let mut findings = Vec::new();
        match outcome {
            Err(Trouble::Ours(why)) => return self.measured(Observation::error(format!("{evidence}: {why}")), total),
            Err(Trouble::Node { finding, detail }) => findings.push(Finding::new(finding, detail)),
            Ok(()) => {}
        }
        if let Some(head) = &self.answer.head {
            findings.extend(judge::judge(spec, head, &self.answer.body, findings.is_empty()));
        }
        if let Some(why) = self.certificate.expires.as_ref().filter(|_| self.certificate.refused.is_none()) {
            findings.push(Finding::new("certificate", why.clone()));
        }
        let observation = match findings.is_empty() {
            true => Observation::pass(evidence),
            false => {
                let details: Vec<&str> = findings.iter().map(|finding| &*finding.detail).collect();
                let evidence = format!("{evidence}: {}", details.join("; "));
                Observation::fail(findings, evidence)
            }
        };
        self.measured(observation, total)
    }

    /// What was asked and what came back. Not the query, which may hold a secret.
    fn evidence(&self, spec: &Http, host: &str, total: Duration) -> String {
        let scheme = if spec.url.is_https { "https" } else { "http" };
        let path = spec.url.path_and_query.split('?').next().unwrap_or_default();
        let method = match spec.method {
            Asked::Get => "GET",
            Asked::Head => "HEAD",
        };
        let mut text = format!("{method} {scheme}://{}{path}", authority(host, Some(spec.url.port)));
        if let Some(head) = &self.answer.head {
            let cut = if self.answer.is_cut { " and more" } else { "" };
            let bytes = self.answer.body.len();
            text.push_str(&format!(": {}, {bytes} bytes{cut} in {}", head.status, seconds(total)));
        }
        if let Some(days) = self.certificate.days_left {
            text.push_str(&format!(", certificate valid for {days:.1} days"));
        }
        text
    }

    fn measured(&self, observation: Observation, total: Duration) -> Observation {
        let mut observation = observation;
        let span = |span: Option<Duration>| span.map(|span| span.as_secs_f64());
        let head = self.answer.head.as_ref();
        for (name, value) in [
            ("connect_seconds", span(self.connect)),
            ("tls_seconds", span(self.tls)),
            ("first_byte_seconds", head.map(|head| head.first_byte_seconds)),
            ("total_seconds", Some(total.as_secs_f64())),
            ("certificate_days_left", self.certificate.days_left),
            ("status_code", head.map(|head| f64::from(head.status.as_u16()))),
            ("body_bytes", head.map(|_| self.answer.body.len() as f64)),
        ] {
            if let Some(value) = value {
                observation = observation.with(name, value);
            }
        }
        observation
    }
}

#[cfg(test)]
mod tests;
