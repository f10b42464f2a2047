//! Ranges of days: each of Square's locations has its own.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use patchbay_core::{
    clock::{Clock, SystemClock},
    outbound::{
        OutboundRequest,
        header::{HeaderName, HeaderValue},
    },
};
use patchbay_providers::{Pull, PullMode, PulledRecord, RangeEnd, shapes::Sale};
use patchbay_sandbox::{Dataset, Effect, Fault, Sizes};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::stand_in::{Run, StandIn};

/// A sale every hour of 90 days, at shops in Seattle, Portland, Chicago and New York.
async fn four_shops() -> StandIn {
    let sizes = Sizes {
        locations: 4,
        orders: 2160,
        items: 20,
        customers: 5,
        ..Sizes::default()
    };
    StandIn::with(Dataset::seeded(5, &sizes)).await
}

fn day(text: &str) -> RangeEnd {
    RangeEnd::Day(text.parse().expect("a date"))
}

fn time(text: &str) -> DateTime<Utc> {
    text.parse().expect("a time")
}

/// With their ids.
fn sales(run: &Run) -> Vec<(&str, Sale)> {
    let sale = |record: &PulledRecord| Sale::deserialize(&record.data).expect("a sale");
    run.records
        .iter()
        .map(|it| (it.external_id.as_str(), sale(it)))
        .collect()
}

/// Ids of the shops by time zone, as the stand-in lists them.
async fn shops(at: &StandIn) -> Vec<(String, String)> {
    let session = at.session();
    let version = (
        HeaderName::from_static("square-version"),
        HeaderValue::from_static("2025-08-20"),
    );
    let request = OutboundRequest::get(session.url("/v2/locations"))
        .header(version.0, version.1)
        .credential(session.bearer("access_token").expect("a token"));
    let answer = session.send(request).await.expect("an answer");
    let answer: Value = serde_json::from_slice(&answer.body).expect("JSON");
    let shops = answer["locations"].as_array().expect("a list");
    let text = |shop: &Value, field: &str| shop[field].as_str().expect("a text").to_owned();
    shops
        .iter()
        .map(|shop| (text(shop, "id"), text(shop, "timezone")))
        .collect()
}

#[tokio::test]
async fn a_day_begins_and_ends_by_the_clocks_of_each_location() {
    let at = four_shops().await;
    let full = at.full("sales").await;
    let all = sales(&full);
    let shops = shops(&at).await;
    // One of 24 hours; and the day of 25 on which the clocks went back.
    for (asked, winter) in [("2025-12-01", true), ("2025-11-02", false)] {
        let pull = PullMode::Range {
            from: day(asked),
            to: day(asked),
        };
        let run = at.run("sales", pull, None).await.expect("a range");
        let mut expected = BTreeSet::new();
        for (id, zone) in &shops {
            let (begin, end) = match (zone.as_str(), winter) {
                ("America/Los_Angeles", true) => ("2025-12-01T08:00:00Z", "2025-12-02T08:00:00Z"),
                ("America/Chicago", true) => ("2025-12-01T06:00:00Z", "2025-12-02T06:00:00Z"),
                ("America/New_York", true) => ("2025-12-01T05:00:00Z", "2025-12-02T05:00:00Z"),
                ("America/Los_Angeles", false) => ("2025-11-02T07:00:00Z", "2025-11-03T08:00:00Z"),
                ("America/Chicago", false) => ("2025-11-02T05:00:00Z", "2025-11-03T06:00:00Z"),
                ("America/New_York", false) => ("2025-11-02T04:00:00Z", "2025-11-03T05:00:00Z"),
                (other, _) => panic!("a shop in {other}"),
            };
            let (begin, end) = (time(begin), time(end));
            let here = all.iter().filter(|(_, sale)| sale.location_id == *id);
            let within = here.filter(|(_, sale)| sale.created_at >= begin && sale.created_at < end);
            expected.extend(within.map(|(order, _)| *order));
        }
        assert_eq!(run.ids(), expected, "{asked}");
        assert_eq!(run.records.len(), expected.len(), "an order came twice");
        assert!(expected.len() > 10, "too few to tell: {}", expected.len());
        // Seattle and Portland share their days, so one search is for both.
        assert_eq!(run.pages, 3);
    }
}

#[tokio::test]
async fn a_range_from_a_day_to_a_time_is_that_day_s_begin_at_each_location() {
    let at = four_shops().await;
    let until = time("2025-12-01T12:00:00Z");
    let pull = PullMode::Range {
        from: day("2025-12-01"),
        to: until.into(),
    };
    let run = at.run("sales", pull, None).await.expect("a range");
    let shops = shops(&at).await;
    let of = |zone: &str| {
        let ids: Vec<&str> = shops
            .iter()
            .filter(|shop| shop.1 == zone)
            .map(|shop| shop.0.as_str())
            .collect();
        let sales = sales(&run).into_iter();
        let made = sales.filter(move |(_, sale)| ids.contains(&sale.location_id.as_str()));
        made.map(|(_, sale)| sale.created_at).min()
    };
    let seattle = of("America/Los_Angeles").expect("a sale");
    assert!(seattle >= time("2025-12-01T08:00:00Z") && seattle < until);
    assert!(of("America/New_York").expect("a sale") >= time("2025-12-01T05:00:00Z"));
}

#[tokio::test]
async fn days_of_a_location_whose_zone_is_not_known_are_refused_and_times_are_not() {
    let at = four_shops().await;
    let value = json!([{ "id": "LMOON", "merchant_id": "MLMOON", "name": "Base", "timezone": "Moon/Tycho" }]);
    let effect = Effect::SetField {
        name: "locations".into(),
        value,
    };
    let moon = Fault::at("*/v2/locations", effect);
    at.sandbox.faults.add(moon).expect("a fault");
    let days = PullMode::Range {
        from: day("2025-12-01"),
        to: day("2025-12-01"),
    };
    let error = at.run("sales", days, None).await.expect_err("refused");
    assert!(
        error.message.contains("LMOON") && error.message.contains("Moon/Tycho"),
        "{error}"
    );
}

/// A run that began before ranges could be of days goes on after an upgrade: its position
/// holds no times, and what it asks for stays the same, so that Square takes its cursor.
#[tokio::test]
async fn a_position_without_times_goes_on_with_those_of_its_range() {
    let at = four_shops().await;
    let (from, to) = (time("2025-10-01T00:00:00Z"), time("2026-01-01T00:00:00Z"));
    let mode = PullMode::Range {
        from: from.into(),
        to: to.into(),
    };
    let mut pull = Pull {
        stream: "sales".into(),
        mode: mode.clone(),
        cursor: None,
        position: None,
        started_at: SystemClock.now(),
    };
    let session = at.session();
    let first = at.provider().pull(&session, &pull).await.expect("a page");
    let mut position = first.next.expect("more than one page");
    let span = position["groups"][0]
        .as_object_mut()
        .expect("a group")
        .remove("span");
    assert!(span.is_some(), "{position}");
    let mut ids: Vec<String> = first.records.into_iter().map(|it| it.external_id).collect();
    pull.position = Some(position);
    while pull.position.is_some() {
        let page = at.provider().pull(&session, &pull).await.expect("a page");
        ids.extend(page.records.into_iter().map(|it| it.external_id));
        pull.position = page.next;
    }
    let whole = at.run("sales", mode, None).await.expect("a range");
    assert_eq!(ids.len(), whole.records.len());
    assert_eq!(
        ids.iter().map(String::as_str).collect::<BTreeSet<_>>(),
        whole.ids()
    );
}
