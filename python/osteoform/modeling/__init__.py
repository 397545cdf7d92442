"""Making shape models from meshes: alignment, modes, inadequacy, features, import and export."""
