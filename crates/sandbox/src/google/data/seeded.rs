//! A Drive made from a seed: the same seed gives the same files.

use chrono::{DateTime, Utc};
use rand::RngExt;
use rand::rngs::Xoshiro256PlusPlus;

use super::content::Content;
use super::file::{DOCUMENT, FOLDER, File, SHEET, derive_id};
use super::{Drive, Person, pdf, recipes};

/// How much of everything.
#[derive(Debug, Clone)]
pub struct DriveSizes {
    /// Google Docs with recipes.
    pub documents: u32,
    /// Plain texts, PDFs and sheets.
    pub others: u32,
    /// In a shared drive.
    pub shared: u32,
    /// Nothing is later; files lie in the two years before.
    pub as_of: DateTime<Utc>,
}

impl Default for DriveSizes {
    fn default() -> Self {
        Self {
            documents: 220,
            others: 130,
            shared: 20,
            as_of: crate::square::data::Sizes::default().as_of,
        }
    }
}

const COURSES: [&str; 6] = [
    "Starters", "Mains", "Desserts", "Sauces", "Breads", "Drinks",
];
const OFFICE: [&str; 4] = ["Menus", "Suppliers", "Invoices", "Staff"];
const TWO_YEARS_MS: i64 = 730 * 24 * 60 * 60 * 1000;
/// A document whose export is larger than Drive allows.
const TOO_LARGE: usize = 11 << 20;

impl Drive {
    /// The Drive of one person.
    #[must_use]
    pub fn seeded(name: &str, email: &str, seed: u64, sizes: &DriveSizes) -> Self {
        let owner = Person {
            name: name.to_owned(),
            email: email.to_owned(),
            permission_id: permission_id(email),
        };
        let mut drive = Self::empty(owner, seed);
        let end = sizes.as_of.timestamp_millis();
        let mut seeder = Seeder {
            rng: drive.fork(),
            drive,
            begin: end - TWO_YEARS_MS,
            end,
        };
        seeder.own(sizes);
        seeder.shared(sizes.shared);
        seeder.drive.stamp = end;
        seeder.drive
    }
}

struct Seeder {
    drive: Drive,
    rng: Xoshiro256PlusPlus,
    begin: i64,
    end: i64,
}

impl Seeder {
    fn own(&mut self, sizes: &DriveSizes) {
        let root = self.drive.root.clone();
        let recipes_folder = self.folder("Recipes", &root);
        let courses = COURSES.map(|name| self.folder(name, &recipes_folder));
        let office = OFFICE.map(|name| self.folder(name, &root));
        for n in 1..=sizes.documents {
            let parent = &courses[self.rng.random_range(0..courses.len())];
            let (dish, text) = self.recipe();
            let name = format!("{dish} #{n}");
            self.add(&name, DOCUMENT, parent, Content::text(text));
        }
        for n in 1..=sizes.others {
            let parent = &office[self.rng.random_range(0..office.len())];
            match n % 3 {
                0 => {
                    let text = format!("Supplier note {n}\nDelivery on Tuesdays and Fridays.\n");
                    let content = Content::text(text);
                    self.add(&format!("Note {n}.txt"), "text/plain", parent, content);
                }
                1 => {
                    let (dish, text) = self.recipe();
                    let content = Content::Bytes(pdf::of_text(&text).into());
                    self.add(
                        &format!("{dish} {n}.pdf"),
                        "application/pdf",
                        parent,
                        content,
                    );
                }
                _ => {
                    let content = Content::text(recipes::price_list(&mut self.rng));
                    self.add(&format!("Prices {n}"), SHEET, parent, content);
                }
            }
        }
        if sizes.documents > 0 {
            let all = Content::filler(TOO_LARGE);
            self.add("Every recipe we ever had", DOCUMENT, &recipes_folder, all);
            let (dish, text) = self.recipe();
            let old = self.add(&dish, DOCUMENT, &recipes_folder, Content::text(text));
            if let Some(file) = self.drive.files.get_mut(&old) {
                (file.trashed, file.explicitly_trashed) = (true, true);
            }
        }
    }

    /// Documents of a shared drive that the person is a member of.
    fn shared(&mut self, count: u32) {
        let drive_id = derive_id("drive", "Group kitchen");
        for _ in 0..count {
            let (dish, text) = self.recipe();
            let id = self.add(&dish, DOCUMENT, &drive_id, Content::text(text));
            if let Some(file) = self.drive.files.get_mut(&id) {
                file.drive_id = Some(drive_id.clone());
            }
        }
    }

    fn recipe(&mut self) -> (String, String) {
        let dish = recipes::dish(&mut self.rng);
        let text = recipes::recipe(&dish, &mut self.rng);
        (dish, text)
    }

    fn folder(&mut self, name: &str, parent: &str) -> String {
        self.add(name, FOLDER, parent, Content::Nothing)
    }

    fn add(&mut self, name: &str, mime_type: &str, parent: &str, content: Content) -> String {
        let drive = &mut self.drive;
        drive.serial += 1;
        let id = derive_id("file", &format!("{}/{}", drive.owner.email, drive.serial));
        let created_ms = self.rng.random_range(self.begin..self.end);
        let file = File {
            id: id.clone(),
            name: name.to_owned(),
            mime_type: mime_type.to_owned(),
            parent: Some(parent.to_owned()),
            created_ms,
            modified_ms: self.rng.random_range(created_ms..self.end),
            version: self.rng.random_range(1..40),
            trashed: false,
            explicitly_trashed: false,
            drive_id: None,
            content,
        };
        drive.files.insert(id.clone(), file);
        id
    }
}

/// Twenty digits, as Drive's permission ids are.
fn permission_id(email: &str) -> String {
    let digits: String = derive_id("permission", email)
        .bytes()
        .map(|byte| char::from(b'0' + byte % 10))
        .collect();
    format!("1{}", &digits[..19])
}
