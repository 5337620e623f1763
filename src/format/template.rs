//! Text with placeholders that each event fills in, the same for every sink.
//!
//! | in the text | what it becomes |
//! |---|---|
//! | `{data}` | the payload as it is |
//! | `{data.field}`, `{data.a.b}`, `{data.items.0}` | a value of the JSON payload; lists count from 0 |
//! | `{meta.x}`, `{meta.x.y}` | a value of the event's meta |
//! | `{time}` | the event's time in RFC 3339 |
//! | `{{`, `}}` | a brace |
//!
//! A string is inserted without quotes, every other value as JSON. A field that the
//! event does not have is an error of the event; an unknown placeholder is an error when the
//! template is parsed. To add a root, add it to `Root`.

use crate::error::{Error, Result, did_you_mean, quote};
use crate::event::Event;
use serde_json::{Map, Value};

/// Text with placeholders that each event fills in.
///
/// ```
/// use tributary::{Event, connect::Template, time::Timestamp};
///
/// let template = Template::parse("liability {data.liability} on {data.game.name}")?;
/// let event = Event::new(r#"{"liability": 12.5, "game": {"name": "A-B"}}"#, Timestamp::from_secs(0));
/// assert_eq!(template.render(&event)?, "liability 12.5 on A-B");
/// # Ok::<(), tributary::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Template(Vec<Part>);

#[derive(Debug, Clone, PartialEq)]
enum Part {
    Text(String),
    Placeholder(Placeholder),
}

/// The path of a value in an event: `data.a.b`.
#[derive(Debug, Clone, PartialEq)]
struct Placeholder {
    root: Root,
    path: Vec<String>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Root {
    Data,
    Meta,
    Time,
}

const ROOTS: [(&str, Root); 3] = [
    ("data", Root::Data),
    ("meta", Root::Meta),
    ("time", Root::Time),
];

impl Template {
    /// Reads a template.
    ///
    /// # Errors
    /// A brace that is not closed, an unknown placeholder.
    pub fn parse(text: &str) -> Result<Self> {
        let mut parts = Vec::new();
        let mut literal = String::new();
        let mut rest = text;
        while let Some(at) = rest.find(['{', '}']) {
            literal.push_str(&rest[..at]);
            let (brace, after) = rest[at..].split_at(1);
            if let Some(after) = after.strip_prefix(brace) {
                literal.push_str(brace);
                rest = after;
                continue;
            }
            if brace == "}" {
                return Err(bad(text, "a } closes nothing").with_hint("write }} for a brace"));
            }
            let Some((place, after)) = after.split_once('}') else {
                return Err(bad(text, "a { is not closed").with_hint("write {{ for a brace"));
            };
            if !literal.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut literal)));
            }
            parts.push(Part::Placeholder(Placeholder::parse(place, text)?));
            rest = after;
        }
        literal.push_str(rest);
        if !literal.is_empty() {
            parts.push(Part::Text(literal));
        }
        Ok(Template(parts))
    }

    /// A template without placeholders: the text as it is.
    #[cfg(feature = "http")]
    pub(crate) fn literal(text: impl Into<String>) -> Self {
        Template(vec![Part::Text(text.into())])
    }

    /// Text that is the same for every event.
    pub fn constant(&self) -> Option<&str> {
        match self.0.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text for this event.
    ///
    /// # Errors
    /// A field that the event does not have, named.
    pub fn render(&self, event: &Event) -> Result<String> {
        let mut text = String::new();
        self.render_to(event, &mut text)?;
        Ok(text)
    }

    /// Adds the text for this event.
    ///
    /// # Errors
    /// A field that the event does not have, named.
    pub fn render_to(&self, event: &Event, text: &mut String) -> Result<()> {
        for part in &self.0 {
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Placeholder(place) => place.write(event, text)?,
            }
        }
        Ok(())
    }
}

/// JSON whose texts are templates. A text that is nothing but one place becomes the value that it
/// names, as it is: `{"sum": "{data.sum}"}` gives a number where the event has one.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonTemplate(Node);

#[derive(Debug, Clone, PartialEq)]
enum Node {
    Fixed(Value),
    Text(Template),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

impl JsonTemplate {
    /// Reads the templates in it.
    ///
    /// # Errors
    /// Those of [`Template::parse`].
    pub fn parse(value: &Value) -> Result<Self> {
        Node::parse(value).map(JsonTemplate)
    }

    /// A value without placeholders: the value as it is.
    #[cfg(any(feature = "slack", feature = "telegram"))]
    pub(crate) fn fixed(value: impl Into<Value>) -> Self {
        JsonTemplate(Node::Fixed(value.into()))
    }

