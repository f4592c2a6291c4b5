"""Where the requests of a key are counted: by one machine in files, by several in a store that they share."""
