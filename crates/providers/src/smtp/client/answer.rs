//! What a server's replies mean for the work and for the connection. Reply codes: RFC 5321,
//! section 4.2; enhanced codes: RFC 3463 and RFC 4954.

use std::time::Duration;

use patchbay_core::{failure::FailureKind, outbound::OutboundError};

use super::reply::{NoReply, Reply};
use crate::error::ProviderError;

/// How long a mail service's own limit of a day is waited out before it is asked again.
const OVER_THEIR_LIMIT: Duration = Duration::from_secs(3600);

/// Where in the dialogue a reply came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Its greeting, EHLO, STARTTLS.
    Opening,
    /// User name and password.
    Login,
    /// Sender, recipients or the e-mail.
    Mail,
}

/// Why the server gave no reply to go on with.
#[derive(Debug)]
pub(crate) enum Lost {
    NoReply(NoReply),
    Late(Duration),
}

impl Lost {
    /// What it means as long as nothing was handed over.
    pub(crate) fn before_anything(self, host: &str) -> ProviderError {
        const IF_IT_LASTS: &str =
            "Look at the mail server, or at its service's status page, if it lasts.";
        let is_down = !matches!(self, Self::NoReply(NoReply::Malformed(_)));
        let mut error = match self {
            Self::Late(patience) => ProviderError::new(
                FailureKind::Timeout,
                format!("{host} gave no answer within {} s.", patience.as_secs()),
                IF_IT_LASTS,
            ),
            Self::NoReply(NoReply::Ended(error)) => ProviderError::new(
                FailureKind::ProviderDown,
                format!("{host} ended the connection: {error}."),
                IF_IT_LASTS,
            ),
            Self::NoReply(NoReply::Malformed(what)) => ProviderError::new(
                FailureKind::Protocol,
                format!("{host} answered what is no SMTP: {what}."),
                "Check host, port and encryption: behind the port may be another service, or one that expects `tls`.",
            ),
        };
        error.host_is_down = is_down;
        error
    }

    /// What it means once the e-mail was handed over.
    pub(crate) fn after_the_mail(self, host: &str, id: &str) -> ProviderError {
        let how = match self {
            Self::Late(patience) => format!("gave no answer within {} s", patience.as_secs()),
            Self::NoReply(NoReply::Ended(error)) => format!("ended the connection ({error})"),
            Self::NoReply(NoReply::Malformed(what)) => format!("answered what is no SMTP ({what})"),
        };
        ProviderError::new(
            FailureKind::UnknownOutcome,
            format!("{host} {how} after it had the whole e-mail: it may or may not be on its way."),
            format!(
                "Look for Message-ID {id} at the server or the recipient. If it is not there, retry the job: the e-mail keeps that id."
            ),
        )
    }
}

/// A reply that ends the dialogue.
pub(crate) fn refusal(host: &str, reply: &Reply, stage: Stage) -> ProviderError {
    let said = reply.words();
    let (kind, message, action) = if reply.is_later() {
        (
            FailureKind::ProviderDown,
            format!("{host} does not take it now: {said}"),
            "It is tried again by itself.".to_owned(),
        )
    } else if is_login_refused(reply, stage) {
        (
            FailureKind::Auth,
            format!("{host} refuses the login: {said}"),
            "Correct user name and password; many services want an app password or API key here."
                .to_owned(),
        )
    } else if is_over_limit(reply) {
        (
            FailureKind::RateLimited,
            format!("{host} takes no more e-mails from this account for now: {said}"),
            "It is tried again in an hour. Set daily_limit below the service's own limit."
                .to_owned(),
        )
    } else if reply.is_refusal() && stage == Stage::Mail {
        (
            FailureKind::Invalid,
            format!("{host} refuses the e-mail: {said}"),
            "The server says why; correct sender, recipients or text.".to_owned(),
        )
    } else if reply.is_refusal() {
        (
            FailureKind::ProviderDown,
            format!("{host} refuses to serve this client: {said}"),
            "The server says why; ask whoever runs it to let this machine in.".to_owned(),
        )
    } else {
        (
            FailureKind::Protocol,
            format!("{host} gave an answer out of turn: {said}"),
            "If it stays, the server does not follow the standard.".to_owned(),
        )
    };
    let mut error = ProviderError::new(kind, message, action).code(reply.codes());
    // Like a 503: 421 and its kin before anybody has logged in.
    error.host_is_down = reply.is_later() && stage == Stage::Opening;
    if kind == FailureKind::RateLimited {
        error.retry_after = Some(OVER_THEIR_LIMIT);
    }
    error
}

