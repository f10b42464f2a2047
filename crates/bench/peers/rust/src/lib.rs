//! What the Rust peers share: settings from the environment and the one line they print.
//! It knows no queue; each peer is one file in `bin/`.

use std::{env, process::ExitCode, str::FromStr, time::Duration};

use anyhow::{Context, Result, anyhow, bail};

/// Runs the case named on the command line and prints its row, or one clear line on
/// standard error with exit code 1.
pub async fn report(
    peer: &str,
    cases: &[&str],
    run: impl AsyncFnOnce(&str) -> Result<serde_json::Value>,
) -> ExitCode {
    let asked = env::args().nth(1).unwrap_or_default();
    let outcome = match cases.contains(&asked.as_str()) {
        true => run(&asked).await,
        false => Err(anyhow!(
            "unknown case {asked:?}; cases: {}",
            cases.join(", ")
        )),
    };
    match outcome {
        Ok(row) => {
            println!("{row}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{peer}: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A number or switch from the environment, `default` when it is not set.
///
/// # Errors
/// The variable is set to something that is not a `T`.
pub fn setting<T: FromStr>(name: &str, default: T) -> Result<T> {
    match env::var(name) {
        Err(_) => Ok(default),
        Ok(text) => text
            .parse()
            .map_err(|_| anyhow!("{name} is {text:?}, which is not a valid value")),
    }
}

/// A connection URL from the environment.
///
/// # Errors
/// The variable is not set.
pub fn url(name: &str) -> Result<String> {
    env::var(name).map_err(|_| anyhow!("{name} is not set"))
}

/// How long a drain may take before it is reported unfinished.
///
/// # Errors
/// `MAX_SECONDS` is not a whole number.
pub fn limit() -> Result<Duration> {
    Ok(Duration::from_secs(setting("MAX_SECONDS", 120)?))
}

/// Jobs a second, to one decimal.
#[must_use]
pub fn rate(jobs: usize, took: Duration) -> f64 {
    (jobs as f64 / took.as_secs_f64() * 10.0).round() / 10.0
}

/// Seconds, to the millisecond.
#[must_use]
pub fn seconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 1000.0).round() / 1000.0
}

/// The URL without the user and password that it may carry.
#[must_use]
pub fn without_password(url: &str) -> String {
    match (url.find("://"), url.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            format!("{}://...{}", &url[..scheme], &url[at..])
        }
        _ => url.to_owned(),
    }
}

/// Redis time spent on commands so far.
#[derive(Debug, Clone, Copy)]
pub struct RedisTime {
    script_us: u64,
    cpu_seconds: f64,
}

impl RedisTime {
    /// Microseconds a job since `before`: (commands, CPU of the main thread).
    #[must_use]
    pub fn since(self, before: Self, jobs: usize) -> (f64, f64) {
        let commands = (self.script_us - before.script_us) as f64 / jobs as f64;
        let cpu = (self.cpu_seconds - before.cpu_seconds) * 1e6 / jobs as f64;
        (
            (commands * 10.0).round() / 10.0,
            (cpu * 10.0).round() / 10.0,
        )
    }

    /// Reads `INFO commandstats` and `INFO cpu`.
    ///
    /// A script's time holds the commands it calls, which are listed once more under their
    /// own names; so scripts and blocking pops count, and nothing else.
    ///
    /// # Errors
    /// Redis does not answer, or answers without these sections.
    pub async fn now(conn: &mut redis::aio::ConnectionManager) -> Result<Self> {
        let info: String = redis::cmd("INFO")
            .arg("commandstats")
            .arg("cpu")
            .query_async(conn)
            .await?;
        let mut time = Self {
            script_us: 0,
            cpu_seconds: 0.0,
        };
        for line in info.lines() {
            let Some((name, value)) = line.split_once(':') else {
                continue;
            };
            if let Some(command) = name.strip_prefix("cmdstat_") {
                if is_sent_by_clients(command) {
                    let usec = value
                        .split("usec=")
                        .nth(1)
                        .and_then(|rest| rest.split(',').next());
                    time.script_us += usec.context("commandstats without usec")?.parse::<u64>()?;
                }
            } else if name == "used_cpu_user_main_thread" || name == "used_cpu_sys_main_thread" {
                time.cpu_seconds += value.trim().parse::<f64>()?;
            }
        }
        Ok(time)
    }
}

fn is_sent_by_clients(command: &str) -> bool {
    ["eval", "fcall", "bzpop", "blpop", "brpop", "blm"]
        .iter()
        .any(|start| command.starts_with(start))
}

/// Refuses a Redis database that holds anything: a peer empties it afterwards.
///
/// # Errors
/// It holds keys, or cannot be asked.
pub async fn must_be_empty(conn: &mut redis::aio::ConnectionManager, url: &str) -> Result<()> {
    let keys: u64 = redis::cmd("DBSIZE").query_async(conn).await?;
    if keys > 0 {
        bail!(
            "the Redis database at {} holds {keys} keys; peers want an empty one, which they empty again",
            without_password(url)
        );
    }
    Ok(())
}
