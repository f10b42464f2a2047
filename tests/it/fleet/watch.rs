//! Reads a job's progress stream as a browser would: one event after the other.

use std::time::Duration;

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    net::{TcpStream, tcp::OwnedReadHalf},
    time::timeout,
};

/// An open progress stream. What it shows must never go back.
pub struct Watch {
    lines: Lines<BufReader<OwnedReadHalf>>,
    _writer: tokio::net::tcp::OwnedWriteHalf,
    pub done: u64,
}

impl Watch {
    pub async fn open(port: u16, key: &str, job: &str) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
        let (reader, mut writer) = stream.into_split();
        let request = format!(
            "GET /api/integrations/jobs/{job}/events HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\
             Accept: text/event-stream\r\n\r\n"
        );
        writer.write_all(request.as_bytes()).await.unwrap();
        Self {
            lines: BufReader::new(reader).lines(),
            _writer: writer,
            done: 0,
        }
    }

    /// The next picture of the job. Fails if none comes within 30 s, or if progress goes back.
    pub async fn next(&mut self) -> Value {
        let picture = timeout(Duration::from_secs(30), async {
            loop {
                let line = self
                    .lines
                    .next_line()
                    .await
                    .unwrap()
                    .expect("the stream ends with its end event");
                if let Some(data) = line.strip_prefix("data:") {
                    return serde_json::from_str::<Value>(data.trim()).unwrap();
                }
            }
        })
        .await
        .expect("the stream goes on");
        let done = picture["progress"]["done"].as_u64().unwrap_or(self.done);
        assert!(
            done >= self.done,
            "progress went from {} back to {done}",
            self.done
        );
        self.done = done;
        picture
    }

    /// Waits until at least so many records are committed and the job still runs.
    pub async fn until_done(&mut self, records: u64) {
        while self.done < records {
            let picture = self.next().await;
            assert_ne!(
                picture["state"], "succeeded",
                "it ended before it could be disturbed"
            );
        }
    }

    /// Waits for the end; the state.
    pub async fn end(&mut self) -> String {
        loop {
            let picture = self.next().await;
            let state = picture["state"].as_str().unwrap();
            if ["succeeded", "failed", "cancelled", "quarantined"].contains(&state) {
                return state.to_owned();
            }
        }
    }
}
