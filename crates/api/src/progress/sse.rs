//! Server-sent events (HTML standard, section 9.2) over a response body. A stream
//! is polled only when the socket has room, and holds nothing but the latest
//! picture, so a slow reader costs one picture; the listener drops it when
//! nothing could be written for a while.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    body::{Body, Bytes},
    http::{HeaderValue, header},
    response::Response,
};
use futures::{Stream, StreamExt, stream};
use tokio_util::sync::CancellationToken;

use super::{frame::event, hub::JobWatch, org_room::OrgRoom};

/// A comment is sent when nothing else was for this long, so that proxies keep the connection.
/// Clients count on it: ours takes three of them that are missing for a host that has vanished.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How long a client waits before it connects again: the spread of a restart.
const RECONNECT_MS: u32 = 3_000;

/// A response that streams events until their end, or until the key is revoked.
pub fn response(
    events: impl Stream<Item = Bytes> + Send + 'static,
    revoked: impl Future<Output = ()> + Send + 'static,
) -> Response {
    let events = events.take_until(revoked).map(Ok::<_, Infallible>);
    let mut response = Response::new(Body::from_stream(events));
    let headers = response.headers_mut();
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("text/event-stream"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // nginx would hold the events back otherwise.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn keep_alive() -> Bytes {
    Bytes::from_static(b": keep-alive\n\n")
}

fn come_back() -> Bytes {
    Bytes::from(format!("retry: {RECONNECT_MS}\n: the server restarts\n\n"))
}

enum Job {
    Following { watch: JobWatch, first: bool },
    Ending(JobWatch),
    Done,
}

/// A job's stream: its whole picture, every newer one, and `end` after the last.
pub fn job(
    watch: JobWatch,
    shutdown: CancellationToken,
) -> impl Stream<Item = Bytes> + Send + 'static {
    job_alive(watch, shutdown, KEEP_ALIVE)
}

fn job_alive(
    watch: JobWatch,
    shutdown: CancellationToken,
    keep_alive_after: Duration,
) -> impl Stream<Item = Bytes> + Send + 'static {
    stream::unfold(
        (Job::Following { watch, first: true }, shutdown),
        move |(job, shutdown)| async move {
            let (mut watch, first) = match job {
                Job::Done => return None,
                Job::Ending(watch) => {
                    let end = {
                        let frame = watch.borrow();
                        event("end", Some(&frame.id), &frame.view)
                    };
                    return Some((end, (Job::Done, shutdown)));
                }
                Job::Following { watch, first } => (watch, first),
            };
            if !first {
                tokio::select! {
                    changed = watch.changed() => if changed.is_err() {
                        return Some((come_back(), (Job::Done, shutdown)));
                    },
                    () = tokio::time::sleep(keep_alive_after) => {
                        return Some((keep_alive(), (Job::Following { watch, first }, shutdown)));
                    }
                    () = shutdown.cancelled() => return Some((come_back(), (Job::Done, shutdown))),
                }
            }
            let frame = Arc::clone(&watch.borrow_and_update());
            let ended = frame.view.state.is_end();
            let next = if ended {
                Job::Ending(watch)
            } else {
                Job::Following {
                    watch,
                    first: false,
                }
            };
            Some((frame.event.clone(), (next, shutdown)))
        },
    )
}

/// An org's stream: a whole picture first, then what changes.
pub fn org(
    room: Arc<OrgRoom>,
    shutdown: CancellationToken,
) -> impl Stream<Item = Bytes> + Send + 'static {
    org_alive(room, shutdown, KEEP_ALIVE)
}

