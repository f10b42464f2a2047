//! `docs/configuration.md`, made from the table of settings.

use std::fmt::Write as _;

use super::SETTINGS;

const HEAD: &str = "\
# Configuration

<!-- Made from crates/core/src/config/settings.rs by `patchbay config --reference`; a test compares them. -->

Settings come from a file, the environment and flags; a later one wins over an earlier one.

- The file is TOML: the one that `--config FILE` or `PATCHBAY_CONFIG` names, else `/etc/patchbay/patchbay.toml` if it exists. A dot in a name is a table: `worker.queues` is `queues` in `[worker]`.
- An environment variable is the name in capitals behind `PATCHBAY_`, with `__` for a dot. An empty one counts as not set.
- A flag is the name with dashes. Flags are visible to every user of the machine (`ps`): give passwords in the file or the environment.

`patchbay config` prints the effective values and where each came from, with secrets masked. A setting that does not exist and a value that is not allowed stop the program with a line for each.

Three variables are no settings: `PATCHBAY_CONFIG` (above), `PATCHBAY_URL` and `PATCHBAY_API_KEY` (address and key for the client commands).

";

/// The reference as Markdown.
#[must_use]
pub fn reference() -> String {
    let mut page = HEAD.to_owned();
    for setting in SETTINGS {
        let readers: Vec<String> = setting
            .read_by
            .iter()
            .map(|reader| format!("`{}`", reader.name()))
            .collect();
        let default = if setting.default.is_empty() {
            "none".to_owned()
        } else {
            format!("`{}`", setting.default)
        };
        let doc: Vec<&str> = setting.doc.lines().map(str::trim).collect();
        let value = if setting.is_pattern() {
            " NAME=VALUE"
        } else {
            " VALUE"
        };
        // Writing into a String cannot fail.
        write!(
            page,
            "## `{}`\n\n{}\n\n- Allowed: {}{}\n- Default: {default}\n- Variable: `{}`; flag: `--{}{value}`\n- Read by: {}\n\n",
            setting.key,
            doc.join("\n").trim(),
            setting.allowed.replace('*', "\\*"),
            if setting.secret { ". Shown masked" } else { "" },
            setting.variable(),
            setting.flag(),
            readers.join(", "),
        )
        .expect("a String takes all text");
    }
    page.truncate(page.trim_end().len());
    page.push('\n');
    page
}
