//! The third step: the browser comes back from the provider. Its state is used up, its code
//! is sealed to the exchange job, and the browser waits a moment for the end.

use axum::{
    extract::State,
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse, Response},
};
use patchbay_core::{
    entities::consent,
    events::EventKind,
    failure::{Failure, FailureKind, NextAction, NextActionKind},
    job::{JobKind, NewJob, Queue},
    job_args::ConsentExchangeArgs,
    secret::{Secret, SecretFields},
    store::{consents::OneTime, events::NewEvent},
};
use sea_orm::DatabaseTransaction;
use serde_json::json;
use std::time::Duration;

use super::{
    connect::not_a_person,
    cookie,
    outcome::{self, Outcome},
    page::Page,
    query::{self, Answer, CallbackQuery},
};
use crate::{
    extract::Key,
    problem::Problem,
    state::{Announcement, Api},
    wait::Wait,
};

/// A browser waits this long for the exchange; then its page looks again by itself.
const PATIENCE: Duration = Duration::from_secs(10);
/// One call to a token endpoint and one to ask whose account it is.
const EXCHANGE_TIMEOUT: Duration = Duration::from_secs(90);
/// Characters of a provider's own words that are kept.
const WORDS: usize = 300;

/// Where a provider sends a browser back to. It ends the consent and shows how it went, or
/// goes to the consent's return URL with `patchbay` (`connected`, `failed`, `pending`),
/// `connection` and `job` in the query. Which address this is comes from `public_url` alone.
#[utoipa::path(
    get, path = "/callback/{provider}", tag = "consents", security(()),
    params(
        ("provider" = String, Path, description = "Key of the provider"),
        ("state" = String, Query, description = "As it was sent to the provider"),
        ("code" = Option<String>, Query, description = "To be exchanged"),
        ("error" = Option<String>, Query, description = "The provider's refusal, in place of a code"),
        ("iss" = Option<String>, Query, description = "Who answers (RFC 9207)"),
    ),
    responses(
        (status = 200, description = "A page: connected", content_type = "text/html", body = String),
        (status = 202, description = "A page: the exchange goes on", content_type = "text/html", body = String),
        (status = 303, description = "To the consent's return URL"),
        (status = 400, description = "A page: not connected, and why", content_type = "text/html", body = String),
        (status = 409, description = "A page: this is another account than the connection's", content_type = "text/html", body = String),
    ),
)]
pub async fn callback(
    State(api): State<Api>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    Key(provider): Key,
) -> Result<Response, Problem> {
    if let Some(refused) = not_a_person(&method, &headers) {
        return Ok(refused);
    }
    let read = match query::read(uri.query().unwrap_or_default()) {
        Ok(read) => read,
        Err(why) => return Ok(refused(why).into_response()),
    };
    let row = api.store.consent_of_state(&read.state).await?;
    let Some(row) = row.filter(|row| row.provider == provider) else {
        return Ok(refused("It belongs to no consent that was asked for here.").into_response());
    };
    let Some(public_url) = &api.consent.public_url else {
        return Err(Problem::internal(
            &"a consent comes back, but public_url is not set any more",
        ));
    };
    let Some(browser) = cookie::read(&headers, row.id, public_url) else {
        return Ok(
            refused("It comes from another browser than the one that began.").into_response(),
        );
    };

    let browser_hash = OneTime::Browser.hash(browser.expose());
    let tx = api.store.begin().await?;
    let consumed = api
        .store
        .consume_consent(&tx, &read.state, &provider, &browser_hash)
        .await?;
    let Some(row) = consumed else {
        tx.rollback().await?;
        return Ok(not_consumed(&api, &row, &browser_hash).into_response());
    };
    if let Err(failure) = judge(&api, &row, &read) {
        fail(&api, &tx, &row, &failure).await?;
        tx.commit().await?;
        return outcome::answer(
            &api,
            &row,
            public_url,
            Outcome::Failed { failure, job: None },
            0,
        );
    }
    let Answer::Code(code) = &read.answer else {
        return Err(Problem::internal(&"a refusal was taken for a code"));
    };
    let job = exchange(&api, &row, code, &read);
    let mut enqueued = api.store.jobs().enqueue(&tx, vec![job]).await?;
    tx.commit().await?;
    if let Some(job) = enqueued.pop() {
        let mut announcement = Announcement::default();
        announcement.enqueued(&job);
        api.announce(announcement);
    }
    Wait::at_most(PATIENCE)
        .for_ids(&api, row.org_id, &[row.job_id])
        .await?;
    let outcome = outcome::of(&api, &row).await?;
    outcome::answer(&api, &row, public_url, outcome, 0)
}

