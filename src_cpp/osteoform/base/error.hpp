// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <stdexcept>
#include <string>

namespace osteoform {

/// The caller handed in something unusable (wrong shape, NaN, open mesh). ValueError in Python.
class InputError : public std::invalid_argument {
 public:
  using std::invalid_argument::invalid_argument;
};

/// Throws InputError unless `condition` holds. `message` says what was found and what is needed.
inline void require(bool condition, const char* message) {
  if (!condition) throw InputError(message);
}
inline void require(bool condition, const std::string& message) {
  if (!condition) throw InputError(message);
}

}  // namespace osteoform
