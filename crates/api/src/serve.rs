//! The listener. A client that sends nothing or takes nothing for a while is
//! dropped, whatever it asked for: a slow reader of a progress stream holds no
//! memory for ever, and a slow sender no connection.

use std::{io, time::Duration};

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::{state::ApiDeps, write_deadline::WriteDeadline};

/// The head of a request must be there by then. It counts idle time between requests too, so
/// it is what nginx gives an idle connection (75 s, `keepalive_timeout`).
const HEAD_PATIENCE: Duration = Duration::from_secs(75);
/// A write that makes no headway for this long ends the connection.
const WRITE_PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of head that a request may have, and of an answer that wait for a slow reader.
const BUFFER: usize = 64 * 1024;
/// After a stop is asked for, open requests have this long.
const GRACE: Duration = Duration::from_secs(10);
/// After a refused accept (no file descriptors, mostly).
const PAUSE_AFTER_REFUSAL: Duration = Duration::from_millis(200);

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
    let addr = listener.local_addr()?;
    let router = crate::router_until(deps, shutdown.clone());
    tracing::info!(%addr, "the API answers");
    serve_router(listener, router, shutdown, WRITE_PATIENCE).await;
    Ok(())
}

async fn serve_router(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
    write_patience: Duration,
) {
    let open = GracefulShutdown::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = shutdown.cancelled() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection cannot be accepted");
                sleep(PAUSE_AFTER_REFUSAL).await;
                continue;
            }
        };
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "events may be late by the delay of Nagle's algorithm");
        }
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_PATIENCE)
            .max_buf_size(BUFFER)
            .serve_connection(
                TokioIo::new(WriteDeadline::new(stream, write_patience)),
                TowerToHyperService::new(router.clone()),
            );
        let connection = open.watch(connection);
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended early");
            }
        });
    }
    drop(listener);
    tokio::select! {
        () = open.shutdown() => {}
        () = sleep(GRACE) => tracing::warn!("requests still open after {} s are cut off", GRACE.as_secs()),
    }
}

#[cfg(test)]
mod tests {
    use axum::{body::Body, routing::get};
    use futures::stream;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpStream,
    };

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
        let router = Router::new().route("/", get(endless));
        let server = serve_router(
            listener,
            router,
            CancellationToken::new(),
            Duration::from_millis(200),
        );
        let server = tokio::spawn(server);

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
