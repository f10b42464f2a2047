//! A Redis database per test.

use anyhow::{Context, Result, ensure};

use crate::{
    redis_server::{ANSWER_WITHIN, ask},
    shared_servers::shared,
};

/// Databases of the run's Redis: one per test, and number 0 for handing them out.
pub(crate) const DATABASES: u32 = 10_000;

/// A numbered database on the Redis that all tests of the run share; emptied with this value.
///
/// Keys are its own. Publish/subscribe is not: Redis shares channels between its databases, so a
/// test about channels that are not named by a unique id starts a [`crate::RedisServer`].
#[derive(Debug)]
pub struct TestRedis {
    url: String,
}

impl TestRedis {
    /// An empty database on the run's Redis.
    ///
    /// # Panics
    /// When there is no server or it refuses: no test can go on without.
    #[must_use]
    pub fn fresh() -> Self {
        Self::take_number(&shared().redis_url).expect("the run's Redis gives a fresh database")
    }

    fn take_number(server_url: &str) -> Result<Self> {
        let mut connection =
            redis::Client::open(server_url)?.get_connection_with_timeout(ANSWER_WITHIN)?;
        let number: u32 = redis::cmd("INCR")
            .arg("patchbay-tests:databases")
            .query(&mut connection)?;
        ensure!(
            number < DATABASES,
            "more than {DATABASES} Redis databases in one run"
        );
        let (server, _) = server_url
            .rsplit_once('/')
            .context("the address names a database")?;
        Ok(Self {
            url: format!("{server}/{number}"),
        })
    }

    /// Its address, `redis://.../number`.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Removes everything in it, while clients stay connected.
    ///
    /// # Errors
    /// When the server does not answer.
    pub fn flush(&self) -> Result<()> {
        ask(&self.url, &["FLUSHDB"]).context("flushing the test's Redis database")
    }
}

impl Drop for TestRedis {
    fn drop(&mut self) {
        // Not worth failing a test that passed: nobody gets this number again.
        if let Err(error) = self.flush() {
            eprintln!(
                "harness: {} keeps its keys until the end of the run: {error}",
                self.url
            );
        }
    }
}
