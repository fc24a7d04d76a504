//! Promises of process groups: ranks on threads of one process, over Gloo on the CPU.

#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use std::net::TcpListener;
use std::sync::Once;
use std::thread;
use std::time::Duration;

use ddpm_torch::distributed::{
    Backend, GroupError, HAS_NCCL, Launch, ProcessGroup, Reduce, Reducer, Work,
};
use tch::{Cuda, Device, Kind, Tensor};

const TIMEOUT: Duration = Duration::from_secs(60);

/// Returns a free port.
fn port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Disables libtorch's flight recorder. Only tests run several ranks in one process, and the one
/// recorder of a process sometimes crashes with more than one rank.
fn without_flight_recorder() {
    static DONE: Once = Once::new();
    // SAFETY: every test calls this before libtorch, and waits for it; nothing else reads or writes
    // the environment meanwhile.
    DONE.call_once(|| unsafe { std::env::set_var("TORCH_FR_BUFFER_SIZE", "0") });
}

fn launch(rank: usize, world_size: usize, master_port: u16) -> Launch {
    without_flight_recorder();
    Launch {
        rank,
        world_size,
        local_rank: rank,
        master_addr: "127.0.0.1".to_owned(),
        master_port,
        restarts: 0,
        agent_store: false,
    }
}

