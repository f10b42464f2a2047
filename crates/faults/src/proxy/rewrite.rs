//! Rewrites what a client says to PostgreSQL (frontend/backend protocol, version 3): the text
//! of a statement in its Parse message, or the moment of a COMMIT. So a product with a bug in
//! a statement is tested without a product that has such a switch.

use std::{
    io::Cursor,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    net::tcp::{OwnedReadHalf, OwnedWriteHalf},
    sync::mpsc,
};

/// What is changed.
#[derive(Debug)]
pub struct Rewriting {
    /// Where a statement contains the first text, it becomes the second.
    pub replace: &'static [(&'static str, &'static str)],
    /// A COMMIT is answered at once and done only after this time, if the client is still there.
    pub commit_later: Option<Duration>,
    /// How often each replacement was made, or, of a bug without one, a COMMIT held back.
    pub hits: &'static [AtomicUsize],
}

/// How the client says that a transaction is to be committed.
const COMMIT: &[u8] = b"COMMIT\0";
/// `CommandComplete` of a COMMIT and `ReadyForQuery` outside a transaction.
const COMMITTED: &[u8] = b"C\0\0\0\x0bCOMMIT\0Z\0\0\0\x05I";

type Wires = (OwnedReadHalf, OwnedWriteHalf);

impl Rewriting {
    /// Carries both ways until an end.
    pub(super) async fn carry(&self, client: Wires, server: Wires) {
        let (from_client, mut to_client) = client;
        let (mut from_server, to_server) = server;
        let (answers, mut told) = mpsc::unbounded_channel::<Answer>();
        let back = async {
            let mut buffer = vec![0; 64 * 1024];
            let mut swallow = 0;
            loop {
                tokio::select! {
                    biased;
                    Some(answer) = told.recv() => match answer {
                        Answer::Say(bytes) => {
                            if to_client.write_all(bytes).await.is_err() { return }
                        }
                        Answer::Swallow(bytes) => swallow += bytes,
                    },
                    read = from_server.read(&mut buffer) => {
                        let Ok(length @ 1..) = read else { return };
                        let skipped = length.min(swallow);
                        swallow -= skipped;
                        if to_client.write_all(&buffer[skipped..length]).await.is_err() { return }
                    }
                }
            }
        };
        tokio::select! {
            _ = self.forward(from_client, to_server, answers) => {}
            () = back => {}
        }
    }

    async fn forward(
        &self,
        mut from: OwnedReadHalf,
        mut to: OwnedWriteHalf,
        answers: mpsc::UnboundedSender<Answer>,
    ) -> std::io::Result<()> {
        // What opens a connection has no type: an SSL request first, then the start itself.
        loop {
            let body = body(&mut from).await?;
            to.write_all(&frame(None, &body)).await?;
            // Protocol 3.0; the requests for encryption have codes of their own.
            if body.starts_with(&[0, 3, 0, 0]) {
                break;
            }
        }
        // What the client said while its commit was held back.
        let mut said_since = Vec::new();
        loop {
            let mut client = Cursor::new(std::mem::take(&mut said_since)).chain(&mut from);
            let kind = client.read_u8().await?;
            let mut body = body(&mut client).await?;
            let (before, _) = client.into_inner();
            let read = usize::try_from(before.position()).unwrap_or(usize::MAX);
            said_since = before.into_inner();
            said_since.drain(..read.min(said_since.len()));
            match kind {
                b'P' => self.reword(&mut body),
                b'Q' if body == COMMIT => {
                    if let Some(later) = self.commit_later {
                        self.hit(0);
                        let said = answers.send(Answer::Say(COMMITTED));
                        // Its end shows only when it is read from, behind all that it still said.
                        let end = end_of(&mut from, &mut said_since);
                        let ended = tokio::time::timeout(later, end).await.is_ok();
                        if ended
                            || said.is_err()
                            || answers.send(Answer::Swallow(COMMITTED.len())).is_err()
                        {
                            return Ok(());
                        }
                    }
                }
                _ => {}
            }
            to.write_all(&frame(Some(kind), &body)).await?;
        }
    }

    fn hit(&self, place: usize) {
        if let Some(hits) = self.hits.get(place) {
            hits.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A Parse message: name, text, types of parameters; the first two end with a zero.
    fn reword(&self, body: &mut Vec<u8>) {
        let mut parts = body.splitn(3, |byte| *byte == 0);
        let (Some(name), Some(text), Some(types)) = (parts.next(), parts.next(), parts.next())
        else {
            return;
        };
        let Ok(mut text) = String::from_utf8(text.to_vec()) else {
            return;
        };
        let mut changed = false;
        for (place, (find, put)) in self.replace.iter().enumerate() {
            if text.contains(find) {
                text = text.replace(find, put);
                changed = true;
                self.hit(place);
            }
        }
        if changed {
            *body = [name, b"\0", text.as_bytes(), b"\0", types].concat();
        }
    }
}

enum Answer {
    Say(&'static [u8]),
    Swallow(usize),
}

/// Returns when the client is gone; what it says until then is kept.
async fn end_of(from: &mut OwnedReadHalf, said: &mut Vec<u8>) {
    while let Ok(1..) = from.read_buf(said).await {}
}

async fn body(from: &mut (impl AsyncRead + Unpin)) -> std::io::Result<Vec<u8>> {
    let length = from.read_u32().await? as usize;
    let mut body = vec![0; length.saturating_sub(4)];
    from.read_exact(&mut body).await?;
    Ok(body)
}

fn frame(kind: Option<u8>, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("PostgreSQL's own limit is 1 GiB");
    let mut frame: Vec<u8> = kind.into_iter().collect();
    frame.extend_from_slice(&length.to_be_bytes());
    frame.extend_from_slice(body);
    frame
}
