//! What can be said of a message before it is decoded.

use ddpm_proto::v1::generate_request::Samples;
use ddpm_proto::v1::{GenerateRequest, sampler};

use super::*;

fn size(request: &GenerateRequest) -> Size {
    Kind::Generate.size(&request.encode_to_vec(), 1000).unwrap()
}

fn sampler(kind: sampler::Kind) -> Option<v1::Sampler> {
    Some(v1::Sampler { kind: Some(kind) })
}

fn program(rows: usize) -> Option<v1::Sampler> {
    let program = v1::Program { rows: vec![v1::Row::default(); rows] };
    sampler(sampler::Kind::Program(program))
}

fn ranges(count: usize) -> GenerateRequest {
    let ranges = vec![v1::IndexRange::default(); count];
    let samples = Some(Samples::IndexRanges(v1::IndexRanges { ranges }));
    GenerateRequest { samples, ..Default::default() }
}

#[test]
fn rows_are_estimated_by_steps_resampling_restarts_and_lists() {
    let steps = GenerateRequest { num_steps: Some(20), ..Default::default() };
    assert_eq!(size(&steps).rows, 40);
    assert_eq!(size(&GenerateRequest::default()).rows, 2 * STEPS);
    let repaint = v1::ReplaceXt { resampling: 10, jump_length: 1 };
    let method = Some(v1::inpaint::Method::ReplaceXT(repaint));
    let inpaint = Some(v1::Inpaint { method, ..Default::default() });
    assert_eq!(size(&GenerateRequest { inpaint, ..steps.clone() }).rows, 400);
    let restart = v1::Restart { steps: 100, repeats: 100, ..Default::default() };
    let restarts = sampler(sampler::Kind::Restart(restart));
    assert_eq!(size(&GenerateRequest { sampler: restarts, ..steps.clone() }).rows, 20_040);
    assert_eq!(size(&GenerateRequest { sampler: program(7), ..steps.clone() }).rows, 7);
    let sigmas = v1::GridOptions { sigmas: vec![1.0; 300], ..Default::default() };
    let listed = GenerateRequest { grid_options: Some(sigmas), ..Default::default() };
    assert_eq!(size(&listed).rows, 600);
    // What is listed counts, whatever is said of steps.
    assert_eq!(size(&GenerateRequest { num_steps: Some(1), ..listed }).rows, 600);
    let sections = v1::GridOptions { sections: vec![1000], ..Default::default() };
    let sections = GenerateRequest { grid_options: Some(sections), ..steps.clone() };
    assert_eq!(size(&sections).rows, 2 * STEPS);
    // Every second of 1000 timesteps for 400 steps: 500.
    let torch = GenerateRequest { grid: v1::Grid::DdpmTorchLinear.into(), ..steps.clone() };
    assert_eq!(size(&torch).rows, 80);
}

#[test]
fn numbers_beyond_every_limit_are_as_much_work_as_the_longest_program() {
    let resampling = v1::ReplaceXt { resampling: u32::MAX, jump_length: 1 };
    let method = Some(v1::inpaint::Method::ReplaceXT(resampling));
    let inpaint = Some(v1::Inpaint { method, ..Default::default() });
    let num_steps = Some(u32::MAX);
    let repaint = GenerateRequest { num_steps, inpaint, ..Default::default() };
    let restart = v1::Restart { steps: u32::MAX, repeats: u32::MAX, ..Default::default() };
    let sampler = sampler(sampler::Kind::Restart(restart));
    let restart = GenerateRequest { sampler, ..Default::default() };
    for request in [repaint, restart] {
        assert_eq!(size(&request).work, Program::MAX_ROWS as u64);
    }
}

