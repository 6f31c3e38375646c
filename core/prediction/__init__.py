"""What `predict.py` and `export_onnx.py` write."""
