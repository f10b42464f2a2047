//! An org's own apps (OAuth clients) at providers, in place of the deployment's. A secret
//! that comes in is sealed to the job that stores it; none goes out.

use std::{borrow::Cow, fmt, time::Duration};

use axum::{
    Json,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chrono::{DateTime, Utc};
use patchbay_core::{
    entities::oauth_client,
    ids::JobId,
    job::{JobKind, NewJob, Queue},
    job_args::OauthClientSetArgs,
    secret::{Secret, SecretFields},
};
use serde::{Deserialize, Deserializer, Serialize};
use utoipa::{
    PartialSchema, ToSchema,
    openapi::{ObjectBuilder, RefOr, Schema, schema::Type},
};

use super::{jobs::JobView, providers};
use crate::{
    access::Caller,
    extract::{Body, Key, Query},
    problem::{FieldError, Kind, Problem, ProblemBody},
    state::{Announcement, Api},
    wait::{Wait, WaitQuery},
};

/// Storing is one small transaction.
const SET_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest client secret: twice what any provider here documents (Square: 1024).
const LONGEST: usize = 2048;

/// An org's own app at a provider.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OauthClient)]
pub struct OauthClientView {
    /// Key of the provider.
    provider: String,
    /// As the provider gave it.
    client_id: String,
    /// A mask of the secret, made when it was sealed; null for a public client.
    secret_mask: Option<String>,
    /// Who set it.
    created_by: String,
    /// When it was set.
    created_at: DateTime<Utc>,
}

impl From<oauth_client::Model> for OauthClientView {
    fn from(row: oauth_client::Model) -> Self {
        Self {
            provider: row.provider,
            client_id: row.client_id,
            secret_mask: row.mask,
            created_by: row.created_by,
            created_at: row.created_at,
        }
    }
}

/// An app to take the place of the one before.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SetOauthClient {
    /// As the provider gave it: visible ASCII.
    #[schema(min_length = 1, max_length = 2048, pattern = "^[!-~]+$")]
    client_id: String,
    /// As the provider gave it; left out for a public client. It is sealed at once and never returned.
    client_secret: Option<ClientSecret>,
}

/// A secret on its way in.
pub struct ClientSecret(Secret);

impl PartialSchema for ClientSecret {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .min_length(Some(1))
            .max_length(Some(LONGEST))
            .pattern(Some("^[!-~]+$"))
            .write_only(true)
            .into()
    }
}

impl ToSchema for ClientSecret {
    fn name() -> Cow<'static, str> {
        "ClientSecret".into()
    }
}

impl fmt::Debug for ClientSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for ClientSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self(Secret::new(String::deserialize(deserializer)?)))
    }
}

/// The app, and the job that stores it.
#[derive(Debug, Serialize, ToSchema)]
pub struct OauthClientSet {
    /// As it is now; null before the first one is stored.
    client: Option<OauthClientView>,
    /// The job.
    job: JobView,
}

/// All of an org's own apps.
#[derive(Debug, Serialize, ToSchema)]
pub struct OauthClientList {
    /// By provider.
    data: Vec<OauthClientView>,
}

/// The organization's own apps at providers. Without one the deployment's is used.
#[utoipa::path(
    get, path = "/oauth-clients", tag = "consents",
    responses((status = 200, body = OauthClientList)),
)]
pub async fn list(
    State(api): State<Api>,
    caller: Caller,
) -> Result<Json<OauthClientList>, Problem> {
    let rows = api.store.oauth_clients(caller.org).await?;
    Ok(Json(OauthClientList {
        data: rows.into_iter().map(Into::into).collect(),
    }))
}

/// The organization's own app at a provider.
#[utoipa::path(
    get, path = "/oauth-clients/{provider}", tag = "consents",
    params(("provider" = String, Path, description = "Key of the provider")),
    responses((status = 200, body = OauthClientView), (status = 404, body = ProblemBody)),
)]
pub async fn read(
    State(api): State<Api>,
    caller: Caller,
    Key(provider): Key,
) -> Result<Json<OauthClientView>, Problem> {
    Ok(Json(find(&api, &caller, &provider).await?.into()))
}

