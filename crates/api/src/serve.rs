//! The listener. A client that takes nothing for a while is dropped, whatever it
//! asked for: a slow reader of a progress stream holds no memory for ever.

use std::{
    future::Future,
    io,
    net::SocketAddr,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::serve::{Listener, ListenerExt};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    time::{Sleep, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::state::ApiDeps;

/// A write that makes no headway for this long ends the connection.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// After a stop is asked for, open requests have this long.
const GRACE: Duration = Duration::from_secs(10);

/// Serves the API until `shutdown`. Then no new connection is taken, progress streams end with
/// a hint to come back, waits answer with what there is, and open requests have ten seconds.
///
/// # Errors
/// The listener is broken.
pub async fn serve(
    listener: TcpListener,
    deps: ApiDeps,
    shutdown: CancellationToken,
) -> io::Result<()> {
    let router = crate::router_until(deps, shutdown.clone());
    let listener = WriteDeadline {
        listener,
        patience: WRITE_PATIENCE,
    }
    .tap_io(|io: &mut Guarded| {
        if let Err(error) = io.stream.set_nodelay(true) {
            tracing::debug!(%error, "events may be late by the delay of Nagle's algorithm");
        }
    });
    let served =
        axum::serve(listener, router).with_graceful_shutdown(shutdown.clone().cancelled_owned());
    tokio::select! {
        served = served.into_future() => served,
        () = async { shutdown.cancelled().await; sleep(GRACE).await } => {
            tracing::warn!("requests still open after {} s are cut off", GRACE.as_secs());
            Ok(())
        }
    }
}

struct WriteDeadline {
    listener: TcpListener,
    patience: Duration,
}

impl Listener for WriteDeadline {
    type Io = Guarded;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Guarded, SocketAddr) {
        let (stream, addr) = Listener::accept(&mut self.listener).await;
        (
            Guarded {
                stream,
                patience: self.patience,
                waiting: None,
            },
            addr,
        )
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection whose writes have a deadline.
struct Guarded {
    stream: TcpStream,
    patience: Duration,
    /// Runs while a write waits for the reader.
    waiting: Option<Pin<Box<Sleep>>>,
}

impl Guarded {
    fn watch<T>(
        &mut self,
        cx: &mut Context<'_>,
        written: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let patience = self.patience;
        let waiting = self
            .waiting
            .get_or_insert_with(|| Box::pin(sleep(patience)));
        ready!(waiting.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(
            io::ErrorKind::TimedOut,
            "the client takes nothing",
        )))
    }
}

impl AsyncRead for Guarded {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Guarded {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.watch(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.watch(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, body::Body, routing::get};
    use futures::stream;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[tokio::test]
    async fn a_reader_that_takes_nothing_is_dropped() {
        let endless = || async {
            Body::from_stream(stream::repeat_with(|| {
                Ok::<_, io::Error>(vec![b'x'; 65_536])
            }))
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let listener = WriteDeadline {
            listener,
            patience: Duration::from_millis(200),
        };
        let server = tokio::spawn(
            axum::serve(listener, Router::new().route("/", get(endless))).into_future(),
        );

        let mut client = TcpStream::connect(addr).await.unwrap();
        client
            .write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
            .await
            .unwrap();
        // It takes the first bytes, then nothing until the server has given up.
        client.read_exact(&mut [0; 1024]).await.unwrap();
        sleep(Duration::from_millis(600)).await;
        let mut rest = Vec::new();
        let ended =
            tokio::time::timeout(Duration::from_secs(10), client.read_to_end(&mut rest)).await;
        // What was on its way arrives, and then it ends, cleanly or by a reset.
        assert!(ended.is_ok(), "the server still sends");
        server.abort();
    }
}
