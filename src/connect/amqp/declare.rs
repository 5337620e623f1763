//! Queues and exchanges: made where that was asked for, or seen to be there.
//!
//! | `declare` of a source | |
//! |---|---|
//! | `type` | "classic" or "quorum" |
//! | `durable` | `false`: it is gone when the server restarts |
//! | `auto_delete` | `true`: deleted after its last consumer has left |
//! | `bind` | `{ exchange = "alerts", key = "A.*" }`, or a list of these |
//! | `arguments` | an object of strings, whole numbers and booleans: `x-max-length` and the like |
//!
//! | `declare` of a sink | |
//! |---|---|
//! | `type` | "direct", "fanout", "headers" or "topic", which it is otherwise |
//! | `durable`, `auto_delete`, `arguments` | as above |
//!
//! `true` stands for none of these. The invariant: what is there and is different is reported, not changed.

use super::connection::{Connection, protocol_error};
use super::short;
use crate::connect::Settings;
use crate::error::{Error, Result, quote, quote_json};
use lapin::ExchangeKind;
use lapin::options::{ExchangeDeclareOptions, QueueBindOptions, QueueDeclareOptions};
use lapin::types::{AMQPValue, FieldTable, LongString, ShortString};
use serde_json::{Map, Value};

/// A queue, and how it is made.
#[derive(Clone, PartialEq)]
pub(super) struct Queue {
    pub name: ShortString,
    declare: Option<Shape>,
    binds: Vec<(ShortString, ShortString)>,
}

/// An exchange, and how it is made.
pub(super) struct Exchange {
    pub name: ShortString,
    declare: Option<(ExchangeKind, Shape)>,
}

#[derive(Clone, PartialEq)]
struct Shape {
    durable: bool,
    auto_delete: bool,
    arguments: FieldTable,
}

/// The object `declare`, of which each member is read once.
struct Reader<'a> {
    settings: &'a Settings,
    object: Map<String, Value>,
}

impl<'a> Reader<'a> {
    fn new(settings: &'a Settings) -> Result<Option<Self>> {
        let object = match settings.json("declare") {
            None | Some(Value::Bool(false)) => return Ok(None),
            Some(Value::Bool(true)) => Map::new(),
            Some(Value::Object(object)) => object.clone(),
            Some(_) => return Err(settings.wrong("declare", "true or an object")),
        };
        Ok(Some(Reader { settings, object }))
    }

    fn wrong(&self, name: &str, expected: &str, value: &Value) -> Error {
        let value = quote_json(value);
        let error = format!("{name} of declare: {expected} expected, got {value}");
        self.settings.refuse(error)
    }

    fn flag(&mut self, name: &str, otherwise: bool) -> Result<bool> {
        match self.object.remove(name) {
            None => Ok(otherwise),
            Some(Value::Bool(value)) => Ok(value),
            Some(value) => Err(self.wrong(name, "boolean", &value)),
        }
    }