    /// An object of these.
    #[cfg(feature = "telegram")]
    pub(crate) fn object<const N: usize>(items: [(&str, Option<JsonTemplate>); N]) -> Self {
        let items = items
            .into_iter()
            .filter_map(|(name, item)| Some((name.to_owned(), item?.0)));
        JsonTemplate(Node::Object(items.collect()))
    }

    /// The value for this event.
    ///
    /// # Errors
    /// A field that the event does not have, named.
    pub fn render(&self, event: &Event) -> Result<Value> {
        self.0.render(event)
    }
}

impl Node {
    fn parse(value: &Value) -> Result<Self> {
        Ok(match value {
            Value::String(text) => Node::Text(Template::parse(text)?),
            Value::Array(items) => {
                Node::List(items.iter().map(Node::parse).collect::<Result<_>>()?)
            }
            Value::Object(map) => {
                let items = map
                    .iter()
                    .map(|(name, value)| Ok((name.clone(), Node::parse(value)?)));
                Node::Object(items.collect::<Result<_>>()?)
            }
            other => Node::Fixed(other.clone()),
        })
    }

    fn render(&self, event: &Event) -> Result<Value> {
        Ok(match self {
            Node::Fixed(value) => value.clone(),
            Node::Text(Template(parts)) => match parts.as_slice() {
                [Part::Placeholder(place)] => place.value(event)?,
                _ => Template(parts.clone()).render(event)?.into(),
            },
            Node::List(items) => {
                let items = items.iter().map(|item| item.render(event));
                Value::Array(items.collect::<Result<_>>()?)
            }
            Node::Object(items) => {
                let items = items
                    .iter()
                    .map(|(name, item)| Ok((name.clone(), item.render(event)?)));
                Value::Object(items.collect::<Result<Map<_, _>>>()?)
            }
        })
    }
}

impl Placeholder {
    fn parse(text: &str, whole: &str) -> Result<Self> {
        let mut words = text.split('.');
        let first = words.next().unwrap_or_default();
        let root = ROOTS.iter().find(|(word, _)| *word == first);
        let Some((_, root)) = root else {
            let hint = did_you_mean(first, ROOTS.map(|(word, _)| word)).unwrap_or_else(|| {
                "write {data.field}, {meta.field} or {time}, and {{ for a brace".to_owned()
            });
            let error = bad(whole, &format!("unknown placeholder {}", quote(first)));
            return Err(error.with_hint(hint));
        };
        let path: Vec<String> = words.map(str::to_owned).collect();
        match (root, path.is_empty()) {
            (Root::Time, false) => Err(bad(whole, "time has no fields")),
            (Root::Meta, true) => Err(bad(whole, "meta needs a field")),
            _ if path.iter().any(String::is_empty) => Err(bad(whole, "a name is empty")),
            _ => Ok(Placeholder { root: *root, path }),
        }
    }

    fn find<'a>(&self, event: &'a Event) -> Result<&'a Value> {
        let missing = || {
            let root = match self.root {
                Root::Meta => "meta",
                _ => "data",
            };
            let path = self.path.join(".");
            Error::data(format!(
                "the event has no field {}",
                quote(format!("{root}.{path}"))
            ))
        };
        let (mut value, rest) = match self.root {
            Root::Meta => {
                let value = event.meta().get(&self.path[0]).ok_or_else(missing)?;
                (value, &self.path[1..])
            }
            _ => (event.payload().json()?, &self.path[..]),
        };
        for name in rest {
            let next = match value {
                Value::Array(items) => name.parse().ok().and_then(|at: usize| items.get(at)),
                value => value.get(name),
            };
            value = next.ok_or_else(missing)?;
        }
        Ok(value)
    }

    fn value(&self, event: &Event) -> Result<Value> {
        match self.root {
            Root::Time => Ok(event.time().to_string().into()),
            _ => self.find(event).cloned(),
        }
    }

    fn write(&self, event: &Event, text: &mut String) -> Result<()> {
        if self.root == Root::Time {
            text.push_str(&event.time().to_string());
            return Ok(());
        }
        if self.root == Root::Data && self.path.is_empty() {
            let whole = event.payload().text();
            text.push_str(whole.ok_or_else(|| Error::data("the payload is not UTF-8"))?);
            return Ok(());
        }
        match self.find(event)? {
            Value::String(value) => text.push_str(value),
            value => text.push_str(&value.to_string()),
        }
        Ok(())
    }
}

fn bad(text: &str, why: &str) -> Error {
    Error::data(format!("bad template {}: {why}", quote(text)))
}
