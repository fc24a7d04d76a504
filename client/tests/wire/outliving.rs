//! Streams that break, servers that drain, restart and are replaced, deadlines that pass.

use std::net::TcpListener;
use std::thread;
use std::time::{Duration, Instant};

use ddpm_client::{
    Client, Data, Error, Event, Indices, Initial, Inpaint, Known, OnDeadline, Request, SharedNoise,
    proto as v1,
};
use h2::Reason;
use tonic::{Code, Status};

use crate::breaking::{self, Break};
use crate::generation::{assert_four_samples, client, four, options, requested};
use crate::mock::{Mock, Script, cut_off_after_one, draining, mismatch, pixels, refusal};

#[tokio::test]
async fn after_a_broken_stream_exactly_the_missing_indices_are_requested() {
    let mock = Mock::start([Script::BreakAfter(3, Status::unavailable("draining"))]);
    let request = Request::new("glyphs", Indices::first(4));

    let collected = client(&mock).await.generate_resumable(request).collect().await.unwrap();

    let requests = mock.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!((requested(&requests[1]), requests[0].seed), (vec![(2, 2)], None));
    // The second part must match the first: its seed, digests and fingerprint.
    assert_eq!(requests[1].seed, Some(4242));
    let expect = v1::Expect {
        graph: "portable".into(),
        model_digest: "m".repeat(64),
        program_digest: "p".repeat(64),
        fingerprint: "mock".into(),
    };
    assert_eq!(requests[1].expect, Some(expect));
    assert_eq!((requests[0].graph.as_str(), requests[1].graph.as_str()), ("", "portable"));
    assert_eq!(collected.samples.len(), 4);
    assert_eq!(collected.completed.samples, 4);
}

#[tokio::test]
async fn a_resumed_run_sends_its_inputs_again() {
    let mock = Mock::start([Script::BreakAfter(3, Status::unavailable("draining"))]);
    let image = || Data::Pixels(vec![7; 192]);
    let request = four()
        .initial(&Initial::Images { images: vec![image(), image()], strength: Some(0.5) })
        .known(&Known { image: image(), mask: image(), method: Some(Inpaint::ReplaceX0) })
        .shared_noise(SharedNoise { index: 9, start: true, steps: true });

    let collected = client(&mock).await.generate_resumable(request).collect().await.unwrap();

    assert_eq!(collected.samples.len(), 4);
    let [first, second] = mock.requests().try_into().unwrap();
    assert_eq!(requested(&second), [(2, 2)]);
    assert!(first.initial.is_some() && first.inpaint.is_some() && first.shared_noise.is_some());
    assert_eq!(
        (first.initial, first.inpaint, first.shared_noise),
        (second.initial, second.inpaint, second.shared_noise)
    );
}

#[tokio::test]
async fn a_broken_part_is_requested_again_before_the_next() {
    let broken = Script::BreakAfter(2, Status::unavailable("draining"));
    let mock = Mock::start([Script::Serve, broken]);
    mock.limit_samples(3);
    let request = Request::new("glyphs", Indices::first(8)).seed(7);

    let collected = client(&mock).await.generate_resumable(request).collect().await.unwrap();

    let parts: Vec<_> = mock.requests().iter().flat_map(requested).collect();
    assert_eq!(parts, [(0, 3), (3, 3), (4, 2), (6, 2)]);
    let got: Vec<_> = collected.samples.iter().map(|s| s.data.clone()).collect();
    assert!(got.into_iter().eq((0..8).map(|index| Data::Pixels(pixels(7, index, 1.0)))));
}

