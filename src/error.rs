//! One error type for the whole crate: what is wrong, where, and what to do about it.
//!
//! An [`Error`] is opaque and one word wide. It carries a [kind](ErrorKind) that decides the exit
//! code of the command line, a message (lower case, no full stop, the value quoted), the place in
//! a script where there is one, and a hint where one exists. No text of it shows a [secret](crate::secret).

mod text;

use std::fmt;
use std::sync::Arc;
use text::clean;

#[cfg(test)]
pub(crate) use text::QUOTE_LIMIT;
pub(crate) use text::{did_you_mean, quote, quote_bytes, quote_json};

/// The result of everything here that can fail.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What went wrong, as a class: it decides the exit code of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// Something failed while it ran (exit code 1).
    Failed,
    /// A wrong command line (2).
    Usage,
    /// A bad name, link, script, query or event (65).
    Data,
    /// A file that is not there (66).
    NoInput,
    /// A database or broker that does not answer (69).
    Unavailable,
    /// A file that cannot be created (73).
    CannotCreate,
    /// Reading or writing failed (74).
    Io,
    /// A stop whose limit ran out before everything was drained (75).
    DrainTimeout,
    /// A file that another process, or another node, has locked (75).
    Locked,
    /// No permission (77).
    NoPermission,
    /// A bad configuration: a malformed URL, a wrong password (78).
    Config,
    /// Whoever read the output has gone: an end, but no failure (0).
    Closed,
}

impl ErrorKind {
    /// The exit code of a program that ends because of such an error (after `sysexits.h`).
    pub fn exit_code(self) -> u8 {
        match self {
            ErrorKind::Failed => 1,
            ErrorKind::Usage => 2,
            ErrorKind::Data => 65,
            ErrorKind::NoInput => 66,
            ErrorKind::Unavailable => 69,
            ErrorKind::CannotCreate => 73,
            ErrorKind::Io => 74,
            ErrorKind::DrainTimeout | ErrorKind::Locked => 75,
            ErrorKind::NoPermission => 77,
            ErrorKind::Config => 78,
            ErrorKind::Closed => 0,
        }
    }
}

/// An error: kind, message, place, hint, and whether trying again can help.
///
/// ```
/// use tributary::{Error, ErrorKind};
///
/// let error = Error::new(ErrorKind::Data, "no source node \"tickr\"")
///     .with_hint("did you mean \"ticker\"?")
///     .at("net.lua:5");
/// assert_eq!(
///     error.to_string(),
///     "net.lua:5: no source node \"tickr\"; did you mean \"ticker\"?"
/// );
/// ```
#[derive(Clone)]
pub struct Error(Box<Inner>);

#[derive(Clone)]
struct Inner {
    kind: ErrorKind,
    message: String,
    hint: Option<String>,
    place: Option<String>,
    remedy: Remedy,
    /// Whether it is a panic in a node's code.
    panic: bool,
    source: Option<Arc<dyn std::error::Error + Send + Sync>>,
}

/// What can be done about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Remedy {
    /// Reject the event.
    Reject,
    /// Try again.
    Retry,
    /// Try again later, with the node as it is.
    Wait,
    /// End the node.
    End,
}

