//! Keeps PostgreSQL and Redis for one test run; see `shared_servers.rs`.
//!
//! Without arguments it is the runner's setup script: it starts a keeper for the runner and
//! hands the addresses over in the file that `NEXTEST_ENV` names.

use std::{fs::File, io::Write, path::Path};

use anyhow::{Context, Result, bail};
use patchbay_tests::{launch, serve};

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => set_up_run(),
        ["keep", owner, ready] => {
            let owner = owner.parse().context("the owner is a process id")?;
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()?;
            runtime.block_on(serve(owner, Path::new(ready)))
        }
        _ => bail!("usage: test-servers (as a setup script of cargo nextest)"),
    }
}

fn set_up_run() -> Result<()> {
    #[expect(clippy::disallowed_methods, reason = "the runner's protocol")]
    let environment = std::env::var("NEXTEST_ENV")
        .context("NEXTEST_ENV is not set: this is a setup script of cargo nextest")?;
    let runner = nix::unistd::getppid();
    let servers = launch(&std::env::current_exe()?, u32::try_from(runner.as_raw())?)?;
    let mut file = File::options().append(true).open(environment)?;
    Ok(file.write_all(servers.to_environment().as_bytes())?)
}