/// 530 authentication required, 534 mechanism too weak, 535 invalid, 538 encryption required
/// (RFC 4954, section 6); and any other refusal but of the command itself (500 to 504).
fn is_login_refused(reply: &Reply, stage: Stage) -> bool {
    match reply.code {
        530 | 534 | 535 | 538 => true,
        500..=504 => false,
        _ => stage == Stage::Login && reply.is_refusal(),
    }
}

/// `550 5.4.5 Daily user sending limit exceeded`
/// (<https://support.google.com/a/answer/3726730>).
fn is_over_limit(reply: &Reply) -> bool {
    reply.is_refusal() && reply.enhanced() == Some("5.4.5")
}

/// The server does not say that it encrypts.
pub(crate) fn no_starttls(host: &str) -> ProviderError {
    ProviderError::invalid(
        format!("{host} does not offer STARTTLS, so nothing was sent: neither password nor e-mail goes out in clear."),
        "Choose `tls` and its port (465) if the server encrypts from the start, or ask whoever runs it.",
    )
    .field("/config/security")
}

/// It agreed to encrypt and went on in clear: somebody on the way speaks for it.
pub(crate) fn spoke_in_clear(host: &str) -> ProviderError {
    ProviderError::protocol(format!(
        "{host} went on in clear after it had agreed to encrypt, so nothing was sent: somebody on the way may speak for it."
    ))
}

/// No way to log in that is known here.
pub(crate) fn no_mechanism(host: &str, offered: &[String]) -> ProviderError {
    let offered = if offered.is_empty() {
        "none".to_owned()
    } else {
        offered.join(", ")
    };
    ProviderError::invalid(
        format!("{host} offers no way to log in that Patchbay knows (PLAIN, LOGIN); it offers: {offered}."),
        "Leave user name and password out if the server asks for none.",
    )
    .field("/config/username")
}

/// The same as for any address, and what to do about a certificate.
pub(crate) fn no_tls(error: OutboundError) -> ProviderError {
    let is_tls = matches!(error, OutboundError::Tls { .. });
    let mut error = ProviderError::from(error);
    if is_tls {
        // A wrong `ca_certificates` or `security` of one connection is no fault of the host.
        error.host_is_down = false;
        error.action = "Give the host as the server's certificate names it. If the certificate comes from an authority of your own, \
            put that into ca_certificates. With port 465 the encryption is `tls`, with 587 `starttls`.".into();
    }
    error
}

/// An address or a text in letters that the server cannot take.
pub(crate) fn no_utf8(host: &str) -> ProviderError {
    ProviderError::invalid(
        format!("{host} takes no addresses with other than ASCII letters (SMTPUTF8)."),
        "Use the address's ASCII form (punycode), or another mail server.",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(code: u16, line: &str, stage: Stage) -> FailureKind {
        let lines = vec![line.to_owned()];
        refusal("mail.example", &Reply { code, lines }, stage).kind
    }

    #[test]
    fn a_reply_means_what_the_standard_says() {
        use FailureKind as K;
        let table = [
            (421, "4.3.2 closing", Stage::Opening, K::ProviderDown),
            (554, "no service", Stage::Opening, K::ProviderDown),
            (454, "4.7.0 not now", Stage::Login, K::ProviderDown),
            (535, "5.7.8 no", Stage::Login, K::Auth),
            (534, "5.7.9 weak", Stage::Login, K::Auth),
            (550, "5.7.1 disabled", Stage::Login, K::Auth),
            (504, "5.5.4 unknown", Stage::Login, K::ProviderDown),
            (530, "5.7.0 log in first", Stage::Mail, K::Auth),
            (451, "4.7.1 greylisted", Stage::Mail, K::ProviderDown),
            (552, "5.3.4 too big", Stage::Mail, K::Invalid),
            (550, "5.4.5 daily limit", Stage::Mail, K::RateLimited),
            (354, "go", Stage::Login, K::Protocol),
        ];
        for (code, line, stage, wanted) in table {
            assert_eq!(kind(code, line, stage), wanted, "{code} {line}");
        }
    }
}
