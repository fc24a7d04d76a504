//! Edits, on a small image of which everything is known: 32 pairs of values from a
//! mixture in [−1, 1], with its exact network.

#![allow(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod common;

use ddpm_diffusion::{
    Evals, GridSpec, Guidance, Inpaint, Kernel, Known, Noise, Parameterisation, Point, Prediction,
    Process, Program, Recipe, Row, Sampler, SharedNoise, Start, State, Variance, q_sample, slerp,
};

use common::{Component, Mixture, Perfect, Table, document, from_pure_noise, predictions};

/// Values of an image.
const LEN: usize = 64;

fn data() -> Mixture {
    let one = |weight, mean, variance| Component { weight, mean, variance, covariance: 0.0 };
    Mixture {
        components: vec![one(0.6, [-0.4, 0.3], [0.04, 0.02]), one(0.4, [0.5, -0.2], [0.02, 0.05])],
    }
}

/// An image as likely as the data, within [−1, 1].
fn image() -> Vec<f64> {
    let modes = data().components;
    let mut z = vec![0.0; LEN];
    Noise::new(11).normal(0, 0, &mut z);
    let pairs = z.chunks_exact(2).enumerate().flat_map(|(k, z)| {
        let Component { mean, variance, .. } = modes[k % 2];
        [0, 1].map(|i| (mean[i] + variance[i].sqrt() * z[i]).clamp(-1.0, 1.0))
    });
    pairs.collect()
}

fn recipe(sampler: &str, network: &Parameterisation, steps: usize, start: Start) -> Recipe {
    let recipe = Recipe::new(sampler.parse().unwrap(), network);
    Recipe { num_steps: steps, start, ..recipe }
}

fn compile(sampler: &str, network: &Parameterisation, steps: usize, start: Start) -> Program {
    recipe(sampler, network, steps, start).compile(network).unwrap()
}

/// Runs a program from `start`, or from noise.
fn run(program: &Program, network: &Perfect, start: Option<&[f64]>, index: u64) -> Vec<f64> {
    run_known(program, network, start, index, None).0
}

/// As [`run`], with what is known; the sample and the last prediction of x_0.
fn run_known(
    program: &Program,
    network: &Perfect,
    start: Option<&[f64]>,
    index: u64,
    known: Option<Known<'_, f64>>,
) -> (Vec<f64>, Vec<f64>) {
    let noise = Noise::new(3);
    let mut state = match start {
        Some(start) => State::from_point(program, start.to_vec()),
        None => State::start(program, &noise, index, LEN),
    };
    let mut kernel = Kernel::new(LEN);
    for (position, row) in program.rows().iter().enumerate() {
        let outputs = network.outputs(row, state.u());
        let outputs: Vec<&[f64]> = outputs.iter().map(Vec::as_slice).collect();
        kernel.advance(row, position, &mut state, &outputs, &noise, index, known);
    }
    (state.u().to_vec(), kernel.x_0().to_vec())
}

/// Peak signal-to-noise ratio in dB of values in [−1, 1].
fn psnr(got: &[f64], want: &[f64]) -> f64 {
    let square: f64 = got.iter().zip(want).map(|(got, want)| (got - want).powi(2)).sum();
    10.0 * (4.0 * got.len() as f64 / square).log10()
}

#[test]
fn encoding_and_decoding_at_200_rows_returns_the_image_at_40_db() {
    let [eps, x_0, v, edm, _] = predictions();
    let mut table = Table::new(&[":network", "25 rows", "50", "100", "200", "400"]);
    for (network, name) in [(eps, "eps"), (x_0, "x_0"), (v, "v"), (edm, "EDM")] {
        let perfect = Perfect::new(&network, &data());
        let round_trip = |rows: usize| {
            let encode = compile("ddim-inverse", &network, rows, Start::State);
            let decode = compile("ddim", &network, rows, Start::State);
            let latent = run(&encode, &perfect, Some(&image()), 0);
            psnr(&run(&decode, &perfect, Some(&latent), 0), &image())
        };
        let all = [25, 50, 100, 200, 400].map(round_trip);
        let shown = all.map(|psnr| format!("{psnr:.1} dB"));
        table.row(&[&[name.to_owned()][..], &shown].concat());
        assert!(all[3] > 40.0, "{name}: {all:?}");
        // Of first order: 6 dB for each doubling.
        assert!(all.windows(2).all(|pair| pair[1] > pair[0] + 4.0), "{name}: {all:?}");
    }
    document("distribution.md", "editing", &table);
}

