"""What benchmarks share: time, multiply-accumulates and memory of a call, interleaved rounds, and tables of the results."""
