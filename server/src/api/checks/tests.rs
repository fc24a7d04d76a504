//! Turns: waited for, taken, left.

use super::*;

fn principal(number: u8) -> Principal {
    Principal::of_address([127, 0, 0, number].into())
}

#[tokio::test]
async fn a_turn_lasts_until_it_is_dropped_and_then_the_next_begins() {
    let checks = Checks::new(1);
    let first = checks.turn(&principal(1), 100_000).await.unwrap();
    let second = tokio::spawn({
        let checks = checks.clone();
        async move { checks.turn(&principal(1), 100_000).await }
    });
    tokio::task::yield_now().await;
    assert!(!second.is_finished());
    let small = checks.turn(&principal(2), 10).await.unwrap();
    drop(first);
    assert!(second.await.unwrap().is_ok());
    drop(small);
}

#[tokio::test]
async fn a_caller_that_leaves_lets_the_next_one_in() {
    let checks = Checks::new(1);
    let first = checks.turn(&principal(1), 100_000).await.unwrap();
    let leaves = tokio::spawn({
        let checks = checks.clone();
        async move { checks.turn(&principal(1), 3000).await }
    });
    let stays = tokio::spawn({
        let checks = checks.clone();
        async move { checks.turn(&principal(1), 100_000).await }
    });
    tokio::task::yield_now().await;
    leaves.abort();
    assert!(leaves.await.unwrap_err().is_cancelled());
    drop(first);
    assert!(stays.await.unwrap().is_ok());
    assert_eq!(checks.lock().queue.waiting(), 0);
    assert!(checks.lock().callers.is_empty());
}

#[tokio::test]
async fn too_many_callers_of_a_principal_are_told_when_to_retry() {
    let checks = Checks::new(1);
    let _first = checks.turn(&principal(1), 100_000).await.unwrap();
    let waiting: Vec<_> = (0..256)
        .map(|_| {
            let checks = checks.clone();
            tokio::spawn(async move { checks.turn(&principal(1), 100_000).await })
        })
        .collect();
    while checks.lock().queue.waiting() < 256 {
        tokio::task::yield_now().await;
    }
    match checks.turn(&principal(1), 100_000).await {
        Err(Error::TooManyChecks { limit: 256, retry_after, .. }) => {
            assert!((1..=10).contains(&retry_after.as_secs()));
        }
        other => panic!("{other:?}"),
    }
    waiting.iter().for_each(tokio::task::JoinHandle::abort);
    for waiting in waiting {
        assert!(waiting.await.is_err());
    }
    assert!(checks.lock().callers.is_empty());
}

#[tokio::test]
async fn the_way_to_a_thread_is_not_the_time_of_a_check() {
    let checks = Checks::new(1);
    let before = checks.now();
    let mut turn = checks.turn(&principal(1), 5000).await.unwrap();
    std::thread::sleep(Duration::from_millis(200));
    assert!(checks.now() >= before + 0.2 && before >= 0.0, "{before}");
    turn.begin();
    assert!(turn.started.elapsed() < Duration::from_millis(200));
}
