//! `patchbay keys status`: each key, where it is in use, who knows it, what is unfinished.

use patchbay_core::{
    config::Config,
    store::keys::{DataKeys, Reencryption, Used},
    vault::holders::{HeldKey, Holder, KeySort, Role, closing_with},
};
use serde::Serialize;
use serde_json::json;

use super::{home, list::does, many};
use crate::{
    exit::Outcome,
    output::{self, Format, grouped},
    serve::outside,
};

#[derive(Debug, Serialize)]
struct Row {
    #[serde(flatten)]
    key: HeldKey,
    known_to: usize,
    of_processes: usize,
    used: Vec<Used>,
}

pub async fn run(config: &Config, format: Format) -> Outcome {
    let keyring = outside::keyring(&home::keyring_path(config, None)?)?;
    let store = home::store(config).await?;
    let holders = store.key_holders().await?;
    let mut rows = Vec::new();
    for key in keyring.held() {
        // A sealing key is also known to those that only seal.
        let may_know =
            |holder: &&Holder| holder.role == Role::Opens || key.sort == KeySort::Sealing;
        let asked: Vec<&Holder> = holders.iter().filter(may_know).collect();
        rows.push(Row {
            known_to: asked.iter().filter(|it| it.holds(&key).is_some()).count(),
            of_processes: asked.len(),
            used: store.used(&key).await?,
            key,
        });
    }
    let data_keys = store.data_keys().await?;
    let pass = store.open_reencryption().await?;
    match format {
        Format::Json => output::say_json(&json!({
            "keys": rows, "data_keys": data_keys, "processes": holders,
            "unfinished": pass.as_ref().map(|pass| json!({
                "pass": "reencrypt", "started_at": pass.started_at, "reencrypted": pass.rows_done,
            })),
        })),
        Format::Text => output::say(&text(&rows, &holders, data_keys, pass.as_ref())),
    }
}

fn text(
    rows: &[Row],
    holders: &[Holder],
    data_keys: DataKeys,
    pass: Option<&Reencryption>,
) -> String {
    let cells = |row: &Row| {
        let used: Vec<String> = row
            .used
            .iter()
            .map(|used| format!("{} {}", grouped(used.rows), used.column))
            .collect();
        [
            row.key.id.clone(),
            does(row.key.sort).to_owned(),
            row.key.state.name().to_owned(),
            row.key.fingerprint.clone(),
            format!("{} of {}", row.known_to, row.of_processes),
            if used.is_empty() {
                "nothing".to_owned()
            } else {
                used.join(", ")
            },
        ]
    };
    let head = ["KEY", "FOR", "STATE", "FINGERPRINT", "KNOWN TO", "USED BY"];
    let cells: Vec<[String; 6]> = rows.iter().map(cells).collect();
    let mut lines = vec![output::table(head, &cells), String::new()];
    lines.push(match data_keys.retired {
        0 => format!("Data keys: {}.", grouped(data_keys.current)),
        retired => format!(
            "Data keys: {}; {} that something still uses.",
            grouped(data_keys.current),
            many(retired, "retired one")
        ),
    });
    if let Some(pass) = pass {
        lines.push(format!(
            "A re-encryption that began {} is unfinished, {} done: `patchbay keys reencrypt` goes on with it.",
            pass.started_at.format("%Y-%m-%d %H:%M"),
            many(pass.rows_done, "secret")
        ));
    }
    lines.extend(deviations(rows, holders));
    lines.join("\n")
}

/// Processes whose keys are not those of this file.
fn deviations(rows: &[Row], holders: &[Holder]) -> Vec<String> {
    let mut lines = Vec::new();
    for holder in holders {
        let who = format!("{} on {}", holder.kind, holder.host);
        if holder.keys.is_none() {
            lines.push(format!("{who} has not told which keys it uses."));
            continue;
        }
        for Row { key, .. } in rows {
            let known = holder.holds(key);
            if known.is_none() && holder.role == Role::Opens {
                lines.push(format!("{who} does not know {}.", key.id));
            }
            let closes = !closing_with(std::slice::from_ref(holder), key).is_empty();
            if closes && known.is_some_and(|known| known.state != key.state) {
                lines.push(format!(
                    "{who} still has {} as primary; here it is {}.",
                    key.id,
                    key.state.name()
                ));
            }
        }
    }
    lines
}
