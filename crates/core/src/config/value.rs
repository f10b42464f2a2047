//! What a setting may hold, how it is read from text and how it is shown.

use std::{collections::BTreeMap, fmt, net::SocketAddr, path::PathBuf, time::Duration};

use url::Url;

use super::{
    Problem, Row, Setting,
    source::{Given, Source},
};
use crate::{job::Queue, outbound::Allowed, secret::Secret, vault::SealingPublicKey};

/// A kind of value. Every source gives text, so one parser serves them all.
pub(super) trait Value: Sized {
    /// What is accepted, in words.
    const ALLOWED: &'static str;
    /// Whether messages must not show it.
    const SECRET: bool = false;

    /// Reads the text; the error says what is wrong with it (`is not ...`).
    fn parse(text: &str) -> Result<Self, String>;

    /// As `patchbay config` shows it.
    fn shown(&self) -> String;

    /// The strongest value given for the setting, or its default.
    fn read(
        setting: &Setting,
        given: &[Given],
        rows: &mut Vec<Row>,
        problems: &mut Vec<Problem>,
    ) -> Option<Self> {
        let default = Given {
            key: setting.key.into(),
            text: setting.default.into(),
            source: Source::Default,
        };
        let strongest = given
            .iter()
            .rfind(|one| setting.matches(&one.key))
            .unwrap_or(&default);
        match Self::parse(&strongest.text) {
            Ok(value) => {
                rows.push(Row {
                    key: strongest.key.clone(),
                    value: value.shown(),
                    source: strongest.source.clone(),
                });
                Some(value)
            }
            Err(why) => {
                problems.push(Problem::wrong(setting, strongest, &why));
                None
            }
        }
    }
}

impl<T: Value> Value for Option<T> {
    const ALLOWED: &'static str = T::ALLOWED;
    const SECRET: bool = T::SECRET;

    fn parse(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            Ok(None)
        } else {
            T::parse(text).map(Some)
        }
    }

    fn shown(&self) -> String {
        self.as_ref().map_or_else(|| "(none)".to_owned(), T::shown)
    }
}

impl Value for PathBuf {
    const ALLOWED: &'static str = "a path; `~/` is your home folder";

    fn parse(text: &str) -> Result<Self, String> {
        match text.strip_prefix("~/") {
            Some(rest) => {
                let home = std::env::home_dir()
                    .ok_or("begins with ~/, but this user has no home folder")?;
                Ok(home.join(rest))
            }
            None if text.is_empty() => Err("is empty".into()),
            None => Ok(Self::from(text)),
        }
    }

    fn shown(&self) -> String {
        self.display().to_string()
    }
}

