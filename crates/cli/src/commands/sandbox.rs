//! `patchbay sandbox`: the strict local stand-in for a provider's API.

use patchbay_sandbox::SandboxArgs;

use crate::exit::{Outcome, Stop};

pub async fn run(arguments: SandboxArgs) -> Outcome {
    patchbay_sandbox::run(arguments)
        .await
        .map_err(Stop::internal)
}