#[test]
fn strength_0_returns_the_image_bit_for_bit() {
    for network in predictions() {
        let program = compile("heun", &network, 50, Start::Image { strength: 0.0 });
        assert_eq!(program.evals(), 0);
        let image = image();
        let perfect = Perfect::new(&network, &data());
        assert_eq!(run(&program, &perfect, Some(&image), 4), image);
        let serving: Vec<f32> = image.iter().map(|value| *value as f32).collect();
        let mut state = State::from_point(&program, serving.clone());
        let mut kernel = Kernel::new(LEN);
        kernel.advance(&program.rows()[0], 0, &mut state, &[], &Noise::new(3), 4, None);
        assert_eq!(state.u(), serving);
    }
}

#[test]
fn strength_1_is_a_run_from_the_noised_image() {
    for network in predictions() {
        let perfect = Perfect::new(&network, &data());
        for sampler in ["ddim", "dpm++-3-corrected", "edm-heun:s-churn=0"] {
            let grid = "karras".parse().unwrap();
            let edit = recipe(sampler, &network, 20, Start::Image { strength: 1.0 });
            let edit = Recipe { grid, ..edit };
            let given = Recipe { start: Start::State, ..edit.clone() };
            let first = edit.grid.grid(&network.process, 20).unwrap().points()[0];
            let (mut z, mut x_t) = (vec![0.0; LEN], vec![0.0; LEN]);
            // The noise of an edit is that of a sample: draw 0.
            Noise::new(3).normal(6, 0, &mut z);
            q_sample(&first, &image(), &z, &mut x_t);
            let got = run(&edit.compile(&network).unwrap(), &perfect, Some(&image()), 6);
            let want = run(&given.compile(&network).unwrap(), &perfect, Some(&x_t), 6);
            let off = got.iter().zip(&want).map(|(got, want)| (got - want).abs());
            assert!(off.fold(0.0, f64::max) < 1e-12, "{sampler}");
        }
    }
}

#[test]
fn a_stronger_edit_keeps_less_of_the_image() {
    let network = &predictions()[0];
    let perfect = Perfect::new(network, &data());
    let kept = [0.1, 0.4, 0.9].map(|strength| {
        let program = compile("ddim", network, 50, Start::Image { strength });
        assert_eq!(program.evals(), (strength * 50.0) as u64);
        psnr(&run(&program, &perfect, Some(&image()), 6), &image())
    });
    assert!(kept[0] > kept[1] + 3.0 && kept[1] > kept[2], "{kept:?}");
}

/// A network whose label knows one mode.
fn labelled(network: &Parameterisation) -> Perfect {
    let both = Perfect::new(network, &data());
    Perfect { data: [data().component(0), data()], ..both }
}

fn guided(network: &Parameterisation, guidance: Option<Guidance>) -> Program {
    let recipe = recipe("dpm++", network, 20, Start::Noise);
    Recipe { guidance, ..recipe }.compile(network).unwrap()
}

#[test]
fn guidance_1_has_the_conditional_networks_bits_and_0_the_unconditional_ones() {
    let network = &predictions()[0];
    let both = labelled(network);
    let plain = guided(network, None);
    for (scale, data) in [(1.0, &both.data[0]), (0.0, &both.data[1])] {
        let alone = run(&plain, &Perfect::new(network, data), None, 2);
        let program = guided(network, Some(Guidance::everywhere(scale)));
        assert_eq!(program.evals(), plain.evals(), "guidance {scale} costs one eval a row");
        assert_eq!(run(&program, &both, None, 2), alone, "{scale}");
        // Where both evals are made all the same, one has no weight at all.
        let two_evals = |row: &Row| Row { evals: Evals::Guided { scale }, ..row.clone() };
        let program = Program::new(plain.rows().iter().map(two_evals).collect()).unwrap();
        assert_eq!(run(&program, &both, None, 2), alone, "{scale}, two evals");
    }
}

