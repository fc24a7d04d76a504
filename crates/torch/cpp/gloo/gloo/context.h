// Declarations in place of Gloo's own headers.
//
// libtorch ships ProcessGroupGloo.hpp, but not the Gloo headers that it includes. We only create
// process groups and hold pointers to their contents, so these few names are enough. This crate's
// tests check them against libtorch 2.11: review them when the version changes.

#pragma once

#include <chrono>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

}  // namespace gloo
