"""The method `tiny`: unlike Monodepth2 in all that the shared files could assume, and small. Of the tests alone.

`register` adds it to the registries; `options`, `torch_method` and `paddle_method` are what any method is made of.
"""
