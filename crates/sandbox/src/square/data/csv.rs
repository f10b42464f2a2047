//! Reads order lines of the "Online Retail" layout, one row at a time, exactly.
//!
//! Columns: `InvoiceNo, StockCode, Description, Quantity, InvoiceDate, UnitPrice,
//! CustomerID, Country`; dates in London's local time, prices in GBP. Whatever cannot be
//! carried over exactly is refused with its line, column, value and what is allowed:
//! Square's money is whole pence, so a price of 0.001 is refused and not rounded.

use std::io::Read;
use std::path::{Path, PathBuf};

use chrono::{LocalResult, NaiveDateTime, TimeZone};
use chrono_tz::Europe::London;
use csv::{ReaderBuilder, StringRecord};
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

const COLUMNS: [&str; 8] = [
    "InvoiceNo",
    "StockCode",
    "Description",
    "Quantity",
    "InvoiceDate",
    "UnitPrice",
    "CustomerID",
    "Country",
];
/// Keeps quantity x price far below the range of a 64-bit amount.
const LARGEST: i64 = 1_000_000;

/// Why a file of order lines cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CsvError {
    #[error("cannot open {}: {source}", path.display())]
    Open {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("cannot read the order lines: {0}")]
    Read(std::io::Error),
    #[error("the file is empty; line 1 must hold the columns {}", COLUMNS.join(","))]
    Empty,
    #[error("line 1 holds the columns {found}; required are {}", COLUMNS.join(","))]
    Header { found: String },
    #[error("line {line} has {found} columns; required are 8 ({})", COLUMNS.join(","))]
    Width { line: u64, found: u64 },
    #[error("line {line} is not UTF-8 text; save the file as UTF-8")]
    NotText { line: u64 },
    #[error("line {line}, column {column}: {value:?} is not allowed; allowed is {allowed}")]
    Value {
        line: u64,
        column: &'static str,
        value: String,
        allowed: &'static str,
    },
}

/// One order line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub line: u64,
    pub invoice: String,
    /// The invoice number begins with `C`.
    pub cancellation: bool,
    /// Case-sensitive: `85123a` and `85123A` are two products.
    pub code: String,
    pub description: Option<String>,
    /// Never 0; below 0 in a cancellation or a stock adjustment.
    pub quantity: i64,
    /// Milliseconds, UTC.
    pub at: i64,
    /// Pence, at or above 0.
    pub price: i64,
    pub customer: Option<String>,
    pub country: String,
}

pub(super) fn open(path: &Path) -> Result<std::fs::File, CsvError> {
    std::fs::File::open(path).map_err(|source| CsvError::Open {
        path: path.to_owned(),
        source,
    })
}

pub(super) fn read(input: impl Read) -> Result<Vec<Row>, CsvError> {
    let mut reader = ReaderBuilder::new().has_headers(false).from_reader(input);
    let mut rows = Vec::new();
    let mut record = StringRecord::new();
    let mut header = true;
    while reader
        .read_record(&mut record)
        .map_err(|error| refuse_record(&error))?
    {
        if header {
            // Spreadsheets write a byte order mark before the first column's name.
            let first = record
                .get(0)
                .map(|name| name.trim_start_matches('\u{feff}'));
            if !first.into_iter().chain(record.iter().skip(1)).eq(COLUMNS) {
                return Err(CsvError::Header {
                    found: record.iter().collect::<Vec<_>>().join(","),
                });
            }
            header = false;
            continue;
        }
        let line = record.position().map_or(0, csv::Position::line);
        rows.push(row(&record, line)?);
    }
    if header {
        Err(CsvError::Empty)
    } else {
        Ok(rows)
    }
}

fn refuse_record(error: &csv::Error) -> CsvError {
    let line = error.position().map_or(0, csv::Position::line);
    match error.kind() {
        csv::ErrorKind::UnequalLengths { len, .. } => CsvError::Width { line, found: *len },
        csv::ErrorKind::Utf8 { .. } => CsvError::NotText { line },
        csv::ErrorKind::Io(source) => {
            CsvError::Read(std::io::Error::new(source.kind(), source.to_string()))
        }
        _ => CsvError::Read(std::io::Error::other(error.to_string())),
    }
}

fn row(record: &StringRecord, line: u64) -> Result<Row, CsvError> {
    let cell = |column: usize| record.get(column).unwrap_or_default();
    let refuse = |column: usize, allowed: &'static str| CsvError::Value {
        line,
        column: COLUMNS[column],
        value: cell(column).to_owned(),
        allowed,
    };

    let invoice = cell(0);
    let cancellation = invoice.starts_with('C');
    let digits = invoice.strip_prefix('C').unwrap_or(invoice);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refuse(0, "digits, or C and digits for a cancellation"));
    }
    if cell(1).trim().is_empty() {
        return Err(refuse(1, "a product code"));
    }
    let price = pence(cell(5)).ok_or_else(|| {
        refuse(
            5,
            "an amount in GBP from 0 to 1000000 with at most two decimals (whole pence)",
        )
    })?;
    let quantity: i64 = cell(3)
        .parse()
        .ok()
        .filter(|quantity: &i64| *quantity != 0 && quantity.abs() <= LARGEST)
        .ok_or_else(|| {
            refuse(
                3,
                "a whole number other than 0, between -1000000 and 1000000",
            )
        })?;
    if cancellation && quantity > 0 {
        return Err(refuse(
            3,
            "a number below 0, for the invoice is a cancellation",
        ));
    }
    if !cancellation && quantity < 0 && price > 0 {
        return Err(refuse(
            3,
            "a number above 0, for the invoice is a sale; below 0 only in a cancellation \
             (C...) or at price 0 (stock adjustment)",
        ));
    }
    let at = london(cell(4))
        .ok_or_else(|| refuse(4, "YYYY-MM-DD HH:MM:SS, a time that exists in London"))?;
    let customer = cell(6).strip_suffix(".0").unwrap_or(cell(6));
    if !customer.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(refuse(
            6,
            "digits, or nothing when the customer is not known",
        ));
    }
    let description = cell(2).trim();
    Ok(Row {
        line,
        invoice: invoice.to_owned(),
        cancellation,
        code: cell(1).to_owned(),
        description: (!description.is_empty()).then(|| description.to_owned()),
        quantity,
        at,
        price,
        customer: (!customer.is_empty()).then(|| customer.to_owned()),
        country: cell(7).trim().to_owned(),
    })
}

