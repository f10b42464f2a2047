//! Answers of the API as their bytes come, head and all. HTTP/1.0, so that nothing is cut
//! into chunks.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::stage::Fleet;

const PATIENCE: Duration = Duration::from_secs(30);

/// A stream that is being read.
pub struct Recording {
    bytes: Arc<Mutex<Vec<u8>>>,
    reading: JoinHandle<()>,
}

impl Recording {
    /// Begins to read what a path below the API's root answers.
    pub async fn of(fleet: &Fleet, path: &str) -> Self {
        let mut stream = request(fleet, "GET", path, "").await;
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&bytes);
        let reading = tokio::spawn(async move {
            let mut part = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut part).await {
                kept.lock().unwrap().extend_from_slice(&part[..count]);
            }
        });
        Self { bytes, reading }
    }

    /// What has come so far.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    /// Waits until a text has come.
    pub async fn until(&self, text: &str) {
        let come = async {
            while !self.text().contains(text) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        let come = timeout(PATIENCE, come).await;
        assert!(come.is_ok(), "`{text}` did not come: {}", self.text());
    }

    /// Waits until the answer has ended, and gives it.
    pub async fn ended(self) -> String {
        let Self { bytes, reading } = self;
        let ended = timeout(PATIENCE, reading).await;
        ended.expect("the answer ends").unwrap();
        String::from_utf8_lossy(&bytes.lock().unwrap()).into_owned()
    }
}

/// A whole answer.
pub async fn answer(fleet: &Fleet, method: &str, path: &str, body: &str) -> String {
    let mut stream = request(fleet, method, path, body).await;
    let mut bytes = Vec::new();
    let read = timeout(PATIENCE, stream.read_to_end(&mut bytes)).await;
    read.expect("the answer ends").unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    let status = text.split(' ').nth(1).unwrap_or_default();
    assert!(status.starts_with('2'), "{method} {path}: {text}");
    text
}

async fn request(fleet: &Fleet, method: &str, path: &str, body: &str) -> TcpStream {
    let (port, key, length) = (fleet.api_port, &fleet.key, body.len());
    let head = format!(
        "{method} /api/integrations/{path} HTTP/1.0\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\n\
         Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    );
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    stream
}
