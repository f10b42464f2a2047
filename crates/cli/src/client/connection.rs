//! A connection as the API shows it.

use chrono::{DateTime, Utc};
use patchbay_core::{
    connection::{ConnectionStatus, Health},
    failure::Failure,
    ids::ConnectionId,
};
use serde::Deserialize;
use serde_json::Value;

use super::{Answer, Client, job::Job};
use crate::exit::{Exit, Outcome, Stop};

/// What people see of a connection.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Connection {
    pub id: ConnectionId,
    pub provider: String,
    pub name: String,
    pub status: ConnectionStatus,
    pub health: Health,
    #[serde(default)]
    pub health_reason: Option<Failure>,
    pub config: Value,
    pub account_name: Option<String>,
    pub last_error: Option<Failure>,
    pub last_synced_at: Option<DateTime<Utc>>,
    pub last_checked_at: Option<DateTime<Utc>>,
    pub last_success_at: Option<DateTime<Utc>>,
    pub last_error_at: Option<DateTime<Utc>>,
    #[serde(default)]
    pub error_count: i32,
    pub health_interval_minutes: Option<i32>,
    /// Told of one connection only, and only where its provider counts.
    #[serde(default)]
    pub usage: Option<Usage>,
}

/// What was counted against a connection's limits.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Usage {
    pub unit: String,
    pub hour: UsageWindow,
    pub day: UsageWindow,
}

/// One window of it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct UsageWindow {
    pub used: u32,
    pub limit: Option<u32>,
    pub resets_at: DateTime<Utc>,
}

/// A connection and the job that works on it.
#[derive(Debug, Clone, Deserialize)]
pub struct WithJob {
    pub connection: Connection,
    pub job: Option<Job>,
}

impl Client {
    /// Every connection, page after page.
    pub async fn connections(&self) -> Outcome<Answer<Vec<Connection>>> {
        self.all("/connections", &[]).await
    }

    /// The connection that a person names: by id, by name, or by provider where only
    /// one connection of it is left.
    pub async fn find_connection(&self, text: &str) -> Outcome<Connection> {
        if text.parse::<ConnectionId>().is_ok() {
            return Ok(self.get(&format!("/connections/{text}"), &[]).await?.view);
        }
        pick(self.connections().await?.view, text)
    }
}

fn pick(mut connections: Vec<Connection>, text: &str) -> Outcome<Connection> {
    let live = |connection: &Connection| connection.status != ConnectionStatus::Disconnected;
    for by in [by_name as fn(&Connection, &str) -> bool, by_provider] {
        let found: Vec<usize> = (0..connections.len())
            .filter(|at| by(&connections[*at], text))
            .collect();
        let living: Vec<usize> = found
            .iter()
            .copied()
            .filter(|at| live(&connections[*at]))
            .collect();
        match (living.as_slice(), found.as_slice()) {
            ([one], _) | ([], [one]) => return Ok(connections.swap_remove(*one)),
            ([], []) => {}
            ([_, ..], _) | ([], [_, ..]) => {
                let ids: Vec<String> = found
                    .iter()
                    .map(|at| format!("\n  {}", connections[*at].id))
                    .collect();
                return Err(Stop::usage(format!(
                    "`{text}` names several connections; give the id:{}",
                    ids.concat()
                )));
            }
        }
    }
    Err(Stop::new(
        Exit::NotFound,
        format!("there is no connection `{text}`: `patchbay connections` lists them"),
    ))
}

fn by_name(connection: &Connection, text: &str) -> bool {
    connection.name == text
}

fn by_provider(connection: &Connection, text: &str) -> bool {
    connection.provider == text
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn connection(number: u8, name: &str, status: &str) -> Connection {
        serde_json::from_value(json!({
            "id": format!("019ab2c3-7d4e-7f00-8000-00000000000{number}"), "provider": "square", "name": name,
            "status": status, "health": "unknown", "config": {}, "account_name": null, "last_error": null,
            "last_synced_at": null,
        }))
        .unwrap()
    }

    #[test]
    fn a_living_connection_is_preferred_to_a_disconnected_one_of_the_same_name() {
        let both = vec![
            connection(1, "Shop", "disconnected"),
            connection(2, "Shop", "active"),
        ];
        assert!(pick(both, "Shop").unwrap().id.to_string().ends_with('2'));
    }

    #[test]
    fn a_provider_names_its_only_connection() {
        assert_eq!(
            pick(vec![connection(1, "Shop", "active")], "square")
                .unwrap()
                .name,
            "Shop"
        );
    }

    #[test]
    fn a_name_that_several_have_asks_for_the_id() {
        let both = vec![
            connection(1, "Shop", "active"),
            connection(2, "Shop", "active"),
        ];
        let stop = pick(both, "Shop").unwrap_err();
        assert!(
            stop.exit == Exit::Usage && stop.to_string().contains("0002"),
            "{stop}"
        );
    }

    #[test]
    fn an_unknown_name_is_not_found() {
        assert_eq!(pick(Vec::new(), "Shop").unwrap_err().exit, Exit::NotFound);
    }
}
