//! Who asks, and whether they may: from a request's headers to a [`Principal`], or to a refusal.
//!
//! Tokens are found by the SHA-256 of the whole bearer string. A lookup compares hashes, not tokens: how long it takes
//! tells an attacker at most something about the hash of what they sent, which does not lead to a token.
//!
//! Without tokens only loopback is served and everybody is `local`. The only hostile caller that can reach loopback is a
//! web page in a browser on this machine, by a cross-site request or by a name that it lets point here; the two checks
//! of `loopback_only` turn both away.

use std::net::Ipv4Addr;
use std::sync::Arc;

use axum::http::request::Parts;
use axum::http::{Method, header, uri::Authority};
use sha2::{Digest, Sha256};

use super::error::{Fault, Kind};
use crate::config::Tokens;
use crate::domain::{Principal, Role};
use crate::writer::Cause;

/// Who asks; every handler of a route that needs a role gets one.
#[derive(Clone, Debug)]
pub struct Asker {
    /// Who.
    pub principal: Arc<Principal>,
    /// The request's id, ours or the caller's.
    pub request_id: String,
}

impl Asker {
    /// What the journal records about a request.
    pub fn cause(&self) -> Cause {
        Cause { principal: self.principal.name.clone(), request_id: Some(self.request_id.clone()) }
    }
}

/// The principal behind a request that needs the role `needed`, wherever it has it.
pub(super) fn admit(parts: &Parts, tokens: Option<&Tokens>, needed: Role) -> Result<Arc<Principal>, Fault> {
    let principal = match tokens {
        None => {
            loopback_only(parts)?;
            Principal::local()
        }
        Some(tokens) => recognise(parts, tokens)?,
    };
    if principal.role.includes(needed) {
        return Ok(Arc::new(principal));
    }
    let (name, has, needs) = (&principal.name, principal.role.as_str(), needed.as_str());
    Err(Fault::new(Kind::NotAllowed, format!("this needs the role {needs}; `{name}` has the role {has}")))
}

fn recognise(parts: &Parts, tokens: &Tokens) -> Result<Principal, Fault> {
    let unknown = |detail: &str| Fault::new(Kind::Unauthenticated, detail);
    let value = parts.headers.get(header::AUTHORIZATION).ok_or_else(|| unknown("a bearer token is needed"))?;
    let token = bearer(value.as_bytes()).ok_or_else(|| unknown("the Authorization header holds no bearer token"))?;
    let hash: [u8; 32] = Sha256::digest(token).into();
    tokens.0.get(&hash).cloned().ok_or_else(|| unknown("the bearer token is not known"))
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

    use super::*;

    fn parts(method: &str, headers: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri("/x");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    #[test]
    fn without_tokens_only_loopback_names_are_served() {
        for good in ["localhost", "LOCALHOST:9720", "127.0.0.1:9720", "127.8.9.1", "[::1]:9720"] {
            assert!(admit(&parts("POST", &[("host", good)]), None, Role::Admin).is_ok(), "{good}");
        }
        for bad in ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "10.0.0.1", "[::2]", ""] {
            let refused = admit(&parts("GET", &[("host", bad)]), None, Role::Viewer).unwrap_err();
            assert_eq!(refused.kind, Kind::NotAllowed, "{bad}");
        }
        assert!(admit(&parts("GET", &[]), None, Role::Viewer).is_err());
    }

    #[test]
    fn without_tokens_a_web_page_may_not_change_anything() {
        let headers = [("host", "localhost"), ("origin", "http://localhost")];
        assert!(admit(&parts("POST", &headers), None, Role::Operator).is_err());
        assert!(admit(&parts("DELETE", &headers), None, Role::Operator).is_err());
        assert!(admit(&parts("GET", &headers), None, Role::Viewer).is_ok());
    }

    #[test]
    fn a_token_is_known_by_the_hash_of_the_whole_string() {
        let viewer = Principal { name: "grafana".into(), role: Role::Viewer, clusters: None };
        let tokens = Tokens([(Sha256::digest(b"secret").into(), viewer)].into());
        let ask = |value: &str| admit(&parts("GET", &[("authorization", value)]), Some(&tokens), Role::Viewer);
        assert_eq!(ask("Bearer secret").unwrap().name, "grafana");
        assert_eq!(ask("bearer  secret").unwrap().name, "grafana");
        for bad in ["Bearer secre", "Bearer secrets", "Basic secret", "Bearer ", "secret", ""] {
            assert_eq!(ask(bad).unwrap_err().kind, Kind::Unauthenticated, "{bad}");
        }
        assert_eq!(admit(&parts("GET", &[]), Some(&tokens), Role::Viewer).unwrap_err().kind, Kind::Unauthenticated);
        let asked = parts("GET", &[("authorization", "Bearer secret")]);
        assert_eq!(admit(&asked, Some(&tokens), Role::Operator).unwrap_err().kind, Kind::NotAllowed);
    }
}
