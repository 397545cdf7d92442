"""Reading and writing: study files, images, meshes."""
