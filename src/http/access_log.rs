//! One line about every request: what was asked, by whom, and what came of it. Headers, query strings and bodies, which may
//! hold secrets, are not in it.

use std::net::IpAddr;

use axum::http::Method;
use axum::response::Response;
use hyper::body::Body as _;
use tracing::{debug, info};

/// A request that was answered.
pub(super) struct Asked<'a> {
    /// The name of its route.
    pub(super) handler: &'a str,
    /// The name of who asked; nothing where nobody had to say, or was refused.
    pub(super) principal: Option<&'a str>,
    /// From where.
    pub(super) address: Option<IpAddr>,
    /// Its id, ours or the caller's.
    pub(super) request_id: &'a str,
    pub(super) method: &'a Method,
    /// Without its query.
    pub(super) path: &'a str,
    pub(super) seconds: f64,
}

/// The longest path that is written as it is.
const LONGEST_PATH: usize = 512;

impl Asked<'_> {
    /// Writes the line, at `info` where `[server] access_log` asks for it.
    pub(super) fn log(&self, is_wanted: bool, response: &Response) {
        let Self { handler, principal, address, request_id, method, path, seconds } = self;
        let (code, bytes) = (response.status().as_u16(), response.body().size_hint().exact());
        let address = address.map(tracing::field::display);
        let end = (0..=LONGEST_PATH.min(path.len())).rev().find(|at| path.is_char_boundary(*at)).unwrap_or(0);
        let path = &path[..end];
        if is_wanted {
            info!(handler, principal, address, request.id = request_id, code, seconds, bytes, "{method} {path}");
        } else {
            debug!(handler, principal, address, request.id = request_id, code, seconds, bytes, "{method} {path}");
        }
    }
}
