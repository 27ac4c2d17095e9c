"""Models that answer together: chains, combiners, routers and transformers made into one servable."""
