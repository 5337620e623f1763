//! What a source has received from a broker and not yet acknowledged.
//!
//! The invariant: a message is given back once, with the outcome of all that was made of it, or
//! forgotten when the connection it came by is gone: the broker sends it again then, and an outcome
//! that comes later is ignored.

use crate::ack::{Outcome, Token};
use crate::event::Event;
use crate::format::{Format, Parser};
use crate::node::Context;
use std::collections::HashMap;

/// The messages under way, each with the id that its broker uses.
///
/// A source emits through it, asks [`room`](Self::room) before it takes more from its broker, acks
/// or nacks what [`settle`](Self::settle) gives back, and calls [`clear`](Self::clear) when it has
/// opened a new connection.
#[derive(Debug)]
pub struct Inbox<T> {
    waiting: HashMap<Token, Held<T>>,
    limit: usize,
    parser: Parser,
}

#[derive(Debug)]
struct Held<T> {
    message: T,
    /// It was refused here: it would be refused again.
    refused: bool,
}

impl<T> Inbox<T> {
    /// With at most this many messages under way.
    pub fn new(limit: usize) -> Self {
        Inbox {
            waiting: HashMap::new(),
            limit: limit.max(1),
            parser: Parser::new(&Format::default()),
        }
    }

    /// The format of the messages.
    pub(crate) fn message_format(&self) -> &Format {
        self.parser.format()
    }

    /// The same with the limit and the format of that of a successor.
    pub(crate) fn with_options_of(self, other: &Inbox<T>) -> Self {
        Inbox {
            limit: other.limit,
            parser: Parser::new(other.parser.format()),
            ..self
        }
    }

    /// The same for messages in this format, in place of JSON.
    #[must_use]
    pub fn format(mut self, format: &Format) -> Self {
        self.parser = Parser::new(format);
        self
    }

    /// How many more may be taken.
    pub fn room(&self) -> usize {
        self.limit.saturating_sub(self.waiting.len())
    }

    /// How many are under way.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none is under way.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// What is under way, in no particular order.
    pub fn messages(&self) -> impl Iterator<Item = &T> {
        self.waiting.values().map(|held| &held.message)
    }

    /// Emits an event that came as this message: its payload is parsed. One that is not of the format, and the head of one that is too
    /// long, leaves by `errors` instead, and counts as delivered whatever becomes of it: it would be
    /// refused again.
    pub fn emit(&mut self, event: Event, message: T, cx: &mut Context<'_>) {
        let checked = self.parser.parsed(event, cx.max_event_bytes());
        let refused = checked.is_err();
        let token = match checked {
            Ok(event) => cx.emit_tracked(event),
            Err((mut event, error)) => {
                let token = cx.track(&mut event);
                cx.reject(event, error);
                token
            }
        };
        self.waiting.insert(token, Held { message, refused });
    }

    /// The message of this token and what to answer for it; `None` for one of a connection that is
    /// gone.
    pub fn settle(&mut self, token: Token, outcome: Outcome) -> Option<(T, Outcome)> {
        let held = self.waiting.remove(&token)?;
        if held.refused {
            Some((held.message, Outcome::Delivered))
        } else {
            Some((held.message, outcome))
        }
    }

    /// Forgets all: the connection is gone, and the broker will send them again.
    pub fn clear(&mut self) {
        self.waiting.clear();
    }
}
