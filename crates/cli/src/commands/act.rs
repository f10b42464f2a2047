//! `patchbay act`: does something at a provider, and shows what came of it.

use std::{io::Read, path::PathBuf};

use clap::Args;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{
    client::{Answer, Client, job::Job},
    exit::{Outcome, Stop},
    follow,
    output::{self, Format},
};

#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  patchbay act smtp send_test_email
  patchbay act smtp send_email --input to=kim@example.com --input to=lee@example.com \\
      --input subject=Hello --input text='The till is closed.'
  patchbay act smtp send_email --json e-mail.json
  patchbay act google_drive export_text --input file_id=1AbC

`patchbay providers PROVIDER --output json` lists the actions, each with the schema of its input.
It waits for the end and prints the result; with --no-wait it prints the job and ends.
It exits with 0 if it was done, else with 7 (`patchbay help exit-codes`).")]
pub struct Arguments {
    /// Which connection, by id, name or provider
    connection: String,
    /// Key of the action
    action: String,
    /// Field of the input; a field given twice is a list
    #[arg(long = "input", value_name = "FIELD=VALUE", value_parser = pair, conflicts_with = "json")]
    fields: Vec<(String, String)>,
    /// The whole input as JSON: a file, or - for the standard input
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Print the job and end; the work goes on in Patchbay
    #[arg(long)]
    no_wait: bool,
}

/// What the catalogue says of a provider's actions.
#[derive(Debug, Deserialize)]
struct Provider {
    #[serde(default)]
    actions: Vec<Action>,
}

#[derive(Debug, Deserialize)]
struct Action {
    key: String,
    #[serde(default)]
    input: Value,
}

pub async fn run(client: &Client, arguments: Arguments, format: Format) -> Outcome {
    let connection = client.find_connection(&arguments.connection).await?;
    let input = match &arguments.json {
        Some(path) => read(path)?,
        None => {
            let path = format!("/providers/{}", connection.provider);
            let provider: Answer<Provider> = client.get(&path, &[]).await?;
            let actions = provider.view.actions;
            let action = actions.iter().find(|it| it.key == arguments.action);
            // An unknown action is the API's to refuse, in its words.
            let schema = action.map_or(&Value::Null, |action| &action.input);
            Value::Object(typed(&arguments.fields, schema))
        }
    };
    let path = format!(
        "/connections/{}/actions/{}",
        connection.id, arguments.action
    );
    let asked: Answer<Job> = client.post(&path, &[], &json!({ "input": input })).await?;
    let id = asked.view.id;
    if arguments.no_wait {
        return match format {
            Format::Json => output::say_json(&asked.json),
            Format::Text => output::say(&format!("{id} {}", asked.view.state_name())),
        };
    }
    let verdict = follow::to_the_end(client, vec![asked.view], format).await;
    let ended: Answer<Value> = client.get(&format!("/jobs/{id}"), &[]).await?;
    match format {
        Format::Json => output::say_json(&ended.json)?,
        Format::Text if verdict.is_ok() => output::say_json(&ended.json["result"])?,
        Format::Text => {}
    }
    verdict.map(drop)
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected FIELD=VALUE")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn read(path: &PathBuf) -> Outcome<Value> {
    let wrong = |why: String| Stop::usage(format!("--json {}: {why}", path.display()));
    let text = if path.as_os_str() == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        text
    } else {
        std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?
    };
    serde_json::from_str(&text).map_err(|error| wrong(error.to_string()))
}

/// The fields in the types that the action's schema gives them. What does not fit is sent as
/// it is, for the API to say what it wants.
fn typed(fields: &[(String, String)], schema: &Value) -> Map<String, Value> {
    let mut input = Map::new();
    for (name, text) in fields {
        let kind = schema["properties"][name]["type"].as_str();
        let value = match kind {
            Some("integer" | "boolean") => {
                serde_json::from_str(text).unwrap_or_else(|_| json!(text))
            }
            Some(_) | None => json!(text),
        };
        match input.get_mut(name) {
            Some(Value::Array(list)) => list.push(value),
            Some(first) => *first = json!([first.take(), value]),
            None if kind == Some("array") => {
                input.insert(name.clone(), json!([value]));
            }
            None => {
                input.insert(name.clone(), value);
            }
        }
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_the_types_of_the_schema() {
        let schema = json!({ "properties": {
            "to": { "type": "array" }, "text": { "type": "string" }, "copies": { "type": "integer" },
        } });
        let given = [
            ("to", "a@example.com"),
            ("to", "b@example.com"),
            ("text", "123"),
            ("copies", "2"),
            ("other", "x"),
        ];
        let fields: Vec<(String, String)> = given
            .iter()
            .map(|(name, text)| (name.to_string(), text.to_string()))
            .collect();
        assert_eq!(
            Value::Object(typed(&fields, &schema)),
            json!({
                "to": ["a@example.com", "b@example.com"],
                "text": "123",
                "copies": 2,
                "other": "x",
            })
        );
        assert_eq!(typed(&fields[..1], &schema)["to"], json!(["a@example.com"]));
    }
}
