//! Bounds what comes from a server and was not taken by the node yet. The client reads on a thread of its
//! own and keeps whatever comes, in queues without bound.
//!
//! The invariants: no frame is longer than [`FRAME`], no message longer than [`MESSAGE`], and nothing is
//! read while more than [`UNREAD`] bytes or [`MESSAGES`] messages wait for the node.

use async_rs::traits::{Executor, Reactor, RuntimeKit};
use async_rs::util::Task;
use async_rs::{Runtime, Tokio};
use futures_io::{AsyncRead, AsyncWrite};
use parking_lot::Mutex;
use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker, ready};
use std::time::Duration;

/// The longest frame, in bytes: the default of RabbitMQ.
pub(super) const FRAME: u32 = 131_072;
/// The longest message, in bytes.
const MESSAGE: u64 = UNREAD as u64;
/// How many bytes wait at most: where there are more, at least one message is complete.
const UNREAD: usize = 64 << 20;
/// How many messages wait at most; there are no more under way.
const MESSAGES: usize = u16::MAX as usize;

/// What has come and was not taken.
#[derive(Debug, Default)]
pub(super) struct Intake(Mutex<Unread>);

#[derive(Debug, Default)]
struct Unread {
    messages: usize,
    bytes: usize,
    /// How many bytes may wait beside [`UNREAD`].
    allowed: usize,
    /// The reader that waits for room.
    reader: Option<Waker>,
}

impl Intake {
    /// The node has taken a message of so many bytes.
    pub fn take(&self, bytes: usize) {
        let mut unread = self.0.lock();
        unread.messages = unread.messages.saturating_sub(1);
        unread.bytes = unread.bytes.saturating_sub(bytes);
        unread.let_read();
    }

    /// The node has taken everything.
    pub fn clear(&self) {
        let mut unread = self.0.lock();
        (unread.messages, unread.bytes, unread.allowed) = (0, 0, 0);
        unread.let_read();
    }

    /// So many bytes are sent, all of which the server may return at once.
    pub fn allow(&self, bytes: usize) {
        self.0.lock().allowed = bytes;
    }
}

impl Unread {
    fn is_full(&self) -> bool {
        self.bytes > UNREAD + self.allowed || self.messages > MESSAGES
    }

    fn let_read(&mut self) {
        if !self.is_full()
            && let Some(reader) = self.reader.take()
        {
            reader.wake();
        }
    }
}

/// The runtime of a client whose connection is bounded.
pub(super) fn runtime(intake: &Arc<Intake>) -> Runtime<Kit> {
    Runtime::new(Kit {
        tokio: Tokio::current(),
        intake: intake.clone(),
    })
}

/// What the client runs on: tokio, but for the connection.
#[derive(Clone, Debug)]
pub(super) struct Kit {
    tokio: Tokio,
    intake: Arc<Intake>,
}

impl RuntimeKit for Kit {}

impl Executor for Kit {
    type Task<T: Send + 'static> = <Tokio as Executor>::Task<T>;

    fn block_on<T, F: Future<Output = T>>(&self, f: F) -> T {
        self.tokio.block_on(f)
    }

    fn spawn<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
        &self,
        f: F,
    ) -> Task<Self::Task<T>> {
        self.tokio.spawn(f)
    }

    fn spawn_blocking<T: Send + 'static, F: FnOnce() -> T + Send + 'static>(
        &self,
        f: F,
    ) -> Task<Self::Task<T>> {
        self.tokio.spawn_blocking(f)
    }
}

impl Reactor for Kit {
    type TcpStream = Bounded<<Tokio as Reactor>::TcpStream>;
    type Sleep = <Tokio as Reactor>::Sleep;

    /// The client registers nothing: it connects.
    fn register<H: io::Read + io::Write + Send + 'static>(
        &self,
        _socket: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        let error = io::ErrorKind::Unsupported;
        Err::<Self::TcpStream, _>(error.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.tokio.sleep(duration)
    }

    fn interval(
        &self,
        duration: Duration,
    ) -> impl futures_util::Stream<Item = std::time::Instant> + Send + 'static {
        self.tokio.interval(duration)
    }

    fn tcp_connect_addr(
        &self,
        address: SocketAddr,
    ) -> impl Future<Output = io::Result<Self::TcpStream>> + Send + 'static {
        let (connect, intake) = (self.tokio.tcp_connect_addr(address), self.intake.clone());
        async move {
            Ok(Bounded {
                stream: connect.await?,
                intake,
                frames: Frames::default(),
            })
        }
    }
}

/// A connection that is read only while there is room.
pub(super) struct Bounded<S> {
    stream: S,
    intake: Arc<Intake>,
    frames: Frames,
}

/// Where in a frame the next byte is.
#[derive(Default)]
struct Frames {
    /// The beginning of the frame, as far as it is looked at.
    head: Vec<u8>,
    /// How many bytes of the frame are left, once its length is known.
    left: usize,
}

