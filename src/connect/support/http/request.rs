//! The head of a request, read with `httparse`, and nothing that could be read in two
//! ways: such a request is refused, and its connection closed.

/// The longest head of a request, in bytes.
pub(crate) const LONGEST: usize = 16 << 10;
/// The longest line with the size of a chunk, in bytes.
const LINE: usize = 1024;
/// The most headers.
const HEADERS: usize = 64;
/// The headers that are ambiguous where they are given twice.
const ONCE: [&str; 5] = [
    "authorization",
    "content-length",
    "content-type",
    "expect",
    "host",
];

/// The head of a request.
#[derive(Debug)]
pub(crate) struct Head {
    pub method: String,
    pub path: String,
    pub query: String,
    pub length: Length,
    /// What the header `Authorization: Bearer` brings.
    pub token: Option<Vec<u8>>,
    pub content_type: String,
    /// The server that it is meant for, and the page that it comes from.
    pub host: Option<String>,
    pub origin: Option<String>,
    /// Whether it is of HTTP/1.0.
    pub is_old: bool,
    /// Whether the body comes once it is asked for.
    pub expects: bool,
    pub closes: bool,
}

/// How long a body is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Length {
    Known(usize),
    Chunked,
}

/// Why a request is refused: the status, and a reason.
pub(crate) type Refused = (u16, &'static str);

/// Reads a head; `None` while it is not there yet, and otherwise how long it is too.
pub(crate) fn head(bytes: &[u8]) -> Result<Option<(Head, usize)>, Refused> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS];
    let mut request = httparse::Request::new(&mut headers);
    let size = match request.parse(bytes) {
        Ok(httparse::Status::Complete(size)) if size <= LONGEST => size,
        Ok(httparse::Status::Partial) if bytes.len() < LONGEST => return Ok(None),
        Ok(_) | Err(httparse::Error::TooManyHeaders) => return Err((431, "its head is too long")),
        Err(_) => return Err((400, "it is no request")),
    };
    let is_old = request.version == Some(0);
    let target = request.path.unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut head = Head {
        method: request.method.unwrap_or_default().to_owned(),
        path: path.to_owned(),
        query: query.to_owned(),
        length: Length::Known(0),
        token: None,
        content_type: String::new(),
        host: None,
        origin: None,
        is_old,
        expects: false,
        closes: is_old,
    };
    let (mut known, mut chunked) = (None, false);
    let mut once = Vec::new();
    for header in request.headers.iter() {
        let text = || std::str::from_utf8(header.value).unwrap_or_default().trim();
        let is = |name: &str| header.name.eq_ignore_ascii_case(name);
        if let Some(name) = ONCE.into_iter().find(|name| is(name)) {
            if once.contains(&name) {
                return Err((400, "a header that may be given once is given twice"));
            }
            once.push(name);
        }
        if is("content-length") {
            let digits = text();
            let is_number = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            if !is_number {
                return Err((400, "its length is not one number"));
            }
            // What does not fit is too much in any case.
            known = Some(digits.parse().unwrap_or(usize::MAX));
        } else if is("transfer-encoding") {
            if chunked || is_old || !text().eq_ignore_ascii_case("chunked") {
                return Err((400, "its transfer encoding is not chunked"));
            }
            chunked = true;
        } else if is("authorization") {
            let token = header.value.split_at_checked(7);
            let token = token.filter(|(word, _)| word.eq_ignore_ascii_case(b"bearer "));
            head.token = token.map(|(_, token)| token.trim_ascii().to_vec());
        } else if is("content-type") {
            head.content_type = text().to_ascii_lowercase();
        } else if is("host") {
            head.host = Some(text().to_ascii_lowercase());
        } else if is("origin") {
            head.origin = Some(text().to_ascii_lowercase());
        } else if is("expect") {
            // A client of HTTP/1.0 does not wait for it.
            head.expects = !is_old && text().eq_ignore_ascii_case("100-continue");
        } else if is("connection") {
            head.closes |= text().to_ascii_lowercase().contains("close");
        } else if is("content-encoding") && !text().eq_ignore_ascii_case("identity") {
            return Err((415, "its body is compressed"));
        }
    }
    head.length = match (known, chunked) {
        (Some(_), true) => return Err((400, "it has a length and is chunked")),
        (None, true) => Length::Chunked,
        (Some(length), false) => Length::Known(length),
        (None, false) => Length::Known(0),
    };
    Ok(Some((head, size)))
}

/// Moves whole chunks from the front of `bytes` to `body`. Returns whether that was the last one.
pub(crate) fn chunks(
    bytes: &mut Vec<u8>,
    body: &mut Vec<u8>,
    limit: usize,
) -> Result<bool, Refused> {
    let mut taken = 0;
    let ended = loop {
        let rest = &bytes[taken..];
        let (start, size) = match httparse::parse_chunk_size(rest) {
            // An extension with a line feed would end the line for some parsers.
            Ok(httparse::Status::Complete((start, size)))
                if start <= LINE
                    && rest[0].is_ascii_hexdigit()
                    && !rest[..start - 2].contains(&b'\n') =>
            {
                (start, size)
            }
            Ok(httparse::Status::Partial) if rest.len() < LINE => break false,
            _ => return Err((400, "a chunk has no size")),
        };
        if size > limit as u64 || body.len() + size as usize > limit {
            return Err((413, "the body is too long"));
        }
        let end = start + size as usize;
        let Some(after) = rest.get(end..end + 2) else {
            break false;
        };
        if after != b"\r\n" {
            // Trailers mean nothing here.
            return Err((400, "a chunk has no end"));
        }
        body.extend(&rest[start..end]);
        taken += end + 2;
        if size == 0 {
            break true;
        }
    };
    bytes.drain(..taken);
    Ok(ended)
}

/// Whether two tokens are equal, in constant time.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    let differ = a.iter().zip(b).fold(0, |sum, (a, b)| sum | (a ^ b));
    (a.len() == b.len()) & (std::hint::black_box(differ) == 0)
}
