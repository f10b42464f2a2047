//! The catalog: objects in the order they were made, found by id and by time of change.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::body::Bytes;
use serde_json::Value;

use crate::clock::rfc3339;
use crate::square::shapes::{
    CategoryRef, ItemData, ModifierListInfo, Money, ObjectHead, VariationData,
};

/// The types this stand-in has objects of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ObjectKind {
    Item,
    ItemVariation,
    Category,
    Tax,
    Discount,
    ModifierList,
    Modifier,
}

impl ObjectKind {
    pub const ALL: [Self; 7] = [
        Self::Item,
        Self::ItemVariation,
        Self::Category,
        Self::Tax,
        Self::Discount,
        Self::ModifierList,
        Self::Modifier,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Item => "ITEM",
            Self::ItemVariation => "ITEM_VARIATION",
            Self::Category => "CATEGORY",
            Self::Tax => "TAX",
            Self::Discount => "DISCOUNT",
            Self::ModifierList => "MODIFIER_LIST",
            Self::Modifier => "MODIFIER",
        }
    }

    /// Nested types do not appear unless asked for.
    pub fn top_level(self) -> bool {
        !matches!(self, Self::ItemVariation | Self::Modifier)
    }
}

#[derive(Debug)]
pub(crate) struct CatalogObject {
    pub kind: ObjectKind,
    pub id: Arc<str>,
    pub updated_at: i64,
    pub deleted: bool,
    /// Of a variation: a slice of its item's JSON.
    pub json: Bytes,
}

#[derive(Debug, Default)]
pub(crate) struct Catalog {
    objects: Vec<CatalogObject>,
    by_id: HashMap<Arc<str>, u32>,
    by_updated: BTreeSet<(i64, u32)>,
}

/// An item before it is rendered.
#[derive(Debug)]
pub(crate) struct Item<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub description: Option<&'a str>,
    pub category_id: Option<&'a str>,
    pub tax_ids: &'a [&'a str],
    pub modifier_list_id: Option<&'a str>,
    pub variations: &'a [Variation<'a>],
}

/// A variation before it is rendered.
#[derive(Debug)]
pub(crate) struct Variation<'a> {
    pub id: &'a str,
    pub name: &'a str,
    pub sku: &'a str,
    pub price: Money,
}

impl Catalog {
    pub fn objects(&self) -> &[CatalogObject] {
        &self.objects
    }

    pub fn find(&self, id: &str) -> Option<&CatalogObject> {
        self.by_id
            .get(id)
            .and_then(|row| self.objects.get(*row as usize))
    }

    pub fn row_of(&self, id: &str) -> Option<u32> {
        self.by_id.get(id).copied()
    }

