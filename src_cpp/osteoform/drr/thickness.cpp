// SPDX-License-Identifier: Apache-2.0
#include "osteoform/drr/thickness.hpp"

#include <Eigen/Geometry>
#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <utility>

namespace osteoform {
namespace {

constexpr double kNearMm = 1e-3;  // what lies closer to the source's plane is cut off

struct Corner {
  double x, y, z;  // view frame [mm]
  double u, v;     // [px]
};

/// A triangle in front of the source and the rows [first_row, end_row) that it meets.
struct ScreenTriangle {
  std::array<std::int32_t, 3> corners;
  int first_row, end_row;
};

struct PixelBox {
  int first_u = 0, first_v = 0, end_u = 0, end_v = 0;

  int width() const { return end_u - first_u; }
  int height() const { return end_v - first_v; }
};

struct Screen {
  std::vector<Corner> corners;
  std::vector<ScreenTriangle> triangles;
  PixelBox box;
};

/// Depth of a plane seen at pixel (u, v): (num + num_v v) / (den + den_u u + den_v v).
struct DepthPlane {
  double num, num_v, den, den_u, den_v;
};

/// The plane n.x = k, for rays x = z ((u - cx)/fx, (v - cy)/fy, 1).
DepthPlane depth_plane(const ConeView<double>& view, const Eigen::Vector3d& n, double k) {
  const double nu = n.x() / view.focal_px.x();
  const double nv = n.y() / view.focal_px.y();
  return {k, 0.0, n.z() - nu * view.principal_px.x() - nv * view.principal_px.y(), nu, nv};
}

/// The plane n.x = k, for rays x = (z (u - cu)/f, y(v), z).
DepthPlane depth_plane(const SlotView<double>& view, const Eigen::Vector3d& n, double k) {
  const double nu = n.x() / view.focal_px;
  return {k - n.y() * view.first_row_mm,
          -n.y() * view.row_pitch_mm,
          n.z() - nu * view.principal_u_px,
          nu,
          0.0};
}

/// Column where the edge from `low` to `high` (low.v < high.v) crosses row v.
double crossing(const ConeView<double>&, const Corner& low, const Corner& high, double v) {
  return low.u + (v - low.v) / (high.v - low.v) * (high.u - low.u);
}
// A straight edge is a hyperbola in a slot image: cross in space, then project.
double crossing(const SlotView<double>& view, const Corner& low, const Corner& high, double v) {
  const double s = (v - low.v) / (high.v - low.v);
  const double x = low.x + s * (high.x - low.x);
  const double z = low.z + s * (high.z - low.z);
  return view.focal_px * x / z + view.principal_u_px;
}

/// Length of the ray per unit of depth z.
double length_per_depth(const ConeView<double>& view, double u, double v) {
  const double x = (u - view.principal_px.x()) / view.focal_px.x();
  const double y = (v - view.principal_px.y()) / view.focal_px.y();
  return std::sqrt(1.0 + x * x + y * y);
}
double length_per_depth(const SlotView<double>& view, double u, double) {
  const double x = (u - view.principal_u_px) / view.focal_px;
  return std::sqrt(1.0 + x * x);
}

/// +1 if v grows with y, -1 if rows run against y.
double row_direction(const ConeView<double>&) { return 1.0; }
double row_direction(const SlotView<double>& view) { return view.row_pitch_mm > 0.0 ? 1.0 : -1.0; }

void project(const ConeView<double>& view, Corner& c) {
  c.u = view.focal_px.x() * c.x / c.z + view.principal_px.x();
  c.v = view.focal_px.y() * c.y / c.z + view.principal_px.y();
}
void project(const SlotView<double>& view, Corner& c) {
  c.u = view.focal_px * c.x / c.z + view.principal_u_px;
  c.v = (c.y - view.first_row_mm) / view.row_pitch_mm;
}

/// First pixel at or after `position`, within [0, size].
int first_pixel(double position, int size) {
  const double inside = std::clamp(position, 0.0, static_cast<double>(size));
  const int floor = static_cast<int>(inside);
  return floor + (inside > floor);  // std::ceil is a library call on baseline x86-64
}

/// Builds the list of triangles that cover pixel centres.
template <typename V>
class ScreenBuilder {
 public:
  ScreenBuilder(const V& view, int width, int height)
      : view_(view), width_(width), height_(height) {
    screen_.box = {width, height, 0, 0};
  }

