//! A merchant made of order lines.

use patchbay_sandbox::{CsvError, Dataset};
use serde_json::{Value, json};

use crate::http::{all_pages, get};
use crate::orders::all_orders;
use crate::start;

/// Every oddity of real order lines, made up.
const LINES: &str = "\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
900001,10a,RED MUG,6,2010-06-01 08:26:00,2.55,501.0,United Kingdom
900001,10A,\"TRAY, \"\"ROUND\"\"\",1,2010-06-01 08:26:00,10.0,501.0,United Kingdom
900002,10a,RED MUG,32,2010-12-01 09:00:00,2.1,502.0,EIRE
900003,77,,12,2010-12-01 09:30:00,0.29,,United Kingdom
900001,10a,RED MUG,2,2010-06-01 08:26:00,2.55,501.0,United Kingdom
900004,77,,-10,2010-12-01 10:00:00,0.0,,United Kingdom
C900005,10a,RED MUG ,-4,2010-12-01 10:10:00,2.1,502.0,EIRE
C900005,D,Discount,-1,2010-12-01 10:10:00,27.5,502.0,EIRE
900006,POST,POSTAGE,1,2010-12-01 11:00:00,18,503.0,Atlantis
900006,10A,TRAY ROUND,1,2010-12-01 11:01:00,0,503.0,Atlantis
";

fn by_invoice<'a>(orders: &'a [Value], invoice: &str) -> &'a Value {
    orders
        .iter()
        .find(|order| order["reference_id"] == invoice)
        .expect("the invoice")
}

#[tokio::test]
async fn products_invoices_and_cancellations_become_items_orders_and_returns() {
    let data = Dataset::from_csv_reader(LINES.as_bytes()).expect("valid");
    let summary = data.summary();
    assert_eq!(
        (summary.items, summary.orders, summary.returning_orders),
        (5, 6, 1)
    );
    assert_eq!((summary.customers, summary.currency), (3, "GBP"));
    // 8 x 2.55 + 10 + 32 x 2.1 + 12 x 0.29 + 0 - (4 x 2.1 + 27.5) + 18
    assert_eq!(summary.net_total, 2040 + 1000 + 6720 + 348 - 3590 + 1800);

    let sandbox = start(data).await;
    let orders = all_orders(&sandbox).await;
    let amount =
        |order: &Value, path: &str| order.pointer(path).and_then(Value::as_i64).unwrap_or(0);
    let net: i64 = orders
        .iter()
        .map(|order| {
            amount(order, "/total_money/amount")
                - amount(order, "/return_amounts/total_money/amount")
        })
        .sum();
    assert_eq!(net, summary.net_total);

    let sale = by_invoice(&orders, "900001");
    assert_eq!(
        sale["line_items"].as_array().map(Vec::len),
        Some(3),
        "lines need not be neighbours"
    );
    assert_eq!(
        sale["created_at"], "2010-06-01T07:26:00.000Z",
        "summer time"
    );
    assert_eq!(
        sale["line_items"][0]["base_price_money"],
        json!({"amount": 255, "currency": "GBP"})
    );
    assert_eq!(sale["line_items"][1]["name"], "TRAY, \"ROUND\"");
    assert_eq!(sale["tenders"][0]["amount_money"]["amount"], 3040);

    let back = by_invoice(&orders, "C900005");
    assert!(back.get("line_items").is_none() && back["total_money"]["amount"] == 0);
    let lines = &back["returns"][0]["return_line_items"];
    assert_eq!(
        (&lines[0]["quantity"], &lines[0]["name"]),
        (&json!("4"), &json!("RED MUG"))
    );
    assert_eq!(lines[1]["total_money"]["amount"], 2750);
    assert_eq!(back["return_amounts"]["total_money"]["amount"], 3590);
    assert_eq!(back["net_amounts"]["total_money"]["amount"], -3590);
    assert_eq!(back["refunds"][0]["amount_money"]["amount"], 3590);
}

#[tokio::test]
async fn a_stock_adjustment_is_an_order_of_no_money() {
    let sandbox = start(Dataset::from_csv_reader(LINES.as_bytes()).expect("valid")).await;
    let orders = all_orders(&sandbox).await;
    let order = by_invoice(&orders, "900004");
    assert_eq!(order["total_money"]["amount"], 0);
    assert_eq!(order["metadata"], json!({"kind": "stock_adjustment"}));
    assert_eq!(order["line_items"][0]["quantity"], "10");
    assert_eq!(order["line_items"][0]["note"], "Stock adjustment -10");
    assert!(order.get("returns").is_none() && order.get("tenders").is_none());
    assert!(order.get("customer_id").is_none());
}

#[tokio::test]
async fn an_item_takes_the_latest_price_and_name_or_its_code() {
    let sandbox = start(Dataset::from_csv_reader(LINES.as_bytes()).expect("valid")).await;
    let search = json!({"object_types": ["ITEM"]});
    let items = all_pages(&sandbox, "/v2/catalog/search", search, "objects").await;
    let mut seen: Vec<(&str, &str, i64)> = items
        .iter()
        .map(|item| {
            let data = &item["item_data"];
            let variation = &data["variations"][0]["item_variation_data"];
            (
                variation["sku"].as_str().expect("a code"),
                data["name"].as_str().expect("a name"),
                variation["price_money"]["amount"]
                    .as_i64()
                    .expect("a price"),
            )
        })
        .collect();
    seen.sort_unstable();
    let expected = [
        ("10A", "TRAY ROUND", 0),
        ("10a", "RED MUG", 210),
        ("77", "77", 0),
        ("D", "Discount", 2750),
        ("POST", "POSTAGE", 1800),
    ];
    assert_eq!(seen, expected);
}

#[tokio::test]
async fn customers_carry_their_number_and_country() {
    let sandbox = start(Dataset::from_csv_reader(LINES.as_bytes()).expect("valid")).await;
    let answer = get(&sandbox, "/v2/customers").await.json();
    let customers = answer["customers"].as_array().expect("customers");
    let seen: Vec<(&Value, &Value)> = customers
        .iter()
        .map(|c| (&c["reference_id"], &c["address"]["country"]))
        .collect();
    let expected = [
        (json!("501"), json!("GB")),
        (json!("502"), json!("IE")),
        (json!("503"), Value::Null),
    ];
    assert_eq!(
        seen,
        expected.iter().map(|(a, b)| (a, b)).collect::<Vec<_>>()
    );
}

#[test]
fn a_bad_file_names_the_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("lines.csv");
    std::fs::write(&path, LINES.replace(",32,", ",many,")).expect("written");
    let error = Dataset::from_csv(&path).expect_err("refused");
    assert!(
        matches!(&error, CsvError::Value { line: 4, column: "Quantity", value, .. } if value == "many")
    );
    let missing = Dataset::from_csv(folder.path().join("none.csv")).expect_err("refused");
    assert!(missing.to_string().starts_with("cannot open "));
}
