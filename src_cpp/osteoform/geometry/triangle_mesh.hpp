// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <Eigen/Core>
#include <cstdint>

namespace osteoform {

using Points = Eigen::Matrix<float, Eigen::Dynamic, 3, Eigen::RowMajor>;        // N x 3 [mm]
using Faces = Eigen::Matrix<std::int32_t, Eigen::Dynamic, 3, Eigen::RowMajor>;  // M x 3
using Edges = Eigen::Matrix<std::int32_t, Eigen::Dynamic, 2, Eigen::RowMajor>;  // E x 2

/// Throws InputError unless every index is in [0, num_points) and there is a face.
void check_faces(const Faces& faces, int num_points);

/// Each undirected edge once, smaller vertex first, in lexicographic order.
Edges unique_edges(const Faces& faces);

/// True if every directed edge has exactly one opposite: closed, manifold, coherently wound.
bool is_closed(const Faces& faces);

/// Signed volume [mm^3] (divergence theorem); positive for outward winding.
double signed_volume(const Points& vertices, const Faces& faces);

/// Unit vertex normals, area-weighted, pointing outward for outward winding.
/// @param normals  [out] N x 3, resized only if it has another size
void vertex_normals(const Points& vertices, const Faces& faces, Points& normals);

}  // namespace osteoform
