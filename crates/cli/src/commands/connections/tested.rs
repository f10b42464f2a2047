//! A new credential or config counts once its test has passed: following the test, and
//! what to do when it fails.

use patchbay_core::connection::ConnectionStatus;

use crate::{
    client::{
        Answer, Client,
        connection::{Connection, WithJob},
    },
    exit::{Exit, Outcome, Stop},
    follow,
    output::Format,
};

/// Follows the test to its end; the connection as it is then.
pub async fn passed(
    client: &Client,
    asked: WithJob,
    format: Format,
) -> Outcome<Answer<Connection>> {
    let id = asked.connection.id;
    if let Some(job) = asked.job {
        let tested = follow::to_the_end(client, vec![job], format).await;
        tested.map_err(|stop| advise(&asked.connection, stop))?;
    }
    client.get(&format!("/connections/{id}"), &[]).await
}

fn advise(connection: &Connection, stop: Stop) -> Stop {
    if stop.exit != Exit::JobEnded {
        return stop;
    }
    let id = connection.id;
    let update =
        format!("`patchbay connections update {id} --secret FIELD=SOURCE` (or --set FIELD=VALUE)");
    match connection.status {
        ConnectionStatus::Pending => stop.and(format!(
            "The connection is pending and not in use; after a day it is removed. Correct it: {update}"
        )),
        ConnectionStatus::Active
        | ConnectionStatus::Error
        | ConnectionStatus::Expired
        | ConnectionStatus::Disabled
        | ConnectionStatus::Disconnected => stop.and(format!(
            "The connection keeps the credential and config it had. To try others: {update}"
        )),
    }
}