    fn word(&mut self, name: &str, words: &[&'static str]) -> Result<Option<&'static str>> {
        let Some(value) = self.object.remove(name) else {
            return Ok(None);
        };
        let found = words.iter().find(|word| value.as_str() == Some(**word));
        match found {
            Some(word) => Ok(Some(word)),
            None => Err(self.wrong(name, &format!("one of {}", words.join(", ")), &value)),
        }
    }

    fn shape(&mut self) -> Result<Shape> {
        let mut arguments = FieldTable::default();
        match self.object.remove("arguments") {
            None => {}
            Some(Value::Object(given)) => {
                for (name, value) in given {
                    let value = match &value {
                        Value::Bool(value) => AMQPValue::Boolean(*value),
                        Value::String(text) => {
                            AMQPValue::LongString(LongString::from(text.as_str()))
                        }
                        value => AMQPValue::LongLongInt(value.as_i64().ok_or_else(|| {
                            self.wrong(&name, "string, whole number or boolean", value)
                        })?),
                    };
                    arguments.insert(short(&name)?, value);
                }
            }
            Some(value) => return Err(self.wrong("arguments", "object", &value)),
        }
        Ok(Shape {
            durable: self.flag("durable", true)?,
            auto_delete: self.flag("auto_delete", false)?,
            arguments,
        })
    }

    fn binds(&mut self) -> Result<Vec<(ShortString, ShortString)>> {
        let binds = match self.object.remove("bind") {
            None => Vec::new(),
            Some(Value::Array(binds)) => binds,
            Some(bind) => vec![bind],
        };
        let bind = |value: &Value| {
            let bind = value.as_object().filter(|bind| {
                let known = ["exchange", "key"];
                bind.keys().all(|name| known.contains(&name.as_str()))
            });
            let text = |name: &str| bind?.get(name).and_then(Value::as_str);
            let Some(exchange) = text("exchange") else {
                return Err(self.wrong("bind", "an object with exchange and key", value));
            };
            Ok((short(exchange)?, short(text("key").unwrap_or_default())?))
        };
        binds.iter().map(bind).collect()
    }

    /// That nothing else was given.
    fn end(self) -> Result<()> {
        match self.object.keys().next() {
            None => Ok(()),
            Some(name) => {
                let error = format!("declare has no member {}", quote(name));
                Err(self.settings.refuse(error))
            }
        }
    }
}

impl Queue {
    pub fn parse(name: ShortString, settings: &Settings) -> Result<Self> {
        let mut queue = Queue {
            name,
            declare: None,
            binds: Vec::new(),
        };
        if let Some(mut reader) = Reader::new(settings)? {
            let kind = reader.word("type", &["classic", "quorum"])?;
            let mut shape = reader.shape()?;
            if let Some(kind) = kind {
                let kind = AMQPValue::LongString(kind.into());
                shape.arguments.insert("x-queue-type".into(), kind);
            }
            queue.declare = Some(shape);
            queue.binds = reader.binds()?;
            reader.end()?;
        }
        Ok(queue)
    }

    /// Makes it where that was asked for.
    pub fn open(&self, connection: &Connection) -> Result<()> {
        let Some(shape) = &self.declare else {
            return Ok(());
        };
        let options = QueueDeclareOptions {
            durable: shape.durable,
            auto_delete: shape.auto_delete,
            ..QueueDeclareOptions::default()
        };
        let arguments = shape.arguments.clone();
        let made = connection
            .channel
            .queue_declare(self.name.clone(), options, arguments);
        connection
            .answer(made)
            .map_err(|error| self.refused(connection, &error))?;
        for (exchange, key) in &self.binds {
            let (options, none) = (QueueBindOptions::default(), FieldTable::default());
            let bound = connection.channel.queue_bind(
                self.name.clone(),
                exchange.clone(),
                key.clone(),
                options,
                none,
            );
            connection
                .answer(bound)
                .map_err(|error| missing_exchange(connection, exchange, &error))?;
        }
        Ok(())
    }

    /// Why it cannot be used.
    pub fn refused(&self, connection: &Connection, error: &lapin::Error) -> Error {
        let name = quote(self.name.as_str());
        match protocol_error(error) {
            // A queue whose machine is away is not found either.
            Some((404, text)) if !text.contains("home node") => {
                let error = connection
                    .address()
                    .wrong(format!("there is no queue {name}"));
                error.with_hint(format!(
                    "create it: rabbitmqadmin declare queue name={name} durable=true, or set declare = true"
                ))
            }
            Some((406, text)) => {
                let error = connection.address().wrong(text);
                error.with_hint("the queue exists with different settings")
            }
            _ => connection.error(error),
        }
    }
}

impl Exchange {
    pub fn parse(name: ShortString, settings: &Settings) -> Result<Self> {
        let mut exchange = Exchange {
            name,
            declare: None,
        };
        if let Some(mut reader) = Reader::new(settings)? {
            if exchange.name.as_str().is_empty() {
                return Err(settings.refuse("option declare needs the option exchange"));
            }
            let kind = match reader.word("type", &["direct", "fanout", "headers", "topic"])? {
                Some("direct") => ExchangeKind::Direct,
                Some("fanout") => ExchangeKind::Fanout,
                Some("headers") => ExchangeKind::Headers,
                _ => ExchangeKind::Topic,
            };
            exchange.declare = Some((kind, reader.shape()?));
            reader.end()?;
        }
        Ok(exchange)
    }

    /// Makes it where that was asked for, and sees that it is there otherwise.
    pub fn open(&self, connection: &Connection) -> Result<()> {
        if self.name.as_str().is_empty() {
            return Ok(());
        }
        let mut options = ExchangeDeclareOptions::default();
        let mut arguments = FieldTable::default();
        let mut kind = ExchangeKind::Topic;
        match &self.declare {
            None => options.passive = true,
            Some((declared, shape)) => {
                options.durable = shape.durable;
                options.auto_delete = shape.auto_delete;
                arguments = shape.arguments.clone();
                kind = declared.clone();
            }
        }
        let made = connection
            .channel
            .exchange_declare(self.name.clone(), kind, options, arguments);
        connection
            .answer(made)
            .map_err(|error| missing_exchange(connection, &self.name, &error))
    }
}

fn missing_exchange(connection: &Connection, name: &ShortString, error: &lapin::Error) -> Error {
    let name = quote(name.as_str());
    match protocol_error(error) {
        Some((404, text)) if text.contains("no exchange") => {
            let error = connection
                .address()
                .wrong(format!("there is no exchange {name}"));
            error.with_hint(format!(
                "create it: rabbitmqadmin declare exchange name={name} type=topic, or have a sink declare it"
            ))
        }
        Some((406, text)) => {
            let error = connection.address().wrong(text);
            error.with_hint("the exchange exists with different settings")
        }
        _ => connection.error(error),
    }
}
