// The few functions of libtorch that tch does not bind, with C linkage.

#include "common.h"

#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <ATen/autocast_mode.h>

#include <dlfcn.h>
#include <malloc.h>

#include <climits>
#include <cmath>
#include <cstdint>
#include <vector>

namespace {

using ddpm::guarded;
using ddpm::list;
using ddpm::Tensors;

// The fused kernels index all lists by the sizes of the first, without checks.
void check_same_layout(const char* what, const std::vector<at::Tensor>& tensors,
                       const std::vector<at::Tensor>& like) {
  for (size_t i = 0; i < like.size(); i++) {
    TORCH_CHECK(tensors[i].sizes() == like[i].sizes(), what, "[", i, "] has shape ",
                tensors[i].sizes(), ", expected ", like[i].sizes());
    TORCH_CHECK(tensors[i].device() == like[i].device(), what, "[", i, "] is on ",
                tensors[i].device(), ", expected ", like[i].device());
    TORCH_CHECK(tensors[i].scalar_type() == like[i].scalar_type(), what, "[", i, "] is ",
                tensors[i].scalar_type(), ", expected ", like[i].scalar_type());
  }
}

void check_steps(const std::vector<at::Tensor>& steps, const std::vector<at::Tensor>& params) {
  for (size_t i = 0; i < steps.size(); i++) {
    TORCH_CHECK(steps[i].dim() == 0 && steps[i].scalar_type() == at::kFloat &&
                    steps[i].device() == params[i].device(),
                "steps[", i, "] must be a float scalar on ", params[i].device());
  }
}

at::DeviceType device_type(int cuda) { return cuda ? at::kCUDA : at::kCPU; }

}  // namespace

extern "C" {

const char* ddpm_torch_load_cuda() {
  return guarded([] {
    if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) == nullptr) {
      const char* reason = dlerror();
      TORCH_CHECK(false, "libtorch's CUDA part does not load (",
                  reason ? reason : "no reason given", "): run `make setup DEVICE=cuda`");
    }
    TORCH_CHECK(at::hasCUDA(), "libtorch's CUDA part is loaded, but there is no usable NVIDIA GPU: "
                               "check the driver with `nvidia-smi`");
  });
}

const char* ddpm_torch_fused_adam(Tensors params, Tensors grads, Tensors exp_avg,
                                  Tensors exp_avg_sq, Tensors steps, size_t len, double lr,
                                  double beta1, double beta2, double eps, double weight_decay) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto p = list("params", params, len), g = list("grads", grads, len);
    auto m = list("exp_avg", exp_avg, len), v = list("exp_avg_sq", exp_avg_sq, len);
    auto t = list("steps", steps, len);
    check_same_layout("grads", g, p);
    check_same_layout("exp_avg", m, p);
    check_same_layout("exp_avg_sq", v, p);
    check_steps(t, p);
    at::_foreach_add_(t, 1);
    at::_fused_adam_(p, g, m, v, {}, t, lr, beta1, beta2, weight_decay, eps,
                     /*amsgrad=*/false, /*maximize=*/false);
  });
}

const char* ddpm_torch_lerp(Tensors targets, Tensors sources, size_t len, double weight) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto to = list("targets", targets, len), from = list("sources", sources, len);
    check_same_layout("sources", from, to);
    at::_foreach_lerp_(to, from, weight);
  });
}

const char* ddpm_torch_clip_grad_norm(Tensors grads, size_t len, double max_norm, double* norm) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto g = list("grads", grads, len);
    *norm = at::linalg_vector_norm(at::stack(at::_foreach_norm(g, 2)), 2).item<double>();
    // The small constant is torch.nn.utils.clip_grad_norm_'s. Scaling by an infinite or NaN norm
    // would only spread it over every gradient.
    double scale = max_norm / (*norm + 1e-6);
    if (std::isfinite(*norm) && scale < 1.0) at::_foreach_mul_(g, scale);
  });
}

const char* ddpm_torch_clear_grads(Tensors params, size_t len) {
  return guarded([&] {
    for (auto& param : list("params", params, len)) param.mutable_grad().reset();
  });
}

const char* ddpm_torch_move_grads(Tensors from, Tensors into, size_t len) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    auto sources = list("from", from, len), targets = list("into", into, len);
    check_same_layout("from", sources, targets);
    for (size_t i = 0; i < len; i++) {
      at::Tensor& grad = sources[i].mutable_grad();
      at::Tensor& sum = targets[i].mutable_grad();
      if (!sum.defined()) {
        sum = grad;
      } else if (grad.defined()) {
        sum.add_(grad);
      }
      grad.reset();
    }
  });
}

const char* ddpm_torch_leaky_relu(at::Tensor* tensor, double slope, at::Tensor** out) {
  return guarded([&] { *out = new at::Tensor(at::leaky_relu(*tensor, slope)); });
}

const char* ddpm_torch_autocast_get(int cuda, int* enabled, int* dtype) {
  return guarded([&] {
    *enabled = at::autocast::is_autocast_enabled(device_type(cuda));
    *dtype = static_cast<int>(at::autocast::get_autocast_dtype(device_type(cuda)));
  });
}

const char* ddpm_torch_autocast_enter_bf16(int cuda) {
  return guarded([&] {
    at::autocast::set_autocast_enabled(device_type(cuda), true);
    at::autocast::set_autocast_dtype(device_type(cuda), at::kBFloat16);
    at::autocast::increment_nesting();
  });
}

const char* ddpm_torch_autocast_leave(int cuda, int enabled, int dtype) {
  return guarded([&] {
    // The cache holds bf16 copies of the weights; after an optimiser step they would be stale.
    if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
    at::autocast::set_autocast_enabled(device_type(cuda), enabled != 0);
    at::autocast::set_autocast_dtype(device_type(cuda), static_cast<at::ScalarType>(dtype));
  });
}

void ddpm_torch_keep_freed_memory() {
#ifdef __GLIBC__
  // The largest threshold that glibc accepts: half of a thread's heap.
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, INT_MAX);
#endif
}

const char* ddpm_torch_set_channels_last(at::Tensor* tensor) {
  return guarded([&] {
    at::NoGradGuard no_grad;
    if (tensor->dim() == 4) {
      tensor->set_data(tensor->data().contiguous(at::MemoryFormat::ChannelsLast));
    }
  });
}

}  // extern "C"
