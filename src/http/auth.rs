//! Who asks, and whether they may: from a request's headers and its connection to a [`Principal`], or to a `Denial`.
//!
//! A bearer token that is sent must be right; nothing else is tried then. Without one the names of the client
//! certificate are looked up, and without a known name nobody is let in: there is no anonymous principal beside tokens.
//!
//! Tokens are compared by the SHA-256 of the whole bearer string, in constant time and with all that there are, so that
//! how long it takes tells nothing of which one was nearly right. A token that is unknown, one that has expired, and any
//! token from a locked address get the same answer, a 401: 429 and 503 are what SDKs and Alertmanager try again at once,
//! and a 403 would say that the token is right. Which it was is in the log and in the metrics.
//!
//! Without tokens only loopback is served and everybody is `local`. The only hostile caller that can reach loopback is a
//! web page in a browser on this machine, by a cross-site request or by a name that it lets point here; the two checks
//! of `loopback_only` turn both away.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use axum::http::{Method, header, uri::Authority};
use sha2::{Digest, Sha256};
use subtle::{ConditionallySelectable, ConstantTimeEq};

use super::auth_delay::{LONGEST_DELAY, Strangers, Wrong};
use super::error::{Fault, Kind};
use super::peer::Peer;
use super::routes::Route;
use crate::config::Tokens;
use crate::config::tokens::{Client, Token};
use crate::domain::{Principal, Role, Timestamp};
use crate::telemetry::metrics::access::Denied;
use crate::writer::Cause;

/// Who asks; every handler of a route that needs a role gets one.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Who.
    pub principal: Arc<Principal>,
    /// The request's id, ours or the caller's.
    pub request_id: Arc<str>,
    /// Where they ask from; nothing on a socket file.
    pub address: Option<IpAddr>,
}

impl Asker {
    /// What the journal records about a request.
    pub fn cause(&self) -> Cause {
        Cause {
            principal: self.principal.name.clone(),
            request_id: Some(Arc::clone(&self.request_id)),
            role: Some(self.principal.role),
            address: self.address,
        }
    }
}

/// A request that is not let in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Denial {
    /// For the log and the metrics.
    pub(super) reason: Denied,
    /// For whoever asked.
    pub(super) fault: Fault,
    /// Who it is, where that is known.
    pub(super) whom: Option<String>,
    /// What their wrong token leads to, where they sent one.
    pub(super) wrong: Option<Wrong>,
}

impl Denial {
    fn new(reason: Denied, kind: Kind, detail: impl Into<String>) -> Self {
        Self { reason, fault: Fault::new(kind, detail), whom: None, wrong: None }
    }

    /// How long to hold the answer back. In a lock those few go on who are right, so guessing must not be quicker there.
    pub(super) fn delay(&self) -> Duration {
        match self.reason {
            Denied::Locked => LONGEST_DELAY,
            _ => self.wrong.map_or(Duration::ZERO, |wrong| wrong.delay),
        }
    }
}

/// What decides who is let in.
pub(super) struct Gate<'a> {
    /// Nothing: only this machine, and everybody is admin.
    pub(super) tokens: Option<&'a Tokens>,
    /// Who was wrong lately.
    pub(super) strangers: &'a Strangers,
    /// Tokens end.
    pub(super) now: Timestamp,
}

