//! What a case answers: a table for people, the same rows as JSON, and how the figures
//! stand to their floors and aims.

use std::{fmt::Write as _, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;
use serde_json::Value;

/// One table.
#[derive(Debug, Serialize)]
pub struct Report {
    pub case: &'static str,
    pub title: String,
    /// How it was measured, in a sentence or two.
    pub method: String,
    #[serde(skip)]
    columns: Vec<&'static str>,
    rows: Vec<Row>,
    budgets: Vec<Budget>,
}

#[derive(Debug, Serialize)]
struct Row {
    who: String,
    #[serde(skip)]
    cells: Vec<String>,
    data: Value,
}

/// A figure and what it has to reach.
#[derive(Debug, Serialize)]
pub struct Budget {
    pub what: String,
    /// `None`: it could not be measured.
    pub got: Option<f64>,
    /// `None`: only an aim is set.
    pub floor: Option<f64>,
    pub aim: f64,
    pub unit: &'static str,
    /// Whether less is better.
    pub at_most: bool,
}

impl Budget {
    fn verdict(&self) -> &'static str {
        let Some(got) = self.got else {
            return "not measured";
        };
        let reaches = |limit: f64| {
            if self.at_most {
                got <= limit
            } else {
                got >= limit
            }
        };
        match (reaches(self.aim), self.floor.map(reaches)) {
            (true, _) => "aim reached",
            (false, Some(true)) => "floor reached",
            (false, Some(false)) => "BELOW THE FLOOR",
            (false, None) => "below the aim",
        }
    }
}

impl Report {
    /// An empty table. The first column, who was measured, is named here as well.
    pub fn new(case: &'static str, title: impl Into<String>, columns: &[&'static str]) -> Self {
        Self {
            case,
            title: title.into(),
            method: String::new(),
            columns: columns.to_vec(),
            rows: Vec::new(),
            budgets: Vec::new(),
        }
    }

    /// Adds a row: who, the cells of the other columns, and all that is known of it.
    pub fn row(&mut self, who: impl Into<String>, cells: Vec<String>, data: Value) {
        self.rows.push(Row {
            who: who.into(),
            cells,
            data,
        });
    }

    /// Adds the row of a peer that could not be run.
    pub fn missing(&mut self, who: &str, why: &str) {
        self.row(who, vec![why.to_owned()], Value::Null);
    }

    /// Adds a budget.
    pub fn budget(&mut self, budget: Budget) {
        self.budgets.push(budget);
    }

    /// For people.
    pub fn text(&self) -> String {
        let mut lines: Vec<Vec<String>> =
            vec![self.columns.iter().map(|&name| name.to_owned()).collect()];
        lines.extend(self.rows.iter().map(|row| {
            let mut line = vec![row.who.clone()];
            line.extend(row.cells.iter().cloned());
            line
        }));
        let mut text = format!("## {}: {}\n{}\n\n", self.case, self.title, self.method);
        push_aligned(&mut text, &lines);
        if !self.budgets.is_empty() {
            let mut lines = vec![
                ["budget", "got", "floor", "aim", ""]
                    .map(str::to_owned)
                    .to_vec(),
            ];
            lines.extend(self.budgets.iter().map(|budget| {
                let sign = if budget.at_most { "<=" } else { ">=" };
                vec![
                    budget.what.clone(),
                    budget.got.map_or("-".to_owned(), |got| {
                        format!("{}{}", figure(got), budget.unit)
                    }),
                    budget.floor.map_or("-".to_owned(), |floor| {
                        format!("{sign} {}{}", figure(floor), budget.unit)
                    }),
                    format!("{sign} {}{}", figure(budget.aim), budget.unit),
                    budget.verdict().to_owned(),
                ]
            }));
            text.push('\n');
            push_aligned(&mut text, &lines);
        }
        text
    }

    /// For programs: `target/bench/<case>.json`.
    pub fn write_json(&self, folder: &Path) -> Result<()> {
        let path = folder.join(format!("{}.json", self.case));
        let text = serde_json::to_string_pretty(self)?;
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))
    }
}

fn push_aligned(text: &mut String, lines: &[Vec<String>]) {
    let columns = lines.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        lines
            .iter()
            .filter_map(|line| line.get(column))
            .map(|cell| cell.chars().count())
            .max()
            .unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for line in lines {
        for (cell, width) in line.iter().zip(&widths) {
            write!(text, "{cell:<width$}  ").expect("a String takes all text");
        }
        text.truncate(text.trim_end().len());
        text.push('\n');
    }
}

/// Three significant digits; whole numbers with thousands apart.
pub fn figure(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => {
            let digits = format!("{:.0}", value);
            let mut grouped = String::new();
            for (place, digit) in digits.chars().enumerate() {
                if place > 0 && (digits.len() - place).is_multiple_of(3) {
                    grouped.push(',');
                }
                grouped.push(digit);
            }
            grouped
        }
        large if large >= 100.0 => format!("{value:.0}"),
        large if large >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// `2.41x`, or a dash.
pub fn ratio(ours: f64, theirs: f64) -> String {
    if theirs > 0.0 {
        format!("{:.2}x", ours / theirs)
    } else {
        "-".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_says_what_was_reached() {
        let budget = |got, at_most| Budget {
            what: "it".into(),
            got,
            floor: Some(2.0),
            aim: 3.0,
            unit: "x",
            at_most,
        };
        assert_eq!(budget(Some(3.0), false).verdict(), "aim reached");
        assert_eq!(budget(Some(2.5), false).verdict(), "floor reached");
        assert_eq!(budget(Some(1.9), false).verdict(), "BELOW THE FLOOR");
        assert_eq!(budget(None, false).verdict(), "not measured");
        let slower = Budget {
            floor: Some(8.0),
            aim: 3.0,
            ..budget(Some(5.0), true)
        };
        assert_eq!(slower.verdict(), "floor reached");
    }

    #[test]
    fn figures_keep_three_digits() {
        assert_eq!(
            ["1.23", "12.3", "123", "1,235", "1,234,568"],
            [1.234, 12.34, 123.4, 1234.6, 1_234_567.8]
                .map(figure)
                .as_slice()
        );
    }
}