#[test]
fn guidance_costs_two_evals_only_inside_its_interval() {
    let network = &predictions()[0];
    let guidance = Guidance { scale: 3.0, sigma_min: 0.3, sigma_max: 5.0 };
    let program = guided(network, Some(guidance));
    let perfect = labelled(network);
    let mut inside = 0;
    for row in program.rows() {
        let (alpha, sigma) = perfect.place(row.t);
        let acts = (0.3..=5.0).contains(&(sigma / alpha));
        inside += u64::from(acts);
        let want = if acts { Evals::Guided { scale: 3.0 } } else { Evals::One };
        assert_eq!(row.evals, want, "at t = {}", row.t);
    }
    assert!(inside > 2 && inside < 18, "{inside} of 20");
    assert_eq!(program.evals(), 20 + inside);
}

#[test]
fn samples_that_share_their_noise_are_that_of_the_index_they_share() {
    for network in predictions() {
        let perfect = Perfect::new(&network, &data());
        for sampler in ["ddpm", "edm-heun", "sde-dpm++", "restart:t-min=1,t-max=3"] {
            let recipe = recipe(sampler, &network, 12, Start::Noise);
            let recipe = Recipe { grid: "karras".parse().unwrap(), ..recipe };
            let share = |start: bool, steps: bool| {
                let shared_noise = Some(SharedNoise { index: 9, start, steps });
                Recipe { shared_noise, ..recipe.clone() }.compile(&network).unwrap()
            };
            let at = |program: &Program, index: u64| run(program, &perfect, None, index);
            let (all, plain) = (share(true, true), recipe.compile(&network).unwrap());
            assert_eq!(at(&all, 1), at(&all, 2), "{sampler}: one label, one noise, one sample");
            assert_eq!(at(&all, 1), at(&plain, 9), "{sampler}: that of the index");
            for (start, steps) in [(true, false), (false, true)] {
                let part = share(start, steps);
                assert_ne!(at(&part, 1), at(&part, 2), "{sampler}: the rest is their own");
                assert_eq!(at(&part, 9), at(&plain, 9), "{sampler}: to 9 nothing changes");
            }
        }
    }
}

#[test]
fn a_walk_between_two_noises_has_exact_ends_and_stays_as_noisy() {
    let noise = |index: u64| {
        let mut z = vec![0.0_f32; 3072];
        Noise::new(5).normal(index, 0, &mut z);
        z
    };
    let norm = |x: &[f32]| x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let (a, b) = (noise(0), noise(1));
    let mut out = vec![0.0; a.len()];
    slerp(&a, &b, 0.0, &mut out);
    assert_eq!(out, a);
    slerp(&a, &b, 1.0, &mut out);
    assert_eq!(out, b);
    // Of one length on a great circle: the length is kept to the rounding of f32.
    let scale = (norm(&a) / norm(&b)) as f32;
    let b: Vec<f32> = b.iter().map(|b| scale * b).collect();
    for tenth in 1..10 {
        slerp(&a, &b, f64::from(tenth) / 10.0, &mut out);
        assert!((norm(&out) / norm(&a) - 1.0).abs() < 1e-6, "{tenth}: {}", norm(&out));
    }
}

