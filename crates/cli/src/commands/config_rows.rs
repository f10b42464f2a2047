//! `patchbay config`: the effective settings, each with where it came from.

use clap::Args;
use patchbay_core::config::{self, Inputs};
use serde_json::json;

use crate::{
    exit::Outcome,
    output::{self, Format},
};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Print the reference of all settings as Markdown (docs/configuration.md)
    #[arg(long)]
    reference: bool,
}

pub fn run(inputs: &Inputs, arguments: Arguments, format: Format) -> Outcome {
    if arguments.reference {
        return output::say_raw(config::reference().as_bytes());
    }
    let rows = config::load(inputs)?.rows;
    match format {
        Format::Json => {
            let row = |row: &config::Row| json!({ "setting": row.key, "value": row.value, "source": row.source.to_string() });
            output::say_json(&rows.iter().map(row).collect::<Vec<_>>())
        }
        Format::Text => {
            let row = |row: config::Row| [row.key, row.value, row.source.to_string()];
            output::say(&output::table(
                ["SETTING", "VALUE", "SOURCE"],
                &rows.into_iter().map(row).collect::<Vec<_>>(),
            ))
        }
    }
}
