//! `patchbay doctor`: looks at everything Patchbay stands on, and says for each what
//! it found and what to do. A fleet where the settings name a database, else the
//! data folder of `patchbay up`.

use patchbay_core::config::{self, Config, Inputs};
use serde::Serialize;

use crate::{
    exit::{Exit, Outcome, Stop},
    output::{self, Format},
};

mod api;
mod breakers;
mod checks;
mod consent;
mod database;
mod folder;
mod keys;
mod redis;
mod schedulers;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// What.
    pub name: &'static str,
    /// How it stands.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// What to do; empty when nothing is.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub advice: String,
}

/// How a thing stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As it should be.
    Ok,
    /// It works, but somebody should look.
    Warning,
    /// It does not work.
    Broken,
    /// Not part of this installation.
    Skipped,
}

impl Check {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            status: Status::Ok,
            found: found.into(),
            advice: String::new(),
        }
    }

    fn warning(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            name,
            status: Status::Warning,
            found: found.into(),
            advice: advice.into(),
        }
    }

    fn broken(name: &'static str, found: impl Into<String>, advice: impl Into<String>) -> Self {
        Self {
            name,
            status: Status::Broken,
            found: found.into(),
            advice: advice.into(),
        }
    }

    fn skipped(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            status: Status::Skipped,
            found: found.into(),
            advice: String::new(),
        }
    }

    fn line(&self) -> String {
        let mark = match self.status {
            Status::Ok => "ok     ",
            Status::Warning => "WARNING",
            Status::Broken => "BROKEN ",
            Status::Skipped => "-      ",
        };
        let advice = if self.advice.is_empty() {
            String::new()
        } else {
            format!("\n{:>24}-> {}", "", self.advice)
        };
        format!("{mark}  {:<14} {}{advice}", self.name, self.found)
    }
}

pub async fn run(inputs: &Inputs, url: Option<&str>, key: Option<&str>, format: Format) -> Outcome {
    let mut checks = Vec::new();
    match config::load(inputs) {
        Ok(loaded) => {
            checks.push(Check::ok("configuration", source(inputs)));
            checks.extend(look(&loaded.config).await);
        }
        Err(error) => checks.push(Check::broken(
            "configuration",
            error.to_string(),
            "correct what the lines above name",
        )),
    }
    checks.extend(api::look(inputs, url, key).await);
    let broken = checks
        .iter()
        .filter(|check| check.status == Status::Broken)
        .count();
    match format {
        Format::Json => output::say_json(&checks)?,
        Format::Text => output::say(
            &checks
                .iter()
                .map(Check::line)
                .collect::<Vec<_>>()
                .join("\n"),
        )?,
    }
    match broken {
        0 => Ok(()),
        1 => Err(Stop::new(Exit::Unhealthy, "one thing is broken")),
        count => Err(Stop::new(
            Exit::Unhealthy,
            format!("{count} things are broken"),
        )),
    }
}

async fn look(config: &Config) -> Vec<Check> {
    let is_fleet = config.database_url.is_some() || config.redis_url.is_some();
    let (mut checks, store) = if is_fleet {
        database::look(config).await
    } else {
        folder::look(config).await
    };
    if is_fleet {
        checks.push(redis::look(config).await);
    }
    if let Some(store) = &store {
        checks.push(schedulers::look(store).await);
        checks.push(checks::look(store).await);
        checks.push(breakers::look(store).await);
    }
    checks.extend(keys::look(config, is_fleet, store.as_ref()).await);
    checks.push(consent::look(config, is_fleet));
    checks
}

fn source(inputs: &Inputs) -> String {
    match &inputs.file {
        Some(path) => format!("read from {} and the environment", path.display()),
        None => "no file; environment and flags only".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_thing_says_what_to_do() {
        let line = Check::broken("redis", "does not answer", "start it").line();
        assert_eq!(
            line,
            "BROKEN   redis          does not answer\n                        -> start it"
        );
    }
}
