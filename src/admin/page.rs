//! The page: one file with its script and style inside, which fetches nothing from elsewhere.

use crate::connect::server::Response;

const PAGE: &str = include_str!("page.html");

/// The page may only talk to this server, and no other page may show it in a frame.
const HEADERS: &str = "cache-control: no-store\r\nx-content-type-options: nosniff\r\n\
    referrer-policy: no-referrer\r\ncontent-security-policy: default-src 'none'; \
    script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; img-src data:; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'\r\n";

pub(super) fn response() -> Response {
    Response {
        status: 200,
        content_type: "text/html; charset=utf-8",
        headers: HEADERS,
        body: PAGE.as_bytes().to_vec(),
    }
}
