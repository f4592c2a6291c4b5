"""One HTTP conversation with one vendor: transport, auth, pagination, retry, rate limit, errors. Knows no Airflow."""
