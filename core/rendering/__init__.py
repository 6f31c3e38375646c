"""The embedded data set: a street with known geometry, seen by the rig of the KITTI car. NumPy and OpenCV."""