#[tokio::test]
async fn a_server_that_restarts_costs_no_sample() {
    let mock = Mock::start([Script::HangAfter(2)]);
    let client = client(&mock).await;
    let mut generation = client.generate_resumable(four());
    assert!(matches!(generation.next().await.unwrap(), Some(Event::Accepted(_))));
    assert!(matches!(generation.next().await.unwrap(), Some(Event::Samples(_))));

    let address = mock.address;
    drop(mock);
    let interrupted = generation.next().await.unwrap();
    let Some(Event::Interrupted(interruption)) = interrupted else { panic!("{interrupted:?}") };
    assert!(matches!(interruption.error, Error::Interrupted(_)), "{}", interruption.error);
    assert_eq!(interruption.missing.to_string(), "1-3");
    let mock = Mock::start_at(address, []);
    let mut indices = Vec::new();
    while let Some(event) = generation.next().await.unwrap() {
        if let Event::Samples(samples) = event {
            indices.extend(samples.iter().map(|sample| sample.index));
        }
    }

    assert_eq!(indices, [1, 2, 3]);
    assert_eq!(requested(&mock.requests()[0]), [(1, 3)]);
}

#[tokio::test]
async fn a_resumed_run_never_mixes_two_fingerprints() {
    let broken = Script::BreakAfter(3, Status::unavailable("draining"));
    let mock = Mock::start([broken, Script::another_build()]);

    let error = client(&mock).await.generate_resumable(four()).collect().await.unwrap_err();

    assert!(matches!(error, Error::Protocol(_)), "{error}");
    assert!(error.to_string().contains("fingerprint"), "{error}");
}

#[tokio::test]
async fn a_lost_end_after_the_last_sample_is_no_loss() {
    let mock = Mock::start([Script::BreakAfter(5, Status::unavailable("draining"))]);

    let collected = client(&mock).await.generate_resumable(four()).collect().await.unwrap();

    assert_four_samples(&collected);
    assert_eq!(mock.requests().len(), 1);
}

#[tokio::test]
async fn without_resuming_a_broken_stream_is_an_error() {
    let mock = Mock::start([Script::Tamper(|events| events.truncate(3))]);

    let generation = client(&mock).await.generate(four()).await.unwrap();

    assert!(matches!(generation.collect().await, Err(Error::Interrupted(_))));
}

#[tokio::test]
async fn a_server_that_drains_is_asked_again_until_patience_is_over() {
    let refuse = |_| Script::Refuse(draining(Duration::ZERO));
    // Patience is half a second and pauses are at most 50 ms: four fit, a thousand do not.
    let patient = Mock::start((0..4).map(refuse));
    let collected = client(&patient).await.generate_resumable(four()).collect().await.unwrap();
    assert_four_samples(&collected);
    assert_eq!(patient.requests().len(), 5);

    let endless = Mock::start((0..1000).map(refuse));
    let start = Instant::now();
    let error = client(&endless).await.generate_resumable(four()).collect().await.unwrap_err();
    assert!(matches!(error, Error::Refused(_)), "{error}");
    assert!(start.elapsed() >= options().retry.patience);
    assert!(start.elapsed() < options().retry.patience + Duration::from_secs(5));
}

#[tokio::test]
async fn a_proxy_that_always_refuses_ends_the_run_when_patience_is_over() {
    let refuse = |_| Script::Refuse(Status::unavailable("no healthy upstream"));
    let mock = Mock::start((0..1000).map(refuse));
    let start = Instant::now();

    let error = client(&mock).await.generate_resumable(four()).collect().await.unwrap_err();

    assert!(matches!(error, Error::Refused(_)), "{error}");
    assert!(start.elapsed() >= options().retry.patience);
    // The shortest pauses are 7.5 ms, 15 ms and then 30 ms.
    assert!(mock.requests().len() <= 3 + 500 / 30, "{}", mock.requests().len());
}

#[tokio::test]
async fn the_servers_pause_is_a_lower_bound() {
    let pause = Duration::from_millis(123);
    let full = refusal(Code::ResourceExhausted, "QUEUE_FULL", Some(pause));
    let mock = Mock::start([Script::Refuse(full)]);

    let mut generation = client(&mock).await.generate_resumable(four());

    let start = Instant::now();
    let event = generation.next().await.unwrap();
    let Some(Event::Interrupted(interruption)) = event else { panic!("{event:?}") };
    assert!((pause..=pause.mul_f64(1.25)).contains(&interruption.pause), "{interruption:?}");
    assert_four_samples(&generation.collect().await.unwrap());
    assert!(start.elapsed() >= pause);
}

