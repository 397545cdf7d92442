"""The parts of scipy that making models needs, imported when they are used."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from osteoform._errors import MissingExtraError

I64 = NDArray[np.int64]


def sparse() -> Any:
    """`scipy.sparse` with its `linalg` and `csgraph`."""
    try:
        import scipy.sparse
        import scipy.sparse.csgraph
        import scipy.sparse.linalg
    except ImportError as error:
        raise MissingExtraError(
            "models from raw meshes need scipy: pip install 'osteoform[ssm]'"
        ) from error
    return scipy.sparse


def components(edges: I64, num_nodes: int) -> tuple[int, I64]:
    """Number of connected parts of a graph with edges (E, 2), and the part (num_nodes,) of each."""
    scipy_sparse = sparse()
    ones = np.ones(len(edges), dtype=np.int8)
    graph = scipy_sparse.coo_matrix((ones, edges.T), shape=(num_nodes, num_nodes))
    count, label = scipy_sparse.csgraph.connected_components(graph, directed=False)
    return int(count), np.asarray(label, dtype=np.int64)


def two_colours(
    a: I64, b: I64, differ: NDArray[np.bool_], num_nodes: int
) -> NDArray[np.bool_] | None:
    """Colour (num_nodes,) so that a[i] and b[i] differ exactly where said; None: impossible.

    Every node stands twice in a doubled graph, once per colour; a pair that must differ joins
    opposite colours.
    """
    shift = np.where(differ, num_nodes, 0)
    doubled = np.concatenate(
        [
            np.stack([a, b + shift], axis=1),
            np.stack([a + num_nodes, (b + num_nodes + shift) % (2 * num_nodes)], axis=1),
        ]
    )
    _, label = components(doubled, 2 * num_nodes)
    first, second = label[:num_nodes], label[num_nodes:]
    if (first == second).any():
        return None
    # Of each part's two colourings the one whose label is smaller, alike for all its nodes.
    return np.asarray(first > second)
