//! Following jobs to their ends on a terminal: the progress stream of each job feeds
//! one screen. Every event is the whole picture, so a stream that broke is simply
//! opened again and nothing is missed.

use futures::future::try_join_all;
use patchbay_core::{ids::JobId, job::JobState};
use tokio::sync::mpsc;

use crate::{
    client::{Client, job::Job, sse::Events},
    exit::{Exit, Outcome, Stop},
    output::Format,
    serve::patience::Backoff,
};

mod bars;
mod lines;
mod screen;
pub mod words;

use screen::Screen;

/// A screen that is slower than its jobs holds them back here, never in memory.
const UPDATES_WAITING: usize = 64;

/// What a job's follower tells the screen.
#[derive(Debug)]
enum Update {
    /// Its present picture.
    Picture(Box<Job>),
    /// The stream broke; it is opened again.
    Broken(String),
}

/// Follows jobs to their ends and shows them. Success: every job succeeded.
pub async fn to_the_end(client: &Client, jobs: Vec<Job>, format: Format) -> Outcome<Vec<Job>> {
    let ended = tokio::select! {
        ended = watch_all(client, jobs, format) => ended?,
        interrupted = tokio::signal::ctrl_c() => {
            interrupted?;
            return Err(Stop::new(Exit::Interrupted, "not watching any more; the jobs go on. See `patchbay jobs`"));
        }
    };
    verdict(&ended)?;
    Ok(ended)
}

async fn watch_all(client: &Client, jobs: Vec<Job>, format: Format) -> Outcome<Vec<Job>> {
    let (updates, mut arriving) = mpsc::channel(UPDATES_WAITING);
    let mut screen = Screen::new(format, &jobs);
    let followers = jobs
        .iter()
        .map(|job| follow(client, job.id, updates.clone()));
    let following = try_join_all(followers);
    drop(updates);
    let showing = async {
        while let Some((id, update)) = arriving.recv().await {
            match update {
                Update::Picture(job) => screen.show(&job)?,
                Update::Broken(why) => screen.broken(id, &why),
            }
        }
        Ok::<Screen, Stop>(screen)
    };
    let (ended, screen) = tokio::try_join!(following, showing)?;
    screen.close();
    Ok(ended)
}

/// Reads a job's stream to its end, opening it again as often as it breaks.
async fn follow(
    client: &Client,
    id: JobId,
    updates: mpsc::Sender<(JobId, Update)>,
) -> Outcome<Job> {
    let path = format!("/jobs/{id}/events");
    let mut backoff = Backoff::default();
    loop {
        let why = match client.stream(&path).await {
            Ok(events) => {
                backoff = Backoff::default();
                match read(events, id, &updates).await {
                    Ok(job) => return Ok(job),
                    Err(why) => why,
                }
            }
            Err(stop) if stop.exit == Exit::Unreachable => stop.to_string(),
            Err(stop) => return Err(stop),
        };
        tell(&updates, id, Update::Broken(why)).await;
        tokio::time::sleep(backoff.next_wait()).await;
    }
}

async fn read(
    mut events: Events,
    id: JobId,
    updates: &mpsc::Sender<(JobId, Update)>,
) -> Result<Job, String> {
    loop {
        let event = events.next().await.map_err(|error| error.to_string())?;
        let event = event.ok_or("the server ended the stream")?;
        let job: Job = serde_json::from_str(&event.data)
            .map_err(|error| format!("an event cannot be read: {error}"))?;
        tell(updates, id, Update::Picture(Box::new(job.clone()))).await;
        // A parked job goes on when somebody gives the connection a working credential.
        if job.state.is_end() || job.state == JobState::Parked {
            return Ok(job);
        }
    }
}

async fn tell(updates: &mpsc::Sender<(JobId, Update)>, id: JobId, update: Update) {
    // A screen that has ended (a closed pipe) ends the program by itself.
    drop(updates.send((id, update)).await);
}

/// One line per job that did not succeed.
fn verdict(ended: &[Job]) -> Outcome {
    let unsuccessful: Vec<String> = ended
        .iter()
        .filter(|job| job.state != JobState::Succeeded)
        .map(words::why_not)
        .collect();
    if unsuccessful.is_empty() {
        Ok(())
    } else {
        Err(Stop::new(Exit::JobEnded, unsuccessful.join("\n")))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::{BufRead as _, BufReader, Write as _},
        net::{TcpListener, TcpStream},
        thread,
        time::Duration,
    };

    use patchbay_core::secret::Secret;
    use serde_json::json;

    use super::*;

    const ID: &str = "019ab2c3-7d4e-7f00-8000-000000000000";
    const HEAD: &str =
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";

    fn event(state: &str) -> String {
        let job = json!({
            "id": ID, "kind": "sync", "state": state, "args": {}, "attempt": 0,
            "max_attempts": 4, "created_at": "2026-01-01T00:00:00Z",
        });
        format!("event: progress\ndata: {job}\n\n")
    }

    /// Answers the first request with what it has so far, the second with nothing, later ones
    /// with the end. No connection is closed.
    fn speak(listener: &TcpListener) {
        let mut open = Vec::<TcpStream>::new();
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            while lines.next().is_some_and(|line| !line.unwrap().is_empty()) {}
            let answer = match open.len() {
                0 => format!("{HEAD}{}", event("running")),
                1 => String::new(),
                _ => format!("{HEAD}{}", event("succeeded")),
            };
            stream.write_all(answer.as_bytes()).unwrap();
            open.push(stream);
        }
    }

    /// As behind a host that was switched off: no end of the connection ever arrives.
    #[tokio::test]
    async fn a_stream_that_fell_silent_is_opened_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        thread::spawn(move || speak(&listener));
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let client = Client::new(url.parse().unwrap(), Secret::new("key")).unwrap();
        let client = client.with_patience(Duration::from_millis(500));
        let (updates, mut arriving) = mpsc::channel(UPDATES_WAITING);
        let following = follow(&client, ID.parse().unwrap(), updates);
        let ended = tokio::time::timeout(Duration::from_secs(60), following);
        let ended = ended.await.expect("it is not waited for for ever").unwrap();
        assert_eq!(ended.state, JobState::Succeeded);
        let mut broken = Vec::new();
        while let Some((_, update)) = arriving.recv().await {
            if let Update::Broken(why) = update {
                broken.push(why);
            }
        }
        assert!(broken.len() >= 2, "{broken:?}");
        let silent = |why: &String| why.contains("nothing came for 500ms");
        assert!(broken.iter().all(silent), "{broken:?}");
    }
}
