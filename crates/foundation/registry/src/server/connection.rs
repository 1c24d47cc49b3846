//! In: accepted sockets. Out: the same, numbered, each with a switch that cuts it. Never: a delay for small answers.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll};

use axum::extract::connect_info::Connected;
use axum::serve::{IncomingStream, Listener};
use futures_util::task::AtomicWaker;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// A connection as requests know it.
#[derive(Clone)]
pub(super) struct Connection {
    /// Counted from 1 for each server.
    pub number: u64,
    cut: Arc<Cut>,
}

#[derive(Default)]
struct Cut {
    done: AtomicBool,
    waker: AtomicWaker,
}

impl Connection {
    /// Breaks the connection in the middle of whatever it carries.
    pub(super) fn cut(&self) {
        self.cut.done.store(true, Ordering::SeqCst);
        self.cut.waker.wake();
    }
}

/// A listener whose connections can be cut.
pub(super) struct Guarding {
    listener: TcpListener,
    count: AtomicU64,
}

impl Guarding {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, count: AtomicU64::new(0) }
    }
}

impl Listener for Guarding {
    type Io = Guarded;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guarded, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        // Answers are written in pieces; Nagle's algorithm would hold the last one back.
        let _ = stream.set_nodelay(true);
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        (Guarded { stream, connection: Connection { number, cut: Arc::default() } }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

impl Connected<IncomingStream<'_, Guarding>> for Connection {
    fn connect_info(stream: IncomingStream<'_, Guarding>) -> Self {
        stream.io().connection.clone()
    }
}

/// A socket with its switch.
pub(super) struct Guarded {
    stream: TcpStream,
    connection: Connection,
}

impl Guarded {
    fn check(&self, context: &Context<'_>) -> io::Result<()> {
        self.connection.cut.waker.register(context.waker());
        if self.connection.cut.done.load(Ordering::SeqCst) {
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(())
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.check(context)?;
        Pin::new(&mut self.stream).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