impl Value for SocketAddr {
    const ALLOWED: &'static str =
        "ADDRESS:PORT, such as 127.0.0.1:7420 or [::]:7420; port 0 picks a free one";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse()
            .map_err(|_| "is not an address with a port".into())
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl Value for u32 {
    const ALLOWED: &'static str = "a whole number from 1 to 1000";

    fn parse(text: &str) -> Result<Self, String> {
        let number = text.parse::<Self>().map_err(|_| "is not a whole number")?;
        if (1..=1000).contains(&number) {
            Ok(number)
        } else {
            Err("is out of range".into())
        }
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

/// A PostgreSQL address with its password.
#[derive(Debug, Clone)]
pub struct DatabaseUrl(pub Secret);

impl Value for DatabaseUrl {
    const ALLOWED: &'static str = "postgres://USER:PASSWORD@HOST:PORT/DATABASE";
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        server_url(text, &["postgres", "postgresql"]).map(Self)
    }

    fn shown(&self) -> String {
        without_password(&self.0)
    }
}

/// A Redis address with its password.
#[derive(Debug, Clone)]
pub struct RedisUrl(pub Secret);

impl Value for RedisUrl {
    const ALLOWED: &'static str =
        "redis://[USER:PASSWORD@]HOST:PORT[/NUMBER], or rediss:// for TLS";
    const SECRET: bool = true;

    fn parse(text: &str) -> Result<Self, String> {
        server_url(text, &["redis", "rediss"]).map(Self)
    }

    fn shown(&self) -> String {
        without_password(&self.0)
    }
}

fn server_url(text: &str, schemes: &[&str]) -> Result<Secret, String> {
    let url = Url::parse(text).map_err(|error| format!("is not an address ({error})"))?;
    if !schemes.contains(&url.scheme()) {
        return Err(format!("begins with {}://", url.scheme()));
    }
    Ok(Secret::new(text))
}

/// The address with its password and query masked: both may hold secrets.
fn without_password(secret: &Secret) -> String {
    let Ok(mut url) = Url::parse(secret.expose()) else {
        return "••••".into();
    };
    let masked = url.password().is_none() || url.set_password(Some("xxxx")).is_ok();
    if url.query().is_some() {
        url.set_query(Some("xxxx"));
    }
    if masked {
        url.to_string().replace("xxxx", "••••")
    } else {
        "••••".into()
    }
}

/// A length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period(pub Duration);

impl Value for Period {
    const ALLOWED: &'static str = "a time such as 500ms, 25s or 2m, at most 1h";

    fn parse(text: &str) -> Result<Self, String> {
        let digits = text.trim_end_matches(|character: char| character.is_ascii_alphabetic());
        let number: u64 = digits.parse().map_err(|_| "is not a time")?;
        let period = match &text[digits.len()..] {
            "ms" => Duration::from_millis(number),
            "s" => Duration::from_secs(number),
            "m" => Duration::from_secs(number.saturating_mul(60)),
            "h" => Duration::from_secs(number.saturating_mul(3600)),
            "" => return Err("has no unit".into()),
            unit => return Err(format!("has the unit {unit}")),
        };
        if period > Duration::from_secs(3600) {
            Err("is too long".into())
        } else {
            Ok(Self(period))
        }
    }

    fn shown(&self) -> String {
        format!("{:?}", self.0)
    }
}

/// The queues a worker serves and its slots in each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Slots(pub BTreeMap<Queue, usize>);

/// More bodies than this in one process only wait for each other.
const MOST_SLOTS: usize = 10_000;

impl Value for Slots {
    const ALLOWED: &'static str = "QUEUE=SLOTS,... with the queues interactive, sync, webhook, maintenance and 1 to 10000 slots each";

    fn parse(text: &str) -> Result<Self, String> {
        let mut slots = BTreeMap::new();
        for part in text.split(',').map(str::trim) {
            let (name, number) = part
                .split_once('=')
                .ok_or_else(|| format!("has the part `{part}` without `=`"))?;
            let queue = Queue::ALL
                .into_iter()
                .find(|queue| queue.name() == name.trim())
                .ok_or_else(|| {
                    format!("names the queue `{}`, which does not exist", name.trim())
                })?;
            let count = number
                .trim()
                .parse::<usize>()
                .ok()
                .filter(|count| (1..=MOST_SLOTS).contains(count));
            let count =
                count.ok_or_else(|| format!("gives {} `{}` slots", queue.name(), number.trim()))?;
            if slots.insert(queue, count).is_some() {
                return Err(format!("names {} twice", queue.name()));
            }
        }
        Ok(Self(slots))
    }

    fn shown(&self) -> String {
        let parts: Vec<String> = self
            .0
            .iter()
            .map(|(queue, slots)| format!("{}={slots}", queue.name()))
            .collect();
        parts.join(",")
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// Lines for people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Value for LogFormat {
    const ALLOWED: &'static str = "auto, text or json";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("is no log format".into()),
        }
    }

    fn shown(&self) -> String {
        match self {
            Self::Auto => "auto",
            Self::Text => "text",
            Self::Json => "json",
        }
        .into()
    }
}

/// A level, or directives such as `warn,patchbay_worker=debug`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLevel(pub String);

impl Value for LogLevel {
    const ALLOWED: &'static str =
        "off, error, warn, info, debug or trace, or MODULE=LEVEL pairs: info,patchbay_worker=debug";

    fn parse(text: &str) -> Result<Self, String> {
        for part in text.split(',').map(str::trim) {
            let level = part.rsplit_once('=').map_or(part, |(_, level)| level);
            if !["off", "error", "warn", "info", "debug", "trace"].contains(&level) {
                return Err(format!("has the level `{level}`"));
            }
        }
        Ok(Self(text.to_owned()))
    }

    fn shown(&self) -> String {
        self.0.clone()
    }
}

/// Targets that are not public and may be reached all the same.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AllowList(pub Vec<Allowed>);

impl Value for AllowList {
    const ALLOWED: &'static str =
        "host names, addresses and subnets with commas between: erp.internal,10.1.0.0/16,::1";

    fn parse(text: &str) -> Result<Self, String> {
        let parts = text
            .split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty());
        let allowed = parts.map(|part| part.parse().map_err(|_| format!("has the part `{part}`")));
        allowed.collect::<Result<_, _>>().map(Self)
    }

    fn shown(&self) -> String {
        if self.0.is_empty() {
            return "(none)".into();
        }
        self.0
            .iter()
            .map(Allowed::to_string)
            .collect::<Vec<_>>()
            .join(",")
    }
}

impl Value for SealingPublicKey {
    const ALLOWED: &'static str = "ID:KEY, as `patchbay keys init` prints it";

    fn parse(text: &str) -> Result<Self, String> {
        text.parse().map_err(|_| "is no sealing public key".into())
    }

    fn shown(&self) -> String {
        self.to_string()
    }
}

impl fmt::Display for Slots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}