#[test]
fn the_last_of_several_samplers_counts_and_rows_before_it_are_no_less() {
    let steps = |sampler| GenerateRequest { num_steps: Some(20), sampler, ..Default::default() };
    let heun = || sampler(sampler::Kind::Heun(v1::Heun {}));
    // A message that is the concatenation of two merges them.
    let rows = |first: Option<v1::Sampler>, last: Option<v1::Sampler>| {
        let message = [steps(first), steps(last)].map(|request| request.encode_to_vec()).concat();
        let kind = v1::GenerateRequest::decode(&message[..]).unwrap().sampler.unwrap().kind;
        (Kind::Generate.size(&message, 1000).unwrap().rows, kind.unwrap())
    };
    assert_eq!(rows(program(1), heun()), (40, sampler::Kind::Heun(v1::Heun {})));
    assert_eq!(rows(program(50), heun()).0, 50);
    assert_eq!(rows(heun(), program(3)).0, 3);
    let restart = v1::Restart { steps: 100, repeats: 100, ..Default::default() };
    let restart = || sampler(sampler::Kind::Restart(restart));
    assert_eq!(rows(heun(), restart()).0, 20_040);
    assert_eq!(rows(restart(), heun()).0, 40);
}

#[test]
fn no_number_makes_a_request_larger_than_the_longest_program_or_wraps() {
    let longest = Program::MAX_ROWS as u64;
    let most = u32::MAX;
    let sampler = sampler(sampler::Kind::Restart(v1::Restart {
        steps: most,
        repeats: most,
        ..Default::default()
    }));
    let method =
        Some(v1::inpaint::Method::ReplaceXT(v1::ReplaceXt { resampling: most, jump_length: 1 }));
    let inpaint = Some(v1::Inpaint { method, ..Default::default() });
    let grid = v1::Grid::DdpmTorchLinear.into();
    let steps = GenerateRequest { num_steps: Some(most), grid, ..Default::default() };
    for request in [
        steps.clone(),
        GenerateRequest { sampler, ..Default::default() },
        GenerateRequest { inpaint, ..steps },
    ] {
        let size = size(&request);
        assert_eq!(size.rows, longest);
        assert!((longest..longest + 10).contains(&size.work), "{size:?}");
    }
}

#[test]
fn a_request_to_compile_is_as_large_as_the_request_in_it() {
    let request = GenerateRequest { sampler: program(50), ..Default::default() };
    let message = v1::CompileRequest { request: Some(request) }.encode_to_vec();
    assert_eq!(Kind::Compile.size(&message, 1000).unwrap().rows, 50);
    let absent = Kind::Compile.decode(Bytes::new()).unwrap_err().to_string();
    assert_eq!(absent, "request: is required");
}

#[test]
fn a_list_may_have_one_element_too_many_for_the_check_to_refuse() {
    let longest = Program::MAX_ROWS + 1;
    assert!(Kind::Generate.size(&ranges(longest).encode_to_vec(), 1000).is_ok());
    let message = ranges(longest + 1).encode_to_vec();
    let refused = Kind::Generate.size(&message, 1000).unwrap_err().to_string();
    let want = "index_ranges.ranges: holds more than 100000 elements; split the request";
    assert_eq!(refused, want);
    // A server may allow more samples than a program has rows.
    assert!(Kind::Generate.size(&message, 200_000).is_ok());
    let request = Some(ranges(longest + 1));
    let message = v1::CompileRequest { request }.encode_to_vec();
    assert_eq!(Kind::Compile.size(&message, 1000).unwrap_err().to_string(), want);
}

#[test]
fn a_large_message_is_large_work_and_not_measured_yet() {
    let small = vec![0xff; SMALL_BYTES];
    assert!(matches!(Kind::Generate.guess(&small, 1000), Err(Error::Undecodable(_))));
    let large = vec![0xff; SMALL_BYTES + 1];
    assert_eq!(Kind::Generate.guess(&large, 1000).unwrap(), SMALL_ROWS + 1);
    let usual = GenerateRequest { num_steps: Some(50), ..Default::default() }.encode_to_vec();
    assert!(Kind::Generate.guess(&usual, 1000).unwrap() <= SMALL_ROWS);
    let long = GenerateRequest { num_steps: Some(5000), ..Default::default() }.encode_to_vec();
    assert!(Kind::Generate.guess(&long, 1000).unwrap() > SMALL_ROWS);
}