/// What speaks against an answer before anybody is asked.
fn judge(api: &Api, row: &consent::Model, read: &CallbackQuery) -> Result<(), Failure> {
    let provider = api.providers.get(&row.provider);
    let place = provider.and_then(|it| api.providers.oauth(&**it, &row.config));
    let label = provider.map_or(row.provider.as_str(), |it| it.manifest().label.as_str());
    // RFC 9207, section 2.4: compared letter by letter; one that is known to come must come.
    // Where no issuer is known a name says nothing: each provider has its own redirect URI.
    let is_issuer = place.is_none_or(|place| match (&place.issuer, &read.iss) {
        (Some(issuer), Some(iss)) => issuer == iss,
        (Some(_), None) => !place.rules.issuer_advertised,
        (None, _) => true,
    });
    if !is_issuer {
        return Err(Failure::new(
            FailureKind::Protocol,
            format!("the answer does not come from {label}: its issuer is missing or another"),
            "Connect again. If it stays, somebody tampers with this browser, or the provider has changed its issuer.",
        ));
    }
    match &read.answer {
        Answer::Code(_) => Ok(()),
        Answer::Refusal { error, description } => {
            Err(refusal(label, error, description.as_deref()))
        }
    }
}

/// The provider's refusal (RFC 6749, section 4.1.2.1) in words a person can act on.
fn refusal(label: &str, error: &str, description: Option<&str>) -> Failure {
    let (kind, message, action) = match error {
        "access_denied" => (
            FailureKind::Auth,
            format!("the consent at {label} was not given"),
            "Connect again and agree, with an account that may.",
        ),
        "server_error" | "temporarily_unavailable" => (
            FailureKind::ProviderDown,
            format!("{label} cannot ask for consents at present"),
            "Connect again in some minutes.",
        ),
        _ => (
            FailureKind::Invalid,
            format!("{label} refused to ask for this consent"),
            "Check the app's registration at the provider: client id, redirect URI and scopes.",
        ),
    };
    let words = description.map(|text| text.chars().filter(|c| !c.is_control()).take(WORDS));
    let words: Option<String> = words.map(Iterator::collect);
    let message = match words {
        Some(words) => format!("{message}: {words}"),
        None => message,
    };
    let next = match kind {
        FailureKind::Auth | FailureKind::ProviderDown => NextActionKind::Reconnect,
        _ => NextActionKind::ContactOperator,
    };
    Failure {
        code: Some(error.chars().take(WORDS).collect()),
        next_action: Some(NextAction::of(next)),
        ..Failure::new(kind, message, action)
    }
}

async fn fail(
    api: &Api,
    tx: &DatabaseTransaction,
    row: &consent::Model,
    failure: &Failure,
) -> Result<(), Problem> {
    api.store.fail_consent(tx, row, failure).await?;
    let mut event = NewEvent::new(row.org_id, EventKind::ConsentFailed, &row.requested_by)
        .data(json!({ "provider": row.provider, "consent": row.id, "failure": failure }));
    if let Some(connection) = row.connection_id {
        event = event.connection(connection);
    }
    api.store.record_event(tx, event).await?;
    Ok(())
}

/// The exchange: once, with what only a worker can open.
fn exchange(api: &Api, row: &consent::Model, code: &str, read: &CallbackQuery) -> NewJob {
    let query = serde_json::to_string(&read.pairs).expect("texts are JSON");
    let fields = SecretFields(
        [("code", code.to_owned()), ("query", query)]
            .map(|(name, text)| (name.to_owned(), Secret::new(text)))
            .into(),
    );
    let args = ConsentExchangeArgs {
        consent: row.id,
        provider: row.provider.clone(),
    };
    NewJob {
        id: Some(row.job_id),
        args: serde_json::to_value(args).expect("ids and a key are JSON"),
        sealed: Some(api.sealing.seal(row.org_id, row.job_id, &fields)),
        max_attempts: 1,
        timeout: EXCHANGE_TIMEOUT,
        trace_context: row.trace_context.clone(),
        ..NewJob::new(
            Some(row.org_id),
            JobKind::ConsentExchange,
            Queue::Interactive,
            &row.requested_by,
        )
    }
}

/// Why a state that exists could not be used.
fn not_consumed(api: &Api, row: &consent::Model, browser_hash: &[u8]) -> Page {
    if row.browser_hash.as_deref() != Some(browser_hash) {
        refused("It comes from another browser than the one that began.")
    } else if row.consumed_at.is_none() && row.expires_at <= api.store.clock().now() {
        refused("It took longer than the ten minutes that a consent may take.")
    } else {
        refused("It was used before, and works once.")
    }
}

fn refused(why: &str) -> Page {
    Page::new(
        StatusCode::BAD_REQUEST,
        "This answer cannot be used",
        why,
        "Nothing was changed by it. Go back to where you began and start connecting again if you need to.",
    )
}
