//! Server-sent events (WHATWG HTML section 9.2), as far as Patchbay sends them.

use std::time::Duration;

use futures::{Stream, StreamExt};
use reqwest::Response;

/// The API says something every 15 s, if only that it is there. Nothing for three times as
/// long: its host has vanished without a word, and would be waited for for ever.
pub const PATIENCE: Duration = Duration::from_secs(45);
/// More than any event of ours: a peer that sends a line longer than this is not Patchbay.
const LONGEST_LINE: usize = 1 << 20;

/// One event.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Event {
    /// Its name; empty for an unnamed one.
    pub name: String,
    /// Its data, lines joined.
    pub data: String,
}

/// Why the stream ended.
#[derive(Debug, thiserror::Error)]
pub enum StreamError {
    /// The connection broke.
    #[error("the stream broke off: {0}")]
    Broken(#[from] reqwest::Error),
    /// Not even a keep-alive came.
    #[error("the stream fell silent: nothing came for {0:?}")]
    Silent(Duration),
    /// No event stream of ours.
    #[error("the stream is none of Patchbay's")]
    Strange,
}

/// Events of an answer, as they come.
pub struct Events {
    bytes: std::pin::Pin<Box<dyn Stream<Item = reqwest::Result<Vec<u8>>> + Send>>,
    parser: Parser,
    patience: Duration,
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Events")
            .field("parser", &self.parser)
            .finish_non_exhaustive()
    }
}

impl Events {
    /// Reads an answer as events. The stream breaks where nothing comes within `patience`.
    pub fn of(answer: Response, patience: Duration) -> Self {
        let bytes = answer.bytes_stream();
        Self::over(bytes.map(|chunk| chunk.map(Vec::from)), patience)
    }

    fn over(
        bytes: impl Stream<Item = reqwest::Result<Vec<u8>>> + Send + 'static,
        patience: Duration,
    ) -> Self {
        Self {
            bytes: Box::pin(bytes),
            parser: Parser::default(),
            patience,
        }
    }

    /// The next event; `None` at the end.
    pub async fn next(&mut self) -> Result<Option<Event>, StreamError> {
        loop {
            if let Some(event) = self.parser.next() {
                return Ok(Some(event));
            }
            let chunk = tokio::time::timeout(self.patience, self.bytes.next());
            let chunk = chunk
                .await
                .map_err(|_| StreamError::Silent(self.patience))?;
            match chunk {
                Some(chunk) => self.parser.feed(&chunk?),
                None => return Ok(None),
            }
            if self.parser.rest.len() > LONGEST_LINE {
                return Err(StreamError::Strange);
            }
        }
    }
}

#[derive(Debug, Default)]
struct Parser {
    /// Bytes of a line that has not ended.
    rest: Vec<u8>,
    event: Event,
    ready: std::collections::VecDeque<Event>,
}

impl Parser {
    fn feed(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
        while let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.rest.drain(..=end).collect();
            let line = String::from_utf8_lossy(&line);
            self.line(line.trim_end_matches(['\n', '\r']));
        }
    }

    fn line(&mut self, line: &str) {
        if line.is_empty() {
            let event = std::mem::take(&mut self.event);
            if !event.data.is_empty() {
                self.ready.push_back(event);
            }
            return;
        }
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => value.clone_into(&mut self.event.name),
            "data" => {
                if !self.event.data.is_empty() {
                    self.event.data.push('\n');
                }
                self.event.data.push_str(value);
            }
            // An empty field is a comment (keep-alive); `id` and `retry` are not needed,
            // because each event is the whole picture.
            _ => {}
        }
    }

    fn next(&mut self) -> Option<Event> {
        self.ready.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn events(chunks: &[&str]) -> Vec<(String, String)> {
        let mut parser = Parser::default();
        chunks
            .iter()
            .for_each(|chunk| parser.feed(chunk.as_bytes()));
        std::iter::from_fn(|| parser.next())
            .map(|event| (event.name, event.data))
            .collect()
    }

    #[test]
    fn events_are_read_however_the_bytes_are_cut() {
        let expected = vec![
            ("job".to_owned(), "{\"a\":1}".to_owned()),
            (String::new(), "x\ny".to_owned()),
        ];
        let text = "retry: 1000\n\n: keep-alive\n\nid: 7\nevent: job\ndata: {\"a\":1}\n\ndata: x\r\ndata:y\r\n\r\n";
        assert_eq!(events(&[text]), expected);
        let letters: Vec<String> = text.chars().map(String::from).collect();
        assert_eq!(
            events(&letters.iter().map(String::as_str).collect::<Vec<_>>()),
            expected
        );
    }

    #[tokio::test]
    async fn a_stream_that_falls_silent_has_broken() {
        let begun = futures::stream::iter([Ok(b"data: 1\n\n".to_vec())]);
        let patience = Duration::from_millis(50);
        let mut events = Events::over(begun.chain(futures::stream::pending()), patience);
        assert_eq!(events.next().await.unwrap().unwrap().data, "1");
        let ended = tokio::time::timeout(Duration::from_secs(60), events.next());
        let ended = ended.await.expect("it is not waited for for ever");
        assert!(matches!(ended, Err(StreamError::Silent(_))), "{ended:?}");
    }

    #[tokio::test]
    async fn keep_alives_hold_a_stream_without_events_open() {
        let spoken = futures::stream::iter(0..30).then(|word| async move {
            tokio::time::sleep(Duration::from_millis(50)).await;
            let text = if word < 29 {
                ": keep-alive\n\n"
            } else {
                "data: 1\n\n"
            };
            Ok(text.as_bytes().to_vec())
        });
        let mut events = Events::over(spoken, Duration::from_secs(1));
        assert_eq!(events.next().await.unwrap().unwrap().data, "1");
    }

    #[test]
    fn an_event_that_has_not_ended_is_not_given() {
        assert_eq!(events(&["data: half\n"]), []);
    }
}
