// Common to all files of the shim: the error convention, and lists of borrowed tensors.
//
// Every function with C linkage returns nullptr, or the reason why it failed: a string that the
// next failure on the same thread overwrites. No C++ exception crosses into Rust. Tensors are
// borrowed: an `at::Tensor*` is what tch's `Tensor::as_ptr` returns.

#pragma once

#include <ATen/ATen.h>
#include <c10/util/Exception.h>

#include <exception>
#include <string>
#include <vector>

namespace ddpm {

using Tensors = const at::Tensor* const*;

inline thread_local std::string last_error;

template <typename Body>
const char* guarded(Body body) {
  try {
    body();
    return nullptr;
  } catch (const c10::Error& error) {
    last_error = error.what_without_backtrace();
  } catch (const std::exception& error) {
    last_error = error.what();
  } catch (...) {
    last_error = "an unknown C++ exception";
  }
  return last_error.c_str();
}

inline std::vector<at::Tensor> list(const char* what, Tensors tensors, size_t len) {
  std::vector<at::Tensor> out;
  out.reserve(len);
  for (size_t i = 0; i < len; i++) {
    TORCH_CHECK(tensors[i]->defined(), what, "[", i, "] is undefined: run backward() first");
    out.push_back(*tensors[i]);
  }
  return out;
}

}  // namespace ddpm
