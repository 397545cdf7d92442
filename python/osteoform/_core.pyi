"""
C++ core of osteoform. Private: import osteoform instead.
"""

from __future__ import annotations
import collections.abc
import enum
import numpy
import numpy.typing
import typing

__all__: list[str] = [
    "Alignments",
    "Body",
    "BoneFit",
    "ClosestPointTree",
    "ConeView",
    "ExposureOptions",
    "FitOptions",
    "FitStatus",
    "InputError",
    "Polarity",
    "Rims",
    "ShapeModel",
    "SlotView",
    "StageTimes",
    "ViewFeatures",
    "align_bone",
    "attenuation",
    "closest_points",
    "fit_aligned",
    "fit_bone",
    "gaussian_blur",
    "image_attenuation",
    "image_gradient",
    "inner_surface",
    "project_ellipsoid",
    "search_boundary",
    "silhouette",
    "simulate_radiograph",
    "soft_match",
    "thickness",
    "vertex_normals",
]

class InputError(ValueError):
    """
    An argument is unusable; the message says what was found and what is needed.
    """

class ConeView:
    """
    Cone-beam X-ray geometry: point source, flat detector.
    """
    def __getstate__(
        self,
    ) -> tuple[
        typing.Annotated[numpy.typing.NDArray[numpy.float64], "[3, 3]"],
        typing.Annotated[numpy.typing.NDArray[numpy.float64], "[4, 4]"],
    ]: ...
    def __init__(
        self,
        *,
        K: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[3, 3]"],
        view_from_world: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[4, 4]"],
    ) -> None: ...
    def __setstate__(
        self,
        arg0: tuple[
            typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[3, 3]"],
            typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[4, 4]"],
        ],
    ) -> None: ...
    def project(
        self, points: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[m, 3]"]
    ) -> typing.Annotated[numpy.typing.NDArray[numpy.float64], "[m, 2]"]:
        """
        Pixels (N, 2) of world points (N, 3) [mm].
        """
    def project_jacobian(
        self, point: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[3, 1]"]
    ) -> typing.Annotated[numpy.typing.NDArray[numpy.float64], "[m, 3]"]:
        """
        d(u, v) / d(point), (2, 3) [px/mm], at one world point.
        """
    def rays(
        self, points: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[m, 3]"]
    ) -> typing.Annotated[numpy.typing.NDArray[numpy.float64], "[m, 3]"]:
        """
        Rays (N, 3) through world points, not normalised [mm].
        """
    @property
    def focal_px(self) -> typing.Annotated[numpy.typing.NDArray[numpy.float64], "[2, 1]"]: ...
    @property
    def principal_px(self) -> typing.Annotated[numpy.typing.NDArray[numpy.float64], "[2, 1]"]: ...
    @property
    def view_from_world(self) -> typing.Annotated[numpy.typing.NDArray[numpy.float64], "[m, n]"]:
        """
        World to view frame, (4, 4) [mm].
        """

