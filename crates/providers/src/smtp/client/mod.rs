//! The dialogue with a mail server (RFC 5321), every step with a deadline. It logs in under
//! TLS only, and encrypts or ends where the config asks for encryption.

mod answer;
mod reply;
pub(crate) mod settings;

use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use lettre::Address;
use patchbay_core::{
    failure::FailureKind,
    outbound::{TcpConnection, trust_anchors},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncWriteExt, BufReader},
    time::timeout,
};
use zeroize::Zeroizing;

use super::shape::Mail;
use crate::{error::ProviderError, session::Session};
use answer::{Lost, Stage, refusal};
use reply::{NoReply, Reply};
use settings::{Login, Security};

pub(crate) use settings::Settings;

/// An e-mail is kept by the server before it answers, and a second one is worse than a
/// long wait (RFC 5321, section 4.5.3.2.6, wants ten minutes).
const LONGEST_LAST_WAIT: Duration = Duration::from_secs(300);
/// Everything before the e-mail itself, recipients and all.
const PRELUDE: Duration = Duration::from_secs(150);
/// A farewell that nobody waits for.
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection with its server's words.
pub(crate) struct Dialogue {
    wire: BufReader<TcpConnection>,
    host: String,
    patience: Duration,
    offers: Offers,
}

/// What the server says it can do.
#[derive(Debug, Default)]
struct Offers {
    starttls: bool,
    smtputf8: bool,
    mechanisms: Vec<String>,
}

/// What became of the recipients.
#[derive(Debug, Default)]
pub(crate) struct Recipients {
    pub(crate) accepted: Vec<String>,
    pub(crate) refused: Vec<Value>,
}

impl Dialogue {
    /// Connects, encrypts as the config asks, and logs in where it has a login; under the
    /// circuit breaker of the server.
    pub(crate) async fn open(
        session: &Session,
        settings: &Settings,
    ) -> Result<Self, ProviderError> {
        let begun = within(PRELUDE, settings, Self::begin(session, settings));
        Box::pin(session.guarded(PRELUDE, begun)).await
    }

    async fn begin(session: &Session, settings: &Settings) -> Result<Self, ProviderError> {
        let mut connection = session.dial().await?;
        if settings.security == Security::Tls {
            connection = secured(session, settings, connection).await?;
        }
        let mut dialogue = Self {
            wire: BufReader::new(connection),
            host: settings.host.clone(),
            patience: settings.patience,
            offers: Offers::default(),
        };
        let greeting = dialogue.reply().await?;
        if greeting.code != 220 {
            return Err(refusal(&settings.host, &greeting, Stage::Opening));
        }
        dialogue.hello(settings).await?;
        if settings.security == Security::StartTls {
            dialogue = dialogue.encrypted(session, settings).await?;
            dialogue.hello(settings).await?;
        }
        if let Some(login) = &settings.login {
            dialogue.log_in(login).await?;
        }
        Ok(dialogue)
    }

    /// Says EHLO and reads what the server offers. What it offered before TLS counts no more.
    async fn hello(&mut self, settings: &Settings) -> Result<(), ProviderError> {
        let domain = settings.from.email.domain();
        let name = if domain.is_ascii() {
            domain
        } else {
            "[127.0.0.1]"
        };
        let reply = self.ask(&format!("EHLO {name}")).await?;
        if reply.code != 250 {
            return Err(refusal(&self.host, &reply, Stage::Opening));
        }
        self.offers = Offers::read(&reply);
        Ok(())
    }

    /// The same dialogue under TLS, or none.
    async fn encrypted(
        mut self,
        session: &Session,
        settings: &Settings,
    ) -> Result<Self, ProviderError> {
        if !self.offers.starttls {
            return Err(answer::no_starttls(&self.host));
        }
        let reply = self.ask("STARTTLS").await?;
        if reply.code != 220 {
            return Err(refusal(&self.host, &reply, Stage::Opening));
        }
        // What came in clear behind the agreement must not pass for an answer under TLS
        // (CVE-2011-0411).
        if !self.wire.buffer().is_empty() {
            return Err(answer::spoke_in_clear(&self.host));
        }
        let connection = secured(session, settings, self.wire.into_inner()).await?;
        Ok(Self {
            wire: BufReader::new(connection),
            offers: Offers::default(),
            ..self
        })
    }

