//! One way of a connection that is passed on: bytes from one stream to another. Where a lot passes between two plain streams it
//! goes by a pipe and never comes to this process (splice(2)).

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::{Buf as _, BytesMut};
use rustix::fd::OwnedFd;
use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::{AsyncWrite as _, Interest};
use tokio::net::TcpStream;

use crate::stream::Stream;

/// So many bytes by reads that were filled, and it goes on by a pipe.
const MUCH: usize = 128 << 10;
/// A read that brings as much was filled.
const FILLED: usize = 8 << 10;
/// What a pipe holds.
const PIPE: usize = 256 << 10;
/// Pipes that a worker keeps for the next one.
const KEPT: usize = 32;

/// Which end of it broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// Where the bytes come from.
    Source,
    /// Where they go.
    Sink,
}

/// One way. A quiet one holds no buffer and no pipe.
#[derive(Debug)]
pub(crate) struct Way {
    buffer: BytesMut,
    pipe: Option<Pipe>,
    /// Bytes in it.
    piped: usize,
    passed: u64,
    /// Came by reads that were filled, one after the other.
    streak: usize,
    /// The source has said all.
    ended: bool,
    /// And the sink was told.
    done: bool,
}

impl Way {
    /// Begins with what has come already.
    pub(crate) fn new(begun: BytesMut) -> Self {
        Self { buffer: begun, pipe: None, piped: 0, passed: 0, streak: 0, ended: false, done: false }
    }

    /// How many bytes the sink took.
    pub(crate) fn passed(&self) -> u64 {
        self.passed
    }

    /// Passes on what there is. Ready when all was said.
    pub(crate) fn poll(
        &mut self,
        from: &mut Stream,
        to: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Broken>> {
        while !self.done {
            ready!(self.poll_give(to, cx)).map_err(|_| Broken::Sink)?;
            if self.ended {
                ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(|_| Broken::Sink)?;
                self.done = true;
                break;
            }
            match self.poll_take(from, to, cx) {
                Poll::Ready(Ok(taken)) => self.ended = taken == 0,
                Poll::Ready(Err(_)) => return Poll::Ready(Err(Broken::Source)),
                Poll::Pending => {
                    self.rest();
                    // What TLS still holds back goes out.
                    if let Poll::Ready(Err(_)) = Pin::new(to).poll_flush(cx) {
                        return Poll::Ready(Err(Broken::Sink));
                    }
                    return Poll::Pending;
                }
            }
        }
        self.rest();
        Poll::Ready(Ok(()))
    }

    /// Gives the sink all that was taken.
    fn poll_give(&mut self, to: &mut Stream, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.buffer.is_empty() {
            let given = ready!(Pin::new(&mut *to).poll_write(cx, &self.buffer))?;
            if given == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.buffer.advance(given);
            self.passed += given as u64;
        }
        while self.piped > 0 {
            let (Some(pipe), Stream::Plain(to)) = (&self.pipe, &mut *to) else { break };
            let given = ready!(pipe.poll_pour(to, self.piped, cx))?;
            self.piped -= given;
            self.passed += given as u64;
        }
        Poll::Ready(Ok(()))
    }

    /// Takes more from the source: how much, or 0 at its end.
    fn poll_take(&mut self, from: &mut Stream, to: &Stream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        if self.streak >= MUCH
            && let (Stream::Plain(from), Stream::Plain(_)) = (&mut *from, to)
        {
            if self.pipe.is_none() {
                self.pipe = Pipe::take();
            }
            if let Some(pipe) = &self.pipe {
                self.piped = ready!(pipe.poll_draw(from, cx))?;
                return Poll::Ready(Ok(self.piped));
            }
        }
        let taken = ready!(from.poll_fill(&mut self.buffer, self.streak > 0, cx))?;
        self.streak = if taken >= FILLED { self.streak.saturating_add(taken) } else { 0 };
        Poll::Ready(Ok(taken))
    }

    /// Nothing is on its way: what it took is for others.
    fn rest(&mut self) {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        if self.piped == 0
            && let Some(pipe) = self.pipe.take()
        {
            pipe.keep();
        }
    }
}

/// A pipe between two sockets.
#[derive(Debug)]
struct Pipe {
    read: OwnedFd,
    write: OwnedFd,
}

thread_local! {
    static PIPES: RefCell<Vec<Pipe>> = const { RefCell::new(Vec::new()) };
}

impl Pipe {
    /// An empty one, if the system has one.
    fn take() -> Option<Self> {
        PIPES.with_borrow_mut(Vec::pop).or_else(|| {
            let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
            // The system allows a user only so much in pipes; a smaller one does too.
            let _ = fcntl_setpipe_size(&write, PIPE);
            Some(Self { read, write })
        })
    }

    /// Keeps an empty one for the next who wants one.
    fn keep(self) {
        PIPES.with_borrow_mut(|pipes| {
            if pipes.len() < KEPT {
                pipes.push(self);
            }
        });
    }

    /// Moves into it what has come; it must be empty, so that only the socket can have nothing.
    fn poll_draw(&self, from: &TcpStream, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        loop {
            ready!(from.poll_read_ready(cx))?;
            let drawn =
                from.try_io(Interest::READABLE, || Ok(splice(from, None, &self.write, None, PIPE, flags)?));
            match drawn {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                drawn => return Poll::Ready(drawn),
            }
        }
    }

    /// Moves out of it what the socket takes of so many bytes.
    fn poll_pour(&self, to: &TcpStream, piped: usize, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let flags = SpliceFlags::MOVE | SpliceFlags::NONBLOCK;
        loop {
            ready!(to.poll_write_ready(cx))?;
            let poured =
                to.try_io(Interest::WRITABLE, || Ok(splice(&self.read, None, to, None, piped, flags)?));
            match poured {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                poured => return Poll::Ready(poured),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (near, listener.accept().await.unwrap().0)
    }

    #[test]
    fn everything_passes_in_its_order_a_little_and_a_lot() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            for length in [0, 1, FILLED, MUCH, 16 << 20] {
                let ((mut source, from), (to, mut sink)) = (pair().await, pair().await);
                let sent: Vec<u8> = (0..=250).cycle().take(length).collect();
                let expected = [b"begun ".to_vec(), sent.clone()].concat();
                let source = tokio::spawn(async move {
                    source.write_all(&sent).await.unwrap();
                    source
                });
                let (mut from, mut to) = (Stream::Plain(from), Stream::Plain(to));
                let mut way = Way::new(BytesMut::from(&b"begun "[..]));
                let sink = tokio::spawn(async move {
                    let mut got = vec![0; length + 6];
                    sink.read_exact(&mut got).await.unwrap();
                    (sink, got)
                });
                // Until the sink has all, and then until both have heard of the end.
                let source = tokio::select! {
                    _ = std::future::poll_fn(|cx| way.poll(&mut from, &mut to, cx)) => panic!("nobody has closed"),
                    done = async { (source.await.unwrap(), sink.await.unwrap()) } => {
                        assert_eq!(done.1.1, expected, "of {length} bytes");
                        done.0
                    }
                };
                match length {
                    0 | 1 => assert_eq!(way.streak, 0),
                    // What is between may come in one piece or in many.
                    length => assert!(length < 2 * MUCH || way.streak >= MUCH, "a lot goes by a pipe"),
                }
                assert!(way.pipe.is_none() && way.buffer.capacity() == 0, "a quiet one holds nothing");
                drop(source);
                let ended = std::future::poll_fn(|cx| way.poll(&mut from, &mut to, cx)).await;
                assert_eq!((ended, way.passed()), (Ok(()), expected.len() as u64));
            }
        });
    }
}