class SlotView:
    """
    Slot-scanner X-ray geometry (EOS-like pushbroom).
    """
    def __getstate__(
        self,
    ) -> tuple[
        float, float, float, float, typing.Annotated[numpy.typing.NDArray[numpy.float64], "[4, 4]"]
    ]: ...
    def __init__(
        self,
        *,
        focal_px: typing.SupportsFloat | typing.SupportsIndex,
        principal_u_px: typing.SupportsFloat | typing.SupportsIndex,
        row_pitch_mm: typing.SupportsFloat | typing.SupportsIndex,
        first_row_mm: typing.SupportsFloat | typing.SupportsIndex,
        view_from_world: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[4, 4]"],
    ) -> None: ...
    def __setstate__(
        self,
        arg0: tuple[
            typing.SupportsFloat | typing.SupportsIndex,
            typing.SupportsFloat | typing.SupportsIndex,
            typing.SupportsFloat | typing.SupportsIndex,
            typing.SupportsFloat | typing.SupportsIndex,
            typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[4, 4]"],
        ],
    ) -> None: ...
    def project(
        self, points: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[m, 3]"]
    ) -> typing.Annotated[numpy.typing.NDArray[numpy.float64], "[m, 2]"]:
        """
        Pixels (N, 2) of world points (N, 3) [mm].
        """
    def project_jacobian(
        self, point: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[3, 1]"]
    ) -> typing.Annotated[numpy.typing.NDArray[numpy.float64], "[m, 3]"]:
        """
        d(u, v) / d(point), (2, 3) [px/mm], at one world point.
        """
    def rays(
        self, points: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[m, 3]"]
    ) -> typing.Annotated[numpy.typing.NDArray[numpy.float64], "[m, 3]"]:
        """
        Rays (N, 3) through world points, not normalised [mm].
        """
    @property
    def first_row_mm(self) -> float: ...
    @property
    def focal_px(self) -> float: ...
    @property
    def principal_u_px(self) -> float: ...
    @property
    def row_pitch_mm(self) -> float: ...
    @property
    def view_from_world(self) -> typing.Annotated[numpy.typing.NDArray[numpy.float64], "[m, n]"]:
        """
        World to view frame, (4, 4) [mm].
        """

class ShapeModel:
    """
    Shape model of one bone, immutable.
    """
    def __init__(
        self,
        *,
        mean: typing.Annotated[numpy.typing.ArrayLike, numpy.float32, "[m, 3]"],
        modes: typing.Annotated[numpy.typing.ArrayLike, numpy.float64],
        faces: typing.Annotated[numpy.typing.ArrayLike, numpy.int32, "[m, 3]"],
        inadequacy_mm: typing.Annotated[numpy.typing.ArrayLike, numpy.float32, "[m, 1]"],
        point_mean: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[m, 3]"],
        point_modes: typing.Annotated[numpy.typing.ArrayLike, numpy.float64],
        ellipsoid_mean: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[m, 3]"],
        ellipsoid_modes: typing.Annotated[numpy.typing.ArrayLike, numpy.float64],
        ellipsoid_shape: typing.Annotated[numpy.typing.ArrayLike, numpy.float64],
        ellipsoid_scale_modes: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[m, n]"],
    ) -> None: ...
    def instance(
        self, b: typing.Annotated[numpy.typing.ArrayLike, numpy.float32, "[m, 1]"]
    ) -> typing.Annotated[numpy.typing.NDArray[numpy.float32], "[m, 3]"]:
        """
        Vertices (N, 3) [mm] in the bone frame for coefficients b (K,).
        """
    @property
    def num_modes(self) -> int: ...
    @property
    def num_points(self) -> int: ...

class FitStatus(enum.Enum):
    """
    How a fit ended.
    """

    CONVERGED = ...
    ITERATION_LIMIT = ...
    NOT_FOUND = ...
    STALLED = ...

class Rims(enum.Enum):
    """
    Which rims are searched for.
    """

    ALL = ...
    OUTER = ...

class Polarity(enum.Enum):
    """
    Which way grey values run.
    """

    BRIGHT_IS_DENSE = ...
    DARK_IS_DENSE = ...