#[tokio::test]
async fn a_stream_that_was_not_read_is_resumed() {
    let stalled = refusal(Code::Unavailable, "CLIENT_STALLED", Some(Duration::ZERO));
    let mock = Mock::start([Script::BreakAfter(2, stalled)]);

    let collected = client(&mock).await.generate_resumable(four()).collect().await.unwrap();

    assert_four_samples(&collected);
    assert_eq!(requested(&mock.requests()[1]), [(1, 3)]);
}

#[tokio::test]
async fn what_no_pause_can_change_is_final() {
    let soon = Some(Duration::ZERO);
    for (code, reason, pause) in [
        (Code::DeadlineExceeded, "DEADLINE_INFEASIBLE", None),
        (Code::DeadlineExceeded, "DEADLINE_PASSED", soon),
        (Code::ResourceExhausted, "MESSAGE_TOO_LARGE", None),
        (Code::ResourceExhausted, "MESSAGE_TOO_LARGE", soon),
        (Code::FailedPrecondition, "STRICT_UNAVAILABLE", None),
        (Code::InvalidArgument, "INVALID_REQUEST", None),
        (Code::Internal, "RUNTIME_FAILED", None),
    ] {
        let mock = Mock::start([Script::Refuse(refusal(code, reason, pause))]);

        let result = client(&mock).await.generate_resumable(four()).collect().await;

        let Err(Error::Refused(got)) = result else { panic!("{reason}: {result:?}") };
        assert_eq!((got.code, got.reason.as_deref()), (code, Some(reason)));
        assert_eq!(mock.requests().len(), 1, "{reason}");
    }
}

#[tokio::test]
async fn a_stream_may_break_in_every_way_that_http_knows() {
    for how in [
        Break::Reset(Reason::CANCEL),
        Break::Reset(Reason::NO_ERROR),
        Break::Reset(Reason::INTERNAL_ERROR),
        Break::Reset(Reason::REFUSED_STREAM),
        Break::Reset(Reason::ENHANCE_YOUR_CALM),
        Break::GoAway(Reason::NO_ERROR),
        Break::GoAway(Reason::ENHANCE_YOUR_CALM),
        Break::Close,
    ] {
        let mock = Mock::start([]);
        let address = breaking::start(how, mock.address).await;
        let client = Client::connect(&format!("http://{address}"), options()).await.unwrap();

        let result = client.generate_resumable(four()).collect().await;

        assert_four_samples(&result.unwrap_or_else(|error| panic!("{how:?}: {error}")));
        assert_eq!(requested(&mock.requests()[0]), [(1, 3)], "{how:?}");
    }
}

#[tokio::test]
async fn a_port_that_refuses_for_a_while_costs_no_sample() {
    let mock = Mock::start([Script::HangAfter(2)]);
    let mut generation = client(&mock).await.generate_resumable(four());
    generation.next().await.unwrap();
    generation.next().await.unwrap();

    let address = mock.address;
    drop(mock);
    let restart = thread::spawn(move || {
        thread::sleep(Duration::from_millis(150));
        Mock::start_at(address, [])
    });
    let (mut interruptions, mut indices) = (0, Vec::new());
    while let Some(event) = generation.next().await.unwrap() {
        match event {
            Event::Interrupted(_) => interruptions += 1,
            Event::Samples(samples) => indices.extend(samples.iter().map(|sample| sample.index)),
            _ => {}
        }
    }

    restart.join().unwrap();
    assert_eq!(indices, [1, 2, 3]);
    // The stream broke, and the port refused at least once.
    assert!(interruptions >= 2, "{interruptions}");
}

