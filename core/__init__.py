"""What touches no tensor: options, data, protocols, geometry in NumPy. Imports neither torch nor paddle."""
