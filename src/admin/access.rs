//! Who may ask: the token, and names of this server that a page of another site cannot use.
//!
//! A browser on this machine could be led here by any site, by a name that it has resolve to the loopback:
//! so a request must name this server by an address or a name of its own, and come from its own page if it
//! comes from a page.

use crate::connect::Listening;
use crate::connect::server::{Head, Refused, same};
use std::net::IpAddr;

/// What needs no token anywhere: the page has no data, and a probe gets no names without a token.
const OPEN: [&str; 3] = ["/", "/healthz", "/readyz"];

pub(super) struct Access {
    token: Option<Vec<u8>>,
    is_local: bool,
    /// The host of the address, as it was given.
    host: String,
}

impl Access {
    pub fn new(listening: &Listening, token: Option<String>) -> Self {
        Access {
            token: token.map(String::into_bytes),
            is_local: listening.is_local,
            host: listening.host.to_ascii_lowercase(),
        }
    }

    /// Whether a request is answered.
    pub fn check(&self, head: &Head) -> Result<(), Refused> {
        match &head.host {
            None if head.is_old => {}
            None => return Err((400, "the header host is missing")),
            Some(host) if self.is_own(host) => {}
            Some(_) => return Err((421, "this server has another name")),
        }
        if let Some(origin) = &head.origin {
            let own = head.host.as_ref().map(|host| format!("http://{host}"));
            if own.as_ref() != Some(origin) {
                return Err((403, "another page may not ask this server"));
            }
        }
        if head.query.split('&').any(|pair| pair.starts_with("token=")) {
            return Err((401, "send the token in the header authorization"));
        }
        let reads = matches!(head.method.as_str(), "GET" | "HEAD");
        if !reads && self.token.is_none() {
            return Err((403, "changes need a token: start with --admin-token"));
        }
        let is_free = reads && (self.is_local || OPEN.contains(&head.path.as_str()));
        if is_free || self.knows(head) {
            return Ok(());
        }
        Err((401, "wrong or missing token"))
    }

    /// Whether the request has the token, or may see everything without one.
    pub fn sees_all(&self, head: &Head) -> bool {
        self.is_local || self.knows(head)
    }

    fn knows(&self, head: &Head) -> bool {
        let given = head.token.as_deref().unwrap_or_default();
        self.token
            .as_deref()
            .is_some_and(|token| same(given, token))
    }

    /// Whether this is a name of this server, with or without a port.
    fn is_own(&self, host: &str) -> bool {
        let name = match host.strip_prefix('[') {
            Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
            None => host.split_once(':').map_or(host, |(name, _)| name),
        };
        match name.parse::<IpAddr>() {
            Ok(address) => !self.is_local || address.is_loopback(),
            Err(_) => name == "localhost" || name == self.host,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(is_local: bool, token: Option<&str>) -> Access {
        Access {
            token: token.map(|token| token.as_bytes().to_vec()),
            is_local,
            host: "box.example".to_owned(),
        }
    }

    fn asked(text: &str) -> Head {
        let text = format!("{}\r\n\r\n", text.replace('\n', "\r\n"));
        let head = crate::connect::server::head(text.as_bytes());
        head.expect("it is a request").expect("it is whole").0
    }

    fn status(access: &Access, text: &str) -> u16 {
        access
            .check(&asked(text))
            .map_or_else(|(status, _)| status, |()| 200)
    }

    #[test]
    fn a_request_names_this_server_and_comes_from_its_own_page() {
        let local = access(true, None);
        for (host, expected) in [
            ("127.0.0.1:7171", 200),
            ("localhost:7171", 200),
            ("LocalHost", 200),
            ("[::1]:7171", 200),
            ("box.example:7171", 200),
            ("10.1.2.3:7171", 421),
            ("evil.example", 421),
            ("127.0.0.1.evil.example", 421),
            ("localhost.evil.example", 421),
            ("", 421),
        ] {
            let text = format!("GET /api/v1/stats HTTP/1.1\nhost: {host}");
            assert_eq!(status(&local, &text), expected, "{host}");
        }
        assert_eq!(status(&local, "GET / HTTP/1.1"), 400);
        assert_eq!(status(&local, "GET / HTTP/1.0"), 200);
        for (origin, expected) in [
            ("http://127.0.0.1:7171", 200),
            ("http://127.0.0.1:7172", 403),
            ("https://127.0.0.1:7171", 403),
            ("http://evil.example", 403),
            ("null", 403),
        ] {
            let text = format!("GET / HTTP/1.1\nhost: 127.0.0.1:7171\norigin: {origin}");
            assert_eq!(status(&local, &text), expected, "{origin}");
        }
    }

    #[test]
    fn reading_is_free_on_the_loopback_and_changes_need_the_token() {
        let get = "GET /api/v1/stats HTTP/1.1\nhost: 127.0.0.1";
        let post = "POST /api/v1/stop HTTP/1.1\nhost: 127.0.0.1";
        let with = |text: &str, token: &str| format!("{text}\nauthorization: Bearer {token}");
        assert_eq!(status(&access(true, None), get), 200);
        assert_eq!(status(&access(true, None), post), 403);
        assert_eq!(status(&access(true, None), &with(post, "")), 403);
        let local = access(true, Some("t0ken"));
        assert_eq!(status(&local, get), 200);
        assert_eq!(status(&local, post), 401);
        assert_eq!(status(&local, &with(post, "t0kem")), 401);
        assert_eq!(status(&local, &with(post, "t0ken")), 200);
        let far = access(false, Some("t0ken"));
        assert_eq!(status(&far, get), 401);
        assert_eq!(status(&far, &with(get, "t0ken")), 200);
        for path in ["/", "/healthz", "/readyz"] {
            let text = format!("GET {path} HTTP/1.1\nhost: 10.0.0.7:7171");
            assert_eq!(status(&far, &text), 200);
            assert!(!far.sees_all(&asked(&text)));
        }
        let query = "GET /api/v1/stats?token=t0ken HTTP/1.1\nhost: 127.0.0.1";
        assert_eq!(status(&far, query), 401);
    }
}