/// Runs `work` on each of `size` connected ranks and returns the results.
fn ranks<T: Send>(size: usize, work: impl Fn(&ProcessGroup) -> T + Sync) -> Vec<T> {
    let (port, work) = (port(), &work);
    thread::scope(|scope| {
        let start = |rank| {
            scope.spawn(move || {
                let group =
                    ProcessGroup::join(launch(rank, size, port), Backend::Gloo, TIMEOUT).unwrap();
                work(&group)
            })
        };
        let threads: Vec<_> = (0..size).map(start).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

fn tensor(values: &[f32]) -> Tensor {
    Tensor::from_slice(values)
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.flatten(0, -1)).unwrap()
}

#[test]
fn collectives_do_what_their_names_say() {
    let results = ranks(3, |group| {
        let rank = group.launch().rank as f32;
        let (mut sum, mut max) = (tensor(&[rank, 1.0]), tensor(&[rank, -rank]));
        let (mut shared, mine) = (tensor(&[10.0 + rank]), tensor(&[rank, rank]));
        // Both are in progress at the same time.
        let first = group.all_reduce(&mut sum, Reduce::Sum).unwrap();
        let second = group.all_reduce(&mut max, Reduce::Max).unwrap();
        second.wait().unwrap();
        first.wait().unwrap();
        group.broadcast(&mut shared, 1).unwrap().wait().unwrap();
        let mut parts = match group.launch().leads() {
            true => (0..3).map(|_| tensor(&[-1.0, -1.0])).collect(),
            false => Vec::new(),
        };
        group.gather(&mine, &mut parts, 0).unwrap().wait().unwrap();
        group.barrier().unwrap();
        let gathered: Vec<f32> = parts.iter().flat_map(values).collect();
        (values(&sum), values(&max), values(&shared), gathered)
    });
    for (rank, (sum, max, shared, gathered)) in results.into_iter().enumerate() {
        assert_eq!((sum, max, shared), (vec![3.0, 3.0], vec![2.0, 0.0], vec![11.0]));
        let expected: &[f32] = if rank == 0 { &[0.0, 0.0, 1.0, 1.0, 2.0, 2.0] } else { &[] };
        assert_eq!(gathered, expected, "rank {rank}");
    }
}

#[test]
fn a_reducer_leaves_the_mean_of_the_gradients_of_all_ranks() {
    // A parameter has 400 bytes, so the first two sizes give several buckets.
    for bucket_bytes in [1, 500, Reducer::BUCKET_BYTES] {
        let gradients = ranks(2, |group| {
            let options = (Kind::Float, Device::Cpu);
            let parameters: Vec<_> =
                (0..5).map(|_| Tensor::ones([100], options).set_requires_grad(true)).collect();
            let reducer = Reducer::new(group, &parameters, bucket_bytes).unwrap();
            let rank = group.launch().rank as f64;
            // d/dp of (factor · rank · Σ p²) at p = 1 is 2 · factor · rank.
            let loss = |factor: f64| {
                parameters
                    .iter()
                    .enumerate()
                    .map(|(i, p)| (p * p).sum(Kind::Float) * ((i as f64 + 1.0) * factor * rank))
                    .fold(Tensor::zeros([0; 0], options), |sum, term| sum + term)
            };
            let mut steps = Vec::new();
            for factor in [1.0, 10.0] {
                reducer.prepare().unwrap();
                loss(factor).backward();
                steps.extend(parameters.iter().map(|p| p.grad().double_value(&[99])));
                for parameter in &parameters {
                    let _ = parameter.grad().zero_();
                }
            }
            // Without `prepare` each rank accumulates separately; the next averaged pass includes
            // that.
            loss(1.0).backward();
            steps.push(parameters[0].grad().double_value(&[0]));
            reducer.prepare().unwrap();
            loss(1.0).backward();
            steps.push(parameters[0].grad().double_value(&[0]));
            steps
        });
        let mean = [1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 20.0, 30.0, 40.0, 50.0];
        assert_eq!(gradients[0], [&mean[..], &[0.0, 2.0]].concat(), "{bucket_bytes}");
        assert_eq!(gradients[1], [&mean[..], &[2.0, 2.0]].concat(), "{bucket_bytes}");
    }
}

#[test]
fn missing_ranks_are_named_after_the_timeout() {
    let alone = ProcessGroup::join(launch(0, 3, port()), Backend::Gloo, Duration::from_secs(1));
    let error = alone.unwrap_err();
    assert!(matches!(error, GroupError::Join { rank: 0, world_size: 3, .. }));
    let message = error.to_string();
    assert!(message.contains("these ranks were missing: 1 2"), "{message}");
    assert!(message.contains("127.0.0.1:") && message.contains("MASTER_ADDR"), "{message}");
}

#[test]
fn a_rank_that_leaves_makes_the_others_fail_at_once() {
    let errors = ranks(2, |group| {
        if !group.launch().leads() {
            // Taking part shows the other rank that this one has connected.
            group.all_reduce(&mut tensor(&[1.0]), Reduce::Sum).and_then(Work::wait).unwrap();
            return None;
        }
        let error = loop {
            let mut tensor = tensor(&[1.0]);
            let work = group.all_reduce(&mut tensor, Reduce::Sum);
            if let Err(error) = work.and_then(Work::wait) {
                break error;
            }
        };
        Some(error.to_string())
    });
    let message = errors[0].as_deref().unwrap();
    assert!(message.contains("rank 0 of 2 lost the others in all_reduce"), "{message}");
}

#[test]
fn a_silent_rank_makes_the_others_fail_after_the_timeout() {
    let (port, short) = (port(), Duration::from_secs(2));
    thread::scope(|scope| {
        let (leave, left) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            let group = ProcessGroup::join(launch(1, 2, port), Backend::Gloo, short).unwrap();
            // It is connected, but does nothing until the other has given up.
            let _ = left.recv();
            drop(group);
        });
        let group = ProcessGroup::join(launch(0, 2, port), Backend::Gloo, short).unwrap();
        let error = group.barrier().unwrap_err();
        assert!(matches!(error, GroupError::Lost { doing: "barrier", .. }), "{error}");
        assert!(error.to_string().contains("silent for 2 s"), "{error}");
        drop(leave);
    });
}

#[test]
fn gpus_need_nccl_and_a_gpu_and_the_error_says_which_is_missing() {
    let joined = ProcessGroup::join(launch(0, 1, port()), Backend::Nccl(0), TIMEOUT);
    if !HAS_NCCL {
        let message = joined.unwrap_err().to_string();
        assert!(
            message.contains("no NCCL") && message.contains("make setup DEVICE=cuda"),
            "{message}"
        );
    } else if Cuda::device_count() == 0 {
        // NCCL's own message: it is linked and was called.
        let message = joined.unwrap_err().to_string();
        assert!(message.contains("no GPUs found"), "{message}");
    } else {
        assert_eq!(joined.unwrap().backend(), Backend::Nccl(0));
    }
}
