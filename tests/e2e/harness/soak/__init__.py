"""Two proxies under steady mixed load, while peers and configurations change, and what of them must not."""
