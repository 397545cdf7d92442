// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "osteoform/fit/initial_pose.hpp"

namespace osteoform {

/// Closed form: detections with the same most likely label are triangulated between views (closest
/// point to the rays) and the mean shape is laid onto them (Kabsch). False with fewer than 4.
bool triangulated_start(const ShapeModel& model,
                        const std::vector<View>& views,
                        const std::vector<const ViewFeatures*>& features,
                        Rigid3<double>& world_from_bone);

/// The bone upright, tilted and upside down before the view with most detections, each turned about
/// its long axis in eighths; where and how far away follows from the detections' spread.
std::vector<Rigid3<double>> turned_starts(const ShapeModel& model,
                                          const std::vector<View>& views,
                                          const std::vector<const ViewFeatures*>& features);

}  // namespace osteoform