    /// PLAIN (RFC 4616), or LOGIN, which some services know alone.
    async fn log_in(&mut self, login: &Login) -> Result<(), ProviderError> {
        if !self.wire.get_ref().is_encrypted() {
            return Err(answer::no_starttls(&self.host));
        }
        let (username, password) = (&login.username, login.password.expose());
        let offered = |name: &str| self.offers.mechanisms.iter().any(|it| it == name);
        let reply = if offered("PLAIN") {
            let plain = Zeroizing::new(format!("\0{username}\0{password}"));
            self.ask_secret(&format!("AUTH PLAIN {}", *encoded(&plain)))
                .await?
        } else if offered("LOGIN") {
            let mut reply = self.ask("AUTH LOGIN").await?;
            for secret in [username.as_str(), password] {
                if reply.code == 334 {
                    reply = self.ask_secret(&encoded(secret)).await?;
                }
            }
            reply
        } else {
            return Err(answer::no_mechanism(&self.host, &self.offers.mechanisms));
        };
        if reply.code == 235 {
            Ok(())
        } else {
            Err(refusal(&self.host, &reply, Stage::Login))
        }
    }

    /// Whether it still listens.
    pub(crate) async fn noop(&mut self) -> Result<(), ProviderError> {
        let reply = self.ask("NOOP").await?;
        if reply.is_done() {
            Ok(())
        } else {
            Err(refusal(&self.host, &reply, Stage::Mail))
        }
    }

    /// Names sender and recipients. Of several recipients some may be refused for good; one
    /// that is refused for now holds up the whole e-mail, so that nobody gets it twice.
    pub(crate) async fn envelope(
        &mut self,
        settings: &Settings,
        mail: &Mail,
    ) -> Result<Recipients, ProviderError> {
        within(PRELUDE, settings, self.name_all(mail)).await
    }

    async fn name_all(&mut self, mail: &Mail) -> Result<Recipients, ProviderError> {
        let is_ascii = |address: &Address| address.to_string().is_ascii();
        let needs_utf8 = !(is_ascii(&mail.from)
            && mail.recipients.iter().all(is_ascii)
            && mail.bytes.is_ascii());
        if needs_utf8 && !self.offers.smtputf8 {
            return Err(answer::no_utf8(&self.host));
        }
        let utf8 = if needs_utf8 {
            " BODY=8BITMIME SMTPUTF8"
        } else {
            ""
        };
        let reply = self
            .ask(&format!("MAIL FROM:<{}>{utf8}", mail.from))
            .await?;
        if !reply.is_done() {
            return Err(refusal(&self.host, &reply, Stage::Mail));
        }
        let mut recipients = Recipients::default();
        let mut last = reply;
        for address in &mail.recipients {
            let reply = self.ask(&format!("RCPT TO:<{address}>")).await?;
            if reply.is_done() {
                recipients.accepted.push(address.to_string());
            } else if reply.is_refusal() && reply.code != 530 {
                recipients.refused.push(json!({
                    "address": address.to_string(),
                    "code": reply.codes(),
                    "message": reply.words(),
                }));
                last = reply;
            } else {
                let mut error = refusal(&self.host, &reply, Stage::Mail);
                error.message = format!("{} ({address})", error.message);
                return Err(error);
            }
        }
        if recipients.accepted.is_empty() {
            let who = recipients.refused.iter();
            let who: Vec<&str> = who.filter_map(|it| it["address"].as_str()).collect();
            let mut error = refusal(&self.host, &last, Stage::Mail);
            error.message = format!("{} (refused: {})", error.message, who.join(", "));
            if error.kind == FailureKind::Invalid {
                error = error.field("/input/to");
            }
            return Err(error);
        }
        Ok(recipients)
    }

    /// Hands the e-mail over. From the line that ends it on, silence means that nobody
    /// knows what became of it.
    pub(crate) async fn content(&mut self, mail: &Mail) -> Result<Reply, ProviderError> {
        let reply = self.ask("DATA").await?;
        if reply.code != 354 {
            return Err(refusal(&self.host, &reply, Stage::Mail));
        }
        let patience = (self.patience * 10).min(LONGEST_LAST_WAIT);
        let stuffed = stuffed(&mail.bytes);
        let sent = timeout(patience, self.write(&stuffed)).await;
        match sent {
            Ok(Ok(())) => {}
            // Without its last line it is no e-mail (RFC 5321, section 4.1.1.4).
            Ok(Err(lost)) => return Err(lost.before_anything(&self.host)),
            Err(_) => return Err(Lost::Late(patience).before_anything(&self.host)),
        }
        let last = async {
            self.write(b".\r\n").await?;
            Reply::read(&mut self.wire).await.map_err(Lost::NoReply)
        };
        let reply = timeout(patience, last)
            .await
            .unwrap_or(Err(Lost::Late(patience)))
            .map_err(|lost| lost.after_the_mail(&self.host, &mail.id))?;
        if reply.is_done() {
            Ok(reply)
        } else if reply.is_later() || reply.is_refusal() {
            Err(refusal(&self.host, &reply, Stage::Mail))
        } else {
            let lost = Lost::NoReply(NoReply::Malformed("an answer out of turn"));
            Err(lost.after_the_mail(&self.host, &mail.id))
        }
    }

