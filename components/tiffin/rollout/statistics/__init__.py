"""The statistics of a rollout: plain functions from counts and arrays to results, valid however often a rollout is looked at.

The state between two looks is a frozen dataclass that `tiffin.artifacts.documents` writes as JSON, so that another process can
go on.

    shares         test of two shares of requests, such as errors
    latencies      the same test for requests slower than a quantile of the stable version
    distributions  comparison of two distributions of predictions
    decision       all tests of a rollout together
    intervals      intervals of shares, means and their differences
    histograms     counts in fixed bins
    agreement      paired answers of shadow mode
    labels         quality by route, once labels arrive
"""
