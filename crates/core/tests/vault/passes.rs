//! Re-wrapping and re-encrypting: everything moves, nothing is lost, a pass that was cut
//! short goes on.

use std::sync::atomic::{AtomicU64, Ordering};

use patchbay_core::vault::{cipher::Blob, holders::KeySort, reencrypt::Progress};

use crate::{
    on_both,
    stage::{Kept, Stage},
};

on_both!(
    a_rewrap_moves_every_data_key_to_the_primary_key,
    a_reencryption_gives_every_org_a_new_key_and_moves_every_value,
    a_pass_that_was_cut_short_goes_on_where_it_stood,
    a_value_that_does_not_open_is_named_and_keeps_its_key,
    a_moved_blob_keeps_its_key_until_its_job_is_gone,
    a_reader_with_bytes_from_before_reads_them_again,
    a_rotation_twice_over_leaves_one_key_an_org,
);

fn nobody(_: Progress) {}

async fn a_rewrap_moves_every_data_key_to_the_primary_key(stage: Stage) {
    let all = stage.credentials(5, 1).await;
    let blobs = stage.org_keys().await;
    let mut ring = stage.ring();
    ring.add(KeySort::Wrapping, None).unwrap();
    ring.promote("k2").unwrap();
    stage.read_again();
    let seen = AtomicU64::new(0);
    let show = |progress: Progress| {
        assert_eq!(progress.total, 5);
        seen.fetch_max(progress.done, Ordering::Relaxed);
    };
    let ended = stage.vault.rewrap(&stage.store, &show).await.unwrap();
    assert_eq!((ended.done, ended.left, ended.trouble.count), (5, 0, 0));
    assert_eq!(seen.into_inner(), 5);
    for row in stage.org_keys().await {
        assert_eq!(row.wrapped_by, "k2");
        assert_eq!(Blob::parse(&row.wrapped).unwrap().key_id, "k2");
        assert!(!blobs.iter().any(|old| old.wrapped == row.wrapped));
    }
    // Without the former key.
    ring.remove("k1").unwrap();
    for kept in all {
        stage.assert_opens(kept).await;
    }
    let again = stage.vault.rewrap(&stage.store, &nobody).await.unwrap();
    assert_eq!(again.done, 0);
}

async fn a_reencryption_gives_every_org_a_new_key_and_moves_every_value(stage: Stage) {
    let all = stage.credentials(4, 3).await;
    let old: Vec<_> = stage.org_keys().await.iter().map(|row| row.id).collect();
    let mut before = Vec::new();
    for kept in &all {
        before.push(stage.sealed(*kept).await);
    }
    let ended = stage.reencrypt().await;
    assert_eq!((ended.resumed, ended.done, ended.keys_left), (false, 12, 0));
    let new = stage.org_keys().await;
    assert_eq!(new.len(), 4);
    assert!(
        new.iter()
            .all(|row| !old.contains(&row.id) && row.retired_at.is_none())
    );
    for (kept, before) in all.iter().zip(before) {
        assert_ne!(stage.sealed(*kept).await, before);
        stage.assert_opens(*kept).await;
    }
    assert_eq!(stage.store.open_reencryption().await.unwrap(), None);
}

/// The pass dies in its first batch of every kind that there is: the future is dropped
/// wherever it waits.
async fn a_pass_that_was_cut_short_goes_on_where_it_stood(stage: Stage) {
    let all = stage.credentials(3, 4).await;
    let old: Vec<_> = stage.org_keys().await.iter().map(|row| row.id).collect();
    let mut cuts = 0;
    let ended = loop {
        let pass = stage.vault.reencrypt(&stage.store, &nobody);
        // A little further each time: after `cuts` answers of the database.
        match poll_at_most(pass, cuts).await {
            Some(ended) => break ended.unwrap(),
            None => cuts += 1,
        }
        for kept in &all {
            stage.assert_opens(*kept).await;
        }
        assert!(cuts < 10_000, "it never ends");
    };
    assert!(cuts > 5, "it was cut short: {cuts}");
    assert!(ended.resumed);
    assert_eq!((ended.keys_left, ended.trouble.count), (0, 0));
    // One pass, however often it was cut short: one new key an org, each value moved once.
    assert_eq!(ended.done, 12);
    let new = stage.org_keys().await;
    assert_eq!(new.len(), 3);
    assert!(new.iter().all(|row| !old.contains(&row.id)));
}