#[tokio::test]
async fn a_server_that_does_not_come_back_ends_the_run_with_what_is_missing() {
    let mock = Mock::start([Script::HangAfter(2)]);
    let mut generation = client(&mock).await.generate_resumable(four());
    generation.next().await.unwrap();
    generation.next().await.unwrap();
    drop(mock);

    let error = loop {
        match generation.next().await {
            Ok(event) => assert!(matches!(event, Some(Event::Interrupted(_))), "{event:?}"),
            Err(error) => break error,
        }
    };

    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert_eq!(generation.missing().to_string(), "1-3");
}

#[tokio::test]
async fn calls_before_a_run_outlive_a_restart_too() {
    let mock = Mock::start([]);
    let client = client(&mock).await;
    client.models().await.unwrap();

    let address = mock.address;
    drop(mock);
    let restart = thread::spawn(move || {
        thread::sleep(Duration::from_millis(100));
        Mock::start_at(address, [])
    });
    let mut pauses = 0;
    let models = client.repeat(async || client.models().await, |_, _| pauses += 1).await;

    assert_eq!(models.unwrap().len(), 2);
    assert!(pauses >= 1);
    restart.join().unwrap();
}

#[tokio::test]
async fn calls_that_are_refused_for_good_are_not_repeated() {
    let mock = Mock::start([]);
    let client = client(&mock).await;

    let paused = |error: &Error, _| panic!("{error}");
    let result = client.repeat(async || client.model("nothing").await, paused).await;

    assert!(matches!(result, Err(Error::Refused(_))));
}

#[tokio::test]
async fn another_build_ends_the_run_unless_the_request_accepts_it() {
    let broken = || Script::BreakAfter(3, draining(Duration::ZERO));
    let other = || Script::Refuse(mismatch("expect.fingerprint"));

    let mock = Mock::start([broken(), other()]);
    let mut refused = client(&mock).await.generate_resumable(four());
    let error = loop {
        match refused.next().await {
            Ok(event) => assert!(event.is_some()),
            Err(error) => break error,
        }
    };
    assert!(error.is_other_build(), "{error}");
    assert_eq!((error.exit_code(), refused.missing().to_string()), (5, "2-3".to_owned()));

    let mock = Mock::start([broken(), other(), Script::another_build()]);
    let request = four().accept_build(true);
    let collected = client(&mock).await.generate_resumable(request).collect().await.unwrap();
    assert_four_samples(&collected);
    assert_eq!(collected.receipt.fingerprint, "another build");
    let expect = mock.requests()[2].expect.clone().unwrap();
    assert_eq!(expect.fingerprint, "");
    // Model and rows must still be the same.
    assert_eq!((expect.model_digest, expect.program_digest), ("m".repeat(64), "p".repeat(64)));
    assert_eq!(requested(&mock.requests()[2]), [(2, 2)]);
}

#[tokio::test]
async fn another_model_or_other_rows_are_never_accepted() {
    for field in ["expect.model_digest", "expect.program_digest"] {
        let broken = Script::BreakAfter(3, draining(Duration::ZERO));
        let mock = Mock::start([broken, Script::Refuse(mismatch(field))]);
        let request = four().accept_build(true);

        let error = client(&mock).await.generate_resumable(request).collect().await.unwrap_err();

        assert!(!error.is_other_build() && error.exit_code() == 5, "{error}");
        assert_eq!(mock.requests().len(), 2);
    }
}

/// Reads `grpc-timeout`, such as `1500m` or `999000u`.
fn milliseconds(timeout: &str) -> f64 {
    let (number, unit) = timeout.split_at(timeout.len() - 1);
    let unit = match unit {
        "S" => 1e3,
        "m" => 1.0,
        "u" => 1e-3,
        "n" => 1e-6,
        other => panic!("{other}"),
    };
    number.parse::<f64>().unwrap() * unit
}