/// Type, channel and length of a frame.
const HEAD: usize = 7;
/// The head and what is looked at of a frame with a method (class and method), and of one with the
/// properties of a message (class, weight, length of the body).
const METHOD: usize = HEAD + 4;
const PROPERTIES: usize = HEAD + 12;
/// `basic.deliver` and `basic.return`: a message follows.
const DELIVER: &[u8] = &[0, 60, 0, 60];
const RETURN: &[u8] = &[0, 60, 0, 50];

impl Frames {
    fn take(&mut self, mut bytes: &[u8], unread: &mut Unread) -> io::Result<()> {
        while !bytes.is_empty() {
            let looked_at = match self.head.first() {
                _ if self.head.len() < HEAD => HEAD,
                Some(1) => METHOD,
                Some(2) => PROPERTIES,
                _ => HEAD,
            };
            let wanted = looked_at - self.head.len();
            if wanted > 0 && (self.head.len() < HEAD || self.left > 0) {
                let length = wanted.min(bytes.len());
                self.head.extend_from_slice(&bytes[..length]);
                bytes = &bytes[length..];
                self.left = self.left.saturating_sub(length);
                if length == wanted {
                    self.look(unread)?;
                }
                continue;
            }
            let length = self.left.min(bytes.len());
            self.left -= length;
            bytes = &bytes[length..];
            if self.left == 0 {
                self.head.clear();
            }
        }
        Ok(())
    }

    /// The head is complete, or what is looked at behind it.
    fn look(&mut self, unread: &mut Unread) -> io::Result<()> {
        let head = &self.head;
        let kind = head[0];
        if head.len() == HEAD {
            let length = u32::from_be_bytes([head[3], head[4], head[5], head[6]]);
            if length > FRAME {
                return Err(too_long("frame", length.into()));
            }
            // A byte ends it.
            self.left = length as usize + 1;
            if kind == 3 {
                unread.bytes += length as usize;
            }
        } else if kind == 1 && (head.ends_with(DELIVER) || head.ends_with(RETURN)) {
            unread.messages += 1;
        } else if kind == 2 {
            let length = &head[HEAD + 4..];
            let length = length
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
            if length > MESSAGE {
                return Err(too_long("message", length));
            }
        }
        Ok(())
    }
}

fn too_long(what: &str, bytes: u64) -> io::Error {
    let error = format!("the server sends a {what} of {bytes} bytes");
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        {
            let mut unread = this.intake.0.lock();
            if unread.is_full() {
                unread.reader = Some(cx.waker().clone());
                return Poll::Pending;
            }
        }
        let read = ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
        this.frames
            .take(&buffer[..read], &mut this.intake.0.lock())?;
        Poll::Ready(Ok(read))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::{Frames, Unread};

    fn frame(kind: u8, payload: &[u8]) -> Vec<u8> {
        let length = u32::try_from(payload.len()).expect("a short one");
        let mut frame = vec![kind, 0, 1];
        frame.extend(length.to_be_bytes());
        frame.extend(payload);
        frame.push(0xce);
        frame
    }

    fn properties(body: u64) -> Vec<u8> {
        let mut payload = vec![0, 60, 0, 0];
        payload.extend(body.to_be_bytes());
        payload.extend([0, 0]);
        frame(2, &payload)
    }

    /// Messages and bytes that were counted, the same for any division of the bytes.
    fn counted(bytes: &[u8]) -> Option<(usize, usize)> {
        let counted = [1, 3, bytes.len()].map(|size| {
            let (mut frames, mut unread) = (Frames::default(), Unread::default());
            let mut pieces = bytes.chunks(size);
            pieces
                .try_for_each(|piece| frames.take(piece, &mut unread))
                .ok()?;
            Some((unread.messages, unread.bytes))
        });
        assert!(counted.iter().all(|one| *one == counted[0]), "{counted:?}");
        counted[0]
    }

    #[test]
    fn messages_and_their_bytes_are_counted_and_nothing_else() {
        let message = [
            frame(1, &[0, 60, 0, 60, 1, b'c']),
            properties(5),
            frame(3, b"12"),
            frame(8, b""),
            frame(3, b"345"),
        ];
        let mut bytes = message.concat();
        bytes.extend(frame(1, &[0, 60, 0, 80, 0]));
        bytes.extend(message.concat());
        bytes.extend(frame(1, &[0, 60, 0, 50, 0]));
        assert_eq!(counted(&bytes), Some((3, 10)));
    }

    #[test]
    fn a_frame_or_a_message_that_is_too_long_is_refused_at_its_head() {
        assert_eq!(counted(&properties(1 << 40)), None);
        assert_eq!(counted(&[3, 0, 1, 0x7f, 0xff, 0xff, 0xff]), None);
        assert_eq!(counted(&properties(1 << 20)), Some((0, 0)));
    }
}