fn org_alive(
    room: Arc<OrgRoom>,
    shutdown: CancellationToken,
    keep_alive_after: Duration,
) -> impl Stream<Item = Bytes> + Send + 'static {
    let changes = room.changes();
    stream::unfold(
        (room, changes, None, shutdown),
        move |(room, mut changes, seen, shutdown)| async move {
            // With one `None` the stream has said goodbye.
            let seen: Option<u64> = seen;
            if seen == Some(u64::MAX) {
                return None;
            }
            loop {
                let present = *changes.borrow_and_update();
                match seen {
                    None if present > 0 => {
                        let (told, picture) = room.picture();
                        return Some((picture, (room, changes, Some(told), shutdown)));
                    }
                    Some(seen) if present > seen => {
                        if let Some((told, news)) = room.after(seen) {
                            return Some((news, (room, changes, Some(told), shutdown)));
                        }
                    }
                    None | Some(_) => {}
                }
                tokio::select! {
                    changed = changes.changed() => if changed.is_err() {
                        return Some((come_back(), (room, changes, Some(u64::MAX), shutdown)));
                    },
                    () = tokio::time::sleep(keep_alive_after) => {
                        return Some((keep_alive(), (room, changes, seen, shutdown)));
                    }
                    () = shutdown.cancelled() => {
                        return Some((come_back(), (room, changes, Some(u64::MAX), shutdown)));
                    }
                }
            }
        },
    )
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use patchbay_core::{
        clock::{Clock, SystemClock},
        ids::JobId,
        job::{JobKind, JobState, Queue},
        store::job_reads::JobPicture,
    };
    use patchbay_providers::Registry;
    use tokio::sync::watch;

    use super::*;
    use crate::progress::JobFrame;

    const SOON: Duration = Duration::from_millis(20);
    /// Nothing here takes longer, however busy the machine is.
    const LONG: Duration = Duration::from_secs(60);

    fn running() -> JobPicture {
        JobPicture {
            id: JobId::new(&SystemClock),
            org_id: None,
            connection_id: None,
            provider: None,
            kind: JobKind::Sync,
            queue: Queue::Sync,
            lane: None,
            args: serde_json::json!({}),
            state: JobState::Running,
            run_at: SystemClock.now(),
            attempt: 0,
            max_attempts: 4,
            crashes: 0,
            lease_epoch: 1,
            again: false,
            progress: None,
            progress_no: 0,
            result: None,
            error: None,
            requested_by: "test".into(),
            created_at: SystemClock.now(),
            started_at: None,
            finished_at: None,
            discarded_at: None,
        }
    }

    async fn next(events: &mut (impl Stream<Item = Bytes> + Unpin)) -> String {
        let event = tokio::time::timeout(LONG, events.next()).await;
        let event = event.expect("a stream says something").expect("it goes on");
        String::from_utf8(event.to_vec()).expect("events are text")
    }

    #[test]
    fn clients_may_count_on_a_word_every_15_seconds() {
        assert_eq!(KEEP_ALIVE, Duration::from_secs(15));
        assert_eq!(keep_alive(), ": keep-alive\n\n");
    }

    #[tokio::test]
    async fn a_job_without_news_keeps_its_stream_alive_and_goes_on() {
        let (known, mut picture) = (Registry::builtin(), running());
        let frame = JobFrame::of(&known, picture.clone());
        let (shown, watch) = watch::channel(Arc::new(frame));
        let mut events = Box::pin(job_alive(watch, CancellationToken::new(), SOON));
        assert!(next(&mut events).await.starts_with("event: progress\n"));
        for _ in 0..3 {
            let asked = Instant::now();
            assert_eq!(next(&mut events).await, ": keep-alive\n\n");
            assert!(asked.elapsed() >= SOON, "not before its time");
        }
        picture.state = JobState::Succeeded;
        shown.send_replace(Arc::new(JobFrame::of(&known, picture)));
        assert!(next(&mut events).await.contains("\"succeeded\""));
        assert!(next(&mut events).await.starts_with("event: end\n"));
    }

    #[tokio::test]
    async fn an_org_without_news_keeps_its_stream_alive() {
        let room = Arc::new(OrgRoom::default());
        let mut events = Box::pin(org_alive(room, CancellationToken::new(), SOON));
        for _ in 0..3 {
            assert_eq!(next(&mut events).await, ": keep-alive\n\n");
        }
    }
}
