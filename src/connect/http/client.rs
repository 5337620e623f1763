//! Requests, and what their answers mean for the event that was sent.
//!
//! | answer | what becomes of the event |
//! |---|---|
//! | 2xx | delivered |
//! | none, 408, 425, 429, 500, 502, 503, 504 | sent again, not before the time of `Retry-After` |
//! | any other | rejected: it would be refused again |

use crate::connect::Address;
use crate::error::{Error, ErrorKind, Result, quote};
use crate::secret::scrub_cut;
use crate::time::{format_duration, monotonic};
use std::io::Read as _;
use std::time::{Duration, Instant};
use ureq::http::{Request, Response};
use ureq::{Agent, Body};

/// How much of an answer an error shows, in bytes.
const SHOWN: u64 = 512;
/// The longest wait for a `Retry-After`.
const LONGEST: Duration = Duration::from_secs(3600);

/// Sends requests over connections that are kept.
pub(in crate::connect) struct Client {
    agent: Agent,
    address: Address,
    /// No request is sent before then, as the server asked.
    not_before: Option<Instant>,
}

impl Client {
    /// `address` is what errors name.
    pub fn new(address: &Address, limit: Duration) -> Self {
        let config = Agent::config_builder()
            .http_status_as_error(false)
            // What is sent elsewhere than it was meant to be is lost.
            .max_redirects(0)
            .max_redirects_will_error(false)
            .timeout_global(Some(limit))
            .user_agent("tributary");
        let local = address.server(80).is_ok_and(|server| {
            server.host == "localhost"
                || server
                    .host
                    .parse::<std::net::IpAddr>()
                    .is_ok_and(|ip| ip.is_loopback())
        });
        let config = if local { config.proxy(None) } else { config };
        Client {
            agent: config.build().into(),
            address: address.clone(),
            not_before: None,
        }
    }

    /// Sends, and reads the answer.
    ///
    /// # Errors
    /// Every answer other than 2xx, and none; see the table of the module.
    pub fn send(&mut self, request: Request<Vec<u8>>) -> Result<()> {
        if let Some(at) = self.not_before {
            let left = at.saturating_duration_since(monotonic());
            if !left.is_zero() {
                let left = Duration::from_millis(left.as_millis() as u64 + 1);
                let why = format!("the server asks to retry after {}", format_duration(left));
                return Err(self.address.unavailable(why));
            }
            self.not_before = None;
        }
        match self.agent.run(request) {
            Ok(response) => self.judge(response),
            Err(ureq::Error::BadUri(why)) => Err(self.address.wrong(why)),
            Err(ureq::Error::Http(why)) => Err(self.address.wrong(why)),
            Err(error) => Err(self.address.unavailable(error)),
        }
    }

    /// Posts a JSON document.
    ///
    /// # Errors
    /// Those of [`send`](Self::send).
    #[cfg(any(feature = "slack", feature = "telegram"))]
    pub fn post(&mut self, url: &str, body: &serde_json::Value) -> Result<()> {
        let request = Request::post(url).header("content-type", "application/json");
        let request = request.body(body.to_string().into_bytes());
        // What is wrong with it may name the address, and that a token.
        let request = request.map_err(|_| self.address.wrong("not a valid URL"))?;
        self.send(request)
    }

    fn judge(&mut self, mut response: Response<Body>) -> Result<()> {
        let status = response.status();
        let mut body = Vec::new();
        // What cannot be read is not shown, and the connection is not used again.
        let _ = response
            .body_mut()
            .as_reader()
            .take(SHOWN)
            .read_to_end(&mut body);
        if status.is_success() {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&body);
        let text = if body.len() as u64 == SHOWN {
            scrub_cut(&text)
        } else {
            text.as_ref().into()
        };
        let why = match text.trim() {
            "" => format!("it answers {status}"),
            text => format!("it answers {status}: {}", quote(text)),
        };
        if matches!(status.as_u16(), 408 | 425 | 429 | 500 | 502..=504) {
            let after = response.headers().get("retry-after");
            let after = after.and_then(|value| value.to_str().ok()).and_then(pause);
            let after = after.or_else(|| retry_after(&body));
            self.not_before = after.map(|after| monotonic() + after.min(LONGEST));
            return Err(self.address.unavailable(why));
        }
        Err(Error::new(
            ErrorKind::Failed,
            format!("{}: {why}", self.address),
        ))
    }
}

/// Telegram has it in the body: `{"parameters": {"retry_after": 5}}`.
fn retry_after(body: &[u8]) -> Option<Duration> {
    let body: serde_json::Value = serde_json::from_slice(body).ok()?;
    let seconds = body["parameters"]["retry_after"].as_u64();
    seconds.map(Duration::from_secs)
}

/// The value of `Retry-After`: seconds, or a date.
fn pause(text: &str) -> Option<Duration> {
    if let Ok(seconds) = text.trim().parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let now = crate::time::Clock::now(&crate::time::SystemClock).as_secs_f64();
    let left = at.as_microsecond() as f64 / 1e6 - now;
    Duration::try_from_secs_f64(left).ok()
}
