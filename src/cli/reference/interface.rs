//! The page of the API, from the table of routes.

use super::{head, row};
use crate::http::routes::{Dialect, ROUTES};

/// The whole page.
pub(super) fn markdown() -> String {
    let mut page = "# API\n\nMade by `remedyd reference api`. Where there are tokens, each request carries \
        `Authorization: Bearer …`; without any, only this machine is served and everybody on it is admin. `handler` is the \
        label of `remedyd_http_requests_total`. Paths of Together's dialect are served below `/v1` as well.\n"
        .to_owned();
    for (dialect, title) in
        [(Dialect::Problem, "Ours; errors are `application/problem+json`"), (Dialect::Together, "Together's")]
    {
        page.push_str(&format!("\n## {title}\n\n{}", head(&["method", "path", "role", "handler"])));
        for route in ROUTES.iter().filter(|route| route.dialect == dialect) {
            let role = route.needs.map_or("open", |role| role.as_str());
            page.push_str(&row([route.method, &format!("`{}`", route.path), role, route.name]));
        }
    }
    page
}
