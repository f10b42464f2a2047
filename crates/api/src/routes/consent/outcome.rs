//! How a consent ended, as a browser is told: on our page, or on the way to the return URL.

use axum::{
    extract::State,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use patchbay_core::{
    config::PublicUrl,
    entities::consent,
    failure::{Failure, FailureKind},
    ids::{ConnectionId, ConsentId, JobId},
    job::JobState,
    store::consents::OneTime,
};
use serde::Deserialize;
use serde_json::Value;
use url::Url;
use utoipa::IntoParams;

use super::{
    cookie,
    page::{Message, Page, Told, guard},
};
use crate::{
    extract::{Id, Query},
    problem::Problem,
    state::Api,
};

/// A page that waits looks again after so many seconds, so many times.
const LOOK_AGAIN_SECONDS: u32 = 3;
const LOOKS: u32 = 20;

/// How a consent stands once it has come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The account is connected.
    Connected {
        /// The connection.
        connection: Option<ConnectionId>,
        /// The exchange.
        job: JobId,
        /// What the connection lacks, in words, where less was granted than asked for.
        missing: Option<String>,
    },
    /// It is not.
    Failed {
        /// Why.
        failure: Failure,
        /// The exchange, if it came to one.
        job: Option<JobId>,
    },
    /// The exchange goes on.
    Pending {
        /// The exchange.
        job: JobId,
    },
}

/// Reads how a consumed consent stands.
pub async fn of(api: &Api, row: &consent::Model) -> Result<Outcome, Problem> {
    if let Some(stored) = &row.failure {
        return Ok(Outcome::Failed {
            failure: serde_json::from_value(stored.clone()).map_err(|error| {
                Problem::internal(&format!("consents.failure cannot be read: {error}"))
            })?,
            job: None,
        });
    }
    let mut jobs = api
        .store
        .jobs_by_id(api.store.db(), row.org_id, &[row.job_id])
        .await?;
    let Some(job) = jobs.pop() else {
        return Err(Problem::internal(&"a consumed consent has no exchange"));
    };
    Ok(match job.state {
        JobState::Succeeded => {
            let text = |name: &str| {
                let result = job.result.as_ref()?;
                result.get(name).and_then(Value::as_str)
            };
            Outcome::Connected {
                connection: text("connection").and_then(|id| id.parse().ok()),
                job: job.id,
                missing: text("missing").map(str::to_owned),
            }
        }
        JobState::Failed | JobState::Cancelled | JobState::Quarantined => {
            let failure = job
                .error
                .and_then(|stored| serde_json::from_value(stored).ok());
            Outcome::Failed {
                failure: failure.unwrap_or_else(|| {
                    Failure::new(
                        FailureKind::Internal,
                        "the exchange was stopped before it ended",
                        "Connect again.",
                    )
                }),
                job: Some(job.id),
            }
        }
        JobState::Queued | JobState::Parked | JobState::Running => Outcome::Pending { job: job.id },
    })
}

/// How often the page has looked.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct LooksQuery {
    /// Times the page has looked.
    look: Option<u32>,
}

/// The page of a consent whose exchange takes longer than its callback waited. Only the
/// browser that gave the consent sees anything.
#[utoipa::path(
    get, path = "/connect/outcome/{id}", tag = "consents", security(()),
    params(("id" = Uuid, Path, description = "The consent"), LooksQuery),
    responses(
        (status = 200, description = "A page: connected", content_type = "text/html", body = String),
        (status = 202, description = "A page: the exchange goes on", content_type = "text/html", body = String),
        (status = 404, description = "A page: nothing for this browser", content_type = "text/html", body = String),
    ),
)]
pub async fn page(
    State(api): State<Api>,
    Id(id): Id<ConsentId>,
    headers: HeaderMap,
    Query(query): Query<LooksQuery>,
) -> Result<Response, Problem> {
    let browser = |public_url| Some((public_url, cookie::read(&headers, id, public_url)?));
    let found = match api.consent.public_url.as_ref().and_then(browser) {
        Some((public_url, text)) => {
            let hash = OneTime::Browser.hash(text.expose());
            let row = api.store.consent_of_browser(id, &hash).await?;
            let row = row.filter(|row| row.consumed_at.is_some());
            row.map(|row| (public_url, row))
        }
        None => None,
    };
    let Some((public_url, row)) = found else {
        return Ok(nothing().into_response());
    };
    let outcome = of(&api, &row).await?;
    answer(
        &api,
        &row,
        public_url,
        outcome,
        query.look.unwrap_or(0).min(LOOKS),
    )
}

fn nothing() -> Page {
    Page::new(
        StatusCode::NOT_FOUND,
        "Nothing to see here",
        "This page belongs to another browser, or its consent is long over.",
        "Look at the connection in the application that you connected from.",
    )
}