  Screen build(const Points& vertices, const Faces& faces) {
    screen_.corners.reserve(vertices.rows());
    screen_.triangles.reserve(faces.rows());
    for (Eigen::Index i = 0; i < vertices.rows(); ++i) {
      const Eigen::Vector3d x =
          view_.view_from_world * Eigen::Vector3d(vertices.row(i).transpose().cast<double>());
      Corner corner{x.x(), x.y(), x.z(), 0.0, 0.0};
      if (corner.z >= kNearMm) project(view_, corner);
      screen_.corners.push_back(corner);
    }
    for (Eigen::Index f = 0; f < faces.rows(); ++f) {
      add_face({faces(f, 0), faces(f, 1), faces(f, 2)});
    }
    if (screen_.triangles.empty()) screen_.box = {};
    return std::move(screen_);
  }

 private:
  bool in_front(std::int32_t corner) const { return screen_.corners[corner].z >= kNearMm; }

  void add_face(const std::array<std::int32_t, 3>& face) {
    const int num_in_front = in_front(face[0]) + in_front(face[1]) + in_front(face[2]);
    if (num_in_front == 3) {
      add_triangle(face);
    } else if (num_in_front > 0) {
      add_clipped(face);
    }
  }

  /// Keeps the part in front of the source. The cut needs no cap: it would lie at depth 0.
  void add_clipped(const std::array<std::int32_t, 3>& face) {
    std::array<std::int32_t, 4> polygon{};
    int count = 0;
    for (int k = 0; k < 3; ++k) {
      const std::int32_t a = face[k];
      const std::int32_t b = face[(k + 1) % 3];
      if (in_front(a)) polygon[count++] = a;
      if (in_front(a) != in_front(b)) polygon[count++] = in_front(a) ? cut(a, b) : cut(b, a);
    }
    add_triangle({polygon[0], polygon[1], polygon[2]});
    if (count == 4) add_triangle({polygon[0], polygon[2], polygon[3]});
  }

  std::int32_t cut(std::int32_t front, std::int32_t behind) {
    const Corner& a = screen_.corners[front];
    const Corner& b = screen_.corners[behind];
    const double s = (a.z - kNearMm) / (a.z - b.z);
    Corner corner{a.x + s * (b.x - a.x), a.y + s * (b.y - a.y), kNearMm, 0.0, 0.0};
    project(view_, corner);
    screen_.corners.push_back(corner);
    return static_cast<std::int32_t>(screen_.corners.size()) - 1;
  }

  void add_triangle(const std::array<std::int32_t, 3>& ids) {
    const Corner& a = screen_.corners[ids[0]];
    const Corner& b = screen_.corners[ids[1]];
    const Corner& c = screen_.corners[ids[2]];
    const int first_u = first_pixel(std::min({a.u, b.u, c.u}), width_);
    const int end_u = first_pixel(std::max({a.u, b.u, c.u}), width_);
    const int first_v = first_pixel(std::min({a.v, b.v, c.v}), height_);
    const int end_v = first_pixel(std::max({a.v, b.v, c.v}), height_);
    if (first_u >= end_u || first_v >= end_v) return;
    PixelBox& box = screen_.box;
    box = {std::min(box.first_u, first_u),
           std::min(box.first_v, first_v),
           std::max(box.end_u, end_u),
           std::max(box.end_v, end_v)};
    screen_.triangles.push_back({ids, first_v, end_v});
  }

