//! The mapping, field by field, on shapes as Square's API reference describes them.

use patchbay_core::failure::FailureKind;
use serde_json::{Value, json};

use crate::{error::ProviderError, provider::PulledRecord};

fn read(text: &str) -> Value {
    serde_json::from_str(text).expect("a fixture is JSON")
}

fn catalog() -> Vec<PulledRecord> {
    let Value::Array(objects) = read(include_str!("../fixtures/catalog.json")) else {
        panic!("a list")
    };
    objects
        .into_iter()
        .map(|object| super::catalog::record(object).expect("an object"))
        .collect()
}

fn order() -> Value {
    read(include_str!("../fixtures/order.json"))
}

fn gbp(amount: i64) -> Value {
    json!({ "amount": amount, "currency": "GBP" })
}

#[test]
fn an_item_keeps_its_living_variations_and_its_plain_description() {
    let item = &catalog()[0];
    assert_eq!(
        (item.external_id.as_str(), item.kind.as_str()),
        ("ITEMTEA", "item")
    );
    assert_eq!(
        (item.source_version, item.deleted),
        (Some(1_751_364_000_123), false)
    );
    assert_eq!(
        item.data,
        json!({
            "name": "Tea",
            "description": "Loose leaf",
            "archived": true,
            "category_ids": ["CATDRINKS"],
            "tax_ids": ["TAXVAT"],
            "modifier_list_ids": ["MILK"],
            "variations": [
                { "id": "VARPOT", "name": "Pot", "sku": "T-1", "barcode": "4006381333931", "price": gbp(450) },
                { "id": "VARLOOSE", "name": "By weight" },
            ],
            "updated_at": "2025-07-01T10:00:00.123Z",
        })
    );
    assert_eq!(
        item.raw["item_data"]["variations"][2]["id"], "VARGONE",
        "the raw shape keeps all"
    );
}

#[test]
fn the_other_catalog_objects_map_with_exact_percentages() {
    let records = catalog();
    let data: Vec<&Value> = records[1..5].iter().map(|record| &record.data).collect();
    assert_eq!(
        data,
        [
            &json!({ "name": "Drinks", "parent_id": "CATALL" }),
            &json!({ "name": "VAT", "percentage": "8.875", "inclusive": true, "enabled": true }),
            &json!({ "name": "Voucher", "amount": gbp(500) }),
            &json!({ "name": "Milk", "multiple": true, "modifiers": [
                { "id": "OAT", "name": "Oat", "price": gbp(40) },
                { "id": "COW", "name": "Cow" },
            ] }),
        ]
    );
    // Without a version the time of the last change counts.
    assert_eq!(records[2].source_version, Some(1_751_364_000_000));
}

#[test]
fn a_deleted_object_may_come_without_content_and_a_living_one_may_not() {
    let gone = &catalog()[5];
    assert!(gone.deleted);
    assert_eq!((gone.kind.as_str(), &gone.data), ("item", &json!({})));
    let hollow = json!({ "type": "ITEM", "id": "HOLLOW", "version": 1 });
    let error = super::catalog::record(hollow).expect_err("refused");
    assert_eq!(error.kind, FailureKind::Protocol);
    assert!(error.message.contains("HOLLOW"), "{error}");
}

#[test]
fn an_order_maps_to_a_sale_with_its_net() {
    let record = super::sales::record(order()).expect("an order");
    assert_eq!(
        (record.external_id.as_str(), record.kind.as_str()),
        ("ORDER1", "sale")
    );
    assert_eq!(record.source_version, Some(7));
    assert_eq!(
        record.data,
        json!({
            "location_id": "LMAIN",
            "state": "completed",
            "created_at": "2025-07-01T09:58:00.500Z",
            "updated_at": "2025-07-01T10:02:00Z",
            "closed_at": "2025-07-01T10:02:00Z",
            "source": "Till 2",
            "customer_id": "CUST1",
            "reference": "2025-0815",
            "lines": [
                { "id": "l1", "variation_id": "VARLOOSE", "name": "Tea", "quantity": "0.125",
                  "unit_price": gbp(3200), "tax": gbp(33), "discount": gbp(40), "total": gbp(360) },
                { "id": "l2", "quantity": "1", "unit_price": gbp(100), "total": gbp(100) },
            ],
            "taxes": [{ "catalog_id": "TAXVAT", "name": "VAT", "percentage": "8.875", "amount": gbp(33) }],
            "discounts": [{ "name": "Regular", "percentage": "10", "amount": gbp(40) }],
            "returns": [{ "sale_id": "ORDER0", "total": gbp(900), "lines": [
                { "id": "x", "variation_id": "VARPOT", "name": "Pot", "quantity": "2", "total": gbp(900) },
            ] }],
            "tenders": [
                { "id": "TENDER1", "kind": "card", "amount": gbp(510), "tip": gbp(50) },
                { "kind": "cash", "amount": gbp(0) },
            ],
            "refunds": [{ "id": "REF1", "status": "approved", "reason": "Broken", "amount": gbp(900) }],
            "tax": gbp(33),
            "discount": gbp(40),
            "tip": gbp(50),
            "service_charge": gbp(20),
            "total": gbp(530),
            "returned": gbp(900),
            "net": gbp(-370),
        })
    );
}

#[test]
fn an_order_that_only_takes_back_is_a_return_and_the_roll_up_counts() {
    let mut order = order();
    order["line_items"] = json!([]);
    order["total_money"] = gbp(0);
    order["return_amounts"] = json!({ "total_money": gbp(901) });
    let record = super::sales::record(order).expect("an order");
    assert_eq!(record.kind, "return");
    assert_eq!(
        (&record.data["returned"], &record.data["net"]),
        (&gbp(901), &gbp(-901))
    );
}

#[test]
fn what_breaks_the_contract_is_named_with_its_id() {
    let broken = |field: &str, value: Value| -> ProviderError {
        let mut order = order();
        order[field] = value;
        super::sales::record(order).expect_err(field)
    };
    for error in [
        broken("state", json!("SHIPPED")),
        broken("created_at", json!("yesterday")),
        broken("line_items", json!([{ "quantity": "two" }])),
        broken("total_money", json!({ "amount": 1.5, "currency": "GBP" })),
    ] {
        assert_eq!(error.kind, FailureKind::Protocol);
        assert!(error.message.contains("ORDER1"), "{error}");
    }
}

#[test]
fn a_customer_and_a_count_map() {
    let customer = super::customers::record(read(include_str!("../fixtures/customer.json")))
        .expect("a customer");
    assert_eq!(customer.source_version, Some(3));
    assert_eq!(
        customer.data,
        json!({
            "given_name": "José",
            "family_name": "Ñandú",
            "company": "Casa",
            "email": "jose@example.test",
            "phone": "+34 600 000 000",
            "country": "ES",
            "reference": "17850",
            "created_at": "2025-06-01T10:00:00Z",
            "updated_at": "2025-07-01T10:00:00Z",
        })
    );
    let count =
        super::inventory::record(read(include_str!("../fixtures/count.json"))).expect("a count");
    assert_eq!(
        (count.external_id.as_str(), count.source_version),
        ("VARPOT:LMAIN:IN_STOCK", Some(1_751_364_000_250))
    );
    assert_eq!(
        count.data,
        json!({
            "variation_id": "VARPOT",
            "location_id": "LMAIN",
            "state": "in_stock",
            "quantity": "-12.50",
            "counted_at": "2025-07-01T10:00:00.250Z",
        })
    );
}
