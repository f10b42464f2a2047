//! SMTP: sends e-mails through the mail server that a connection's config names.
//!
//! The library `lettre` writes the messages. The dialogue is ours, because the library
//! resolves names by itself, past the address policy; reads lines without a limit; and takes
//! what came in clear before TLS for an answer under TLS (CVE-2011-0411 names the attack).
//!
//! What must never happen here: a password or an e-mail in clear where the config asks for
//! encryption, and a second e-mail where one was asked for.

mod actions;
mod client;
mod shape;

use async_trait::async_trait;
use patchbay_core::secret::SecretFields;
use serde_json::Value;

use crate::{
    error::ProviderError,
    manifest::Manifest,
    provider::{Account, Page, Provider, Pull, no_such_action, no_such_stream},
    schema::FieldError,
    session::Session,
};
use client::{Dialogue, Settings, settings};

/// The provider. Holds nothing but its manifest.
#[derive(Debug)]
pub(crate) struct Smtp {
    manifest: Manifest,
}

impl Smtp {
    pub(crate) fn new() -> Self {
        let manifest = Manifest::parse(include_str!("manifest.toml"))
            .expect("tested: the manifest is in the binary");
        Self { manifest }
    }
}

#[async_trait]
impl Provider for Smtp {
    fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    fn config_faults(&self, config: &Value, secret: Option<&SecretFields>) -> Vec<FieldError> {
        settings::faults(config, secret)
    }

    fn input_faults(&self, action: &str, input: &Value) -> Vec<FieldError> {
        match action {
            "send_email" => shape::faults(input),
            "send_test_email" => actions::send_test_email::faults(input),
            _ => Vec::new(),
        }
    }

    /// Greets, encrypts and logs in, and sends nothing.
    async fn test(&self, session: &Session) -> Result<Account, ProviderError> {
        let settings = Settings::of(session)?;
        let mut dialogue = Dialogue::open(session, &settings).await?;
        dialogue.noop().await?;
        dialogue.quit().await;
        Ok(settings.account())
    }

    async fn pull(&self, _: &Session, pull: &Pull) -> Result<Page, ProviderError> {
        Err(no_such_stream(&self.manifest, &pull.stream))
    }

    async fn act(
        &self,
        session: &Session,
        action: &str,
        input: &Value,
    ) -> Result<Value, ProviderError> {
        match action {
            "send_email" => actions::send_email::act(session, input).await,
            "send_test_email" => actions::send_test_email::act(session, input).await,
            unknown => Err(no_such_action(&self.manifest, unknown)),
        }
    }
}
