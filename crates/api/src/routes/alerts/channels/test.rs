//! A test message to a channel.

use axum::{extract::State, response::Response};
use patchbay_core::{
    connection::ConnectionStatus,
    ids::AlertChannelId,
    job::{JobKind, NewJob, Queue},
};
use sea_orm::DatabaseTransaction;

use crate::{
    access::Caller,
    extract::{Body, Id, Query},
    once::{self, Made, Turn},
    problem::{Kind, Problem, ProblemBody},
    routes::{Empty, jobs::JobView},
    state::Api,
    wait::{Wait, WaitQuery},
};

/// Sends a test message to a channel of either kind, also to a webhook that answered 410: if
/// it takes the message, it is told of alerts again. The job says what became of it.
#[utoipa::path(
    post, path = "/alert-channels/{id}/test", tag = "overview",
    params(("id" = Uuid, Path, description = "The channel"), WaitQuery, once::Header),
    request_body(content = Option<Empty>),
    responses(
        (status = 200, description = "It has ended within `wait`", body = JobView),
        (status = 202, body = JobView),
        (status = 404, body = ProblemBody),
        (status = 409, description = "The connection that sends is not active", body = ProblemBody),
    ),
)]
pub async fn send(
    State(api): State<Api>,
    caller: Caller,
    Id(id): Id<AlertChannelId>,
    Query(wait): Query<WaitQuery>,
    Body {
        value: Empty {},
        faults,
        once,
    }: Body<Empty>,
) -> Result<Response, Problem> {
    let wait = Wait::of(&wait)?;
    faults.with(Ok(()))?;
    let made = match once::begin(&api, &caller, &once).await? {
        Turn::Again(made) => made,
        Turn::First(mut work) => {
            let asked = caller.job(JobKind::AlertDelivery, Queue::Webhook);
            let message = api
                .store
                .alert_test_message(&work.tx, caller.org, id, asked)
                .await?;
            let message = message.ok_or_else(|| Problem::not_found("channel"))?;
            refuse_idle_sender(&api, &work.tx, &message).await?;
            let job = api.enqueue_one(&work.tx, message).await?;
            work.announcement.job(&job);
            work.end(Made::Jobs(vec![job.id])).await?
        }
    };
    wait.answer(&api, caller.org, &made.into_jobs()).await
}

/// A message of a connection that does not work would wait for it.
async fn refuse_idle_sender(
    api: &Api,
    tx: &DatabaseTransaction,
    message: &NewJob,
) -> Result<(), Problem> {
    let Some((org, id)) = message.org.zip(message.connection) else {
        return Ok(());
    };
    let row = api.store.connection(tx, org, id).await?;
    if row.is_some_and(|row| row.status == ConnectionStatus::Active) {
        return Ok(());
    }
    Err(Problem::new(
        Kind::ConnectionState,
        format!(
            "Connection {id}, which sends the e-mails of this channel, is not active. Look at it: \
             its last error says what to do."
        ),
    ))
}
