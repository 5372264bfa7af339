"""The ratios of the benchmarks' page as pictures, from the results files and nothing else."""