#[test]
fn encoding_to_where_a_grid_stops_above_0_begins_there() {
    let network = &predictions()[0];
    let perfect = Perfect::new(network, &data());
    let round_trip = |steps: usize| {
        let sigma = |k: usize| 3.0 * (0.1f64 / 3.0).powf(k as f64 / steps as f64);
        let grid = GridSpec::Sigmas((0..=steps).map(sigma).collect());
        let both = ["ddim-inverse", "ddim"].map(|sampler| {
            let recipe = recipe(sampler, network, steps, Start::State);
            Recipe { grid: grid.clone(), ..recipe }.compile(network).unwrap()
        });
        let [encode, decode] = both;
        assert_eq!((encode.evals(), decode.evals()), (steps as u64, steps as u64));
        // What is encoded is the state at the end of the grid, and so is what comes back.
        let end = network.process.at_rho(0.1).unwrap();
        let start: Vec<f64> = image().iter().map(|x| end.alpha * x).collect();
        assert!((encode.rows()[0].t - end.t).abs() < 1e-9);
        let latent = run(&encode, &perfect, Some(&start), 0);
        psnr(&run(&decode, &perfect, Some(&latent), 0), &start)
    };
    let all = [50, 100, 200].map(round_trip);
    assert!(all[2] > 40.0 && all.windows(2).all(|pair| pair[1] > pair[0] + 4.0), "{all:?}");
}

/// Networks of every prediction on every process.
fn every_network() -> Vec<Parameterisation> {
    let Process::Discrete(schedule) = &predictions()[0].process else { panic!("a chain") };
    let mean = Parameterisation::discrete(schedule.clone(), Prediction::Mean, Variance::FixedSmall);
    predictions().into_iter().chain(from_pure_noise()).chain([mean]).collect()
}

fn suits(sampler: Sampler, network: &Parameterisation) -> bool {
    match sampler {
        Sampler::DdimInverse(_) => false,
        Sampler::Ddpm(_) => true,
        Sampler::Lcm(_) if matches!(network.process, Process::Edm(_)) => false,
        _ => network.prediction != Prediction::Mean,
    }
}

#[test]
fn every_sampler_runs_on_the_default_grid_of_every_network() {
    for network in every_network() {
        let perfect = Perfect::new(&network, &data());
        for sampler in Sampler::ALL.into_iter().filter(|sampler| suits(*sampler, &network)) {
            for steps in [1, 2, 3, 20] {
                // Restart needs a point to restart at.
                if steps == 1 && matches!(sampler, Sampler::Restart(_)) {
                    continue;
                }
                let restart = "restart:t-min=1,t-max=1e4".parse().unwrap();
                let restarts = matches!(sampler, Sampler::Restart(_)) && steps < 20;
                let sampler = if restarts { restart } else { sampler };
                let program = compile(&sampler.to_string(), &network, steps, Start::Noise);
                let sample = run(&program, &perfect, None, 1);
                assert!(sample.iter().all(|x| x.abs() < 1e3), "{sampler}, {steps}: {sample:?}");
            }
        }
    }
}

#[test]
fn what_is_known_comes_back_equal_from_every_sampler_and_network() {
    let repaint = Inpaint::ReplaceXt { resampling: 2, jump_length: 2 };
    let image = image();
    let mask: Vec<f64> = (0..LEN).map(|k| f64::from(k % 3 == 0)).collect();
    let known = Some(Known { image: &image, mask: &mask });
    for network in every_network() {
        let perfect = Perfect::new(&network, &data());
        for sampler in Sampler::ALL.into_iter().filter(|sampler| suits(*sampler, &network)) {
            for inpaint in [Inpaint::ReplaceX0, repaint] {
                if inpaint == repaint && !sampler.is_one_step() {
                    continue;
                }
                let whole = network.prediction == Prediction::Mean;
                let steps = if whole { 1000 } else { 20 };
                let recipe = recipe(&sampler.to_string(), &network, steps, Start::Noise);
                let program = Recipe { inpaint: Some(inpaint), ..recipe };
                let program = program.compile(&network).unwrap();
                let (sample, shown) = run_known(&program, &perfect, None, 1, known);
                let is = |of: &[f64]| {
                    let known = of.iter().zip(&image).zip(&mask);
                    known.filter(|(_, mask)| **mask == 1.0).all(|((got, want), _)| got == want)
                };
                assert!(is(&sample) && is(&shown), "{sampler}, {inpaint:?}: {sample:?}");
                assert!(sample.iter().any(|x| !image.contains(x)), "{sampler}, {inpaint:?}");
            }
        }
    }
}