class FitOptions:
    """
    How to fit; lengths at the bone [mm].
    """
    def __init__(
        self,
        *,
        iterations: typing.SupportsInt | typing.SupportsIndex = 24,
        search_start_mm: typing.SupportsFloat | typing.SupportsIndex = 9.0,
        search_end_mm: typing.SupportsFloat | typing.SupportsIndex = 2.2,
        smoothing_mm: typing.SupportsFloat | typing.SupportsIndex = 0.35,
        coarse_smoothing_mm: typing.SupportsFloat | typing.SupportsIndex = 0.9,
        image_blur_mm: typing.SupportsFloat | typing.SupportsIndex = 0.25,
        boundary_sigma_mm: typing.SupportsFloat | typing.SupportsIndex = 1.0,
        boundary_correlation_mm: typing.SupportsFloat | typing.SupportsIndex = 6.0,
        points_per_view: typing.SupportsInt | typing.SupportsIndex = 192,
        rims: Rims = ...,
        feature_sigma_mm: typing.SupportsFloat | typing.SupportsIndex = 1.0,
        slack_cost: typing.SupportsFloat | typing.SupportsIndex = 9.0,
        shape_prior: typing.SupportsFloat | typing.SupportsIndex = 1.0,
        max_b: typing.SupportsFloat | typing.SupportsIndex = 4.0,
        calibration_sd_mm: typing.SupportsFloat | typing.SupportsIndex = 0.5,
        calibration_sd_deg: typing.SupportsFloat | typing.SupportsIndex = 0.2,
        depth_sd_mm: typing.SupportsFloat | typing.SupportsIndex = 20.0,
        step_tolerance_mm: typing.SupportsFloat | typing.SupportsIndex = 0.1,
        num_threads: typing.SupportsInt | typing.SupportsIndex = 1,
        covariance: bool = True,
    ) -> None: ...
    @property
    def boundary_correlation_mm(self) -> float: ...
    @property
    def boundary_sigma_mm(self) -> float: ...
    @property
    def calibration_sd_deg(self) -> float: ...
    @property
    def calibration_sd_mm(self) -> float: ...
    @property
    def coarse_smoothing_mm(self) -> float: ...
    @property
    def covariance(self) -> bool: ...
    @property
    def depth_sd_mm(self) -> float: ...
    @property
    def feature_sigma_mm(self) -> float: ...
    @property
    def image_blur_mm(self) -> float: ...
    @property
    def iterations(self) -> int: ...
    @property
    def max_b(self) -> float: ...
    @property
    def num_threads(self) -> int: ...
    @property
    def points_per_view(self) -> int: ...
    @property
    def rims(self) -> Rims: ...
    @property
    def search_end_mm(self) -> float: ...
    @property
    def search_start_mm(self) -> float: ...
    @property
    def shape_prior(self) -> float: ...
    @property
    def slack_cost(self) -> float: ...
    @property
    def smoothing_mm(self) -> float: ...
    @property
    def step_tolerance_mm(self) -> float: ...

class ViewFeatures:
    """
    What was detected in one view.
    """
    def __init__(
        self,
        *,
        points_px: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[m, 2]"],
        sigma_px: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[m, 1]"],
        class_probability: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[m, n]"],
        ellipse_ids: typing.Annotated[numpy.typing.ArrayLike, numpy.int32, "[m, 1]"],
        ellipse_center_px: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[m, 2]"],
        ellipse_shape_px2: typing.Annotated[numpy.typing.ArrayLike, numpy.float64],
        ellipse_sigma_px: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[m, 1]"],
    ) -> None: ...

class Alignments:
    """
    Where features put a bone: different answers, best first.
    """
    @property
    def b(self) -> typing.Annotated[numpy.typing.NDArray[numpy.float64], "[m, 1]"]:
        """
        Of the modes that alignment moves.
        """
    @property
    def num_matched(self) -> float: ...
    @property
    def quality(self) -> float: ...
    @property
    def readings(self) -> list[int]:
        """
        Which one was taken, per view.
        """
    @property
    def world_from_bone(
        self,
    ) -> typing.Annotated[numpy.typing.NDArray[numpy.float64], "[m, n]"]: ...

class StageTimes:
    """
    Wall-clock time per stage [ms].
    """
    @property
    def match_ms(self) -> float: ...
    @property
    def prepare_ms(self) -> float: ...
    @property
    def search_ms(self) -> float: ...
    @property
    def solve_ms(self) -> float: ...
    @property
    def summary_ms(self) -> float: ...

