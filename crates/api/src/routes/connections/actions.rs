//! Actions: one thing done at the provider, as a job.

use std::time::Duration;

use axum::{extract::State, response::Response};
use patchbay_core::{
    entities::connection,
    events::EventKind,
    ids::ConnectionId,
    job::{JobKind, NewJob, Queue},
    job_args::ActionArgs,
    store::events::NewEvent,
};
use patchbay_providers::{Action, Provider};
use sea_orm::DatabaseTransaction;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::{capabilities_off, hold, sync};
use crate::{
    access::Caller,
    extract::{Body, IdAndKey, Query},
    once::{self, Made, Turn},
    problem::{FieldError, Kind, Problem, ProblemBody},
    routes::jobs::JobView,
    state::Api,
    wait::{Wait, WaitQuery},
};

/// The longest that an action may take. Providers have shorter deadlines of their own.
const ACTION_TIMEOUT: Duration = Duration::from_secs(600);

/// What an action is given.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ActionRequest {
    /// As the action's schema says it: `actions[].input` of `GET providers/{key}`. It is kept
    /// with the job in clear, so nothing secret belongs here.
    #[serde(default)]
    #[schema(value_type = Option<Object>)]
    input: Option<Map<String, Value>>,
}

/// Does one thing at the provider: sends an e-mail, fetches a text. The job's `result` is what
/// the action answers. An action that is not `repeatable` is done once: when nobody knows
/// whether it was done, its job ends `failed` with `unknown_outcome` and is not tried again
/// by itself. Over a limit of the connection (`usage`) the job waits for the next hour or day.
/// While the connection is in `error` or `expired` the job is `parked`.
#[utoipa::path(
    post, path = "/connections/{id}/actions/{action}", tag = "connections",
    params(
        ("id" = Uuid, Path, description = "The connection"),
        ("action" = String, Path, description = "Key of the action"),
        WaitQuery, once::Header,
    ),
    request_body(content = Option<ActionRequest>),
    responses(
        (status = 200, description = "It has ended within `wait`", body = JobView),
        (status = 202, body = JobView),
        (status = 404, description = "No such connection or action", body = ProblemBody),
        (status = 409, description = "The connection is pending, disabled or disconnected, the capability is switched off, or scopes were not granted", body = ProblemBody),
        (status = 422, description = "Every wrong field", body = ProblemBody),
    ),
)]
pub async fn act(
    State(api): State<Api>,
    caller: Caller,
    IdAndKey(id, key): IdAndKey<ConnectionId>,
    Query(wait): Query<WaitQuery>,
    Body {
        value: body,
        faults,
        once,
    }: Body<ActionRequest>,
) -> Result<Response, Problem> {
    let wait = Wait::of(&wait)?;
    let made = match once::begin(&api, &caller, &once).await? {
        Turn::Again(made) => made,
        Turn::First(mut work) => {
            let row = hold(&api, &work.tx, &caller, id).await?;
            let provider = provider(&api, &row)?;
            let action = action(provider, &key)?;
            let input = Value::Object(body.input.unwrap_or_default());
            let input = faults.with(checked(provider, action, &input))?;
            let parks = sync::refuse_or_park(&row)?;
            refuse_switched_off(&row, action)?;
            refuse_ungranted(&api, &work.tx, &row, action).await?;
            let new = vec![asked(&caller, id, action, input)];
            let jobs = sync::start(&api, &mut work, id, new, parks).await?;
            let event = NewEvent::new(caller.org, EventKind::ActionRequested, caller.actor())
                .connection(id)
                .data(json!({ "action": action.key }));
            let event = jobs.iter().fold(event, |event, job| event.job(*job));
            api.store.record_event(&work.tx, event).await?;
            work.end(Made::Jobs(jobs)).await?
        }
    };
    wait.answer(&api, caller.org, &made.into_jobs()).await
}

fn provider<'a>(api: &'a Api, row: &connection::Model) -> Result<&'a dyn Provider, Problem> {
    super::tested::manifest_of(api, row)?;
    let provider = api.providers.get(&row.provider);
    let provider = provider.ok_or_else(|| Problem::not_found("provider"))?;
    Ok(&**provider)
}

fn action<'p>(provider: &'p dyn Provider, key: &str) -> Result<&'p Action, Problem> {
    let manifest = provider.manifest();
    manifest.action(key).ok_or_else(|| {
        let known: Vec<&str> = manifest.actions.iter().map(|it| it.key.as_str()).collect();
        let known = if known.is_empty() {
            "it has none".to_owned()
        } else {
            format!("there are: {}", known.join(", "))
        };
        let detail = format!("{} has no such action; {known}.", manifest.label);
        Problem::new(Kind::NotFound, detail)
    })
}

/// The input with its defaults, or everything that is wrong with it.
fn checked(
    provider: &dyn Provider,
    action: &Action,
    input: &Value,
) -> Result<Value, Vec<FieldError>> {
    let (checked, mut errors) = match provider.manifest().check_input(action, input) {
        Ok(checked) => (checked, Vec::new()),
        Err(errors) => (Value::Null, errors),
    };
    for fault in provider.input_faults(&action.key, input) {
        if errors.iter().all(|error| error.pointer != fault.pointer) {
            errors.push(fault);
        }
    }
    if errors.is_empty() {
        return Ok(checked);
    }
    errors.sort_by(|a, b| a.pointer.cmp(&b.pointer));
    Err(errors
        .into_iter()
        .map(|error| FieldError::at(error.pointer, error.message))
        .collect())
}

fn refuse_switched_off(row: &connection::Model, action: &Action) -> Result<(), Problem> {
    if !capabilities_off(row).contains(&action.capability) {
        return Ok(());
    }
    let detail = format!(
        "The capability `{}` is switched off for this connection, so nothing was done. Switch it on first: \
         PATCH .../connections/{{id}} with `capabilities_off` without it.",
        action.capability
    );
    Err(Problem::new(Kind::ConnectionState, detail))
}

async fn refuse_ungranted(
    api: &Api,
    tx: &DatabaseTransaction,
    row: &connection::Model,
    action: &Action,
) -> Result<(), Problem> {
    let Some(granted) = sync::granted(api, tx, row).await? else {
        return Ok(());
    };
    let missing: Vec<&str> = action
        .scopes
        .iter()
        .filter(|scope| !granted.contains(scope))
        .map(String::as_str)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let detail = format!(
        "The account did not grant what this needs: {}. Connect it again (POST authorize/{}) and grant that.",
        missing.join(" and "),
        row.provider
    );
    Err(Problem::new(Kind::ScopeMissing, detail))
}

fn asked(caller: &Caller, connection: ConnectionId, action: &Action, input: Value) -> NewJob {
    let args = ActionArgs {
        action: action.key.clone(),
        input,
    };
    NewJob {
        connection: Some(connection),
        args: serde_json::to_value(args).expect("texts and JSON are JSON"),
        timeout: ACTION_TIMEOUT,
        ..caller.job(JobKind::Action, Queue::Interactive)
    }
}
