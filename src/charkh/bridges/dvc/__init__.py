"""DVC: its files, caches and remotes read and written as DVC itself does, and its stages run under a cache."""
