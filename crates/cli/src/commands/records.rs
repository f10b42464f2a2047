//! `patchbay records`: what was pulled, as a table, as lines of JSON, or summed up.

use std::collections::BTreeMap;

use clap::Args;
use serde_json::Value;

use crate::{
    client::{Answer, Client, connection::Connection, pages::Page, record::Record},
    exit::Outcome,
    output::{self, Format, grouped},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  patchbay records square --stream catalog --kind item
  patchbay records square --stream sales --totals          counts by kind, net total per currency
  patchbay records square --stream sales --all --output json | jq -c '.[].data.net'")]
pub struct Arguments {
    /// Which connection, by id, name or provider
    connection: String,
    /// Which stream, such as catalog
    #[arg(long)]
    stream: String,
    /// Only this kind within the stream, such as item
    #[arg(long)]
    kind: Option<String>,
    /// Also those that the provider has deleted
    #[arg(long)]
    deleted: bool,
    /// Only what has changed since: `changed_since` of an earlier answer (--output json)
    #[arg(long, value_name = "CURSOR")]
    changed_since: Option<String>,
    /// Count by kind, and add up what has a net amount, per currency
    #[arg(long)]
    totals: bool,
    /// All of them, not only the first
    #[arg(long, conflicts_with = "limit")]
    all: bool,
    /// At most so many
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=200))]
    limit: u16,
}

pub async fn run(client: &Client, arguments: Arguments, format: Format) -> Outcome {
    let connection = client.find_connection(&arguments.connection).await?;
    let path = format!("/connections/{}/records", connection.id);
    let mut query = vec![("stream", arguments.stream.clone())];
    query.extend(arguments.kind.map(|kind| ("kind", kind)));
    query.extend(
        arguments
            .changed_since
            .map(|cursor| ("changed_since", cursor)),
    );
    if arguments.deleted {
        query.push(("deleted", "true".into()));
    }
    if arguments.totals {
        return totals(
            client,
            &connection,
            &arguments.stream,
            &path,
            &query,
            format,
        )
        .await;
    }
    if arguments.all {
        let answer: Answer<Vec<Record>> = client.all(&path, &query).await?;
        return match format {
            Format::Json => output::say_json(&answer.json),
            Format::Text => table(&answer.view),
        };
    }
    query.push(("limit", arguments.limit.to_string()));
    let answer: Answer<Page<Record>> = client.get(&path, &query).await?;
    match format {
        Format::Json => output::say_json(&answer.json),
        Format::Text => {
            table(&answer.view.data)?;
            match answer.view.next {
                Some(_) => output::say("\nThere are more: --all shows them, --totals counts them."),
                None => Ok(()),
            }
        }
    }
}

fn table(records: &[Record]) -> Outcome {
    if records.is_empty() {
        return output::say("No records. Were they pulled? `patchbay sync --help`");
    }
    let row = |record: &Record| {
        [
            record.external_id.clone(),
            record.kind.clone(),
            title(&record.data),
            when(record),
        ]
    };
    output::say(&output::table(
        ["ID", "KIND", "WHAT", "CHANGED"],
        &records.iter().map(row).collect::<Vec<_>>(),
    ))
}

/// The words for a record that people know it by: its name, or its amount.
fn title(data: &Value) -> String {
    let texts = ["name", "company", "given_name", "quantity"];
    let named = texts
        .iter()
        .find_map(|field| data[field].as_str())
        .map(str::to_owned);
    named
        .or_else(|| {
            money(&data["net"]).map(|(currency, amount)| amount_text(amount.into(), &currency))
        })
        .unwrap_or_default()
}

fn when(record: &Record) -> String {
    let at = record.last_changed.format("%Y-%m-%d %H:%M");
    if record.deleted_at.is_some() {
        format!("{at} (deleted)")
    } else {
        at.to_string()
    }
}

/// Counts and sums of a stream.
#[derive(Debug, Default, PartialEq, Eq)]
struct Totals {
    kinds: BTreeMap<String, u64>,
    /// Minor units by currency. Sums of 64-bit amounts need more than 64 bits.
    net: BTreeMap<String, i128>,
}

impl Totals {
    fn add(&mut self, record: &Record) {
        *self.kinds.entry(record.kind.clone()).or_default() += 1;
        if let Some((currency, amount)) = money(&record.data["net"]) {
            *self.net.entry(currency).or_default() += i128::from(amount);
        }
    }

    fn records(&self) -> u64 {
        self.kinds.values().sum()
    }

