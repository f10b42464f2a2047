//! `patchbay providers`: what can be connected.

use clap::Args;
use serde::Deserialize;
use serde_json::Value;

use crate::{
    client::{Answer, Client},
    exit::Outcome,
    output::{self, Format},
};

#[derive(Debug, Args)]
pub struct Arguments {
    /// Show this one, with the fields it takes
    provider: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Providers {
    data: Vec<Provider>,
}

#[derive(Debug, Deserialize)]
struct Provider {
    key: String,
    label: String,
    category: String,
    description: String,
    /// `credential`, `consent`.
    #[serde(default)]
    ways: Vec<String>,
    streams: Vec<Stream>,
    #[serde(default)]
    config: Value,
}

#[derive(Debug, Deserialize)]
struct Stream {
    key: String,
}

impl Provider {
    fn streams(&self) -> String {
        self.streams
            .iter()
            .map(|stream| stream.key.as_str())
            .collect::<Vec<_>>()
            .join(", ")
    }
}

pub async fn run(client: &Client, arguments: Arguments, format: Format) -> Outcome {
    match arguments.provider {
        None => list(&client.get("/providers", &[]).await?, format),
        Some(key) => show(
            &client.get(&format!("/providers/{key}"), &[]).await?,
            format,
        ),
    }
}

fn list(answer: &Answer<Providers>, format: Format) -> Outcome {
    if format == Format::Json {
        return output::say_json(&answer.json);
    }
    let row = |provider: &Provider| {
        [
            provider.key.clone(),
            provider.label.clone(),
            provider.category.clone(),
            provider.ways.join(", "),
            provider.streams(),
        ]
    };
    output::say(&output::table(
        ["PROVIDER", "NAME", "CATEGORY", "CONNECT BY", "STREAMS"],
        &answer.view.data.iter().map(row).collect::<Vec<_>>(),
    ))
}

fn show(answer: &Answer<Provider>, format: Format) -> Outcome {
    if format == Format::Json {
        return output::say_json(&answer.json);
    }
    let provider = &answer.view;
    let mut lines = vec![
        format!(
            "{} ({}, {})",
            provider.label, provider.key, provider.category
        ),
        provider.description.clone(),
        format!("Connect by: {}", provider.ways.join(" or ")),
        format!("Streams: {}", provider.streams()),
        String::new(),
    ];
    lines.extend(fields(&provider.config));
    output::say(lines.join("\n").trim_end())
}

/// The fields of the config schema, as flags of `patchbay connect`.
fn fields(schema: &Value) -> Vec<String> {
    let required: Vec<&str> = schema["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let Some(properties) = schema["properties"].as_object() else {
        return Vec::new();
    };
    let line = |(name, property): (&String, &Value)| {
        let flag = if property["x-secret"] == Value::Bool(true) {
            "--secret"
        } else {
            "--set"
        };
        let need = if required.contains(&name.as_str()) {
            "required"
        } else {
            "optional"
        };
        let words = property["description"]
            .as_str()
            .or(property["title"].as_str())
            .unwrap_or_default();
        format!("  {flag} {name}=...  ({need}) {words}")
    };
    properties.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_schema_becomes_flags_of_connect() {
        let schema = json!({
            "required": ["access_token"],
            "properties": {
                "access_token": { "title": "Access token", "x-secret": true },
                "environment": { "title": "Environment", "description": "Where the token was made." },
            },
        });
        assert_eq!(
            fields(&schema),
            [
                "  --secret access_token=...  (required) Access token",
                "  --set environment=...  (optional) Where the token was made.",
            ]
        );
    }
}
