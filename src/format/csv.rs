//! CSV, as RFC 4180 describes it and `csv-core` reads it.
//!
//! A record ends with its line, unless a quote is open. Its columns are those of the option `columns`, or of
//! the first record of the stream.

use super::record::{Field, Record, utf8};
use super::types::{Type, Types};
use crate::error::{Error, Result, quote};
use csv_core::ReadRecordResult as Step;

/// The options of the format.
#[derive(Debug, Clone)]
pub(super) struct Csv {
    pub columns: Option<Vec<String>>,
    /// Whether the first record of a stream is a header.
    pub header: bool,
    pub delimiter: u8,
    pub quote: Option<u8>,
    pub types: Types,
}

impl Csv {
    /// # Errors
    /// A name that stands twice.
    pub fn fields(&self, names: &[String]) -> Result<Vec<Field>> {
        for (at, name) in names.iter().enumerate() {
            if names[..at].contains(name) {
                return Err(Error::data(format!(
                    "column {} is there twice",
                    quote(name)
                )));
            }
        }
        self.types.check(names.iter().map(String::as_str))?;
        let field = |name: &String| {
            let kind = self.types.given(name).cloned().unwrap_or(Type::Text);
            Field::new(name.clone(), kind)
        };
        Ok(names.iter().map(field).collect())
    }
}

/// What is known of the columns.
enum Columns {
    /// The next record is the header.
    InHeader,
    Known(Vec<Field>),
    /// The header is of no use: no record of the stream is.
    Bad(Error),
}

/// What a line was.
pub(super) enum Line {
    /// A part of a record that goes on.
    Open,
    /// The header.
    Header,
    /// The end of a record, whose payload was written.
    Payload,
    Refused(Error),
}

/// The state of one stream.
pub(super) struct Reader {
    core: csv_core::Reader,
    columns: Columns,
    /// The first record is skipped.
    skips: bool,
    /// The fields of the record, one after the other, and where each ends.
    fields: Vec<u8>,
    len: usize,
    ends: Vec<usize>,
    count: usize,
}

impl Reader {
    pub fn new(options: &Csv) -> Self {
        let mut builder = csv_core::ReaderBuilder::new();
        builder.delimiter(options.delimiter);
        match options.quote {
            Some(quote) => builder.quote(quote),
            None => builder.quoting(false),
        };
        let columns = match &options.columns {
            None => Columns::InHeader,
            Some(names) => options
                .fields(names)
                .map_or_else(Columns::Bad, Columns::Known),
        };
        Reader {
            core: builder.build(),
            skips: options.header && options.columns.is_some(),
            columns,
            fields: vec![0; 1024],
            len: 0,
            ends: vec![0; 32],
            count: 0,
        }
    }

    /// The header comes from elsewhere, or has passed.
    pub fn is_past_header(&self) -> bool {
        !self.skips && !matches!(self.columns, Columns::InHeader)
    }

    /// Nothing of a record is read.
    pub fn restart(&mut self) {
        self.core.reset();
        (self.len, self.count) = (0, 0);
    }

    /// Takes the next line of the stream, without its line feed.
    pub fn line(&mut self, options: &Csv, line: &[u8], out: &mut Vec<u8>) -> Line {
        let rest = match self.feed(line) {
            None => self.feed(b"\n"),
            rest => rest,
        };
        let done = match rest {
            None => return Line::Open,
            Some([]) => self.record(options, out),
            Some(_) => Err(Error::data("a carriage return in the middle of a line")
                .with_hint("lines end with LF or CRLF; put the value in quotes")),
        };
        self.restart();
        match done {
            Ok(true) => Line::Payload,
            Ok(false) => Line::Header,
            Err(error) => Line::Refused(error),
        }
    }

    /// Writes the payload of a message that is one record.
    ///
    /// # Errors
    /// More than one record, none, one that has not all columns.
    pub fn message(&mut self, options: &Csv, bytes: &[u8], out: &mut Vec<u8>) -> Result<()> {
        let rest = match self.feed(bytes) {
            None => self.feed(b"\n"),
            rest => rest,
        };
        let done = match rest {
            None if bytes.trim_ascii().is_empty() => Err(Error::data("no row: the text is empty")),
            None => Err(unclosed()),
            Some(rest) if rest.iter().all(|byte| matches!(byte, b'\r' | b'\n')) => {
                self.record(options, out).map(drop)
            }
            Some(_) => Err(Error::data("more than one record in a message")),
        };
        self.restart();
        done
    }

    /// Reads more of a record. Where it ends, what follows it.
    fn feed<'a>(&mut self, mut bytes: &'a [u8]) -> Option<&'a [u8]> {
        // Nothing would mean the end of the stream.
        while !bytes.is_empty() {
            let (fields, ends) = (&mut self.fields[self.len..], &mut self.ends[self.count..]);
            let (step, taken, written, ended) = self.core.read_record(bytes, fields, ends);
            bytes = &bytes[taken..];
            self.len += written;
            self.count += ended;
            match step {
                Step::InputEmpty => {}
                Step::OutputFull => self.fields.resize(self.fields.len() * 2, 0),
                Step::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                Step::Record | Step::End => return Some(bytes),
            }
        }
        None
    }

    /// Takes the record that was read. Returns whether it is one, and not a header.
    fn record(&mut self, options: &Csv, out: &mut Vec<u8>) -> Result<bool> {
        let text = utf8(&self.fields[..self.len])?;
        if let Some(at) = text.find('\0') {
            return Err(Error::data(format!(
                "NUL in the value {}",
                quote(&text[at..])
            )));
        }
        let ends = &self.ends[..self.count];
        let begins = std::iter::once(&0).chain(ends);
        let values = begins.zip(ends).map(|(from, to)| &text[*from..*to]);
        if std::mem::take(&mut self.skips) {
            return Ok(false);
        }
        let columns = match &self.columns {
            Columns::Known(columns) => columns,
            Columns::Bad(error) => return Err(error.clone()),
            Columns::InHeader => {
                let names: Vec<String> = values.map(str::to_owned).collect();
                return match options.fields(&names) {
                    Ok(columns) => {
                        self.columns = Columns::Known(columns);
                        Ok(false)
                    }
                    Err(error) => {
                        let error = error.within("bad header");
                        self.columns = Columns::Bad(error.clone());
                        Err(error)
                    }
                };
            }
        };
        if ends.len() != columns.len() {
            let (is, expected) = (ends.len(), columns.len());
            let error = format!("{} instead of {expected}", count(is, "field"));
            return Err(Error::data(error)
                .with_hint("put a value with delimiters, quotes or line ends in quotes"));
        }
        if options.header && values.clone().eq(columns.iter().map(Field::name)) {
            return Err(Error::data("the header again"));
        }
        let mut record = Record::begin(out);
        for (column, value) in columns.iter().zip(values) {
            record.add(column, value)?;
        }
        record.end();
        Ok(true)
    }
}

fn count(number: usize, what: &str) -> String {
    match number {
        1 => format!("1 {what}"),
        number => format!("{number} {what}s"),
    }
}

/// The stream or the message has ended within quotes.
pub(super) fn unclosed() -> Error {
    Error::data("a quote is not closed")
}
