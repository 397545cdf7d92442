// SPDX-License-Identifier: Apache-2.0
#include "convert.hpp"

namespace osteoform {
// One file per C++ module, named after it.
void bind_geometry(py::module_& m);
void bind_drr(py::module_& m);
void bind_xray(py::module_& m);
void bind_ssm(py::module_& m);
void bind_fit(py::module_& m);
void bind_parts(py::module_& m);
}  // namespace osteoform

PYBIND11_MODULE(_core, m) {
  using namespace osteoform;
  m.doc() = "C++ core of osteoform. Private: import osteoform instead.";
  m.attr("__version__") = OSTEOFORM_VERSION;
  py::register_exception<InputError>(m, "InputError", PyExc_ValueError).attr("__doc__") =
      "An argument is unusable; the message says what was found and what is needed.";
  // Types before what takes them: signatures and stubs then name them.
  bind_xray(m);
  bind_ssm(m);
  bind_fit(m);
  bind_drr(m);
  bind_geometry(m);
  bind_parts(m);
}
