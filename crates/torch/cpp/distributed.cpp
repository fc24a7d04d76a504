// c10d for Rust: process groups, their collectives, and the engine of PyTorch's
// DistributedDataParallel, which averages gradients during the backward pass.

#include "common.h"

#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroup.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>
#include <torch/csrc/distributed/c10d/reducer.hpp>
#ifdef USE_C10D_NCCL
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#endif

#include <algorithm>
#include <chrono>
#include <memory>

namespace {

using ddpm::guarded;
using ddpm::list;
using ddpm::Tensors;
using std::chrono::milliseconds;

using Backend = c10::intrusive_ptr<c10d::Backend>;
using Store = c10::intrusive_ptr<c10d::Store>;

std::string key_of(int rank) { return "rank/" + std::to_string(rank); }

// Waits until every rank has stored its greeting, and checks that all are equal.
void greet(const Store& store, int rank, int size, const std::string& greeting,
           milliseconds limit) {
  store->set(key_of(rank), std::vector<uint8_t>(greeting.begin(), greeting.end()));
  std::vector<std::string> keys;
  for (int other = 0; other < size; other++) keys.push_back(key_of(other));
  try {
    store->wait(keys, limit);
  } catch (const c10::Error&) {
    std::string missing;
    for (int other = 0; other < size; other++) {
      if (!store->check({key_of(other)})) missing += " " + std::to_string(other);
    }
    TORCH_CHECK(false, "after ", limit.count() / 1000, " s these ranks were missing:", missing);
  }
  for (int other = 0; other < size; other++) {
    auto bytes = store->get(key_of(other));
    std::string theirs(bytes.begin(), bytes.end());
    TORCH_CHECK(theirs == greeting, "rank ", other, " runs another version or backend: \"", theirs,
                "\" instead of \"", greeting, "\"");
  }
}

Backend make_gloo(const Store& store, int rank, int size, const char* interface,
                  milliseconds timeout) {
  auto options = c10d::ProcessGroupGloo::Options::create(timeout);
  options->devices.push_back(*interface
                                 ? c10d::ProcessGroupGloo::createDeviceForInterface(interface)
                                 : c10d::ProcessGroupGloo::createDefaultDevice());
  return c10::make_intrusive<c10d::ProcessGroupGloo>(store, rank, size, options);
}

#ifdef USE_C10D_NCCL
Backend make_nccl(const Store& store, int rank, int size, milliseconds timeout) {
  auto options = c10d::ProcessGroupNCCL::Options::create();
  options->timeout = timeout;
  return c10::make_intrusive<c10d::ProcessGroupNCCL>(store, rank, size, options);
}
#else
Backend make_nccl(const Store&, int, int, milliseconds) {
  TORCH_CHECK(false, "built without NCCL");
}
#endif

}  // namespace

struct DdpmGroup {
  Store store;
  Backend backend;
  // The same backend, in the form that the reducer needs.
  c10::intrusive_ptr<c10d::ProcessGroup> group;
};

struct DdpmWork {
  c10::intrusive_ptr<c10d::Work> work;
};