#[test]
fn replacing_x_0_moves_the_mean_that_a_network_predicts() {
    // The unknown half of each pair depends on the known one.
    let one = |mean| Component { weight: 0.5, mean, variance: [0.01, 0.01], covariance: 0.0 };
    let data = Mixture { components: vec![one([0.5, 0.5]), one([-0.5, -0.5])] };
    let mean = &every_network()[8];
    let perfect = Perfect::new(mean, &data);
    let (image, mask) = ([0.5, 0.0].repeat(LEN / 2), [1.0, 0.0].repeat(LEN / 2));
    let known = Some(Known { image: &image[..], mask: &mask[..] });
    let recipe = recipe("ddpm", mean, 1000, Start::Noise);
    let program = Recipe { inpaint: Some(Inpaint::ReplaceX0), ..recipe }.compile(mean).unwrap();
    let (sample, _) = run_known(&program, &perfect, None, 1, known);
    let with = sample.chunks_exact(2).filter(|pair| pair[1] > 0.0).count();
    assert!(with > LEN / 2 * 3 / 4, "only {with} of {} agree with what is known", LEN / 2);
}

#[test]
fn strength_0_still_puts_what_is_known_in_its_place() {
    let network = &predictions()[0];
    let perfect = Perfect::new(network, &data());
    let (given, other) = (image(), vec![0.25; LEN]);
    let mask: Vec<f64> = (0..LEN).map(|k| f64::from(k % 2 == 0)).collect();
    for inpaint in [Inpaint::ReplaceX0, Inpaint::ReplaceXt { resampling: 1, jump_length: 1 }] {
        let recipe = recipe("ddim", network, 10, Start::Image { strength: 0.0 });
        let program = Recipe { inpaint: Some(inpaint), ..recipe }.compile(network).unwrap();
        let known = Some(Known { image: &other[..], mask: &mask[..] });
        let (sample, _) = run_known(&program, &perfect, Some(&given), 1, known);
        for (k, value) in sample.into_iter().enumerate() {
            assert_eq!(value, if k % 2 == 0 { 0.25 } else { given[k] });
        }
    }
}

#[test]
fn what_is_shown_of_a_step_is_where_its_last_eval_arrived() {
    let network = &predictions()[3];
    let perfect = Perfect::new(network, &data());
    let repaint = Some(Inpaint::ReplaceXt { resampling: 2, jump_length: 2 });
    for (sampler, inpaint) in [("edm-heun", None), ("ddim", repaint), ("edm-heun", repaint)] {
        let recipe = Recipe { inpaint, ..recipe(sampler, network, 8, Start::Noise) };
        let program = recipe.compile(network).unwrap();
        let rows = program.rows();
        let ends = (0..rows.len()).filter(|k| rows[*k].label.ends_step);
        assert_eq!(ends.clone().count(), 8, "{sampler}");
        for k in ends.filter(|k| k + 1 < rows.len()) {
            assert_eq!(rows[k].evals, Evals::One, "{sampler}, row {k}: x_0 is a prediction");
            let next = rows[k + 1..].iter().find(|row| row.evals == Evals::One).unwrap();
            let (alpha, sigma) = perfect.place(next.t);
            let level = Point { t: 0.0, alpha, sigma, timestep: None }.noise_level();
            // The noise of a churn that is part of the row is told; one behind it is not.
            let churned = rows[k + 1].evals == Evals::Zero && sampler == "edm-heun";
            let off = (rows[k].label.noise_level - level).abs();
            assert!(off < if churned { 0.1 } else { 1e-9 }, "{sampler}, row {k}: off by {off}");
            assert_eq!(rows[k + 1].c_in, next.c_in, "{sampler}, row {k}: x_t is scaled");
        }
    }
}
