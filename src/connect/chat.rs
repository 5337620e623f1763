//! Messages to people: a JSON document for each event, posted no quicker than the service takes them.
//!
//! To add a service: a file with a `const` [`Connector`](super::Connector) whose sink is a
//! [`Chat`], as `slack.rs`, its address a secret where that holds its token.

use super::http::client::Client;
use super::support::socket::wait_for;
use super::{Address, JsonTemplate, Progress, Settings, Template};
use crate::error::{Error, ErrorKind, Result};
use crate::event::Event;
use crate::node::{Context, Node, Sink};
use crate::time::monotonic;
use std::time::{Duration, Instant};

/// Posts a message for each event.
pub(super) struct Chat {
    client: Client,
    url: String,
    body: JsonTemplate,
    /// What becomes `text` in it, also where it is nothing but a number.
    text: Option<Template>,
    /// At least so much time is between two messages.
    pace: Duration,
    last: Option<Instant>,
    progress: Progress,
}

impl Chat {
    /// Posts `body`, with the `text` of the settings where they have one, to `url`; they may have
    /// `pace` and `timeout` too.
    pub fn new(
        address: &Address,
        url: String,
        body: JsonTemplate,
        settings: &Settings,
    ) -> Result<Self> {
        if !(url.starts_with("https://") || url.starts_with("http://")) {
            return Err(address.wrong("the scheme must be https or http"));
        }
        let limit = settings.duration("timeout", Duration::from_secs(10))?;
        let pace = settings.duration_or_none("pace")?;
        Ok(Chat {
            client: Client::new(address, limit),
            url,
            body,
            text: settings.template("text")?,
            pace: pace.unwrap_or(Duration::from_secs(1)),
            last: None,
            progress: Progress::default(),
        })
    }
}

impl Node for Chat {
    fn commit(&mut self, _cx: &mut Context<'_>) -> Result<()> {
        self.progress.commit()
    }

    fn rollback(&mut self) {
        self.progress.rollback();
    }
}

impl Sink for Chat {
    fn write(&mut self, event: &Event, cx: &mut Context<'_>) -> Result<()> {
        let Chat {
            client,
            url,
            body,
            text,
            pace,
            last,
            progress,
        } = self;
        progress.once(cx, || {
            let mut body = body.render(event)?;
            if let Some(text) = text {
                body["text"] = text.render(event)?.into();
            }
            if let Some(last) = last {
                let left = pace.saturating_sub(last.elapsed());
                wait_for(&mut [], left)
                    .map_err(|error| Error::io("waiting", &error).with_kind(ErrorKind::Failed))?;
            }
            *last = Some(monotonic());
            client.post(url, &body)
        })
    }
}
