"""What Prometheus gets to know: a page of metrics from the state that is kept anyway, its server, and alert rules.

    python -m tiffin.observability --log-root=gs://bucket/predictions --serving-root=gs://bucket/serving

Model servers, Envoy and the recorder have metrics of their own; `rules` puts them together with those of the page.
"""
