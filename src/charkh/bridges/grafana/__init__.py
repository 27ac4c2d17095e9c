"""Grafana: dashboards over what charkh counts, with uids that stay, and the files that provision them."""
