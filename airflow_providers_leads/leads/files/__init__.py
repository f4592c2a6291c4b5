"""Files of rows: Parquet by parts, tables, lists of addresses, YAML."""