extern "C" {

const char* ddpm_torch_group_join(const char* host, uint16_t port, int serves, int rank, int size,
                                  const char* prefix, const char* greeting, int use_nccl,
                                  const char* interface, int64_t join_ms, int64_t timeout_ms,
                                  DdpmGroup** out) {
  return guarded([&] {
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = serves != 0;
    options.waitWorkers = false;
    options.timeout = milliseconds(join_ms);
    auto server = c10::make_intrusive<c10d::TCPStore>(host, options);
    Store store = c10::make_intrusive<c10d::PrefixStore>(prefix, server);
    greet(store, rank, size, greeting, milliseconds(join_ms));

    auto timeout = milliseconds(timeout_ms);
    auto backend = use_nccl ? make_nccl(store, rank, size, timeout)
                            : make_gloo(store, rank, size, interface, timeout);
    auto kind = use_nccl ? c10d::ProcessGroup::NCCL : c10d::ProcessGroup::GLOO;
    auto group = c10::make_intrusive<c10d::ProcessGroup>(store, rank, size);
    group->setBackend(use_nccl ? c10::kCUDA : c10::kCPU, kind, backend);
    group->setDefaultBackend(kind);
    *out = new DdpmGroup{store, backend, group};
  });
}

void ddpm_torch_group_free(DdpmGroup* group) { delete group; }

const char* ddpm_torch_all_reduce(DdpmGroup* group, const at::Tensor* tensor, int max,
                                  DdpmWork** out) {
  return guarded([&] {
    std::vector<at::Tensor> tensors{*tensor};
    c10d::AllreduceOptions options;
    options.reduceOp = max ? c10d::ReduceOp::MAX : c10d::ReduceOp::SUM;
    *out = new DdpmWork{group->backend->allreduce(tensors, options)};
  });
}

const char* ddpm_torch_broadcast(DdpmGroup* group, const at::Tensor* tensor, int root,
                                 DdpmWork** out) {
  return guarded([&] {
    std::vector<at::Tensor> tensors{*tensor};
    c10d::BroadcastOptions options;
    options.rootRank = root;
    *out = new DdpmWork{group->backend->broadcast(tensors, options)};
  });
}

const char* ddpm_torch_gather(DdpmGroup* group, const at::Tensor* tensor, Tensors parts, size_t len,
                              int root, DdpmWork** out) {
  return guarded([&] {
    std::vector<at::Tensor> inputs{*tensor};
    std::vector<std::vector<at::Tensor>> outputs;
    if (group->backend->getRank() == root) outputs.push_back(list("parts", parts, len));
    c10d::GatherOptions options;
    options.rootRank = root;
    *out = new DdpmWork{group->backend->gather(outputs, inputs, options)};
  });
}

const char* ddpm_torch_barrier(DdpmGroup* group, int cuda, DdpmWork** out) {
  return guarded([&] {
    c10d::BarrierOptions options;
    if (cuda >= 0) options.device_ids = {cuda};
    *out = new DdpmWork{group->backend->barrier(options)};
  });
}

const char* ddpm_torch_work_wait(DdpmWork* work) {
  return guarded([&] {
    TORCH_CHECK(work->work->wait(), "the collective was aborted");
  });
}

void ddpm_torch_work_free(DdpmWork* work) { delete work; }

const char* ddpm_torch_reducer_new(DdpmGroup* group, Tensors params, size_t len,
                                   size_t bucket_bytes, c10d::Reducer** out) {
  return guarded([&] {
    auto tensors = list("params", params, len);
    // As in DistributedDataParallel: buckets in reverse order of the parameters, roughly the order
    // in which gradients appear; after the first step, in the observed order. The first bucket is
    // small, so that communication starts early.
    size_t first = std::min<size_t>(c10d::kDefaultFirstBucketBytes, bucket_bytes);
    auto buckets = std::get<0>(
        c10d::compute_bucket_assignment_by_size(tensors, {first, bucket_bytes}));
    std::reverse(buckets.begin(), buckets.end());
    auto reducer = std::make_unique<c10d::Reducer>(
        tensors, buckets, group->group, std::vector<bool>(len, false),
        static_cast<int64_t>(bucket_bytes), /*find_unused_parameters=*/false,
        /*gradient_as_bucket_view=*/false, std::unordered_map<size_t, std::string>(),
        static_cast<int64_t>(first), /*skip_all_reduce_unused_params=*/false,
        /*use_python_reducer=*/false, /*bucket_bytes_cap_list=*/std::vector<int64_t>());
    *out = reducer.release();
  });
}

const char* ddpm_torch_reducer_prepare(c10d::Reducer* reducer) {
  return guarded([&] {
    reducer->prepare_for_forward();
    reducer->rebuild_buckets();
    reducer->prepare_for_backward({});
  });
}

void ddpm_torch_reducer_free(c10d::Reducer* reducer) {
  // Throws only if Python's interpreter is involved; there is none.
  guarded([&] { delete reducer; });
}

}  // extern "C"