#[tokio::test]
async fn each_attempt_is_told_what_is_left_of_the_deadline() {
    let pause = Duration::from_millis(50);
    let mock = Mock::start([Script::BreakAfter(2, draining(pause))]);
    let request = four().deadline(Duration::from_secs(60));

    let collected = client(&mock).await.generate_resumable(request).collect().await.unwrap();

    assert_four_samples(&collected);
    let left: Vec<f64> =
        mock.timeouts().iter().map(|timeout| milliseconds(timeout.as_ref().unwrap())).collect();
    assert!(left[0] <= 60_000.0 && left[0] > 30_000.0, "{left:?}");
    assert!(left[1] <= left[0] - 50.0, "{left:?}");
}

#[tokio::test]
async fn without_a_deadline_no_timeout_is_sent() {
    let mock = Mock::start([]);

    client(&mock).await.generate_resumable(four()).collect().await.unwrap();

    assert_eq!(mock.timeouts(), [None]);
}

#[tokio::test]
async fn a_deadline_ends_a_run_that_waits_and_one_whose_server_is_silent() {
    let refuse = |_| Script::Refuse(draining(Duration::ZERO));
    let waits = Mock::start((0..1000).map(refuse));
    let silent = Mock::start([Script::HangAfter(2)]);
    for mock in [waits, silent] {
        let start = Instant::now();
        let request = four().deadline(Duration::from_millis(200));

        let error = client(&mock).await.generate_resumable(request).collect().await.unwrap_err();

        assert!(matches!(error, Error::DeadlinePassed), "{error}");
        assert!(start.elapsed() < Duration::from_secs(5));
    }
}

#[tokio::test]
async fn a_deadline_ends_a_run_whose_server_does_not_even_say_its_limits() {
    // The system takes the connection, and nobody reads it.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let client = Client::connect(&endpoint, options()).await.unwrap();
    let start = Instant::now();
    let request = four().deadline(Duration::from_millis(200));

    let error = client.generate_resumable(request).collect().await.unwrap_err();

    assert!(matches!(error, Error::DeadlinePassed), "{error}");
    assert!(start.elapsed() < Duration::from_secs(5));
}

#[tokio::test]
async fn a_run_that_takes_what_is_done_is_complete_at_its_deadline() {
    let request =
        || four().deadline(Duration::from_secs(60)).on_deadline(OnDeadline::ReturnFinished);
    // The server cuts it off; in the first of two parts, so that the second is not requested.
    let mock = Mock::start([Script::Tamper(cut_off_after_one)]);
    mock.limit_samples(3);
    let collected = client(&mock).await.generate_resumable(request()).collect().await.unwrap();
    let completed = collected.completed;
    assert_eq!((completed.samples, completed.unfinished, mock.requests().len()), (1, 3, 1));

    // It breaks off and has no time for the rest.
    let late = refusal(Code::DeadlineExceeded, "DEADLINE_INFEASIBLE", None);
    let mock = Mock::start([Script::BreakAfter(3, draining(Duration::ZERO)), Script::Refuse(late)]);
    let mut generation = client(&mock).await.generate_resumable(request());
    let mut completed = None;
    while let Some(event) = generation.next().await.unwrap() {
        if let Event::Completed(event) = event {
            completed = Some((event.samples, event.unfinished));
        }
    }
    assert_eq!((completed, generation.missing().to_string()), (Some((2, 2)), "2-3".to_owned()));
}

#[tokio::test]
async fn an_estimate_covers_all_requests_of_a_run() {
    let mock = Mock::start([]);
    let client = client(&mock).await;
    let seconds = Duration::from_secs;

    let one = client.estimate(&four()).await.unwrap();
    assert_eq!((one.evals_per_sample, one.total_evals, one.queue_position), (10, 40, 5));
    assert_eq!((one.compute_time, one.eta), (seconds(4), Some(seconds(9))));

    mock.limit_samples(2);
    let client = Client::connect(&mock.endpoint(), options()).await.unwrap();
    let two = client.estimate(&four()).await.unwrap();
    assert_eq!((two.total_evals, two.compute_time, two.eta), (40, seconds(4), Some(seconds(9))));
    assert!(mock.requests().is_empty());
}