impl Error {
    /// An error of this kind with this message.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Error(Box::new(Inner {
            kind,
            message: clean(message.into()),
            hint: None,
            place: None,
            remedy: Remedy::Reject,
            panic: false,
            source: None,
        }))
    }

    /// An error in a name, link, script, query or event ([`ErrorKind::Data`]).
    pub fn data(message: impl Into<String>) -> Self {
        Error::new(ErrorKind::Data, message)
    }

    /// An error of what the system answered about a file: the kind follows from `error`, and the
    /// message names `what` (a path, quoted by the caller). It is [retryable](Self::retryable) where the
    /// system is out of file handles or memory, and where a disk is full, or a quota or a limit on the
    /// size of files is reached: there may be room later.
    pub fn io(what: impl fmt::Display, error: &std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match error.kind() {
            Io::NotFound => ErrorKind::NoInput,
            Io::PermissionDenied | Io::ReadOnlyFilesystem => ErrorKind::NoPermission,
            _ => ErrorKind::Io,
        };
        let error_of = Error::new(kind, format!("{what}: {}", system_text(error)));
        let error_of = error_of.with_source(match error.raw_os_error() {
            Some(code) => std::io::Error::from_raw_os_error(code),
            None => error.kind().into(),
        });
        if is_exhausted(error) || is_full(error) {
            error_of.retryable()
        } else {
            error_of
        }
    }

    /// The same error with a hint: what the reader can do about it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.0.hint = Some(clean(hint.into()));
        self
    }

    /// The same error with a hint, where there is one.
    #[must_use]
    pub(crate) fn with_hint_opt(self, hint: Option<String>) -> Self {
        match hint {
            Some(hint) => self.with_hint(hint),
            None => self,
        }
    }

    /// The same error with the place where it arose (`"net.lua:5"`), unless it has one already.
    #[must_use]
    pub fn at(mut self, place: impl Into<String>) -> Self {
        self.0.place.get_or_insert_with(|| clean(place.into()));
        self
    }

    /// The same error with the place where it arose, where that is known.
    #[must_use]
    pub(crate) fn at_opt(self, place: Option<String>) -> Self {
        match place {
            Some(place) => self.at(place),
            None => self,
        }
    }

    /// The same error, whose message is preceded by `what` and a colon.
    #[must_use]
    pub fn within(mut self, what: impl fmt::Display) -> Self {
        self.0.message = clean(format!("{what}: {}", self.0.message));
        self
    }

    /// The same error with its cause, which [`source`](std::error::Error::source) returns. The message is to
    /// contain the text of the cause; a program reads a code from the cause.
    ///
    /// The text of a cause is not searched for secrets: it must not contain any.
    ///
    /// ```
    /// use std::error::Error as _;
    /// use tributary::Error;
    ///
    /// let cause = "x".parse::<u8>().unwrap_err();
    /// let error = Error::data(format!("bad number \"x\": {cause}")).with_source(cause);
    /// assert!(error.source().is_some_and(|cause| cause.is::<std::num::ParseIntError>()));
    /// ```
    #[must_use]
    pub fn with_source(
        mut self,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        self.0.source = Some(cause.into().into());
        self
    }

    /// The same error with another kind.
    #[must_use]
    pub fn with_kind(mut self, kind: ErrorKind) -> Self {
        self.0.kind = kind;
        self
    }

    /// The same error, marked as not the event's fault: the engine opens the node again and feeds
    /// the same batch once more.
    #[must_use]
    pub fn retryable(mut self) -> Self {
        self.0.remedy = Remedy::Retry;
        self
    }

    /// The same error, marked as backpressure: what the node holds is as much as it may hold. The
    /// engine commits what came before the event, and feeds it again after a pause, in which the node
    /// is ticked and gets outcomes.
    #[must_use]
    pub fn busy(mut self) -> Self {
        self.0.remedy = Remedy::Wait;
        self
    }

    /// The same error, marked as the end of the node: no event will fare better. The network stops
    /// and reports it.
    #[must_use]
    pub fn fatal(mut self) -> Self {
        self.0.remedy = Remedy::End;
        self
    }

    /// The same error, marked as a panic in a node's code.
    #[must_use]
    pub(crate) fn of_panic(mut self) -> Self {
        self.0.panic = true;
        self
    }

    /// Whether it is a panic in a node's code.
    pub fn is_panic(&self) -> bool {
        self.0.panic
    }

    /// What class of error this is.
    pub fn kind(&self) -> ErrorKind {
        self.0.kind
    }

    /// What is wrong, without place and hint.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// What the reader can do about it.
    pub fn hint(&self) -> Option<&str> {
        self.0.hint.as_deref()
    }

    /// Where it arose, as `file:line`.
    pub fn place(&self) -> Option<&str> {
        self.0.place.as_deref()
    }

    /// Whether the same call may succeed later (a database that is gone, a broker that is gone).
    pub fn is_retryable(&self) -> bool {
        self.0.remedy == Remedy::Retry
    }

    /// Whether the node takes no event at present.
    pub fn is_busy(&self) -> bool {
        self.0.remedy == Remedy::Wait
    }

    /// Whether the node cannot go on.
    pub fn is_fatal(&self) -> bool {
        self.0.remedy == Remedy::End
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = self.place() {
            write!(f, "{place}: ")?;
        }
        f.write_str(&self.0.message)?;
        match self.hint() {
            Some(hint) => write!(f, "; {hint}"),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.0.kind)
    }
}

/// The cause is an error of the system, of a database or of a parser, if it is known. Its type may change
/// with the version of the crate that it belongs to.
impl std::error::Error for Error {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        let source = self.0.source.as_deref()?;
        Some(source)
    }
}

/// Whether there is no room for what was written.
fn is_full(error: &std::io::Error) -> bool {
    use std::io::ErrorKind as Io;
    matches!(
        error.kind(),
        Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge
    )
}

/// Whether the system is out of file handles, buffers or memory: there may be some later.
pub(crate) fn is_exhausted(error: &std::io::Error) -> bool {
    use rustix::io::Errno;
    let errno = Errno::from_io_error(error);
    errno.is_some_and(|errno| {
        [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM].contains(&errno)
    })
}

/// The system's message of an I/O error, without the number that `std` appends.
fn system_text(error: &std::io::Error) -> String {
    let text = error.to_string();
    match text.find(" (os error") {
        Some(end) => text[..end].to_lowercase(),
        None => text,
    }
}