fn pence(text: &str) -> Option<i64> {
    let plain = text
        .bytes()
        .all(|byte| byte.is_ascii_digit() || byte == b'.');
    let amount: Decimal = plain.then(|| text.parse().ok()).flatten()?;
    let pence = amount.checked_mul(Decimal::ONE_HUNDRED)?;
    if !pence.fract().is_zero() {
        return None;
    }
    pence
        .to_i64()
        .filter(|pence| (0..=LARGEST * 100).contains(pence))
}

/// The hour that occurs twice in autumn is taken the first time.
fn london(text: &str) -> Option<i64> {
    let local = NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S").ok()?;
    match London.from_local_datetime(&local) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => Some(at.timestamp_millis()),
        LocalResult::None => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n";

    fn one(line: &str) -> Result<Row, CsvError> {
        let mut rows = read(format!("{HEADER}{line}\n").as_bytes())?;
        Ok(rows.remove(0))
    }

    #[test]
    fn a_line_is_read_exactly() {
        let row = one("100001,12a,\"TRAY, \"\"BIG\"\" \",6,2010-06-01 08:26:00,2.1,77.0,Norway")
            .expect("valid");
        assert_eq!(row.description.as_deref(), Some("TRAY, \"BIG\""));
        assert_eq!((row.price, row.quantity, row.line), (210, 6, 2));
        assert_eq!(row.customer.as_deref(), Some("77"));
        // British summer time: an hour before UTC's.
        assert_eq!(crate::clock::rfc3339(row.at), "2010-06-01T07:26:00.000Z");
    }

    #[test]
    fn a_refusal_names_line_column_value_and_what_is_allowed() {
        let refused = |line: &str| one(line).expect_err("refused").to_string();
        assert_eq!(
            refused("100001,12,A,6,2010-12-01 08:26:00,0.001,,Norway"),
            "line 2, column UnitPrice: \"0.001\" is not allowed; allowed is an amount in GBP from \
             0 to 1000000 with at most two decimals (whole pence)"
        );
        for (line, column, value) in [
            ("A1,12,A,6,2010-12-01 08:26:00,1,,X", "InvoiceNo", "\"A1\""),
            ("1, ,A,6,2010-12-01 08:26:00,1,,X", "StockCode", "\" \""),
            ("1,12,A,0,2010-12-01 08:26:00,1,,X", "Quantity", "\"0\""),
            ("1,12,A,1.5,2010-12-01 08:26:00,1,,X", "Quantity", "\"1.5\""),
            ("1,12,A,-1,2010-12-01 08:26:00,1,,X", "Quantity", "\"-1\""),
            ("C1,12,A,1,2010-12-01 08:26:00,1,,X", "Quantity", "\"1\""),
            (
                "1,12,A,1,01/12/2010 08:26,1,,X",
                "InvoiceDate",
                "\"01/12/2010 08:26\"",
            ),
            (
                "1,12,A,1,2010-03-28 01:30:00,1,,X",
                "InvoiceDate",
                "\"2010-03-28 01:30:00\"",
            ),
            ("1,12,A,1,2010-12-01 08:26:00,-1,,X", "UnitPrice", "\"-1\""),
            (
                "1,12,A,1,2010-12-01 08:26:00,1e3,,X",
                "UnitPrice",
                "\"1e3\"",
            ),
            ("1,12,A,1,2010-12-01 08:26:00,,,X", "UnitPrice", "\"\""),
            (
                "1,12,A,1,2010-12-01 08:26:00,1,77.5,X",
                "CustomerID",
                "\"77.5\"",
            ),
        ] {
            let message = refused(line);
            let begin = format!("line 2, column {column}: {value} is not allowed; allowed is ");
            assert!(message.starts_with(&begin), "{message}");
        }
    }

    #[test]
    fn trailing_zeros_of_a_price_are_no_decimals() {
        let row = one("1,12,A,1,2010-12-01 08:26:00,2.5000,,X").expect("valid");
        assert_eq!(row.price, 250);
    }

    #[test]
    fn another_layout_is_refused() {
        assert_eq!(
            read("a,b\n1,2\n".as_bytes())
                .expect_err("refused")
                .to_string(),
            "line 1 holds the columns a,b; required are InvoiceNo,StockCode,Description,Quantity,\
             InvoiceDate,UnitPrice,CustomerID,Country"
        );
        assert!(matches!(read(&b""[..]), Err(CsvError::Empty)));
        assert!(matches!(
            read(format!("{HEADER}1,2\n").as_bytes()),
            Err(CsvError::Width { line: 2, found: 2 })
        ));
        let latin = [
            HEADER.as_bytes(),
            b"1,12,CAF\xc9,1,2010-12-01 08:26:00,1,,X\n",
        ]
        .concat();
        assert!(matches!(
            read(&latin[..]),
            Err(CsvError::NotText { line: 2 })
        ));
    }
}