class BoneFit:
    """
    One fitted bone, also when it failed.
    """
    @property
    def b(self) -> typing.Annotated[numpy.typing.NDArray[numpy.float64], "[m, 1]"]: ...
    @property
    def boundary_found(self) -> float: ...
    @property
    def boundary_px(
        self,
    ) -> list[typing.Annotated[numpy.typing.NDArray[numpy.float32], "[m, 2]"]]: ...
    @property
    def boundary_rms_mm(self) -> float: ...
    @property
    def corrections(self) -> typing.Annotated[numpy.typing.NDArray[numpy.float64], "[m, n]"]:
        """
        (V - 1, 6): rotation vector [rad], translation [mm] per further view.
        """
    @property
    def cost(self) -> float: ...
    @property
    def iterations(self) -> int: ...
    @property
    def match_quality(self) -> float: ...
    @property
    def num_matched(self) -> float: ...
    @property
    def readings(self) -> list[int]: ...
    @property
    def rims(self) -> list[typing.Annotated[numpy.typing.NDArray[numpy.float32], "[m, 4]"]]:
        """
        Per view (n, 4): pixel of the silhouette and outward unit normal.
        """
    @property
    def start_sd_mm(self) -> float: ...
    @property
    def status(self) -> FitStatus: ...
    @property
    def times(self) -> StageTimes: ...
    @property
    def vertex_sd_mm(self) -> typing.Annotated[numpy.typing.NDArray[numpy.float32], "[m, 1]"]: ...
    @property
    def vertices(self) -> typing.Annotated[numpy.typing.NDArray[numpy.float32], "[m, 3]"]: ...
    @property
    def view_rms_mm(self) -> list[float]:
        """
        Per view: root mean square distance to the boundary; NaN where there is none.
        """
    @property
    def world_from_bone(
        self,
    ) -> typing.Annotated[numpy.typing.NDArray[numpy.float64], "[m, n]"]: ...

class Body:
    """
    A closed body that attenuates X-rays.
    """
    def __init__(
        self,
        *,
        vertices: typing.Annotated[numpy.typing.ArrayLike, numpy.float32, "[m, 3]"],
        faces: typing.Annotated[numpy.typing.ArrayLike, numpy.int32, "[m, 3]"],
        mu_per_mm: typing.SupportsFloat | typing.SupportsIndex,
        inner_vertices: typing.Annotated[numpy.typing.ArrayLike, numpy.float32, "[m, 3]"]
        | None = None,
        inner_mu_per_mm: typing.SupportsFloat | typing.SupportsIndex = 0.0,
        tissue: str = "bone",
    ) -> None: ...

class ExposureOptions:
    """
    How an attenuated beam becomes grey values.
    """
    def __init__(
        self,
        *,
        dose: typing.SupportsFloat | typing.SupportsIndex = 5000.0,
        blur_px: typing.SupportsFloat | typing.SupportsIndex = 0.7,
        scatter_fraction: typing.SupportsFloat | typing.SupportsIndex = 0.2,
        scatter_px: typing.SupportsFloat | typing.SupportsIndex = 40.0,
        hardening: typing.SupportsFloat | typing.SupportsIndex = 0.0,
        seed: typing.SupportsInt | typing.SupportsIndex = 0,
    ) -> None: ...

class ClosestPointTree:
    """
    Finds the nearest point of a triangle surface; built once.
    """
    def __init__(
        self,
        *,
        vertices: typing.Annotated[numpy.typing.ArrayLike, numpy.float32, "[m, 3]"],
        faces: typing.Annotated[numpy.typing.ArrayLike, numpy.int32, "[m, 3]"],
    ) -> None: ...
    def find(
        self, points: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[m, 3]"]
    ) -> tuple[typing.Any, ...]:
        """
        Nearest points (N, 3) to points (N, 3), distances (N,) [mm] and face indices (N,).
        """

def align_bone(
    *,
    model: ShapeModel,
    views: collections.abc.Sequence[ConeView | SlotView],
    readings: collections.abc.Sequence[collections.abc.Sequence[ViewFeatures]],
    start: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[4, 4]"] | None,
    options: FitOptions,
) -> Alignments:
    """
    The first half of fit_bone: match and align.
    """

