//! `patchbay completions SHELL`: the script a shell completes commands with.

use clap_complete::Shell;

use crate::{command, exit::Outcome, flags, output};

pub fn run(shell: Shell) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(
        shell,
        &mut flags::with_settings(command::tree()),
        "patchbay",
        &mut script,
    );
    output::say_raw(&script)
}
