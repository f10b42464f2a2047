//! The client side: Patchbay's own API over HTTP, and nothing else. Answers are kept
//! as the API gave them, for `--output json`, and read into the small shapes of this
//! folder where people see them.

use std::time::{Duration, Instant};

use patchbay_core::{config::Inputs, secret::Secret};
use reqwest::{Method, Response, StatusCode, header};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use url::Url;
use uuid::Uuid;

use crate::exit::{Exit, Outcome, Stop};

pub mod connection;
pub mod consent;
pub mod job;
pub mod pages;
mod problem;
pub mod record;
pub mod sse;
mod target;

/// Where the API's routes live.
const BASE: &str = "/api/integrations";
const CONNECT_WITHIN: Duration = Duration::from_secs(5);
/// `?wait=` may hold an answer back for 60 s.
const ANSWER_WITHIN: Duration = Duration::from_secs(75);
/// How long a request is repeated while the API says that its database is away.
const PATIENCE: Duration = Duration::from_secs(15);

/// A key and where it belongs.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: Url,
    key: Secret,
    /// After how long a stream that says nothing has broken.
    patience: Duration,
}

/// An answer: as it came, and as the command reads it.
#[derive(Debug, Clone)]
pub struct Answer<T> {
    /// The API's own JSON.
    pub json: Value,
    /// What the command needs of it.
    pub view: T,
}

impl Client {
    /// A client for the Patchbay that flags, variables or the data folder name.
    pub fn find(inputs: &Inputs, url: Option<&str>, key: Option<&str>) -> Outcome<Self> {
        let target = target::find(inputs, url, key)?;
        Self::new(target.url, target.key)
    }

    /// A client for this address.
    pub fn new(url: Url, key: Secret) -> Outcome<Self> {
        #[expect(
            clippy::disallowed_methods,
            reason = "talks to Patchbay itself, never to a provider"
        )]
        let http = reqwest::Client::builder()
            .user_agent(concat!("patchbay-cli/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT_WITHIN)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| Stop::internal(format!("starting the HTTP client: {error}")))?;
        Ok(Self {
            http,
            url,
            key,
            patience: sse::PATIENCE,
        })
    }

    /// The same that gives up a silent stream after another time.
    #[cfg(test)]
    pub fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// The address it talks to.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// `GET` under the base.
    pub async fn get<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
    ) -> Outcome<Answer<T>> {
        read(
            self.send(Method::GET, path, query, None::<&()>, Some(ANSWER_WITHIN))
                .await?,
        )
        .await
    }

    /// `POST` under the base.
    pub async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, String)],
        body: &impl Serialize,
    ) -> Outcome<Answer<T>> {
        read(
            self.send(Method::POST, path, query, Some(body), Some(ANSWER_WITHIN))
                .await?,
        )
        .await
    }

    /// `PUT` under the base.
    pub async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Outcome<Answer<T>> {
        read(
            self.send(Method::PUT, path, &[], Some(body), Some(ANSWER_WITHIN))
                .await?,
        )
        .await
    }

    /// `PATCH` under the base.
    pub async fn patch<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Outcome<Answer<T>> {
        read(
            self.send(Method::PATCH, path, &[], Some(body), Some(ANSWER_WITHIN))
                .await?,
        )
        .await
    }

    /// `DELETE` under the base.
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Outcome<Answer<T>> {
        read(
            self.send(Method::DELETE, path, &[], None::<&()>, Some(ANSWER_WITHIN))
                .await?,
        )
        .await
    }

    /// `GET` of a stream of events, which has no end of its own. It begins, and goes on, or
    /// has broken.
    pub async fn stream(&self, path: &str) -> Outcome<sse::Events> {
        let answer = self.send(Method::GET, path, &[], None::<&()>, None);
        let answer = tokio::time::timeout(self.patience, answer).await;
        let answer = answer.map_err(|_| {
            let words = format!(
                "Patchbay does not answer at {}: nothing came for {:?}",
                self.url, self.patience
            );
            Stop::new(Exit::Unreachable, words)
        })??;
        if answer.status().is_success() {
            Ok(sse::Events::of(answer, self.patience))
        } else {
            Err(problem::of(answer).await)
        }
    }

    /// What `/readyz` says, with its status.
    pub async fn readiness(&self) -> Outcome<(StatusCode, String)> {
        let url = self.url.join("/readyz").map_err(Stop::usage)?;
        let answer = self
            .http
            .get(url)
            .timeout(CONNECT_WITHIN)
            .send()
            .await
            .map_err(|error| self.silent(&error))?;
        let status = answer.status();
        Ok((
            status,
            answer.text().await.map_err(|error| self.silent(&error))?,
        ))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        query: &[(&str, String)],
        body: Option<&impl Serialize>,
        within: Option<Duration>,
    ) -> Outcome<Response> {
        let mut url = self
            .url
            .join(&format!("{BASE}{path}"))
            .map_err(Stop::usage)?;
        if !query.is_empty() {
            url.query_pairs_mut()
                .extend_pairs(query.iter().map(|(name, value)| (*name, value.as_str())));
        }
        // Makes a repeat of a POST harmless, also where the first one was done after all.
        let key = Uuid::now_v7().to_string();
        let give_up = Instant::now() + PATIENCE;
        loop {
            let mut request = self
                .http
                .request(method.clone(), url.clone())
                .bearer_auth(self.key.expose());
            if method == Method::POST {
                request = request.header("Idempotency-Key", &key);
            }
            if let Some(within) = within {
                request = request.timeout(within);
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            let answer = request.send().await.map_err(|error| self.away(&error))?;
            match pause_asked(&answer) {
                Some(pause) if Instant::now() + pause < give_up => tokio::time::sleep(pause).await,
                Some(_) | None => return Ok(answer),
            }
        }
    }

    fn away(&self, error: &reqwest::Error) -> Stop {
        let stop = self.silent(error);
        Stop::new(
            stop.exit,
            format!("{stop}. Does it run? `patchbay doctor` looks closer"),
        )
    }

    fn silent(&self, error: &reqwest::Error) -> Stop {
        let mut cause: &dyn std::error::Error = error;
        while let Some(deeper) = cause.source() {
            cause = deeper;
        }
        let words = format!("Patchbay does not answer at {}: {cause}", self.url);
        Stop::new(Exit::Unreachable, words)
    }
}

