//! What a connection's config and secrets say, and what contradicts itself in them.

use std::time::Duration;

use lettre::{Address, message::Mailbox};
use patchbay_core::{
    outbound::trust_anchors,
    secret::{Secret, SecretFields},
};
use serde_json::Value;

use super::super::shape::{has_control, mailbox};
use crate::{error::ProviderError, provider::Account, schema::FieldError, session::Session};

const IN_CLEAR: &str =
    "would send the password in clear: choose starttls or tls, or leave user name and password out";

/// How the connection is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Security {
    /// After STARTTLS, or not at all.
    StartTls,
    /// From the start.
    Tls,
    /// Never; then nobody logs in.
    Clear,
}

/// A user name and its password.
#[derive(Debug)]
pub(crate) struct Login {
    pub(crate) username: String,
    pub(crate) password: Secret,
}

/// Config and secrets, read.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) host: String,
    pub(crate) security: Security,
    pub(crate) login: Option<Login>,
    pub(crate) from: Mailbox,
    pub(crate) reply_to: Option<Mailbox>,
    /// For each reply.
    pub(crate) patience: Duration,
    pub(crate) ca_certificates: Option<String>,
}

impl Settings {
    /// Reads a session's.
    pub(crate) fn of(session: &Session) -> Result<Self, ProviderError> {
        let config = &session.config;
        if let Some(fault) = faults(config, Some(&session.secret)).into_iter().next() {
            return Err(wrong(&fault));
        }
        let text = |field: &str| config.get(field).and_then(Value::as_str);
        let missing = |field: &str| {
            let pointer = format!("/config/{field}");
            let message = "is required".into();
            wrong(&FieldError { pointer, message })
        };
        let host = text("host").ok_or_else(|| missing("host"))?;
        let from = text("from_address").and_then(address);
        let from = from.ok_or_else(|| missing("from_address"))?;
        let login = text("username").zip(session.secret.get("password"));
        let seconds = config.get("timeout_seconds").and_then(Value::as_u64);
        Ok(Self {
            host: host.to_ascii_lowercase(),
            security: security(config).ok_or_else(|| missing("security"))?,
            login: login.map(|(username, password)| Login {
                username: username.to_owned(),
                password: password.clone(),
            }),
            from: Mailbox::new(text("from_name").map(str::to_owned), from),
            reply_to: text("reply_to").and_then(mailbox),
            patience: Duration::from_secs(seconds.unwrap_or(30)),
            ca_certificates: text("ca_certificates").map(str::to_owned),
        })
    }

    /// The account: who logs in, or else who sends. The port is no part of it: the same
    /// mailbox has several.
    pub(crate) fn account(&self) -> Account {
        let who = match &self.login {
            Some(login) => login.username.clone(),
            None => self.from.email.to_string(),
        };
        Account {
            key: format!("{who}@{}", self.host),
            name: format!("{} through {}", self.from.email, self.host),
            scopes: None,
        }
    }
}

fn wrong(fault: &FieldError) -> ProviderError {
    let field = fault.pointer.rsplit('/').next().unwrap_or_default();
    ProviderError::invalid(
        format!("The connection's `{field}` {}.", fault.message),
        "Correct it.",
    )
    .field(&fault.pointer)
}

/// What contradicts itself. Without secrets the ones in force are meant.
pub(crate) fn faults(config: &Value, secret: Option<&SecretFields>) -> Vec<FieldError> {
    let mut faults = Vec::new();
    let mut say = |pointer: &str, message: &str| {
        faults.push(FieldError {
            pointer: pointer.into(),
            message: message.into(),
        });
    };
    let text = |field: &str| config.get(field).and_then(Value::as_str);
    for field in ["from_name", "username"] {
        if text(field).is_some_and(has_control) {
            let pointer = format!("/config/{field}");
            say(&pointer, "must be one line without control characters");
        }
    }
    for field in ["from_address", "reply_to"] {
        if text(field).is_some_and(|text| address(text).is_none()) {
            let pointer = format!("/config/{field}");
            say(&pointer, "must be an e-mail address: name@example.com");
        }
    }
    let has_user = text("username").is_some();
    let has_password = secret.map(|secret| secret.get("password").is_some());
    if security(config) == Some(Security::Clear) {
        if has_user || has_password == Some(true) {
            say("/config/security", IN_CLEAR);
        }
        if text("ca_certificates").is_some() {
            say(
                "/config/ca_certificates",
                "goes only together with starttls or tls",
            );
        }
    }
    match (has_user, has_password) {
        (true, Some(false)) => say("/secret/password", "is required together with `username`"),
        (false, Some(true)) => say("/config/username", "is required together with `password`"),
        (_, None) | (true, Some(true)) | (false, Some(false)) => {}
    }
    let password = secret.and_then(|secret| secret.get("password"));
    if password.is_some_and(|password| password.expose().contains('\0')) {
        say("/secret/password", "must not contain the NUL character");
    }
    if let Some(Err(invalid)) = text("ca_certificates").map(trust_anchors) {
        say("/config/ca_certificates", &invalid.to_string());
    }
    faults
}

fn security(config: &Value) -> Option<Security> {
    match config.get("security").map(Value::as_str) {
        None | Some(Some("starttls")) => Some(Security::StartTls),
        Some(Some("tls")) => Some(Security::Tls),
        Some(Some("none")) => Some(Security::Clear),
        Some(Some(_) | None) => None,
    }
}

/// An address alone, without a name before it.
fn address(text: &str) -> Option<Address> {
    mailbox(text)
        .filter(|it| it.name.is_none() && it.email.to_string() == text)
        .map(|it| it.email)
}