/// Sets the organization's own app at a provider, for all consents from now on. Connections
/// that were granted to another app are refreshed with that one as long as it is the
/// deployment's; those of an app that is replaced here must be connected again.
#[utoipa::path(
    put, path = "/oauth-clients/{provider}", tag = "consents",
    params(("provider" = String, Path, description = "Key of the provider"), WaitQuery),
    request_body = SetOauthClient,
    responses(
        (status = 200, description = "Stored within `wait`", body = OauthClientSet),
        (status = 202, description = "On its way", body = OauthClientSet),
        (status = 404, description = "No such provider", body = ProblemBody),
        (status = 409, description = "The provider is not connected by consent", body = ProblemBody),
        (status = 422, description = "Every wrong field", body = ProblemBody),
    ),
)]
pub async fn set(
    State(api): State<Api>,
    caller: Caller,
    Key(provider): Key,
    Query(wait): Query<WaitQuery>,
    Body {
        value: body,
        faults,
        once: _,
    }: Body<SetOauthClient>,
) -> Result<Response, Problem> {
    let wait = Wait::of(&wait)?;
    let Some(known) = api.providers.get(&provider) else {
        let detail = format!(
            "There is no such provider; there are: {}.",
            providers::known(&api)
        );
        return Err(Problem::new(Kind::NotFound, detail));
    };
    let Some(rules) = &known.manifest().auth.oauth else {
        let detail = format!(
            "{} is not connected by consent, so it has no app.",
            known.manifest().label
        );
        return Err(Problem::new(Kind::ConsentUnavailable, detail));
    };
    let found = if rules.needs_secret() && body.client_secret.is_none() {
        Err(vec![FieldError::at(
            "/client_secret",
            "is required: this provider asks for it",
        )])
    } else {
        Ok(())
    };
    faults.with(found)?;
    let id = JobId::new(api.store.clock());
    let args = OauthClientSetArgs {
        provider: provider.clone(),
        client_id: body.client_id,
    };
    let sealed = body.client_secret.map(|secret| {
        let fields = SecretFields([("client_secret".to_owned(), secret.0)].into());
        api.sealing.seal(caller.org, id, &fields)
    });
    let job = NewJob {
        id: Some(id),
        // The one sent last is the one that stays.
        lane: Some(format!("{}:oauth_client:{provider}", caller.org)),
        args: serde_json::to_value(args).expect("texts are JSON"),
        sealed,
        timeout: SET_TIMEOUT,
        ..caller.job(JobKind::OauthClientSet, Queue::Interactive)
    };
    let tx = api.store.begin().await?;
    let enqueued = api.store.jobs().enqueue(&tx, vec![job]).await?;
    tx.commit().await?;
    let mut announcement = Announcement::default();
    enqueued.iter().for_each(|job| announcement.enqueued(job));
    api.announce(announcement);

    let mut waited = wait.for_ids(&api, caller.org, &[id]).await?;
    let status = waited.status();
    let job = waited.views.pop();
    let job = job.ok_or_else(|| Problem::internal(&"an enqueued job is not there"))?;
    let client = api
        .store
        .oauth_client(api.store.db(), caller.org, &provider)
        .await?;
    let body = OauthClientSet {
        client: client.map(Into::into),
        job,
    };
    Ok((status, Json(body)).into_response())
}

/// Removes the organization's own app at a provider; the deployment's is used from then on.
#[utoipa::path(
    delete, path = "/oauth-clients/{provider}", tag = "consents",
    params(("provider" = String, Path, description = "Key of the provider")),
    responses(
        (status = 204, description = "Removed"),
        (status = 404, body = ProblemBody),
        (status = 409, description = "A connection was granted to it and could not be refreshed without it", body = ProblemBody),
    ),
)]
pub async fn remove(
    State(api): State<Api>,
    caller: Caller,
    Key(provider): Key,
) -> Result<StatusCode, Problem> {
    let row = find(&api, &caller, &provider).await?;
    let tx = api.store.begin().await?;
    let granted = api
        .store
        .granted_to_client(&tx, caller.org, &provider, &row.client_id)
        .await?;
    let deployments = api.consent.client_ids.get(&provider);
    if let Some(connection) = granted
        && deployments != Some(&row.client_id)
    {
        tx.rollback().await?;
        return Err(Problem::new(
            Kind::ConnectionState,
            format!(
                "Connection {connection} was granted to this app and could not be refreshed without it. \
                 Disconnect it first."
            ),
        ));
    }
    api.store
        .delete_oauth_client(&tx, caller.org, &provider, &caller.actor())
        .await?;
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn find(api: &Api, caller: &Caller, provider: &str) -> Result<oauth_client::Model, Problem> {
    let row = api
        .store
        .oauth_client(api.store.db(), caller.org, provider)
        .await?;
    row.ok_or_else(|| {
        Problem::new(
            Kind::NotFound,
            format!(
                "The organization has no app of its own at `{provider}`; the deployment's is used."
            ),
        )
    })
}
