"""Raw data of a made-up B2B video product, with known truths, for demos and benchmarks."""
