// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>

#include "osteoform/geometry/triangle_mesh.hpp"

namespace osteoform {

/// Vertices moved inward along the vertex normals, each by its own depth [mm]: where cortical bone
/// ends. The result may fold where the depth exceeds the local radius.
Points inner_surface(const Points& vertices, const Faces& faces, const Eigen::VectorXf& depth_mm);

}  // namespace osteoform
