//! What a workspace of the stand-in has: channels. The same id gives the same channels.

use serde_json::{Value, json};

/// One channel.
#[derive(Debug, Clone)]
pub(super) struct Channel {
    pub id: String,
    name: String,
    pub kind: Kind,
    pub is_archived: bool,
    is_member: bool,
    members: u64,
    created: i64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Public,
    Private,
}

const TOPICS: [&str; 12] = [
    "kitchen",
    "front-of-house",
    "orders",
    "suppliers",
    "menu",
    "shifts",
    "events",
    "marketing",
    "deliveries",
    "stock",
    "till",
    "training",
];
const PLACES: [&str; 10] = [
    "harbour",
    "old-town",
    "market-hall",
    "riverside",
    "station",
    "garden",
    "airport",
    "north",
    "south",
    "all",
];

pub(super) fn channels(team: &str) -> Vec<Channel> {
    let mut channels = Vec::with_capacity(TOPICS.len() * PLACES.len());
    for (n, topic) in TOPICS.iter().enumerate() {
        for (m, place) in PLACES.iter().enumerate() {
            let number = n * PLACES.len() + m;
            channels.push(Channel {
                id: format!("C{}{number:03}", &team[1..]),
                name: format!("{topic}-{place}"),
                kind: match number % 8 {
                    7 => Kind::Private,
                    _ => Kind::Public,
                },
                is_archived: number % 10 == 3,
                is_member: number.is_multiple_of(5),
                members: (number * 7 % 40) as u64 + 1,
                created: 1_700_000_000 + 3600 * i64::try_from(number).unwrap_or_default(),
            });
        }
    }
    channels
}

impl Channel {
    pub fn json(&self, team: &str) -> Value {
        let is_private = self.kind == Kind::Private;
        json!({
            "id": self.id,
            "name": self.name,
            "name_normalized": self.name,
            "is_channel": !is_private,
            "is_group": is_private,
            "is_im": false,
            "is_mpim": false,
            "is_private": is_private,
            "is_archived": self.is_archived,
            "is_general": self.name == "kitchen-all",
            "is_shared": false,
            "is_member": self.is_member,
            "created": self.created,
            "updated": self.created * 1000,
            "context_team_id": team,
            "creator": super::oauth::person(team),
            "topic": { "value": "", "creator": "", "last_set": 0 },
            "purpose": { "value": "", "creator": "", "last_set": 0 },
            "num_members": self.members,
        })
    }
}
