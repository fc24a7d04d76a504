//! Promises of process groups: two ranks on threads of one process, over Gloo on the CPU.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail by panicking")]

use std::net::TcpListener;
use std::sync::Once;
use std::thread;
use std::time::Duration;

use ddpm_torch::distributed::{
    Backend, GroupError, HAS_NCCL, Launch, ProcessGroup, Reduce, Reducer, Work,
};
use tch::{Cuda, Device, Kind, Tensor};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A port that nobody listens on.
fn port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

/// Several ranks in one process are for tests alone: libtorch's flight recorder, of which a process
/// has one, takes entries of one rank only and crashes now and then with more.
fn without_flight_recorder() {
    static DONE: Once = Once::new();
    // SAFETY: every test comes here before it calls libtorch, and waits until it is done; nothing
    // else reads or writes the environment meanwhile.
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

/// What each of the ranks that met makes of `work`.
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
    let said = ranks(3, |group| {
        let rank = group.launch().rank as f32;
        let (mut sum, mut max) = (tensor(&[rank, 1.0]), tensor(&[rank, -rank]));
        let (mut told, mine) = (tensor(&[10.0 + rank]), tensor(&[rank, rank]));
        // Both are under way at the same time.
        let first = group.all_reduce(&mut sum, Reduce::Sum).unwrap();
        let second = group.all_reduce(&mut max, Reduce::Max).unwrap();
        second.wait().unwrap();
        first.wait().unwrap();
        group.broadcast(&mut told, 1).unwrap().wait().unwrap();
        let mut parts = match group.launch().leads() {
            true => (0..3).map(|_| tensor(&[-1.0, -1.0])).collect(),
            false => Vec::new(),
        };
        group.gather(&mine, &mut parts, 0).unwrap().wait().unwrap();
        group.barrier().unwrap();
        let gathered: Vec<f32> = parts.iter().flat_map(values).collect();
        (values(&sum), values(&max), values(&told), gathered)
    });
    for (rank, (sum, max, told, gathered)) in said.into_iter().enumerate() {
        assert_eq!((sum, max, told), (vec![3.0, 3.0], vec![2.0, 0.0], vec![11.0]));
        let expected: &[f32] = if rank == 0 { &[0.0, 0.0, 1.0, 1.0, 2.0, 2.0] } else { &[] };
        assert_eq!(gathered, expected, "rank {rank}");
    }
}

#[test]
fn a_reducer_leaves_the_mean_of_the_gradients_of_all_ranks() {
    // Several buckets: a parameter has 400 bytes.
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
            // Without `prepare` each rank adds up by itself; the next averaged pass takes it along.
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
fn ranks_that_do_not_come_are_named_when_the_time_is_over() {
    let alone = ProcessGroup::join(launch(0, 3, port()), Backend::Gloo, Duration::from_secs(1));
    let error = alone.unwrap_err();
    assert!(matches!(error, GroupError::Join { rank: 0, world_size: 3, .. }));
    let said = error.to_string();
    assert!(said.contains("these ranks had not come: 1 2"), "{said}");
    assert!(said.contains("127.0.0.1:") && said.contains("MASTER_ADDR"), "{said}");
}

#[test]
fn a_rank_that_leaves_makes_the_others_fail_and_not_wait() {
    let errors = ranks(2, |group| {
        if !group.launch().leads() {
            // The other one has come once it takes part.
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
    let said = errors[0].as_deref().unwrap();
    assert!(said.contains("rank 0 of 2 lost the others in all_reduce"), "{said}");
}

#[test]
fn a_rank_that_is_silent_makes_the_others_fail_when_the_time_is_over() {
    let (port, short) = (port(), Duration::from_secs(2));
    thread::scope(|scope| {
        let (leave, left) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            let group = ProcessGroup::join(launch(1, 2, port), Backend::Gloo, short).unwrap();
            // It is there, and does nothing until the other has given up.
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
fn gpus_need_a_build_with_nccl_and_a_gpu_and_the_refusal_says_which_is_missing() {
    let joined = ProcessGroup::join(launch(0, 1, port()), Backend::Nccl(0), TIMEOUT);
    if !HAS_NCCL {
        let said = joined.unwrap_err().to_string();
        assert!(said.contains("no NCCL") && said.contains("make setup DEVICE=cuda"), "{said}");
    } else if Cuda::device_count() == 0 {
        // NCCL's own words: it is linked, and was asked.
        let said = joined.unwrap_err().to_string();
        assert!(said.contains("no GPUs found"), "{said}");
    } else {
        assert_eq!(joined.unwrap().backend(), Backend::Nccl(0));
    }
}
