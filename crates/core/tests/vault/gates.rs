//! What promoting and retiring ask before they change anything.

use std::collections::BTreeSet;

use patchbay_core::{
    ids::JobId,
    job::{JobKind, NewJob, Queue},
    secret::SecretFields,
    vault::{
        Keyring, VaultError,
        holders::{HeldKey, KeySort, closing_with, lacking},
    },
};

use crate::{on_both, stage::Stage};

on_both!(
    a_key_is_known_when_every_live_process_says_so,
    a_key_in_use_is_counted_where_it_is_used,
    a_sealing_key_is_in_use_while_something_sealed_to_it_waits,
    a_process_that_closes_with_a_key_holds_up_its_end,
    a_keyring_without_a_key_in_use_or_promoted_is_refused,
);

fn held(stage: &Stage) -> Vec<HeldKey> {
    Keyring::read(&stage.path()).unwrap().held()
}

async fn a_key_is_known_when_every_live_process_says_so(stage: Stage) {
    let (one, other) = (stage.process("worker").await, stage.process("up").await);
    stage.process("scheduler").await;
    let before = held(&stage);
    let new = stage.ring().add(KeySort::Wrapping, None).unwrap();
    let lacking = async || {
        let holders = stage.store.key_holders().await.unwrap();
        let lacking = lacking(&holders, &new);
        lacking.iter().map(|it| it.process).collect::<BTreeSet<_>>()
    };
    // Who has not told, and who told of the file as it was, does not know it.
    assert!(stage.store.publish_keys(one, &before).await.unwrap());
    assert_eq!(lacking().await, [one, other].into());
    stage.store.publish_keys(one, &held(&stage)).await.unwrap();
    assert_eq!(lacking().await, [other].into());
    // A key of the same name that is another key is not known.
    let mut forged = held(&stage);
    for key in &mut forged {
        key.fingerprint = "0000000000000000".into();
    }
    stage.store.publish_keys(other, &forged).await.unwrap();
    assert_eq!(lacking().await, [other].into());
    // A process that has ended does not count.
    stage.store.jobs().leave(other).await.unwrap();
    assert_eq!(lacking().await, [].into());
    assert!(!stage.store.publish_keys(other, &before).await.unwrap());
}

async fn a_key_in_use_is_counted_where_it_is_used(stage: Stage) {
    stage.credentials(3, 1).await;
    let mut ring = stage.ring();
    let (first, second) = (
        ring.key("k1").unwrap(),
        ring.add(KeySort::Wrapping, None).unwrap(),
    );
    let used = async |key: &HeldKey| {
        let used = stage.store.used(key).await.unwrap();
        used.into_iter()
            .map(|used| (used.column, used.rows))
            .collect::<Vec<_>>()
    };
    assert_eq!(used(&first).await, [("org_keys.wrapped".to_owned(), 3)]);
    assert_eq!(used(&second).await, []);
    ring.promote("k2").unwrap();
    stage.read_again();
    stage.credentials(1, 1).await;
    assert_eq!(used(&second).await, [("org_keys.wrapped".to_owned(), 1)]);
    stage.vault.rewrap(&stage.store, &|_| {}).await.unwrap();
    assert_eq!(used(&first).await, []);
    assert_eq!(used(&second).await, [("org_keys.wrapped".to_owned(), 4)]);
    // An id that begins like another is another.
    let mut longer = first.clone();
    longer.id = "k".into();
    assert_eq!(used(&longer).await, []);
}

async fn a_sealing_key_is_in_use_while_something_sealed_to_it_waits(stage: Stage) {
    let org = stage.org("Bakery").await;
    let key = stage.ring().key("s1").unwrap();
    let id = JobId::new(stage.store.clock());
    let public = stage.vault.keyring().sealing_public().clone();
    let mut job = NewJob::new(Some(org), JobKind::Noop, Queue::Sync, "test");
    job.id = Some(id);
    job.sealed = Some(public.seal(org, id, &SecretFields::default()));
    let tx = stage.store.begin().await.unwrap();
    stage.store.jobs().enqueue(&tx, vec![job]).await.unwrap();
    tx.commit().await.unwrap();
    let used = stage.store.used(&key).await.unwrap();
    assert_eq!((used[0].column.as_str(), used[0].rows), ("jobs.sealed", 1));
    assert_eq!(used.len(), 1);
    stage
        .run("update jobs set sealed = null where id = $1", [id.into()])
        .await;
    assert_eq!(stage.store.used(&key).await.unwrap(), []);
}

async fn a_process_that_closes_with_a_key_holds_up_its_end(stage: Stage) {
    let (worker, api) = (stage.process("worker").await, stage.process("api").await);
    let mut ring = stage.ring();
    let (wrapping, sealing) = (ring.key("k1").unwrap(), ring.key("s1").unwrap());
    let closing = async |key: &HeldKey| {
        let holders = stage.store.key_holders().await.unwrap();
        let closing = closing_with(&holders, key);
        closing.iter().map(|it| it.process).collect::<BTreeSet<_>>()
    };
    assert_eq!(
        closing(&wrapping).await,
        [worker].into(),
        "an API wraps nothing"
    );
    assert_eq!(
        closing(&sealing).await,
        [worker, api].into(),
        "nobody has told"
    );
    stage
        .store
        .publish_keys(worker, &held(&stage))
        .await
        .unwrap();
    let seals = [sealing.clone()];
    stage.store.publish_keys(api, &seals).await.unwrap();
    ring.add(KeySort::Wrapping, None).unwrap();
    ring.add(KeySort::Sealing, None).unwrap();
    ring.promote("k2").unwrap();
    ring.promote("s2").unwrap();
    stage
        .store
        .publish_keys(worker, &held(&stage))
        .await
        .unwrap();
    assert_eq!(closing(&wrapping).await, [].into());
    assert_eq!(closing(&sealing).await, [api].into());
    let seals = [ring.key("s2").unwrap()];
    stage.store.publish_keys(api, &seals).await.unwrap();
    assert_eq!(closing(&sealing).await, [].into());
}

async fn a_keyring_without_a_key_in_use_or_promoted_is_refused(stage: Stage) {
    let (store, vault) = (&stage.store, &stage.vault);
    let prove = async || {
        let keyring = Keyring::read(&stage.path()).unwrap();
        vault.prove(store, &keyring).await
    };
    let missing = |proof: Result<(), VaultError>, id: &str| match proof {
        Err(VaultError::KeyMissing(named)) => assert!(named.starts_with(id), "{named}"),
        other => panic!("{id} is missing: {other:?}"),
    };
    stage.credentials(1, 1).await;
    prove().await.unwrap();
    let older = std::fs::read_to_string(stage.path()).unwrap();
    let new = stage.ring().add(KeySort::Wrapping, None).unwrap();
    store
        .note_promoted(KeySort::Wrapping, Some(&new.name()))
        .await
        .unwrap();
    prove().await.unwrap();
    let newer = std::fs::read_to_string(stage.path()).unwrap();
    std::fs::write(stage.path(), older).unwrap();
    missing(prove().await, "k2");
    std::fs::write(stage.path(), newer).unwrap();
    let mut ring = stage.ring();
    ring.promote("k2").unwrap();
    ring.disable("k1").unwrap();
    missing(prove().await, "k1");
    // A keyring of another installation has keys of the same names.
    std::fs::write(stage.path(), &*Keyring::generate()).unwrap();
    store.note_promoted(KeySort::Wrapping, None).await.unwrap();
    assert!(matches!(prove().await, Err(VaultError::Unopenable)));
}