/// How long the API asks to wait before the request is sent again: its database is away.
fn pause_asked(answer: &Response) -> Option<Duration> {
    if answer.status() != StatusCode::SERVICE_UNAVAILABLE {
        return None;
    }
    let after = answer.headers().get(header::RETRY_AFTER)?;
    after.to_str().ok()?.parse().ok().map(Duration::from_secs)
}

async fn read<T: DeserializeOwned>(answer: Response) -> Outcome<Answer<T>> {
    if !answer.status().is_success() {
        return Err(problem::of(answer).await);
    }
    let text = answer
        .text()
        .await
        .map_err(|error| Stop::new(Exit::Unreachable, format!("the answer broke off: {error}")))?;
    let json: Value = match text.is_empty() {
        true => Value::Null,
        false => serde_json::from_str(&text).map_err(|error| strange(&error))?,
    };
    let view = T::deserialize(&json).map_err(|error| strange(&error))?;
    Ok(Answer { json, view })
}

fn strange(error: &serde_json::Error) -> Stop {
    Stop::internal(format!(
        "the answer is not one of this version of Patchbay ({error}): do both sides have the same version?"
    ))
}

#[cfg(test)]
mod tests {
    use std::{
        io::{Read as _, Write as _},
        net::TcpListener,
        thread,
    };

    use serde_json::json;

    use super::*;

    /// What the header says in the requests, which are answered in turn.
    fn keys_seen(listener: &TcpListener, answers: [&str; 2]) -> Vec<String> {
        let keys = answers.into_iter().filter_map(|answer| {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            let mut some = [0; 1024];
            while !request.ends_with(b"{}") {
                let read = stream.read(&mut some).unwrap();
                assert!(read > 0, "the request broke off");
                request.extend_from_slice(&some[..read]);
            }
            stream.write_all(answer.as_bytes()).unwrap();
            let request = String::from_utf8(request).unwrap();
            let mut lines = request.lines();
            lines.find_map(|line| line.strip_prefix("idempotency-key: ").map(str::to_owned))
        });
        keys.collect()
    }

    #[tokio::test]
    async fn a_request_is_repeated_under_its_key_while_the_database_is_away() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            keys_seen(
                &listener,
                [
                    "HTTP/1.1 503 Service Unavailable\r\nRetry-After: 0\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
                ],
            )
        });
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let client = Client::new(url.parse().unwrap(), Secret::new("key")).unwrap();
        let answer: Answer<Value> = client.post("/x", &[], &json!({})).await.unwrap();
        assert_eq!(answer.json, json!({}));
        let keys = server.join().unwrap();
        assert_eq!(keys.len(), 2);
        assert_eq!(keys[0], keys[1]);
    }
}
