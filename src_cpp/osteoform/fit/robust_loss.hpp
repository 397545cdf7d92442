// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "osteoform/base/hd.hpp"

namespace osteoform {

// A loss maps a squared residual s to a cost rho(s); weight(s) is rho'(s).

struct SquaredLoss {
  OSTEOFORM_HD double rho(double s) const { return s; }
  OSTEOFORM_HD double weight(double) const { return 1.0; }
};

/// Geman-McClure: saturates at scale^2, so a wrong edge stops pulling once it is far.
struct GemanMcClureLoss {
  double scale = 1.0;
  OSTEOFORM_HD double rho(double s) const {
    const double c = scale * scale;
    return c * s / (c + s);
  }
  OSTEOFORM_HD double weight(double s) const {
    const double c = scale * scale;
    return (c / (c + s)) * (c / (c + s));
  }
};

}  // namespace osteoform
