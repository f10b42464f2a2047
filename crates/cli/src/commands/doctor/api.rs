//! The API: does it answer, is it ready, does it take the key?

use patchbay_core::config::Inputs;
use serde_json::Value;

use super::Check;
use crate::{client::Client, exit::Exit};

pub async fn look(inputs: &Inputs, url: Option<&str>, key: Option<&str>) -> Vec<Check> {
    let client = match Client::find(inputs, url, key) {
        Ok(client) => client,
        // The check of the configuration has told it.
        Err(stop) if stop.exit == Exit::Usage => {
            return vec![Check::skipped("api", "not looked at: see the lines above")];
        }
        Err(stop) => return vec![Check::skipped("api", stop.to_string())],
    };
    let reached = match client.readiness().await {
        Ok((status, _)) if status.is_success() => {
            Check::ok("api", format!("ready at {}", client.url()))
        }
        Ok((status, said)) => {
            return vec![Check::broken(
                "api",
                format!("{} answers {status}: {}", client.url(), said.trim()),
                "see the checks above, and the log of the API",
            )];
        }
        Err(stop) => {
            return vec![Check::broken(
                "api",
                stop.to_string(),
                "start it: `patchbay up`, or `patchbay api` for a fleet",
            )];
        }
    };
    let key = match client.get::<Value>("/providers", &[]).await {
        Ok(_) => Check::ok("api key", "accepted"),
        Err(stop) => Check::broken(
            "api key",
            stop.to_string(),
            "make one: `patchbay key create --help`",
        ),
    };
    vec![reached, key]
}