    /// Says goodbye. What there was to do is done, so nothing depends on the answer.
    pub(crate) async fn quit(mut self) {
        let farewell = timeout(FAREWELL, self.ask("QUIT")).await;
        if !matches!(farewell, Ok(Ok(_))) {
            tracing::debug!(host = self.host, "no answer to a farewell");
        }
    }

    async fn ask(&mut self, command: &str) -> Result<Reply, ProviderError> {
        self.ask_secret(command).await
    }

    /// A command that may hold a secret: it is in no log and no error.
    async fn ask_secret(&mut self, command: &str) -> Result<Reply, ProviderError> {
        let line = Zeroizing::new(format!("{command}\r\n"));
        let sent = timeout(self.patience, self.write(line.as_bytes())).await;
        sent.unwrap_or(Err(Lost::Late(self.patience)))
            .map_err(|lost| lost.before_anything(&self.host))?;
        self.reply().await
    }

    async fn reply(&mut self) -> Result<Reply, ProviderError> {
        let reply = timeout(self.patience, Reply::read(&mut self.wire)).await;
        let reply = match reply {
            Ok(reply) => reply.map_err(Lost::NoReply),
            Err(_) => Err(Lost::Late(self.patience)),
        };
        reply.map_err(|lost| lost.before_anything(&self.host))
    }

    async fn write(&mut self, bytes: &[u8]) -> Result<(), Lost> {
        let ended = |error| Lost::NoReply(NoReply::Ended(error));
        self.wire.write_all(bytes).await.map_err(ended)?;
        self.wire.flush().await.map_err(ended)
    }
}

impl Offers {
    /// Reads the answer to EHLO (RFC 5321, section 4.1.1.1).
    fn read(reply: &Reply) -> Self {
        let mut offers = Self::default();
        for line in reply.lines.iter().skip(1) {
            let line = line.to_ascii_uppercase();
            // `AUTH=LOGIN` is how servers older than the standard say it.
            let mut words = line.split([' ', '=']).filter(|word| !word.is_empty());
            match words.next() {
                Some("STARTTLS") => offers.starttls = true,
                Some("SMTPUTF8") => offers.smtputf8 = true,
                Some("AUTH") => offers.mechanisms.extend(words.map(str::to_owned)),
                Some(_) | None => {}
            }
        }
        offers
    }
}

async fn secured(
    session: &Session,
    settings: &Settings,
    connection: TcpConnection,
) -> Result<TcpConnection, ProviderError> {
    let anchors = match settings.ca_certificates.as_deref().map(trust_anchors) {
        Some(Ok(anchors)) => Some(anchors),
        Some(Err(invalid)) => {
            let message = format!("The connection's `ca_certificates` {invalid}.");
            return Err(
                ProviderError::invalid(message, "Correct it.").field("/config/ca_certificates")
            );
        }
        None => None,
    };
    let config = session.outbound.tls(anchors).map_err(answer::no_tls)?;
    connection.secured(config).await.map_err(answer::no_tls)
}

async fn within<T>(
    limit: Duration,
    settings: &Settings,
    work: impl Future<Output = Result<T, ProviderError>>,
) -> Result<T, ProviderError> {
    match timeout(limit, work).await {
        Ok(done) => done,
        Err(_) => Err(Lost::Late(limit).before_anything(&settings.host)),
    }
}

fn encoded(secret: &str) -> Zeroizing<String> {
    Zeroizing::new(BASE64_STANDARD.encode(secret))
}

/// The e-mail with a second dot before each line that begins with one (RFC 5321, section
/// 4.5.2), and a line end at its end.
fn stuffed(message: &[u8]) -> Vec<u8> {
    let mut stuffed = Vec::with_capacity(message.len() + message.len() / 64 + 2);
    let mut begins_line = true;
    for byte in message {
        if begins_line && *byte == b'.' {
            stuffed.push(b'.');
        }
        stuffed.push(*byte);
        begins_line = *byte == b'\n';
    }
    if !stuffed.ends_with(b"\r\n") {
        stuffed.extend_from_slice(b"\r\n");
    }
    stuffed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_one_dot_does_not_end_the_mail() {
        assert_eq!(stuffed(b".\r\na\r\n.\r\n"), b"..\r\na\r\n..\r\n");
        assert_eq!(stuffed(b"a.b"), b"a.b\r\n");
    }

    #[test]
    fn offers_are_read_in_any_case() {
        let lines = [
            "mail",
            "starttls",
            "Auth PLAIN Login",
            "AUTH=XOAUTH2",
            "SMTPUTF8",
        ];
        let reply = Reply {
            code: 250,
            lines: lines.map(str::to_owned).to_vec(),
        };
        let offers = Offers::read(&reply);
        assert!(offers.starttls && offers.smtputf8);
        assert_eq!(offers.mechanisms, ["PLAIN", "LOGIN", "XOAUTH2"]);
    }
}