    fn text(&self, connection: &str, stream: &str) -> String {
        let mut lines = vec![format!(
            "{connection}, {stream}: {} records",
            grouped(self.records())
        )];
        lines.extend(
            self.kinds
                .iter()
                .map(|(kind, count)| format!("  {:<16}{:>14}", kind, grouped(*count))),
        );
        lines.extend(self.net.iter().map(|(currency, amount)| {
            format!(
                "  {:<16}{:>14} {currency}",
                "net total",
                decimal(*amount, currency)
            )
        }));
        lines.join("\n")
    }

    fn json(&self, stream: &str) -> Value {
        let net = |(currency, amount): (&String, &i128)| serde_json::json!({ "currency": currency, "amount": decimal(*amount, currency).replace(',', "") });
        serde_json::json!({
            "stream": stream, "records": self.records(), "kinds": self.kinds,
            "net": self.net.iter().map(net).collect::<Vec<_>>(),
        })
    }
}

async fn totals(
    client: &Client,
    connection: &Connection,
    stream: &str,
    path: &str,
    query: &[(&str, String)],
    format: Format,
) -> Outcome {
    let mut totals = Totals::default();
    client
        .each_page(path, query, |page: Answer<Page<Record>>| {
            page.view.data.iter().for_each(|record| totals.add(record));
        })
        .await?;
    match format {
        Format::Json => output::say_json(&totals.json(stream)),
        Format::Text => output::say(&totals.text(&connection.name, stream)),
    }
}

fn money(value: &Value) -> Option<(String, i64)> {
    Some((
        value["currency"].as_str()?.to_owned(),
        value["amount"].as_i64()?,
    ))
}

fn amount_text(minor: i128, currency: &str) -> String {
    format!("{} {currency}", decimal(minor, currency))
}

/// Minor units as a decimal with groups: 18066775 pence are `180,667.75`.
fn decimal(minor: i128, currency: &str) -> String {
    let digits = minor_digits(currency);
    let unit = 10_u128.pow(digits);
    let sign = if minor < 0 { "-" } else { "" };
    let absolute = minor.unsigned_abs();
    let whole =
        u64::try_from(absolute / unit).map_or_else(|_| (absolute / unit).to_string(), grouped);
    match digits {
        0 => format!("{sign}{whole}"),
        digits => format!(
            "{sign}{whole}.{:0width$}",
            absolute % unit,
            width = digits as usize
        ),
    }
}

/// Decimal places of a currency (ISO 4217, list one, 2024): two but for these.
fn minor_digits(currency: &str) -> u32 {
    match currency {
        "BIF" | "CLP" | "DJF" | "GNF" | "ISK" | "JPY" | "KMF" | "KRW" | "PYG" | "RWF" | "UGX"
        | "UYI" | "VND" | "VUV" | "XAF" | "XOF" | "XPF" => 0,
        "BHD" | "IQD" | "JOD" | "KWD" | "LYD" | "OMR" | "TND" => 3,
        "CLF" | "UYW" => 4,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sale(kind: &str, amount: i64, currency: &str) -> Record {
        serde_json::from_value(json!({
            "external_id": "o1", "kind": kind, "last_changed": "2026-01-01T00:00:00Z", "deleted_at": null,
            "data": { "net": { "amount": amount, "currency": currency } },
        }))
        .unwrap()
    }

    #[test]
    fn totals_are_counted_by_kind_and_added_up_per_currency() {
        let mut totals = Totals::default();
        for record in [
            sale("sale", 18_100_000, "GBP"),
            sale("return", -33_225, "GBP"),
            sale("sale", 500, "JPY"),
        ] {
            totals.add(&record);
        }
        assert_eq!(
            totals.text("Shop", "sales"),
            "Shop, sales: 3 records\n  return                       1\n  sale                         2\n  \
             net total           180,667.75 GBP\n  net total                  500 JPY"
        );
    }

    #[test]
    fn amounts_have_the_places_of_their_currency() {
        assert_eq!(decimal(-5, "USD"), "-0.05");
        assert_eq!(decimal(1_234_567, "KWD"), "1,234.567");
        assert_eq!(decimal(1_234_567, "JPY"), "1,234,567");
    }

    #[test]
    fn a_record_is_known_by_its_name_or_its_amount() {
        assert_eq!(title(&json!({ "name": "Tea" })), "Tea");
        assert_eq!(
            title(&json!({ "net": { "amount": 1050, "currency": "GBP" } })),
            "10.50 GBP"
        );
    }
}
