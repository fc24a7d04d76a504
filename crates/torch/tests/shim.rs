//! Compares the shim with closed forms, on the CPU.

#![expect(clippy::unwrap_used, reason = "test helpers fail by panicking")]

use ddpm_torch::{Adam, AdamState, Autocast, Error};
use tch::{Device, Kind, Tensor};

const ADAM: Adam = Adam { lr: 0.1, beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0 };

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::try_from(tensor.flatten(0, -1)).unwrap()
}

fn zeros(len: i64) -> Vec<Tensor> {
    vec![Tensor::zeros([len], (Kind::Float, Device::Cpu))]
}

#[test]
fn the_first_adam_step_moves_by_the_learning_rate_against_the_sign_of_the_gradient() {
    let params = [Tensor::from_slice(&[1.0f32, -2.0, 3.0])];
    let grads = [Tensor::from_slice(&[0.5f32, -8.0, 1e-3])];
    let (exp_avg, exp_avg_sq) = (zeros(3), zeros(3));
    let steps = [Tensor::from(0.0f32)];
    let state = AdamState { exp_avg: &exp_avg, exp_avg_sq: &exp_avg_sq, steps: &steps };

    ddpm_torch::fused_adam(&ADAM, &params, &grads, &state).unwrap();

    // With bias correction m/√v = g/|g| for any size of g.
    for (got, expected) in values(&params[0]).iter().zip([0.9, -1.9, 2.9]) {
        assert!((got - expected).abs() < 1e-5, "{got} != {expected}");
    }
    assert_eq!(values(&steps[0]), [1.0]);
    assert!((values(&exp_avg[0])[1] + 0.8).abs() < 1e-6);
}

#[test]
fn a_gradient_of_another_shape_is_refused_and_nothing_changes() {
    let params = [Tensor::from_slice(&[1.0f32, 2.0, 3.0])];
    let (exp_avg, exp_avg_sq, steps) = (zeros(3), zeros(3), [Tensor::from(0.0f32)]);
    let state = AdamState { exp_avg: &exp_avg, exp_avg_sq: &exp_avg_sq, steps: &steps };

    let short = ddpm_torch::fused_adam(&ADAM, &params, &zeros(2), &state).unwrap_err();
    let missing = ddpm_torch::fused_adam(&ADAM, &params, &[], &state).unwrap_err();
    let undefined = ddpm_torch::fused_adam(&ADAM, &params, &[Tensor::new()], &state).unwrap_err();

    assert!(short.to_string().contains("grads[0] has shape [2], expected [3]"), "{short}");
    assert!(matches!(missing, Error::Length { list: "grads", got: 0, expected: 1, .. }));
    assert!(undefined.to_string().contains("grads[0] is undefined"), "{undefined}");
    assert_eq!(values(&params[0]), [1.0, 2.0, 3.0]);
    assert_eq!(values(&steps[0]), [0.0]);
}

#[test]
fn lerp_moves_each_target_by_the_weight() {
    let targets = [Tensor::from_slice(&[0.0f32, 4.0]), Tensor::from_slice(&[8.0f32])];
    let sources = [Tensor::from_slice(&[4.0f32, 0.0]), Tensor::from_slice(&[8.0f32])];

    ddpm_torch::lerp(&targets, &sources, 0.25).unwrap();

    assert_eq!(values(&targets[0]), [1.0, 3.0]);
    assert_eq!(values(&targets[1]), [8.0]);
}

#[test]
fn clipping_scales_the_joint_norm_and_returns_the_previous_one() {
    let grads = [Tensor::from_slice(&[3.0f32, 0.0]), Tensor::from_slice(&[4.0f32])];

    assert_eq!(ddpm_torch::clip_grad_norm(&grads, 10.0).unwrap(), 5.0);
    assert_eq!(values(&grads[0]), [3.0, 0.0]);

    assert_eq!(ddpm_torch::clip_grad_norm(&grads, 1.0).unwrap(), 5.0);
    assert!((values(&grads[0])[0] - 0.6).abs() < 1e-6);
    assert!((values(&grads[1])[0] - 0.8).abs() < 1e-6);
}

#[test]
fn a_nonfinite_norm_is_returned_and_leaves_the_gradients_unchanged() {
    let grads = [Tensor::from_slice(&[f32::INFINITY, 2.0])];

    assert_eq!(ddpm_torch::clip_grad_norm(&grads, 1.0).unwrap(), f64::INFINITY);

    assert_eq!(values(&grads[0]), [f32::INFINITY, 2.0]);
}

#[test]
fn matrix_products_are_bf16_exactly_while_the_guard_lives() {
    let x = Tensor::ones([4, 4], (Kind::Float, Device::Cpu));

    let guard = Autocast::bf16(Device::Cpu).unwrap();
    let inside = x.matmul(&x).kind();
    drop(guard);

    assert_eq!(inside, Kind::BFloat16);
    assert_eq!(x.matmul(&x).kind(), Kind::Float);
}

#[test]
fn channels_last_changes_strides_but_no_value() {
    let image = Tensor::arange(24, (Kind::Float, Device::Cpu)).reshape([1, 2, 3, 4]);
    let expected = values(&image);

    ddpm_torch::set_channels_last(&image).unwrap();

    assert_eq!(image.stride(), [24, 1, 8, 2]);
    assert_eq!(values(&image), expected);
}

#[test]
fn gradients_move_without_a_copy_and_add_up() {
    let leaf = |value: f32| Tensor::from_slice(&[value, value]).set_requires_grad(true);
    let (into, from) = ([leaf(1.0)], [leaf(2.0)]);
    let backward = |leaf: &Tensor| (leaf * leaf).sum(Kind::Float).backward();
    backward(&from[0]);
    let memory = from[0].grad().data_ptr();

    ddpm_torch::move_grads(&from, &into).unwrap();
    assert_eq!((into[0].grad().data_ptr(), from[0].grad().defined()), (memory, false));
    assert_eq!(values(&into[0].grad()), [4.0, 4.0]);

    backward(&from[0]);
    backward(&into[0]);
    ddpm_torch::move_grads(&from, &into).unwrap();
    assert_eq!(values(&into[0].grad()), [10.0, 10.0]);

    ddpm_torch::clear_grads(&into).unwrap();
    assert!(!into[0].grad().defined());
    let other = [Tensor::from_slice(&[1.0f32])];
    let refused = ddpm_torch::move_grads(&other, &into).unwrap_err().to_string();
    assert!(refused.contains("from[0] has shape [1], expected [2]"), "{refused}");
}

#[test]
fn a_leaky_relu_has_the_given_slope_also_in_its_gradient() {
    let x = Tensor::from_slice(&[-2.0f32, 0.5]).set_requires_grad(true);
    let y = ddpm_torch::leaky_relu(&x, 0.02).unwrap();
    y.sum(Kind::Float).backward();
    assert_eq!(values(&y), [-0.04, 0.5]);
    assert_eq!(values(&x.grad()), [0.02, 1.0]);
}
