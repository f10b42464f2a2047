//! A server's reply: a code of three digits and its lines (RFC 5321, section 4.2). Reads
//! any bytes to a reply or an error, and never more than a reply may have.

use std::io;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncReadExt};

/// Bytes of a line; the standard allows 512 (RFC 5321, section 4.5.3.1.5).
const LONGEST_LINE: u64 = 2_048;
/// Lines of a reply; an EHLO has a dozen.
const MOST_LINES: usize = 64;
/// Characters that people are shown.
const SHOWN: usize = 300;

/// What a server said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) code: u16,
    pub(crate) lines: Vec<String>,
}

/// Why there is no reply.
#[derive(Debug)]
pub(crate) enum NoReply {
    /// The connection ended.
    Ended(io::Error),
    /// What came is none.
    Malformed(&'static str),
}

impl Reply {
    /// Reads one.
    pub(crate) async fn read(from: &mut (impl AsyncBufRead + Unpin)) -> Result<Self, NoReply> {
        let mut reply: Option<Self> = None;
        loop {
            let line = read_line(from).await?;
            let (code, rest) = split(&line)?;
            let reply = reply.get_or_insert(Self {
                code,
                lines: Vec::new(),
            });
            if reply.code != code {
                return Err(NoReply::Malformed(
                    "lines of one reply with different codes",
                ));
            }
            let more = rest.starts_with('-');
            reply
                .lines
                .push(rest.get(1..).unwrap_or_default().to_owned());
            if !more {
                return Ok(reply.clone());
            }
            if reply.lines.len() >= MOST_LINES {
                return Err(NoReply::Malformed("a reply without end"));
            }
        }
    }

    /// 2xx.
    pub(crate) fn is_done(&self) -> bool {
        self.code / 100 == 2
    }

    /// 4xx: not now.
    pub(crate) fn is_later(&self) -> bool {
        self.code / 100 == 4
    }

    /// 5xx: no.
    pub(crate) fn is_refusal(&self) -> bool {
        self.code / 100 == 5
    }

    /// The enhanced code (RFC 3463), where the first line begins with one.
    pub(crate) fn enhanced(&self) -> Option<&str> {
        let word = self.lines.first()?.split(' ').next()?;
        let parts: Vec<&str> = word.split('.').collect();
        let is_number = |part: &&str| {
            (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
        };
        (parts.len() == 3 && parts.iter().all(is_number)).then_some(word)
    }

    /// Both codes: `550 5.1.1`.
    pub(crate) fn codes(&self) -> String {
        match self.enhanced() {
            Some(enhanced) => format!("{} {enhanced}", self.code),
            None => self.code.to_string(),
        }
    }

    /// What it says, on one line and cut to what a person reads.
    pub(crate) fn words(&self) -> String {
        let joined = format!("{} {}", self.code, self.lines.join(" "));
        let clean = joined.chars().map(|c| if c.is_control() { ' ' } else { c });
        let words: String = clean.take(SHOWN).collect();
        words.trim().to_owned()
    }
}

async fn read_line(from: &mut (impl AsyncBufRead + Unpin)) -> Result<String, NoReply> {
    let mut line = Vec::new();
    let mut limited = from.take(LONGEST_LINE);
    limited
        .read_until(b'\n', &mut line)
        .await
        .map_err(NoReply::Ended)?;
    if line.pop() != Some(b'\n') {
        return Err(if limited.limit() == 0 {
            NoReply::Malformed("a line without end")
        } else {
            NoReply::Ended(io::ErrorKind::UnexpectedEof.into())
        });
    }
    Ok(String::from_utf8_lossy(&line)
        .trim_end_matches('\r')
        .to_owned())
}

fn split(line: &str) -> Result<(u16, &str), NoReply> {
    const NO_CODE: NoReply = NoReply::Malformed("a line without a code");
    let (code, rest) = line.split_at_checked(3).ok_or(NO_CODE)?;
    let is_code = code.bytes().all(|byte| byte.is_ascii_digit());
    let code: u16 = code.parse().map_err(|_| NO_CODE)?;
    let is_separated = rest.is_empty() || rest.starts_with([' ', '-']);
    if is_code && (200..600).contains(&code) && is_separated {
        Ok((code, rest))
    } else {
        Err(NO_CODE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(mut text: &[u8]) -> Result<Reply, NoReply> {
        Reply::read(&mut text).await
    }

    #[tokio::test]
    async fn a_reply_has_one_code_and_any_lines() {
        let reply = read(b"250-mail.example\r\n250-SIZE 100\r\n250 STARTTLS\r\n")
            .await
            .unwrap();
        assert_eq!(reply.code, 250);
        assert_eq!(reply.lines, ["mail.example", "SIZE 100", "STARTTLS"]);
        assert_eq!(read(b"250\n").await.unwrap().lines, [""]);
    }

    #[tokio::test]
    async fn the_enhanced_code_is_told_where_it_is_one() {
        let reply = read(b"550 5.1.1 No such user\r\n").await.unwrap();
        assert_eq!(reply.codes(), "550 5.1.1");
        assert_eq!(reply.words(), "550 5.1.1 No such user");
        assert_eq!(read(b"550 5.1 what\r\n").await.unwrap().codes(), "550");
    }

    #[tokio::test]
    async fn what_is_no_reply_is_an_error_and_never_more_than_a_line_in_memory() {
        let endless = vec![b'2'; 1_000_000];
        let many = b"250-x\r\n".repeat(1_000);
        let broken: [&[u8]; 8] = [
            b"hello\r\n",
            b"99 x\r\n",
            b"999 x\r\n",
            b"250x\r\n",
            b"250-a\r\n251 b\r\n",
            "25é x\r\n".as_bytes(),
            &endless,
            &many,
        ];
        for text in broken {
            assert!(matches!(read(text).await, Err(NoReply::Malformed(_))));
        }
        for cut in [&b""[..], b"250", b"250-a\r\n"] {
            assert!(matches!(read(cut).await, Err(NoReply::Ended(_))));
        }
    }
}
