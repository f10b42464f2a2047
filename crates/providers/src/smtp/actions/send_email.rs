//! Action `send_email`: one e-mail, once.

use serde_json::{Value, json};

use super::super::{
    client::{Dialogue, Settings},
    shape::{Draft, refused},
};
use crate::{error::ProviderError, session::Session};

pub(crate) async fn act(session: &Session, input: &Value) -> Result<Value, ProviderError> {
    let draft = Draft::read(input).map_err(|faults| refused(&faults))?;
    send(session, draft, &Settings::of(session)?).await
}

/// Sends a draft. Its result says who was refused: the others get it all the same.
pub(super) async fn send(
    session: &Session,
    draft: Draft,
    settings: &Settings,
) -> Result<Value, ProviderError> {
    let effect = session.effect()?;
    let mail = draft.compose(settings, effect.key(), session.now())?;
    let mut dialogue = Dialogue::open(session, settings).await?;
    let recipients = dialogue.envelope(settings, &mail).await?;
    effect.begin().await?;
    let reply = dialogue.content(&mail).await?;
    dialogue.quit().await;
    Ok(json!({
        "message_id": mail.id,
        "accepted": recipients.accepted,
        "refused": recipients.refused,
        "reply": reply.words(),
    }))
}
