"""Rollouts: a version gets its share of the requests step by step, and is promoted or aborted by what is found.

    plan           strategy, steps and limits
    document       the state, rollout.json
    course         changes of the state
    settling       the files that follow from it
    driving        from the start to the end
    evidence       the looks so far
    compatibility  signatures of the candidate
    answers        which outputs are compared, and rows of the prediction log
    recorded       the answers so far, rollout-answers.json
    joining        labels that are joined with answers
    cluster        the servers and the gateway, from environment variables

In a cluster:

    kubernetes      objects of the namespace
    scaling         starts and stops the candidate servers
    cluster_routes  divides requests without Envoy
    server_counts   counts them without Envoy

The statistics are plain functions from counts and arrays to results, which stay valid however often a rollout is looked at.
The state between two looks is a frozen dataclass that `tiffin.artifacts.documents` writes as JSON, so that another process
can go on.

    shares         test of two shares of requests, such as errors
    latencies      the same test for requests slower than a quantile of the stable version
    distributions  comparison of two distributions of predictions
    decision       all tests of a rollout together
    intervals      intervals of shares, means and their differences
    histograms     counts in fixed bins
    agreement      paired answers of shadow mode
    labels         quality by route, once labels arrive
"""