def attenuation(
    *,
    bodies: collections.abc.Sequence[Body],
    view: ConeView | SlotView,
    width: typing.SupportsInt | typing.SupportsIndex,
    height: typing.SupportsInt | typing.SupportsIndex,
    num_threads: typing.SupportsInt | typing.SupportsIndex = 1,
) -> numpy.typing.NDArray[numpy.float32]:
    """
    Line integral of the attenuation, (height, width).
    """

def closest_points(
    *,
    points: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[m, 3]"],
    vertices: typing.Annotated[numpy.typing.ArrayLike, numpy.float32, "[m, 3]"],
    faces: typing.Annotated[numpy.typing.ArrayLike, numpy.int32, "[m, 3]"],
) -> tuple[typing.Any, ...]:
    """
    ClosestPointTree.find for a surface that is asked once.
    """

def fit_aligned(
    *,
    model: ShapeModel,
    views: collections.abc.Sequence[ConeView | SlotView],
    pixels: collections.abc.Sequence[typing.Annotated[numpy.typing.ArrayLike, numpy.float32]],
    polarities: collections.abc.Sequence[Polarity],
    aligned: Alignments,
    foreign_rims: collections.abc.Sequence[
        typing.Annotated[numpy.typing.ArrayLike, numpy.float32, "[m, 4]"]
    ] = [],
    options: FitOptions,
) -> BoneFit:
    """
    The second half of fit_bone: search and solve.
    """

def fit_bone(
    *,
    model: ShapeModel,
    views: collections.abc.Sequence[ConeView | SlotView],
    pixels: collections.abc.Sequence[typing.Annotated[numpy.typing.ArrayLike, numpy.float32]],
    polarities: collections.abc.Sequence[Polarity],
    readings: collections.abc.Sequence[collections.abc.Sequence[ViewFeatures]],
    foreign_rims: collections.abc.Sequence[
        typing.Annotated[numpy.typing.ArrayLike, numpy.float32, "[m, 4]"]
    ] = [],
    start: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[4, 4]"] | None,
    options: FitOptions,
) -> BoneFit:
    """
    Fits one bone to its X-rays: match, align, search and solve. One call, no GIL.
    """

def gaussian_blur(
    image: typing.Annotated[numpy.typing.ArrayLike, numpy.float32, "[m, n]"],
    *,
    sigma_px: typing.SupportsFloat | typing.SupportsIndex,
) -> typing.Annotated[numpy.typing.NDArray[numpy.float32], "[m, n]"]:
    """
    Separable Gaussian (height, width), cut at 3 sigma, borders repeated.
    """

def image_attenuation(
    pixels: typing.Annotated[numpy.typing.ArrayLike, numpy.float32, "[m, n]"],
    *,
    factor: typing.SupportsInt | typing.SupportsIndex = 1,
    polarity: Polarity = ...,
) -> typing.Annotated[numpy.typing.NDArray[numpy.float32], "[m, n]"]:
    """
    Attenuation of an image whose pixels are grouped factor by factor, dense = bright.
    """

def image_gradient(
    smooth: typing.Annotated[numpy.typing.ArrayLike, numpy.float32, "[m, n]"],
) -> tuple[typing.Any, ...]:
    """
    Gradient (height, width, 2) and its noise.
    """

def inner_surface(
    vertices: typing.Annotated[numpy.typing.ArrayLike, numpy.float32, "[m, 3]"],
    faces: typing.Annotated[numpy.typing.ArrayLike, numpy.int32, "[m, 3]"],
    depth_mm: typing.Annotated[numpy.typing.ArrayLike, numpy.float32, "[m, 1]"],
) -> typing.Annotated[numpy.typing.NDArray[numpy.float32], "[m, 3]"]:
    """
    Vertices (N, 3) moved inward along their normals by depth_mm (N,).
    """

