"""IFEval (Zhou et al. 2023) and the benchmarks made after it: instructions whose keeping a program can check."""