/// Polls a future until it has been woken so many times; `None`: it had not ended.
async fn poll_at_most<T>(future: impl Future<Output = T>, wakes: usize) -> Option<T> {
    let mut future = std::pin::pin!(future);
    let mut left = wakes;
    std::future::poll_fn(move |cx| match future.as_mut().poll(cx) {
        std::task::Poll::Ready(value) => std::task::Poll::Ready(Some(value)),
        std::task::Poll::Pending if left == 0 => std::task::Poll::Ready(None),
        std::task::Poll::Pending => {
            left -= 1;
            std::task::Poll::Pending
        }
    })
    .await
}

async fn a_value_that_does_not_open_is_named_and_keeps_its_key(stage: Stage) {
    let all = stage.credentials(2, 2).await;
    let broken = all[1];
    let mut sealed = stage.sealed(broken).await;
    *sealed.last_mut().unwrap() ^= 1;
    stage
        .run(
            "update credentials set sealed = $1 where id = $2",
            [sealed.clone().into(), broken.id.into()],
        )
        .await;
    let ended = stage.reencrypt().await;
    assert_eq!((ended.done, ended.keys_left), (3, 1));
    assert_eq!(ended.trouble.count, 1);
    assert!(
        ended.trouble.named[0].contains(&broken.id.to_string()),
        "{:?}",
        ended.trouble
    );
    assert_eq!(stage.sealed(broken).await, sealed);
    // Set anew, it is out of the way, and the pass ends.
    stage.credential(broken.org, broken.connection).await;
    let ended = stage.reencrypt().await;
    assert_eq!((ended.resumed, ended.keys_left), (true, 0));
    for kept in [all[0], all[2], all[3]] {
        stage.assert_opens(kept).await;
    }
}

async fn a_moved_blob_keeps_its_key_until_its_job_is_gone(stage: Stage) {
    use patchbay_core::job::{JobKind, NewJob, Queue};
    let kept = stage.credentials(1, 2).await[0];
    let tx = stage.store.begin().await.unwrap();
    let job = NewJob::new(Some(kept.org), JobKind::Noop, Queue::Sync, "test");
    let job = stage.store.jobs().enqueue(&tx, vec![job]).await.unwrap();
    tx.commit().await.unwrap();
    let (job, blob) = (job[0].job().id, stage.sealed(kept).await);
    stage
        .run(
            "update jobs set sealed = $1, sealed_key = 'vault' where id = $2",
            [blob.clone().into(), job.into()],
        )
        .await;
    let ended = stage.reencrypt().await;
    assert_eq!((ended.done, ended.keys_left), (2, 1));
    stage
        .open_as(&stage.fresh_vault().await, kept, &blob)
        .await
        .unwrap();
    stage
        .run("update jobs set sealed = null where id = $1", [job.into()])
        .await;
    assert_eq!(stage.reencrypt().await.keys_left, 0);
    assert_eq!(stage.org_keys().await.len(), 1);
}

async fn a_reader_with_bytes_from_before_reads_them_again(stage: Stage) {
    let kept = stage.credentials(1, 1).await[0];
    let before = stage.sealed(kept).await;
    stage.reencrypt().await;
    stage.reencrypt().await;
    // The key of these bytes is gone.
    let vault = stage.fresh_vault().await;
    let opened = stage.open_as(&vault, kept, &before).await.unwrap();
    assert_eq!(opened, crate::stage::fields(kept.id));
}

async fn a_rotation_twice_over_leaves_one_key_an_org(stage: Stage) {
    let all: Vec<Kept> = stage.credentials(3, 1).await;
    for _ in 0..2 {
        assert_eq!(stage.reencrypt().await.done, 3);
    }
    assert_eq!(stage.org_keys().await.len(), 3);
    // An org without a credential has no key, before and after.
    stage.org("empty").await;
    stage.reencrypt().await;
    assert_eq!(stage.org_keys().await.len(), 3);
    for kept in all {
        stage.assert_opens(kept).await;
    }
}