impl Gate<'_> {
    /// The principal behind a request to `route`, which needs the role `needed`.
    pub(super) fn admit(&self, parts: &Parts, route: &Route, needed: Role) -> Result<Arc<Principal>, Denial> {
        let peer = Peer::of(parts);
        let principal = match self.tokens {
            None => {
                loopback_only(parts).map_err(|fault| Denial {
                    reason: Denied::Foreign,
                    fault,
                    whom: None,
                    wrong: None,
                })?;
                Arc::new(Principal::local())
            }
            Some(tokens) => self.recognise(parts, &peer, tokens, needed)?,
        };
        let (name, has, needs) = (&principal.name, principal.role.as_str(), needed.as_str());
        let refused = if !principal.role.includes(needed) {
            format!("this needs the role {needs}; `{name}` has the role {has}")
        } else if route.is_about_all() && principal.clusters.is_some() {
            format!("this is about all clusters; `{name}` is for some")
        } else {
            return Ok(principal);
        };
        Err(Denial { whom: Some(name.clone()), ..Denial::new(Denied::Role, Kind::NotAllowed, refused) })
    }

    fn recognise(&self, parts: &Parts, peer: &Peer, tokens: &Tokens, needed: Role) -> Result<Arc<Principal>, Denial> {
        let Some(value) = parts.headers.get(header::AUTHORIZATION) else {
            return self.certified(peer, &tokens.clients);
        };
        let Some(bearer) = bearer(value.as_bytes()) else {
            let detail = "the Authorization header holds no bearer token";
            return Err(Denial::new(Denied::Missing, Kind::Unauthenticated, detail));
        };
        let hash: [u8; 32] = Sha256::digest(bearer).into();
        let token = find(&tokens.tokens, &hash);
        let name = token.map(|token| token.principal.name.as_str());
        // The webhook is never locked for those who can do nothing else.
        let is_open = needed == Role::Webhook && token.is_some_and(|token| token.principal.role == Role::Webhook);
        let reason = match token {
            _ if !is_open && self.strangers.is_locked(peer.address, name, self.now) => Denied::Locked,
            None => Denied::Unknown,
            Some(token) if is_over(token.until, self.now) => Denied::Expired,
            Some(token) => return Ok(Arc::clone(&token.principal)),
        };
        // Nothing that is sent in a lock can make it longer.
        let wrong = (reason != Denied::Locked).then(|| self.strangers.wrong(peer.address, &hash, self.now));
        let detail =
            "the bearer token is not known; after many different wrong ones none is taken from an address for a minute";
        let whom = name.filter(|_| reason == Denied::Expired).map(str::to_owned);
        Err(Denial { whom, wrong, ..Denial::new(reason, Kind::Unauthenticated, detail) })
    }

    /// Somebody who sent no token, by their certificate.
    fn certified(&self, peer: &Peer, clients: &[Client]) -> Result<Arc<Principal>, Denial> {
        let known = clients.iter().find(|client| peer.names.iter().any(|name| name.eq_ignore_ascii_case(&client.san)));
        let (reason, whom) = match known {
            Some(client) if !is_over(client.until, self.now) => return Ok(Arc::clone(&client.principal)),
            Some(client) => (Denied::Expired, Some(client.principal.name.clone())),
            None => (Denied::Missing, None),
        };
        Err(Denial { whom, ..Denial::new(reason, Kind::Unauthenticated, "a bearer token is needed") })
    }
}

/// The token with this hash. Every token is compared to its last byte, and none is preferred before all were.
fn find<'t>(tokens: &'t [Token], hash: &[u8; 32]) -> Option<&'t Token> {
    let mut place = 0_u64;
    for (here, token) in (1..).zip(tokens) {
        place.conditional_assign(&here, token.hash[..].ct_eq(&hash[..]));
    }
    usize::try_from(place).ok()?.checked_sub(1).and_then(|place| tokens.get(place))
}

fn is_over(until: Option<Timestamp>, now: Timestamp) -> bool {
    until.is_some_and(|until| now >= until)
}

/// The token of `Bearer <token>`; the scheme's case does not matter.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, token) = value.split_at_checked("bearer ".len())?;
    let token = token.trim_ascii();
    (scheme.eq_ignore_ascii_case(b"bearer ") && !token.is_empty()).then_some(token)
}