  const V& view_;
  int width_, height_;
  Screen screen_;
};

/// Adds `sign` times the plane's depth to the pixels [first_u, end_u) of one row.
void add_span(const DepthPlane& plane,
              double num,
              double den,
              double sign,
              double low_mm,
              double high_mm,
              int first_u,
              int end_u,
              double* row) {
  for (int u = first_u; u < end_u; ++u) {
    const double depth = num / (den + plane.den_u * u);
    // An edge-on triangle leaves num / den to rounding; its depth range does not.
    row[u] += sign * std::max(low_mm, std::min(high_mm, depth));
  }
}

/// Signed depths of one triangle, rows [first_row, end_row).
/// @param sums_row  [in/out] sums of first_row, from box.first_u on; rows are box.width() apart
template <typename V>
void add_triangle(const V& view,
                  const std::array<Corner, 3>& corners,
                  int first_row,
                  int end_row,
                  const PixelBox& box,
                  double* sums_row) {
  const auto at = [](const Corner& c) { return Eigen::Vector3d(c.x, c.y, c.z); };
  const Eigen::Vector3d a = at(corners[0]);
  const Eigen::Vector3d normal = (at(corners[1]) - a).cross(at(corners[2]) - a);
  const DepthPlane plane = depth_plane(view, normal, normal.dot(a));
  const auto [low_mm, high_mm] = std::minmax({corners[0].z, corners[1].z, corners[2].z});
  const double direction = row_direction(view);
  for (int v = first_row; v < end_row; ++v, sums_row += box.width()) {
    double u_rising = 0.0, u_falling = 0.0;
    for (int k = 0; k < 3; ++k) {
      const Corner& p = corners[k];
      const Corner& q = corners[k == 2 ? 0 : k + 1];
      if ((p.v <= v) == (q.v <= v)) continue;
      if (p.v <= v) {
        u_rising = crossing(view, p, q, v);
      } else {
        u_falling = crossing(view, q, p, v);
      }
    }
    // Rising edge on the left: the outside faces the source, the ray enters here. Taken from the
    // crossings, not from the normal, entries and exits balance in every pixel.
    const double sign = u_rising < u_falling ? -direction : direction;
    const int first_u = first_pixel(std::min(u_rising, u_falling), box.end_u);
    const int end_u = first_pixel(std::max(u_rising, u_falling), box.end_u);
    add_span(plane,
             plane.num + plane.num_v * v,
             plane.den + plane.den_v * v,
             sign,
             low_mm,
             high_mm,
             first_u,
             end_u,
             sums_row - box.first_u);
  }
}

template <typename V>
void raster_band(
    const V& view, const Screen& screen, int first_row, int end_row, ThicknessPatch& patch) {
  const PixelBox& box = screen.box;
  std::vector<double> sums(static_cast<std::size_t>(end_row - first_row) * box.width(), 0.0);
  for (const ScreenTriangle& triangle : screen.triangles) {
    const int first = std::max(first_row, triangle.first_row);
    const int end = std::min(end_row, triangle.end_row);
    if (first >= end) continue;
    const auto& ids = triangle.corners;
    add_triangle(view,
                 {screen.corners[ids[0]], screen.corners[ids[1]], screen.corners[ids[2]]},
                 first,
                 end,
                 box,
                 sums.data() + static_cast<std::ptrdiff_t>(first - first_row) * box.width());
  }
  const double* sum = sums.data();
  float* value =
      patch.values.data() + static_cast<std::ptrdiff_t>(first_row - box.first_v) * box.width();
  for (int v = first_row; v < end_row; ++v) {
    for (int u = box.first_u; u < box.end_u; ++u) {
      *value++ = static_cast<float>(*sum++ * length_per_depth(view, u, v));
    }
  }
}

template <typename V>
ThicknessPatch thickness_in(const V& view,
                            const Points& vertices,
                            const Faces& faces,
                            int width,
                            int height,
                            ThreadPool& pool) {
  const Screen screen = ScreenBuilder<V>(view, width, height).build(vertices, faces);
  const PixelBox& box = screen.box;
  ThicknessPatch patch{box.first_u, box.first_v, box.width(), box.height(), {}};
  patch.values.resize(static_cast<std::size_t>(box.width()) * box.height());
  // A row is always summed in the order of the faces, however the rows are dealt out.
  const int num_bands =
      std::min(box.height(), pool.num_threads() == 1 ? 1 : 4 * pool.num_threads());
  pool.run(num_bands, [&](int band) {
    const auto row = [&](int i) {
      return box.first_v + static_cast<int>(std::int64_t{box.height()} * i / num_bands);
    };
    raster_band(view, screen, row(band), row(band + 1), patch);
  });
  return patch;
}

}  // namespace

ThicknessPatch thickness(const Points& vertices,
                         const Faces& faces,
                         const View& view,
                         int width,
                         int height,
                         ThreadPool& pool) {
  return std::visit(
      [&](const auto& v) { return thickness_in(v, vertices, faces, width, height, pool); }, view);
}

}  // namespace osteoform