    /// Rows changed after `(updated_at, row)`, earliest change first.
    pub fn changed_after(&self, after: (i64, u32)) -> impl Iterator<Item = (i64, u32)> + '_ {
        use std::ops::Bound::{Excluded, Unbounded};
        self.by_updated.range((Excluded(after), Unbounded)).copied()
    }

    /// Milliseconds of the latest change; 0 of an empty catalog.
    pub fn latest_change(&self) -> i64 {
        self.by_updated.last().map_or(0, |(at, _)| *at)
    }

    pub fn count(&self, kind: ObjectKind) -> usize {
        self.objects
            .iter()
            .filter(|o| o.kind == kind && !o.deleted)
            .count()
    }

    pub fn count_deleted(&self, kind: ObjectKind) -> usize {
        self.objects
            .iter()
            .filter(|o| o.kind == kind && o.deleted)
            .count()
    }

    pub fn count_all(&self) -> usize {
        self.objects.iter().filter(|o| !o.deleted).count()
    }

    /// Rows of this type that are not deleted.
    pub fn live(&self, kind: ObjectKind) -> Vec<u32> {
        (0u32..)
            .zip(&self.objects)
            .filter(|(_, object)| object.kind == kind && !object.deleted)
            .map(|(row, _)| row)
            .collect()
    }

    /// Adds an item with its variations, all changed at `updated_at`.
    pub fn add_item(&mut self, item: &Item<'_>, updated_at: i64) {
        let stamp = rfc3339(updated_at);
        let category = item.category_id.map(|id| CategoryRef { id, ordinal: 0 });
        let info = item
            .modifier_list_id
            .map(|modifier_list_id| ModifierListInfo {
                modifier_list_id,
                min_selected_modifiers: -1,
                max_selected_modifiers: -1,
                enabled: true,
            });
        let data = ItemData {
            name: item.name,
            description: item.description,
            description_plaintext: item.description,
            is_taxable: !item.tax_ids.is_empty(),
            categories: category.as_slice(),
            reporting_category: category,
            tax_ids: item.tax_ids,
            modifier_list_info: info.as_slice(),
            product_type: "REGULAR",
            is_archived: false,
        };
        let mut json = head(ObjectKind::Item, item.id, &stamp, updated_at);
        json.extend_from_slice(b",\"item_data\":");
        append(&mut json, &data);
        json.pop();
        json.extend_from_slice(b",\"variations\":[");
        let mut parts = Vec::with_capacity(item.variations.len());
        for (ordinal, variation) in (1u32..).zip(item.variations) {
            if ordinal > 1 {
                json.push(b',');
            }
            let begin = json.len();
            json.extend(head(
                ObjectKind::ItemVariation,
                variation.id,
                &stamp,
                updated_at,
            ));
            json.extend_from_slice(b",\"item_variation_data\":");
            append(
                &mut json,
                &VariationData {
                    item_id: item.id,
                    name: variation.name,
                    sku: variation.sku,
                    ordinal,
                    pricing_type: "FIXED_PRICING",
                    price_money: variation.price,
                    track_inventory: true,
                    sellable: true,
                    stockable: true,
                },
            );
            json.push(b'}');
            parts.push((variation.id, begin..json.len()));
        }
        json.extend_from_slice(b"]}}");
        json.shrink_to_fit();
        let json = Bytes::from(json);
        self.add(ObjectKind::Item, item.id, updated_at, json.clone());
        for (id, range) in parts {
            let slice = json.slice(range);
            self.add(ObjectKind::ItemVariation, id, updated_at, slice);
        }
    }

    /// Adds an object of another type with its `..._data`.
    pub fn add_plain(&mut self, kind: ObjectKind, id: &str, data: (&str, &Value), updated_at: i64) {
        let mut json = head(kind, id, &rfc3339(updated_at), updated_at);
        json.extend_from_slice(format!(",\"{}\":{}}}", data.0, data.1).as_bytes());
        self.add(kind, id, updated_at, Bytes::from(json));
    }

    fn add(&mut self, kind: ObjectKind, id: &str, updated_at: i64, json: Bytes) {
        let row = u32::try_from(self.objects.len()).expect("fewer than 4 billion objects");
        let id: Arc<str> = id.into();
        self.by_id.insert(Arc::clone(&id), row);
        self.by_updated.insert((updated_at, row));
        self.objects.push(CatalogObject {
            kind,
            id,
            updated_at,
            deleted: false,
            json,
        });
    }

    /// Changes an item and, as Square does, stamps its variations with it.
    ///
    /// `edit` gets the item's whole JSON; ids must stay. With `deleted` the item and its
    /// variations disappear from every answer but a search for deleted objects.
    pub fn change_item(
        &mut self,
        row: u32,
        stamp: i64,
        deleted: bool,
        edit: impl FnOnce(&mut Value),
    ) {
        let Some(object) = self.objects.get(row as usize) else {
            return;
        };
        let mut item: Value =
            serde_json::from_slice(&object.json).expect("rendered by this module");
        edit(&mut item);
        mark(&mut item, stamp, deleted);
        let mut rendered = Vec::new();
        if let Some(variations) = item["item_data"]["variations"].as_array_mut() {
            for variation in variations {
                mark(variation, stamp, deleted);
                let id = variation["id"].as_str().unwrap_or_default().to_owned();
                rendered.push((id, Bytes::from(variation.to_string())));
            }
        }
        self.replace(row, stamp, deleted, Bytes::from(item.to_string()));
        for (id, json) in rendered {
            if let Some(row) = self.row_of(&id) {
                self.replace(row, stamp, deleted, json);
            }
        }
    }

    fn replace(&mut self, row: u32, stamp: i64, deleted: bool, json: Bytes) {
        let object = &mut self.objects[row as usize];
        self.by_updated.remove(&(object.updated_at, row));
        self.by_updated.insert((stamp, row));
        object.updated_at = stamp;
        object.deleted = deleted;
        object.json = json;
    }
}

fn mark(object: &mut Value, stamp: i64, deleted: bool) {
    object["updated_at"] = rfc3339(stamp).into();
    object["version"] = stamp.into();
    object["is_deleted"] = deleted.into();
}

/// `{"type":...,"present_at_all_locations":true` without the closing brace.
fn head(kind: ObjectKind, id: &str, updated_at: &str, version: i64) -> Vec<u8> {
    let mut json = Vec::with_capacity(1024);
    append(
        &mut json,
        &ObjectHead {
            kind: kind.name(),
            id,
            updated_at,
            version,
            is_deleted: false,
            present_at_all_locations: true,
        },
    );
    json.pop();
    json
}

fn append(json: &mut Vec<u8>, value: &impl serde::Serialize) {
    serde_json::to_writer(json, value).expect("shapes serialize into memory");
}
