//! The whole configuration: one documented struct, [`Config`], read from a file
//! (TOML), the environment (`PATCHBAY_...`) and flags, a later one winning over an
//! earlier one. `docs/configuration.md` is made from the same table.
//!
//! A wrong value is refused by name, with where it came from and what is allowed;
//! so is a setting that does not exist. All faults are told at once.
//!
//! No other module reads the environment.

mod consent;
mod days;
mod declare;
mod named;
mod problem;
mod reference;
mod settings;
mod source;
mod value;

#[cfg(test)]
mod tests;

pub use consent::{OpenerOrigin, PublicUrl, ReturnUrls};
pub use days::{Days, RollupDays};
pub use named::{BaseUrls, ClientId, ClientSecret, Named};
pub use problem::{ConfigError, Problem};
pub use reference::reference;
pub use settings::{Config, SETTINGS};
pub use source::{Inputs, Source};
pub use value::{AllowList, DatabaseUrl, LogFormat, LogLevel, Period, RedisUrl, Slots};

/// One setting as the reference, the flags and the messages know it.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Its name in the file, with dots: `worker.queues`. A `*` stands for any one name.
    pub key: &'static str,
    /// What it is for.
    pub doc: &'static str,
    /// Its value when nobody sets it, as text; empty: none.
    pub default: &'static str,
    /// What is accepted, in words.
    pub allowed: &'static str,
    /// Whether its value is never shown.
    pub secret: bool,
    /// Which commands read it.
    pub read_by: &'static [Reader],
}

/// A command that reads settings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    /// `patchbay up`
    Up,
    /// `patchbay api`
    Api,
    /// `patchbay worker`
    Worker,
    /// `patchbay scheduler`
    Scheduler,
    /// `patchbay migrate`, `org create`, `key create`
    Admin,
    /// `patchbay keys init`
    Keys,
    /// The client commands, which find a running `patchbay up` through its folder.
    Client,
}

impl Reader {
    /// Every reader.
    pub const ALL: [Self; 7] = [
        Self::Up,
        Self::Api,
        Self::Worker,
        Self::Scheduler,
        Self::Admin,
        Self::Keys,
        Self::Client,
    ];

    /// The name in the reference.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Api => "api",
            Self::Worker => "worker",
            Self::Scheduler => "scheduler",
            Self::Admin => "migrate, org, key",
            Self::Keys => "keys",
            Self::Client => "client commands",
        }
    }
}

impl Setting {
    /// Its environment variable: `PATCHBAY_WORKER__QUEUES`.
    #[must_use]
    pub fn variable(&self) -> String {
        format!(
            "{}{}",
            source::PREFIX,
            self.key.replace('.', "__").to_uppercase()
        )
    }

    /// Its flag without the dashes: `worker-queues`. That of a setting with a `*`
    /// takes `NAME=VALUE`.
    #[must_use]
    pub fn flag(&self) -> String {
        self.key.replace(".*", "").replace(['.', '_'], "-")
    }

    /// Whether its key takes the place of one name by a `*`.
    #[must_use]
    pub fn is_pattern(&self) -> bool {
        self.key.contains('*')
    }

    fn matches(&self, key: &str) -> bool {
        let (mut pattern, mut parts) = (self.key.split('.'), key.split('.'));
        loop {
            match (pattern.next(), parts.next()) {
                (None, None) => return true,
                (Some(expected), Some(part))
                    if expected == part || (expected == "*" && !part.is_empty()) => {}
                (Some(_), _) | (None, Some(_)) => return false,
            }
        }
    }
}

/// The effective configuration and where each of its values came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// One row per setting, in the order of [`SETTINGS`].
    pub rows: Vec<Row>,
}

/// A line of `patchbay config`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The setting.
    pub key: String,
    /// Its value, masked where it is secret.
    pub value: String,
    /// Where it came from.
    pub source: Source,
}

/// Reads the configuration.
///
/// # Errors
/// Every wrong value and every unknown setting, each with its source.
pub fn load(inputs: &Inputs) -> Result<Loaded, ConfigError> {
    let (given, mut problems) = inputs.gather();
    for one in &given {
        if !SETTINGS.iter().any(|setting| setting.matches(&one.key)) {
            problems.push(Problem::unknown(one));
        }
    }
    match settings::read(&given, &mut problems) {
        Some(loaded) if problems.is_empty() => Ok(loaded),
        Some(_) | None => Err(ConfigError(problems)),
    }
}