/// Refuses what a web page in a browser on this machine could send.
pub(super) fn loopback_only(parts: &Parts) -> Result<(), Fault> {
    let host = parts.uri.authority().cloned().or_else(|| {
        let value = parts.headers.get(header::HOST)?;
        Authority::try_from(value.as_bytes()).ok()
    });
    if !host.is_some_and(|host| is_loopback(host.host())) {
        return Err(Fault::new(
            Kind::NotAllowed,
            "no tokens are configured, so only a Host of localhost, 127.0.0.0/8 or [::1] is served",
        ));
    }
    let reads = parts.method == Method::GET || parts.method == Method::HEAD;
    if !reads && parts.headers.contains_key(header::ORIGIN) {
        return Err(Fault::new(
            Kind::NotAllowed,
            "no tokens are configured, so requests that a web page sends (they carry Origin) change nothing",
        ));
    }
    Ok(())
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host == "[::1]"
        || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::super::routes::ROUTES;
    use super::*;

    fn parts(method: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri("/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn from(address: &str, bearer: &str) -> Parts {
        let mut parts = parts("GET", &[("authorization", &format!("Bearer {bearer}"))]);
        parts.extensions.insert(Peer::at(address.parse().unwrap()));
        parts
    }

    fn route(name: &str) -> &'static Route {
        ROUTES.iter().find(|route| route.name == name).unwrap()
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_micros(seconds * 1_000_000)
    }

    fn principal(name: &str, role: Role) -> Arc<Principal> {
        Arc::new(Principal { name: name.into(), role, clusters: None })
    }

    fn token(text: &str, name: &str, role: Role, until: Option<i64>) -> Token {
        Token { hash: Sha256::digest(text).into(), until: until.map(at), principal: principal(name, role) }
    }

    fn nobody(method: &str, headers: &[(&str, &str)], needed: Role) -> Result<Arc<Principal>, Denial> {
        let gate = Gate { tokens: None, strangers: &Strangers::default(), now: at(0) };
        gate.admit(&parts(method, headers), route("alerts"), needed)
    }

    #[test]
    fn without_tokens_only_loopback_names_are_served() {
        for good in ["localhost", "LOCALHOST:9720", "127.0.0.1:9720", "127.8.9.1", "[::1]:9720"] {
            assert!(nobody("POST", &[("host", good)], Role::Admin).is_ok(), "{good}");
        }
        for bad in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]", ""] {
            let refused = nobody("GET", &[("host", bad)], Role::Viewer).unwrap_err();
            assert_eq!((refused.fault.kind, refused.reason), (Kind::NotAllowed, Denied::Foreign), "{bad}");
        }
        assert!(nobody("GET", &[], Role::Viewer).is_err());
    }

    #[test]
    fn without_tokens_a_web_page_may_not_change_anything() {
        let headers = [("host", "localhost"), ("origin", "http://localhost")];
        assert!(nobody("POST", &headers, Role::Operator).is_err());
        assert!(nobody("DELETE", &headers, Role::Operator).is_err());
        assert!(nobody("GET", &headers, Role::Viewer).is_ok());
    }

    #[test]
    fn a_token_is_known_by_the_hash_of_the_whole_string() {
        let tokens = Tokens { tokens: vec![token("secret", "grafana", Role::Viewer, None)], clients: vec![] };
        let strangers = Strangers::default();
        let gate = Gate { tokens: Some(&tokens), strangers: &strangers, now: at(0) };
        let ask = |value: &str| gate.admit(&parts("GET", &[("authorization", value)]), route("alerts"), Role::Viewer);
        assert_eq!(ask("Bearer secret").unwrap().name, "grafana");
        assert_eq!(ask("bearer  secret").unwrap().name, "grafana");
        for bad in ["Bearer secre", "Bearer secrets", "Basic secret", "Bearer ", "secret", ""] {
            assert_eq!(ask(bad).unwrap_err().fault.kind, Kind::Unauthenticated, "{bad}");
        }
        let without = gate.admit(&parts("GET", &[]), route("alerts"), Role::Viewer).unwrap_err();
        assert_eq!((without.reason, without.fault.kind), (Denied::Missing, Kind::Unauthenticated));
        let asked = parts("GET", &[("authorization", "Bearer secret")]);
        let refused = gate.admit(&asked, route("hold"), Role::Operator).unwrap_err();
        assert_eq!((refused.reason, refused.fault.kind), (Denied::Role, Kind::NotAllowed));
        assert_eq!(refused.whom.as_deref(), Some("grafana"));
    }

    #[test]
    fn two_strings_of_one_name_are_good_while_it_is_changed_and_the_old_one_ends() {
        let both = vec![token("new", "ann", Role::Approver, Some(200)), token("old", "ann", Role::Approver, Some(100))];
        let tokens = Tokens { tokens: both, clients: vec![] };
        let strangers = Strangers::default();
        let ask = |bearer: &str, now| {
            let gate = Gate { tokens: Some(&tokens), strangers: &strangers, now: at(now) };
            gate.admit(&from("10.0.0.1", bearer), route("alerts"), Role::Viewer)
        };
        assert_eq!(ask("old", 99).unwrap().name, "ann");
        assert_eq!(ask("new", 99).unwrap().name, "ann");
        let (expired, unknown) = (ask("old", 100).unwrap_err(), ask("never", 100).unwrap_err());
        assert_eq!((expired.reason, unknown.reason), (Denied::Expired, Denied::Unknown));
        assert_eq!(expired.whom.as_deref(), Some("ann"));
        assert_eq!(expired.fault, unknown.fault, "whoever asks cannot tell");
        assert!(ask("new", 199).is_ok());
        assert_eq!(ask("new", 200).unwrap_err().reason, Denied::Expired);
    }

    #[test]
    fn a_certificate_is_somebody_only_without_a_token_and_only_if_its_name_is_known() {
        let client = |san: &str, name, until: Option<i64>| Client {
            san: san.into(),
            until: until.map(at),
            principal: principal(name, Role::Viewer),
        };
        let clients = vec![client("prom.example.org", "prom", None), client("old.example.org", "old", Some(5))];
        let tokens = Tokens { tokens: vec![token("secret", "ann", Role::Admin, None)], clients };
        let strangers = Strangers::default();
        let ask = |names: &[&str], headers: &[(&str, &str)]| {
            let mut parts = parts("GET", headers);
            let names = names.iter().map(|name| (*name).to_owned()).collect();
            parts.extensions.insert(Peer { names, ..Peer::default() });
            let gate = Gate { tokens: Some(&tokens), strangers: &strangers, now: at(9) };
            gate.admit(&parts, route("alerts"), Role::Viewer)
        };
        assert_eq!(ask(&["x", "PROM.example.org"], &[]).unwrap().name, "prom");
        assert_eq!(ask(&["prom.example.org"], &[("authorization", "Bearer secret")]).unwrap().name, "ann");
        for header in ["Bearer wrong", "Basic x", ""] {
            assert!(
                ask(&["prom.example.org"], &[("authorization", header)]).is_err(),
                "{header}: nothing falls through"
            );
        }
        assert_eq!(ask(&["prom.example.org.evil", ""], &[]).unwrap_err().reason, Denied::Missing);
        assert_eq!(ask(&["old.example.org"], &[]).unwrap_err().reason, Denied::Expired);
    }

    #[test]
    fn what_is_about_all_clusters_needs_a_token_for_all() {
        let some = Principal { name: "b-only".into(), role: Role::Admin, clusters: Some(Default::default()) };
        let token = Token { principal: Arc::new(some), ..token("secret", "", Role::Admin, None) };
        let tokens = Tokens { tokens: vec![token], clients: vec![] };
        let strangers = Strangers::default();
        let gate = Gate { tokens: Some(&tokens), strangers: &strangers, now: at(0) };
        let ask = |name| gate.admit(&from("10.0.0.1", "secret"), route(name), route(name).needs.unwrap());
        assert!(ask("alerts").is_ok() && ask("hold").is_ok());
        for name in ["reload", "metrics", "enable"] {
            assert_eq!(ask(name).unwrap_err().fault.kind, Kind::NotAllowed, "{name}");
        }
    }

    #[test]
    fn a_locked_address_learns_nothing_and_starves_neither_the_webhook_nor_who_was_there_before() {
        let tokens = vec![
            token("hook", "am", Role::Webhook, None),
            token("root", "root", Role::Admin, None),
            token("ann", "ann", Role::Approver, None),
        ];
        let tokens = Tokens { tokens, clients: vec![] };
        let strangers = Strangers::default();
        strangers.right("10.0.0.1".parse().ok(), "ann", at(0));
        let ask = |address: &str, bearer: &str, name| {
            let gate = Gate { tokens: Some(&tokens), strangers: &strangers, now: at(1) };
            gate.admit(&from(address, bearer), route(name), route(name).needs.unwrap())
        };
        let guesses: Vec<Denial> =
            (0..20).map(|n| ask("10.0.0.1", &format!("guess-{n}"), "alerts").unwrap_err()).collect();
        assert!(guesses[19].wrong.unwrap().locks);
        let (right, wrong) = (ask("10.0.0.1", "root", "alerts"), ask("10.0.0.1", "guess", "alerts"));
        assert_eq!(right, wrong, "a right guess looks like a wrong one");
        assert_eq!(right.unwrap_err().reason, Denied::Locked);
        assert!(ask("10.0.0.1", "root", "webhook").is_err(), "nor can it be tried at the webhook");
        assert!(ask("10.0.0.1", "hook", "webhook").is_ok());
        assert!(ask("10.0.0.1", "ann", "alerts").is_ok(), "somebody who was right from there");
        assert!(ask("10.0.0.2", "root", "alerts").is_ok(), "and everybody elsewhere");
    }
}
