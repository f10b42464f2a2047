//! A blob opens in its own row of its own column of its own org, whole, and nowhere else.

use patchbay_core::{
    ids::CredentialId,
    vault::{
        Vault, VaultError, cipher,
        columns::{CREDENTIAL, Cell, OAUTH_CLIENT},
    },
};
use proptest::prelude::*;

use crate::{
    on_both,
    stage::{Kept, Stage},
};

on_both!(
    a_credential_opens_in_no_other_row,
    a_credential_opens_in_no_other_column_and_no_other_deployment,
    every_truncation_and_every_flipped_bit_is_refused,
    a_blob_under_a_key_of_another_org_is_refused,
    a_blob_that_was_moved_in_the_database_is_refused,
);

fn refused(opened: Result<impl std::fmt::Debug, VaultError>, what: &str) {
    match opened {
        Err(VaultError::Unopenable) => {}
        other => panic!("{what}: {other:?}"),
    }
}

async fn a_credential_opens_in_no_other_row(stage: Stage) {
    // Two orgs, in each two connections, in one of them two versions.
    let mut all = stage.credentials(2, 2).await;
    let older = all[0];
    all.push(stage.credential(older.org, older.connection).await);
    let mut blobs = Vec::new();
    for kept in &all[1..] {
        blobs.push((*kept, stage.take(*kept).await));
    }
    for (at, (whose, blob)) in blobs.iter().enumerate() {
        for (row, (kept, _)) in blobs.iter().enumerate() {
            let opened = stage.open_as(&stage.vault, *kept, blob).await;
            if at == row {
                opened.unwrap();
            } else {
                refused(opened, &format!("{whose:?} in the row of {kept:?}"));
            }
        }
        let other = Kept {
            id: CredentialId::new(stage.store.clock()),
            ..*whose
        };
        refused(
            stage.open_as(&stage.vault, other, blob).await,
            "a row that is not there",
        );
    }
}

async fn a_credential_opens_in_no_other_column_and_no_other_deployment(stage: Stage) {
    let kept = stage.credentials(1, 1).await[0];
    let blob = stage.sealed(kept).await;
    let in_clients = Cell::new(&OAUTH_CLIENT, &[kept.id.0]);
    let opened = stage
        .vault
        .open(&stage.store, kept.org, &in_clients, &blob)
        .await;
    refused(opened, "another column");
    // The same keyring over another deployment: a copy of the rows there opens nothing.
    let elsewhere = Vault::new(
        patchbay_core::vault::Keyring::read(&stage.path()).unwrap(),
        patchbay_core::ids::DeploymentId::new(stage.store.clock()),
    );
    refused(
        stage.open_as(&elsewhere, kept, &blob).await,
        "another deployment",
    );
}

async fn every_truncation_and_every_flipped_bit_is_refused(stage: Stage) {
    let kept = stage.credentials(1, 1).await[0];
    let blob = stage.take(kept).await;
    for len in 0..blob.len() {
        refused(
            stage.open_as(&stage.vault, kept, &blob[..len]).await,
            &format!("{len} bytes"),
        );
    }
    let mut longer = blob.clone();
    longer.push(0);
    refused(
        stage.open_as(&stage.vault, kept, &longer).await,
        "a byte more",
    );
    // In the id of the key as well: those are asked of the database.
    for bit in 0..blob.len() * 8 {
        let mut changed = blob.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        // An id reads alike in large and small letters; then nothing was changed.
        if (3..39).contains(&(bit / 8)) && changed[3..39].eq_ignore_ascii_case(&blob[3..39]) {
            continue;
        }
        refused(
            stage.open_as(&stage.vault, kept, &changed).await,
            &format!("bit {bit}"),
        );
    }
}

async fn a_blob_under_a_key_of_another_org_is_refused(stage: Stage) {
    let all = stage.credentials(2, 1).await;
    let (mine, theirs) = (stage.take(all[0]).await, stage.take(all[1]).await);
    // My ciphertext with the name of their key, and the other way about.
    let head = cipher::header(&all[0].org.to_string()).len();
    let mixed = [&theirs[..head], &mine[head..]].concat();
    refused(
        stage.open_as(&stage.vault, all[0], &mixed).await,
        "the name of their key",
    );
    refused(
        stage.open_as(&stage.vault, all[0], &theirs).await,
        "their blob",
    );
    let theirs_as_mine = Kept {
        org: all[0].org,
        ..all[1]
    };
    refused(
        stage.open_as(&stage.vault, theirs_as_mine, &theirs).await,
        "their row read as mine",
    );
}

async fn a_blob_that_was_moved_in_the_database_is_refused(stage: Stage) {
    let all = stage.credentials(2, 2).await;
    // In the same org, and in the other.
    for (from, to) in [(all[0], all[1]), (all[1], all[2])] {
        let moved = stage.sealed(from).await;
        stage
            .run(
                "update credentials set sealed = $1 where id = $2",
                [moved.clone().into(), to.id.into()],
            )
            .await;
        let found = stage.sealed(to).await;
        assert_eq!(found, moved);
        refused(
            stage.open_as(&stage.vault, to, &found).await,
            "moved in the database",
        );
    }
}

proptest! {
    /// No database: what a place is made of never runs together.
    #[test]
    fn no_two_rows_share_a_place(a in any::<[u128; 2]>(), b in any::<[u128; 2]>(), text in ".{0,40}") {
        let cell = |row: [u128; 2]| Cell::new(&CREDENTIAL, &row.map(uuid::Uuid::from_u128));
        prop_assert_eq!(a == b, cell(a) == cell(b));
        let deployment = patchbay_core::ids::DeploymentId(uuid::Uuid::from_u128(1));
        let org = patchbay_core::ids::OrgId(uuid::Uuid::from_u128(2));
        let place = |table: &str, column: &str, row: &str| cipher::Place::new(deployment, org, table, column, row);
        // The same letters cut at another spot are another place.
        for cut in (0..=text.len()).filter(|cut| text.is_char_boundary(*cut)) {
            let (left, right) = text.split_at(cut);
            let moved = place(left, right, "r") == place(&text, "", "r");
            prop_assert_eq!(moved, right.is_empty());
        }
    }

    #[test]
    fn a_blob_of_any_text_opens_whole_and_no_piece_of_it_opens(plain: Vec<u8>, key: [u8; 32], at: prop::sample::Index) {
        let deployment = patchbay_core::ids::DeploymentId(uuid::Uuid::from_u128(1));
        let org = patchbay_core::ids::OrgId(uuid::Uuid::from_u128(2));
        let place = cipher::Place::new(deployment, org, "t", "c", "r");
        let blob = cipher::close("k", &key, &place, &plain);
        let open = |bytes: &[u8]| cipher::Blob::parse(bytes).and_then(|blob| blob.open(&key, &place));
        prop_assert_eq!(open(&blob).unwrap().to_vec(), plain);
        let cut = at.index(blob.len());
        prop_assert!(open(&blob[..cut]).is_none());
        prop_assert!(open(&blob[cut + 1..]).is_none());
        let twice = [&blob[..], &blob[..]].concat();
        prop_assert!(open(&twice).is_none());
    }
}