/// The end for a browser. `looks`: how often it has looked already.
pub fn answer(
    api: &Api,
    row: &consent::Model,
    public_url: &PublicUrl,
    outcome: Outcome,
    looks: u32,
) -> Result<Response, Problem> {
    let is_end = !matches!(outcome, Outcome::Pending { .. });
    let mut response = match &row.return_url {
        Some(address) => on_to(address, &outcome)?,
        None => shown(api, row, public_url, outcome, looks).into_response(),
    };
    if is_end {
        let cleared = cookie::clear(row.id, public_url);
        response.headers_mut().append(header::SET_COOKIE, cleared);
    }
    Ok(response)
}

impl Outcome {
    fn message(&self) -> Message {
        let (status, connection, job) = match self {
            Self::Connected {
                connection, job, ..
            } => ("connected", *connection, Some(*job)),
            Self::Failed { job, .. } => ("failed", None, *job),
            Self::Pending { job } => ("pending", None, Some(*job)),
        };
        Message {
            kind: "patchbay:connect",
            status,
            connection: connection.map(|id| id.0),
            job: job.map(|id| id.0),
        }
    }
}

fn on_to(address: &str, outcome: &Outcome) -> Result<Response, Problem> {
    const OURS: [&str; 3] = ["patchbay", "connection", "job"];
    let mut url =
        Url::parse(address).map_err(|_| Problem::internal(&"consents.return_url is no address"))?;
    let theirs: Vec<(String, String)> = url
        .query_pairs()
        .filter(|(name, _)| !OURS.contains(&name.as_ref()))
        .map(|(name, value)| (name.into_owned(), value.into_owned()))
        .collect();
    let message = outcome.message();
    let ids = [("connection", message.connection), ("job", message.job)];
    let ids = ids.map(|(name, id)| Some((name, id?.to_string())));
    url.query_pairs_mut()
        .clear()
        .extend_pairs(theirs)
        .append_pair("patchbay", message.status)
        .extend_pairs(ids.into_iter().flatten());
    let location = HeaderValue::try_from(url.as_str())
        .map_err(|_| Problem::internal(&"the return URL is no header"))?;
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
    guard(&mut response);
    Ok(response)
}

fn shown(
    api: &Api,
    row: &consent::Model,
    public_url: &PublicUrl,
    outcome: Outcome,
    looks: u32,
) -> Page {
    let label = api
        .providers
        .get(&row.provider)
        .map_or_else(|| row.provider.clone(), |it| it.manifest().label.clone());
    let message = outcome.message();
    let close = matches!(outcome, Outcome::Connected { missing: None, .. });
    let mut page = match outcome {
        Outcome::Connected { missing: None, .. } => Page::new(
            StatusCode::OK,
            format!("{label} is connected"),
            "The account works and its data can be pulled.",
            "You can close this window.",
        ),
        Outcome::Connected {
            missing: Some(missing),
            ..
        } => Page::new(
            StatusCode::OK,
            format!("{label} is connected, with less than was asked for"),
            missing,
            "To grant the rest, connect again. Else you can close this window.",
        ),
        Outcome::Failed { failure, .. } => Page::new(
            if failure.kind == FailureKind::Conflict {
                StatusCode::CONFLICT
            } else {
                StatusCode::BAD_REQUEST
            },
            format!("{label} is not connected"),
            sentence(&failure.message),
            failure.action,
        ),
        Outcome::Pending { .. } => pending(&label, row, public_url, looks),
    };
    page.told = api.consent.opener_origin.as_ref().map(|origin| Told {
        origin: origin.as_str().to_owned(),
        message,
        close,
    });
    page
}

fn pending(label: &str, row: &consent::Model, public_url: &PublicUrl, looks: u32) -> Page {
    let page = Page::new(
        StatusCode::ACCEPTED,
        format!("{label} is being connected"),
        "You have agreed; what is left is between the two systems and takes longer than usual.",
        "",
    );
    if looks >= LOOKS {
        return Page {
            next: "You can close this window: it goes on by itself. Look at the connection in the application that \
                   you connected from."
                .into(),
            ..page
        };
    }
    let address = public_url.join(&format!("/connect/outcome/{}", row.id));
    Page {
        next: "This page looks again by itself. You can also close it: it goes on.".into(),
        refresh: Some((LOOK_AGAIN_SECONDS, format!("{address}?look={}", looks + 1))),
        ..page
    }
}

/// A failure's message begins small and ends without a full stop.
fn sentence(message: &str) -> String {
    let mut rest = message.chars();
    let mut text: String = match rest.next() {
        Some(first) => first.to_uppercase().chain(rest).collect(),
        None => String::new(),
    };
    if !text.ends_with(['.', '!', '?']) {
        text.push('.');
    }
    text
}
