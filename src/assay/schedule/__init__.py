"""What a run practises next, where it has several domains: environments of one run."""
