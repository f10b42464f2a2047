//! The one place that prints: text for people, JSON for programs.

use std::io::{IsTerminal, Write};

use clap::ValueEnum;
use serde::Serialize;

use crate::exit::{Outcome, Stop};

/// How answers look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Format {
    /// Tables and sentences.
    #[default]
    Text,
    /// The API's own JSON, one document (of a progress stream: one a line).
    Json,
}

impl Format {
    /// Whether bars may be drawn: text, and somebody looks.
    pub fn is_live(self) -> bool {
        self == Self::Text && std::io::stderr().is_terminal()
    }
}

/// Prints text on the standard output, with a line end.
pub fn say(text: &str) -> Outcome {
    written(writeln!(std::io::stdout().lock(), "{text}"))
}

/// Prints text on the standard output as it is.
pub fn say_raw(text: &[u8]) -> Outcome {
    written(std::io::stdout().lock().write_all(text))
}

/// Prints a document as indented JSON.
pub fn say_json(document: &impl Serialize) -> Outcome {
    let text = serde_json::to_string_pretty(document).map_err(Stop::internal)?;
    say(&text)
}

/// Prints a document as one line of JSON.
pub fn say_json_line(document: &impl Serialize) -> Outcome {
    let text = serde_json::to_string(document).map_err(Stop::internal)?;
    say(&text)
}

/// Prints text on the standard error.
pub fn complain(text: &str) {
    // Nobody is left to tell when the standard error is gone.
    drop(writeln!(std::io::stderr().lock(), "{text}"));
}

/// A closed pipe (`patchbay jobs | head`) ends the program quietly.
fn written(result: std::io::Result<()>) -> Outcome {
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => std::process::exit(0),
        other => Ok(other?),
    }
}

/// A table with a head, columns as wide as their widest cell.
pub fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().map(|row| row[column].chars().count());
        cells
            .chain([head[column].chars().count()])
            .max()
            .unwrap_or(0)
    };
    let widths: [usize; N] = std::array::from_fn(width);
    let line = |cells: [&str; N]| {
        let padded: Vec<String> = std::iter::zip(cells, widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let lines = rows
        .iter()
        .map(|row| line(row.each_ref().map(String::as_str)));
    std::iter::once(line(head))
        .chain(lines)
        .collect::<Vec<_>>()
        .join("\n")
}

/// A whole number with thin groups: `180,667`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [
            ["a".to_owned(), "long cell".to_owned()],
            ["name".to_owned(), "x".to_owned()],
        ];
        assert_eq!(
            table(["id", "text"], &rows),
            "id    text\na     long cell\nname  x"
        );
    }

    #[test]
    fn numbers_are_grouped_by_thousands() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
