"""What ``benchmarks/peers.py`` is made of: scenes with known truth, methods of fusion, scores, and the table."""
