// Declarations in place of Gloo's own headers.
//
// libtorch brings ProcessGroupGloo.hpp, but not the headers of Gloo that it includes. We only make
// process groups and hold pointers to what is in them, so these few names are enough. They are
// checked against libtorch 2.11 by the tests of this crate: look again when the version moves.

#pragma once

#include <chrono>

namespace gloo {

class Context {
 public:
  void setTimeout(std::chrono::milliseconds timeout);
};

}  // namespace gloo