def project_ellipsoid(
    view: ConeView | SlotView,
    center: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[3, 1]"],
    shape: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[3, 3]"],
) -> tuple[typing.Any, ...]:
    """
    Outline in the image: centre (2,) and shape (2, 2).
    """

def search_boundary(
    smooth: typing.Annotated[numpy.typing.ArrayLike, numpy.float32, "[m, n]"],
    points_px: typing.Annotated[numpy.typing.ArrayLike, numpy.float32, "[m, 2]"],
    normals: typing.Annotated[numpy.typing.ArrayLike, numpy.float32, "[m, 2]"],
    *,
    half_width_px: typing.SupportsFloat | typing.SupportsIndex,
    step_px: typing.SupportsFloat | typing.SupportsIndex = 0.5,
    cap: typing.SupportsFloat | typing.SupportsIndex = 0.0,
    foreign_rims: typing.Annotated[numpy.typing.ArrayLike, numpy.float32, "[m, 4]"] = ...,
    certain_px: typing.SupportsFloat | typing.SupportsIndex = 0.0,
    reach_px: typing.SupportsFloat | typing.SupportsIndex = 0.0,
) -> tuple[typing.Any, ...]:
    """
    Offset (n,) [px] and strength (n,) of the edge along each normal, strength 0: none; and the share (n,) of it that no foreign rim claims.
    """

def silhouette(
    view: ConeView | SlotView,
    vertices: typing.Annotated[numpy.typing.ArrayLike, numpy.float32, "[m, 3]"],
    faces: typing.Annotated[numpy.typing.ArrayLike, numpy.int32, "[m, 3]"],
    *,
    max_points: typing.SupportsInt | typing.SupportsIndex,
) -> tuple[typing.Any, ...]:
    """
    Rims: edges (n, 2), position on them (n,), pixels (n, 2), image normals (n, 2).
    """

def simulate_radiograph(
    *,
    bodies: collections.abc.Sequence[Body],
    view: ConeView | SlotView,
    width: typing.SupportsInt | typing.SupportsIndex,
    height: typing.SupportsInt | typing.SupportsIndex,
    exposure: ExposureOptions = ...,
    num_threads: typing.SupportsInt | typing.SupportsIndex = 1,
) -> numpy.typing.NDArray[numpy.float32]:
    """
    Grey values of a radiograph, (height, width) in [0, 1], dark is dense.
    """

def soft_match(
    cost: typing.Annotated[numpy.typing.ArrayLike, numpy.float64, "[m, n]"],
    *,
    slack_cost: typing.SupportsFloat | typing.SupportsIndex = 9.0,
    temperature: typing.SupportsFloat | typing.SupportsIndex = 1.0,
) -> typing.Annotated[numpy.typing.NDArray[numpy.float64], "[m, n]"]:
    """
    Doubly stochastic assignment (n, F) with slack for a cost (n, F).
    """

def thickness(
    vertices: typing.Annotated[numpy.typing.ArrayLike, numpy.float32, "[m, 3]"],
    faces: typing.Annotated[numpy.typing.ArrayLike, numpy.int32, "[m, 3]"],
    view: ConeView | SlotView,
    width: typing.SupportsInt | typing.SupportsIndex,
    height: typing.SupportsInt | typing.SupportsIndex,
    *,
    num_threads: typing.SupportsInt | typing.SupportsIndex = 1,
) -> numpy.typing.NDArray[numpy.float32]:
    """
    Ray length inside a closed mesh, (height, width) [mm].
    """

def vertex_normals(
    vertices: typing.Annotated[numpy.typing.ArrayLike, numpy.float32, "[m, 3]"],
    faces: typing.Annotated[numpy.typing.ArrayLike, numpy.int32, "[m, 3]"],
) -> typing.Annotated[numpy.typing.NDArray[numpy.float32], "[m, 3]"]:
    """
    Unit normals (N, 3), area-weighted, outward for outward faces.
    """

__version__: str
