"""Rollouts: a version gets its share of the requests step by step, and is promoted or aborted by what is found.

plan           strategy, steps and limits
document       the state, rollout.json
course         changes of the state
settling       what follows from it: files, and by recording the history
driving        from the start to the end
evidence       the looks so far
compatibility  signatures of the candidate
answers        which outputs are compared, and rows of the prediction log
recorded       the answers so far, rollout-answers.json
joining        labels that are joined with answers
overview       what lists of models show of it
verification   what was not written of it
statistics     the tests
cluster        servers, gateway and counts of a Kubernetes cluster
"""
