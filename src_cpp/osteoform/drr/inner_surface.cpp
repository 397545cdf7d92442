// SPDX-License-Identifier: Apache-2.0
#include "osteoform/drr/inner_surface.hpp"

namespace osteoform {

Points inner_surface(const Points& vertices, const Faces& faces, const Eigen::VectorXf& depth_mm) {
  Points normals;
  vertex_normals(vertices, faces, normals);
  return vertices - depth_mm.asDiagonal() * normals;
}

}  // namespace osteoform
