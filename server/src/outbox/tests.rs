use super::*;

fn frame(index: u64, step: u32) -> Frame {
    let kind = FrameKind::X0;
    Frame { index, kind, step, num_steps: 9, noise_level: 0.5, values: vec![0.0; 4] }
}

fn sample(index: u64, elements: usize) -> Finished {
    Finished { index, values: Some(vec![0.0; elements]) }
}

fn steps(parcel: &Parcel) -> Vec<(u64, u32)> {
    parcel.frames.iter().map(|frame| (frame.index, frame.step)).collect()
}

fn memory() -> Memory {
    Memory::new(1 << 30)
}

#[tokio::test]
async fn a_slow_reader_gets_the_latest_frame_of_each_sample_and_a_count() {
    let memory = memory();
    let (outbox, mut reader) = outbox(Delivery::Latest, &memory);
    for step in 1..=3 {
        outbox.put(vec![frame(0, step), frame(1, step)], vec![], Account::default());
    }
    assert_eq!(memory.held().readers, 2 * 16, "frames that were replaced are freed");
    assert!(!outbox.is_full(1), "previews that may be dropped block nothing");
    let parcel = reader.take().await;
    assert_eq!(steps(&parcel), [(0, 3), (1, 3)]);
    assert_eq!(parcel.skipped, 4);
    outbox.put(vec![frame(0, 4)], vec![], Account::default());
    assert_eq!(reader.take().await.skipped, 0);
}

#[tokio::test]
async fn every_frame_arrives_in_order_if_all_were_requested() {
    let (outbox, mut reader) = outbox(Delivery::All, &memory());
    for step in 1..=3 {
        outbox.put(vec![frame(0, step)], vec![], Account::default());
    }
    assert!(outbox.is_full(48) && !outbox.is_full(49));
    let parcel = reader.take().await;
    assert_eq!((steps(&parcel), parcel.skipped), (vec![(0, 1), (0, 2), (0, 3)], 0));
    assert!(!outbox.is_full(1), "what was read is no longer due");
}

#[tokio::test]
async fn an_outbox_is_full_at_the_limit_and_empty_again_after_it_was_read() {
    let memory = memory();
    let (outbox, mut reader) = outbox(Delivery::Latest, &memory);
    assert!(!outbox.is_full(0), "an empty outbox takes at least one call");
    outbox.put(vec![frame(0, 1)], vec![sample(0, 4)], Account::default());
    assert!(!outbox.is_full(17));
    outbox.put(vec![], vec![sample(1, 4)], Account::default());
    assert!(outbox.is_full(32) && !outbox.is_full(33));
    let parcel = reader.take().await;
    assert_eq!(parcel.finished.len(), 2);
    assert!(!outbox.is_full(0));
    assert_eq!(memory.held().readers, 48, "it counts until its events are sent");
    drop(parcel);
    assert_eq!(memory.held().readers, 0);
}

#[tokio::test]
async fn a_reader_takes_a_mebibyte_at_a_time_and_the_end_last() {
    let memory = memory();
    let (outbox, mut reader) = outbox(Delivery::All, &memory);
    let half = (PARCEL_BYTES / 8) as usize;
    let large = Frame { values: vec![0.0; half], ..frame(7, 1) };
    let samples = vec![sample(0, half), sample(1, 1), sample(2, 3 * half)];
    outbox.put(vec![large], samples, Account::default());
    outbox.end(Ok(()));
    let mut taken = Vec::new();
    loop {
        let parcel = reader.take().await;
        let finished: Vec<u64> = parcel.finished.iter().map(|sample| sample.index).collect();
        taken.push((parcel.frames.len(), finished));
        if parcel.end.is_some() {
            break;
        }
    }
    // Half and half; then one that no longer fit; then one that is larger than a parcel.
    assert_eq!(taken, [(1, vec![0]), (0, vec![1]), (0, vec![2])]);
    assert_eq!(memory.held().readers, 0);
}

#[tokio::test]
async fn samples_come_after_the_previews_that_were_made_before_them() {
    let (outbox, mut reader) = outbox(Delivery::All, &memory());
    let quarter = (PARCEL_BYTES / 16) as usize;
    let frames = (1..=5).map(|step| Frame { values: vec![0.0; quarter], ..frame(0, step) });
    outbox.put(frames.collect(), vec![sample(0, 1)], Account::default());
    assert_eq!(reader.take().await.finished.len(), 0);
    let rest = reader.take().await;
    assert_eq!((steps(&rest), rest.finished.len()), (vec![(0, 5)], 1));
}

#[tokio::test]
async fn a_reader_waits_until_something_is_delivered() {
    for contents in [(vec![frame(0, 1)], vec![]), (vec![], vec![sample(0, 1)])] {
        let (outbox, mut reader) = outbox(Delivery::Latest, &memory());
        let waiting = tokio::spawn(async move { reader.take().await.account.ticks });
        tokio::task::yield_now().await;
        outbox.put(vec![], vec![], Account { ticks: 2, ..Account::default() });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished(), "an account wakes nobody");
        outbox.put(contents.0, contents.1, Account { ticks: 3, ..Account::default() });
        assert_eq!(waiting.await.unwrap(), 3);
    }
}

#[tokio::test]
async fn a_reader_that_looks_for_it_finds_the_account() {
    let (outbox, mut reader) = outbox(Delivery::Latest, &memory());
    assert!(reader.try_take().is_none());
    outbox.put(vec![], vec![], Account { ticks: 2, ..Account::default() });
    assert_eq!(reader.try_take().map(|parcel| parcel.account.ticks), Some(2));
    assert!(reader.try_take().is_none());
}

#[tokio::test]
async fn a_dropped_outbox_ends_the_stream_with_an_error() {
    let (outbox, mut reader) = outbox(Delivery::Latest, &memory());
    drop(outbox);
    assert!(matches!(reader.take().await.end, Some(Err(Error::Stopped))));
}

#[tokio::test]
async fn an_outbox_notices_a_dropped_reader_and_frees_what_it_held() {
    let memory = memory();
    let (outbox, reader) = outbox(Delivery::Latest, &memory);
    outbox.put(vec![], vec![sample(0, 4)], Account::default());
    assert!(!outbox.reader_left());
    drop(reader);
    assert!(outbox.reader_left());
    assert_eq!(memory.held().readers, 16);
    drop(outbox);
    assert_eq!(memory.held().readers, 0);
}

/// Counts how often a task is woken.
#[derive(Default)]
struct Wakes(AtomicU64);

impl std::task::Wake for Wakes {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

#[test]
fn an_account_alone_wakes_no_reader_and_a_sample_does() {
    let (outbox, mut reader) = outbox(Delivery::Latest, &memory());
    let wakes = Arc::new(Wakes::default());
    let waker = std::task::Waker::from(Arc::clone(&wakes));
    let mut taking = std::pin::pin!(reader.take());
    assert!(taking.as_mut().poll(&mut std::task::Context::from_waker(&waker)).is_pending());
    outbox.put(vec![], vec![], Account::default());
    assert_eq!(wakes.0.load(Ordering::Relaxed), 0);
    outbox.put(vec![], vec![sample(0, 1)], Account::default());
    assert_eq!(wakes.0.load(Ordering::Relaxed), 1);
}
